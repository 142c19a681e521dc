"""SimSIMD's matrix of cosine distances."""

import simsimd


def cosine(inputs, threads):
    return lambda: simsimd.cdist(*inputs, metric="cosine", threads=threads)
