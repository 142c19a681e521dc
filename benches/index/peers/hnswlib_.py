"""hnswlib, the reference: every ratio is to it."""

import hnswlib

from .base import Peer


class Index(Peer):
    distribution = "hnswlib"

    def build(self, vectors, metric, threads):
        self.index = hnswlib.Index(metric, vectors.shape[1])
        self.index.init_index(len(vectors), ef_construction=self.ef_construction, M=self.m)
        self.index.add_items(vectors, num_threads=threads)

    def search(self, queries, k, knob, threads):
        self.index.set_ef(knob)
        return self.index.knn_query(queries, k, num_threads=threads)[0]

    def one(self, queries, k, knob):
        self.index.set_ef(knob)
        search = self.index.knn_query
        for query in queries:
            search(query, k, num_threads=1)

    def save(self, path):
        self.index.save_index(str(path))

    @classmethod
    def load(cls, path, vectors, metric):
        peer = cls()
        peer.index = hnswlib.Index(metric, vectors.shape[1])
        peer.index.load_index(str(path))
        return peer

    def filtered(self, queries, k, knob, mask):
        self.index.set_ef(knob)
        allowed = mask.tolist()
        return self.index.knn_query(queries, k, num_threads=1, filter=allowed.__getitem__)[0]
