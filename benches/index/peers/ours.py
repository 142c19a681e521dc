"""ruvector, as this checkout builds it."""

from ruvector.index import HNSW
from ruvector.runtime import set_num_threads

from .base import Peer


class Index(Peer):
    distribution = "ruvector"
    storage = "float32"

    def build(self, vectors, metric, threads):
        set_num_threads(threads)
        dim, m, ef = vectors.shape[1], self.m, self.ef_construction
        self.index = HNSW(dim, metric=metric, m=m, ef_construction=ef, storage=self.storage)
        self.index.add(vectors)

    def search(self, queries, k, knob, threads):
        set_num_threads(threads)
        return self.index.search(queries, k, ef=knob).ids

    def one(self, queries, k, knob):
        set_num_threads(1)
        search = self.index.search
        for query in queries:
            search(query, k, ef=knob)

    def save(self, path):
        self.index.save(path)

    @classmethod
    def load(cls, path, vectors, metric):
        peer = cls()
        peer.index = HNSW.load(path)
        return peer

    @classmethod
    def open_mapped(cls, path, vectors, metric):
        peer = cls()
        peer.index = HNSW.load(path, mmap=True)
        return peer

    def filtered(self, queries, k, knob, mask):
        set_num_threads(1)
        return self.index.search(queries, k, ef=knob, where=mask).ids
