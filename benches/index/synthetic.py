"""Clustered vectors of any number: what embeddings of many classes look like.

A point has a class, one of 1000, and 16 hidden coordinates: its class's centre plus a Gaussian.
They go through a random linear map into 128 dimensions, through tanh, which bends the sheet, and
get a little noise in every dimension. Rows come in chunks with a stream each, so that the first
50,000 of a million are the 50,000 of the small set.
"""

import numpy as np

CLASSES, HIDDEN, DIM = 1000, 16, 128
SPREAD = 0.7  # standard deviation within a class, where that of the centres is 1
NOISE = 0.1
CHUNK = 10_000
SEED = 20


def make(rows, *, stream=0):
    """Return `rows` vectors, float32 (rows, 128); another stream gives others of the same kind."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((CLASSES, HIDDEN))
    weights = rng.standard_normal((HIDDEN, DIM)) / np.sqrt(HIDDEN)
    made = np.empty((rows, DIM), np.float32)
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        rng = np.random.default_rng([SEED, stream, start // CHUNK])
        hidden = centres[rng.integers(CLASSES, size=CHUNK)]
        hidden = hidden + SPREAD * rng.standard_normal((CHUNK, HIDDEN))
        bent = np.tanh(hidden @ weights) + NOISE * rng.standard_normal((CHUNK, DIM))
        made[start : start + count] = bent[:count]
    return made
