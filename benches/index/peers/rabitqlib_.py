"""SymphonyQG: one-bit codes of the neighbours inside each node."""

import numpy as np
from rabitqlib import SymqgIndex

from .base import Peer

LEAST_DIM = 64  # its rotation refuses fewer


def padded(vectors):
    missing = LEAST_DIM - vectors.shape[1]
    if missing <= 0:
        return vectors
    return np.pad(vectors, ((0, 0), (0, missing)))


class Index(Peer):
    """l2 on vectors of length 1 stands for cosine."""

    distribution = "rabitqlib"

    def build(self, vectors, metric, threads):
        vectors = padded(vectors)
        self.index = SymqgIndex(vectors.shape[1], 2 * self.m, "l2")
        self.index.build(vectors, self.ef_construction, threads)

    def search(self, queries, k, knob, threads):
        return self.index.search_batch(padded(queries), k, knob, threads)[0]

    def one(self, queries, k, knob):
        search = self.index.search
        for query in padded(queries):
            search(query[None], k, knob, 1)

    def save(self, path):
        self.index.save(str(path))

    @classmethod
    def load(cls, path, vectors, metric):
        peer = cls()
        peer.index = SymqgIndex.load(str(path))
        return peer
