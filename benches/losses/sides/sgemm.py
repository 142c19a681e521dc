"""The bare product by NumPy's BLAS, into memory that is there already."""

import numpy as np


def cosine(inputs, _threads):
    a, b = inputs
    out = np.empty((len(a), len(b)), np.float32)
    return lambda: np.matmul(a, b.T, out=out)
