"""USearch on float32 vectors."""

import numpy as np
import usearch.index

from .base import Peer


class Index(Peer):
    distribution = "usearch"

    def build(self, vectors, metric, threads):
        self.index = usearch.index.Index(
            ndim=vectors.shape[1],
            metric={"l2": "l2sq", "cosine": "cos"}[metric],
            dtype="f32",
            connectivity=self.m,
            expansion_add=self.ef_construction,
        )
        self.index.add(np.arange(len(vectors), dtype=np.uint64), vectors, threads=threads)

    def search(self, queries, k, knob, threads):
        self.index.expansion_search = knob
        return self.index.search(queries, k, threads=threads).keys.astype(np.int64)

    def one(self, queries, k, knob):
        self.index.expansion_search = knob
        search = self.index.search
        for query in queries:
            search(query, k, threads=1)

    def save(self, path):
        self.index.save(str(path))

    @classmethod
    def load(cls, path, vectors, metric, view=False):
        peer = cls()
        peer.index = usearch.index.Index.restore(str(path), view=view)
        return peer

    @classmethod
    def open_mapped(cls, path, vectors, metric):
        return cls.load(path, vectors, metric, view=True)
