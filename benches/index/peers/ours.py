"""ruvector, as this checkout builds it."""

import inspect

from ruvector.index import HNSW
from ruvector.runtime import set_num_threads

from .base import Peer, UnsupportedError


def takes(method, argument):
    return argument in inspect.signature(method).parameters


class Index(Peer):
    distribution = "ruvector"
    storage = None

    def build(self, vectors, metric, threads):
        more = {}
        if self.storage is not None:
            if not takes(HNSW, "storage"):
                raise UnsupportedError("HNSW has no argument storage")
            more["storage"] = self.storage
        set_num_threads(threads)
        dim, m, ef = vectors.shape[1], self.m, self.ef_construction
        self.index = HNSW(dim, metric=metric, m=m, ef_construction=ef, **more)
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
        if not takes(HNSW.load, "mmap"):
            raise UnsupportedError("HNSW.load has no argument mmap")
        peer = cls()
        peer.index = HNSW.load(path, mmap=True)
        return peer

    def filtered(self, queries, k, knob, mask):
        if not takes(HNSW.search, "where"):
            raise UnsupportedError("HNSW.search has no argument where")
        set_num_threads(1)
        return self.index.search(queries, k, ef=knob, where=mask).ids
