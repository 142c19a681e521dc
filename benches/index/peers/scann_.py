"""ScaNN: partitions, 4-bit codes, and the best ones again in float32."""

import math

import numpy as np
import scann

from .base import Peer


class Index(Peer):
    distribution = "scann"
    least = 1
    shapes = (30, 100, 300)  # how many the codes choose for float32
    shape = 100

    def build(self, vectors, metric, threads):
        leaves = round(2 * math.sqrt(len(vectors)))
        measure = {"l2": "squared_l2", "cosine": "dot_product"}[metric]
        builder = scann.scann_ops_pybind.builder(np.asarray(vectors), 10, measure)
        builder = builder.tree(leaves, 10, training_sample_size=min(len(vectors), 250_000))
        threshold = 0.2 if metric == "cosine" else math.nan
        builder = builder.score_ah(2, anisotropic_quantization_threshold=threshold).reorder(100)
        self.index = builder.set_n_training_threads(threads).build()
        self.index.set_num_threads(threads)
        self.most = leaves

    def search(self, queries, k, knob, threads):
        if threads == 1:
            return self.index.search_batched(queries, k, self.shape, knob)[0]
        self.index.set_num_threads(threads)
        return self.index.search_batched_parallel(queries, k, self.shape, knob)[0]

    def one(self, queries, k, knob):
        search = self.index.search
        for query in queries:
            search(query, k, self.shape, knob)

    def save(self, path):
        path.mkdir()
        self.index.serialize(str(path))

    @classmethod
    def load(cls, path, vectors, metric):
        peer = cls()
        peer.index = scann.scann_ops_pybind.load_searcher(str(path))
        return peer
