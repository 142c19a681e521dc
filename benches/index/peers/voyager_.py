"""Voyager on float32 vectors."""

import numpy as np
import voyager

from .base import Peer


class Index(Peer):
    distribution = "voyager"

    def build(self, vectors, metric, threads):
        space = {"l2": voyager.Space.Euclidean, "cosine": voyager.Space.Cosine}[metric]
        self.index = voyager.Index(
            space,
            num_dimensions=vectors.shape[1],
            M=self.m,
            ef_construction=self.ef_construction,
            max_elements=len(vectors),
        )
        self.index.add_items(vectors, num_threads=threads)

    def search(self, queries, k, knob, threads):
        return self.index.query(queries, k, threads, knob)[0].astype(np.int64)

    def one(self, queries, k, knob):
        search = self.index.query
        for query in queries:
            search(query, k, 1, knob)

    def save(self, path):
        self.index.save(str(path))

    @classmethod
    def load(cls, path, vectors, metric):
        peer = cls()
        peer.index = voyager.Index.load(str(path))
        return peer
