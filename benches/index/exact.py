"""The true neighbours, by comparing with every row."""

import numpy as np

BLOCK = 2**27  # values of a block of float32 products: 512 MiB
SPARE = 54  # rows beyond k that float32 may have misplaced and float64 looks at again


def nearest(vectors, queries, k, rows=None):
    """Return the k nearest of `vectors` to each query under l2, as numbers of rows, (n, k).

    Under cosine the vectors have length 1, and l2 orders them alike. float32 products choose
    k + SPARE candidates, float64 sorts them. `rows` restricts the search to some.
    """
    if rows is not None:
        return np.asarray(rows)[nearest(vectors[rows], queries, k)]
    norms = np.einsum("ij,ij->i", vectors, vectors)
    found = np.empty((len(queries), k), np.int64)
    step = max(1, BLOCK // len(vectors))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        scores = norms - 2 * (block @ vectors.T)
        wanted = min(k + SPARE, len(vectors))
        if wanted < len(vectors):
            candidates = np.argpartition(scores, wanted - 1, axis=1)[:, :wanted]
        else:
            candidates = np.broadcast_to(np.arange(len(vectors)), scores.shape)
        for i, (query, chosen) in enumerate(zip(block, candidates, strict=True)):
            away = vectors[chosen].astype(np.float64) - query
            order = np.lexsort((chosen, np.einsum("ij,ij->i", away, away)))
            found[start + i] = chosen[order[:k]]
    return found


def recall(found, truth):
    """Return the share of the true neighbours that were found."""
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
    return hits / truth.size
