"""Glass: a graph walked on 8-bit codes, the results refined in float32."""

import glass

from .base import Peer


class Index(Peer):
    distribution = "pyglass-portable"

    def build(self, vectors, metric, threads):
        glass.set_num_threads(threads)
        graph = glass.Index("HNSW", self.space(metric), "SQ8U", 2 * self.m, self.ef_construction)
        self.graph = graph.build(vectors)
        self.open(vectors, metric)

    def open(self, vectors, metric):
        self.searcher = glass.Searcher(self.graph, vectors, self.space(metric), "SQ8U", "FP32")
        self.searcher.set_ef(32)
        self.searcher.optimize(1)

    @staticmethod
    def space(metric):
        return {"l2": "L2", "cosine": "IP"}[metric]

    def search(self, queries, k, knob, threads):
        self.searcher.set_ef(knob)
        return self.searcher.batch_search(queries, k, threads)[0].reshape(len(queries), k)

    def one(self, queries, k, knob):
        self.searcher.set_ef(knob)
        search = self.searcher.search
        for query in queries:
            search(query, k)

    def save(self, path):
        """The graph alone: neither vectors nor codes can be saved."""
        self.graph.save(str(path))

    @classmethod
    def load(cls, path, vectors, metric):
        peer = cls()
        peer.graph = glass.Graph(str(path))
        peer.open(vectors, metric)
        return peer
