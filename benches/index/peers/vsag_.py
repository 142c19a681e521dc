"""VSAG's HGraph: 8-bit codes with a float32 refinement; it searches one query a call."""

import json

import numpy as np
import pyvsag

from .base import Peer, UnsupportedError


class Index(Peer):
    distribution = "pyvsag"
    batches = False

    @classmethod
    def made(cls, dim, metric, threads=1):
        index = {
            "base_quantization_type": "sq8_uniform",
            "use_reorder": True,
            "precise_quantization_type": "fp32",
            "max_degree": 2 * cls.m,
            "ef_construction": cls.ef_construction,
            "build_thread_count": threads,
        }
        parameters = {
            "dtype": "float32",
            "metric_type": metric,
            "dim": dim,
            "index_param": index,
        }
        return pyvsag.Index("hgraph", json.dumps(parameters))

    def build(self, vectors, metric, threads):
        count, dim = vectors.shape
        self.index = self.made(dim, metric, threads)
        self.index.build(vectors.ravel(), np.arange(count, dtype=np.int64), count, dim)

    def search(self, queries, k, knob, threads):
        if threads > 1:
            raise UnsupportedError("searches one query a call")
        parameters = json.dumps({"hgraph": {"ef_search": knob}})
        search = self.index.knn_search
        return np.array([search(query, k, parameters)[0] for query in queries])

    def one(self, queries, k, knob):
        self.search(queries, k, knob, 1)

    def save(self, path):
        self.index.save(str(path))

    @classmethod
    def load(cls, path, vectors, metric):
        peer = cls()
        peer.index = cls.made(vectors.shape[1], metric)
        peer.index.load(str(path))
        return peer
