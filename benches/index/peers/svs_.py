"""Intel SVS: Vamana on float32 vectors; its compressed forms refuse other makers' processors."""

import numpy as np
import svs

from .base import Peer


class Index(Peer):
    distribution = "scalable-vs"

    def build(self, vectors, metric, threads):
        # An inner product is a similarity: its pruning factor is below 1.
        self.distance = {"l2": svs.DistanceType.L2, "cosine": svs.DistanceType.MIP}[metric]
        parameters = svs.VamanaBuildParameters(
            alpha={"l2": 1.2, "cosine": 0.95}[metric],
            graph_max_degree=2 * self.m,
            window_size=self.ef_construction,
        )
        self.index = svs.Vamana.build(parameters, vectors, self.distance, threads)

    def search(self, queries, k, knob, threads):
        self.index.num_threads = threads
        self.index.search_window_size = knob
        return self.index.search(queries, k)[0].astype(np.int64)

    def one(self, queries, k, knob):
        self.index.num_threads = 1
        self.index.search_window_size = knob
        search = self.index.search
        for query in queries:
            search(query, k)

    def save(self, path):
        path.mkdir()
        self.index.save(*(str(path / part) for part in ("config", "graph", "data")))

    @classmethod
    def load(cls, path, vectors, metric):
        peer = cls()
        config, graph, vectors = (str(path / part) for part in ("config", "graph", "data"))
        distance = {"l2": svs.DistanceType.L2, "cosine": svs.DistanceType.MIP}[metric]
        peer.index = svs.Vamana(
            config, svs.GraphLoader(graph), svs.VectorDataLoader(vectors), distance
        )
        return peer
