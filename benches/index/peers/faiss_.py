"""Faiss's HNSW on float32 vectors."""

import faiss
import numpy as np

from .base import Peer


class Index(Peer):
    distribution = "faiss-cpu"

    def build(self, vectors, metric, threads):
        faiss.omp_set_num_threads(threads)
        measure = {"l2": faiss.METRIC_L2, "cosine": faiss.METRIC_INNER_PRODUCT}[metric]
        self.index = faiss.IndexHNSWFlat(vectors.shape[1], self.m, measure)
        self.index.hnsw.efConstruction = self.ef_construction
        self.index.add(vectors)

    def search(self, queries, k, knob, threads):
        faiss.omp_set_num_threads(threads)
        self.index.hnsw.efSearch = knob
        return self.index.search(queries, k)[1]

    def one(self, queries, k, knob):
        faiss.omp_set_num_threads(1)
        self.index.hnsw.efSearch = knob
        search = self.index.search
        for query in queries:
            search(query[None], k)

    def save(self, path):
        faiss.write_index(self.index, str(path))

    @classmethod
    def load(cls, path, vectors, metric, flags=0):
        peer = cls()
        peer.index = faiss.read_index(str(path), flags)
        return peer

    @classmethod
    def open_mapped(cls, path, vectors, metric):
        return cls.load(path, vectors, metric, faiss.IO_FLAG_MMAP_IFC)

    def filtered(self, queries, k, knob, mask):
        faiss.omp_set_num_threads(1)
        bits = np.packbits(mask, bitorder="little")
        parameters = faiss.SearchParametersHNSW(
            efSearch=knob, sel=faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(bits))
        )
        return self.index.search(queries, k, params=parameters)[1]
