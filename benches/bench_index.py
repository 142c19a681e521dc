"""The graph index beside hnswlib on Fashion-MNIST, 60,000 × 784, l2, M=16, ef_construction=200.

    RUVECTOR_DATA=… RUVECTOR_NUM_THREADS=1 pytest benches/bench_index.py --benchmark-enable

Each figure carries its recall@10 in `extra_info`. Searching finds for each library the smallest
ef that reaches the recall asked for. `--benchmark-timer=time.process_time` on a busy machine.
`INDEX_ROWS` takes fewer rows.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from ruvector import _core
from ruvector.index import HNSW, FlatIndex

ROWS = int(os.environ.get("INDEX_ROWS", "60000"))
K, M, EF_CONSTRUCTION = 10, 16, 200


class Ours:
    name = "ruvector"

    def __init__(self, vectors):
        self.index = HNSW(vectors.shape[1], metric="l2", m=M, ef_construction=EF_CONSTRUCTION)
        self.index.add(vectors)

    def search(self, queries, ef):
        return self.index.search(queries, K, ef=ef).ids

    def save(self, path):
        self.index.save(path)

    def load(self, path):
        return HNSW.load(path)


class Hnswlib:
    name = "hnswlib"

    def __init__(self, vectors):
        self.module = pytest.importorskip("hnswlib")
        self.index = self.module.Index("l2", vectors.shape[1])
        self.index.init_index(len(vectors), ef_construction=EF_CONSTRUCTION, M=M)
        self.index.add_items(vectors, num_threads=_core.get_num_threads())

    def search(self, queries, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, K, num_threads=_core.get_num_threads())[0]

    def save(self, path):
        self.index.save_index(str(path))

    def load(self, path):
        index = self.module.Index("l2", self.index.dim)
        index.load_index(str(path))
        return index


@pytest.fixture(scope="module")
def data():
    default = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("RUVECTOR_DATA", default)) / "fashion_mnist.npz"
    if not path.exists():
        pytest.skip(f"{path} is not there; set RUVECTOR_DATA")
    with np.load(path) as file:
        vectors = file["x_train"][:ROWS].reshape(-1, 784).astype(np.float32)
        queries = file["x_test"][:1000].reshape(-1, 784).astype(np.float32)
    exact = FlatIndex(784, metric="l2")
    exact.add(vectors)
    return vectors, queries, exact.search(queries, K).ids


@pytest.fixture(scope="module")
def built():
    return {}


def recall(found, truth):
    return np.mean([len(set(a) & set(b)) / K for a, b in zip(found, truth, strict=True)])


@pytest.mark.parametrize("library", [Ours, Hnswlib], ids=lambda library: library.name)
def test_build(benchmark, data, built, library):
    built[library] = benchmark.pedantic(library, args=(data[0],), rounds=1)


@pytest.mark.parametrize("target", [0.95, 0.99, 0.999])
@pytest.mark.parametrize("library", [Ours, Hnswlib], ids=lambda library: library.name)
def test_search_batch(benchmark, data, built, library, target):
    if library not in built:
        built[library] = library(data[0])
    index, (_, queries, truth) = built[library], data
    low, high = K, 1024
    while low < high:
        middle = (low + high) // 2
        if recall(index.search(queries, middle), truth) >= target:
            high = middle
        else:
            low = middle + 1
    benchmark.pedantic(index.search, args=(queries, low), rounds=5, warmup_rounds=1)
    benchmark.extra_info["ef"] = low
    benchmark.extra_info["recall"] = float(recall(index.search(queries, low), truth))
    if benchmark.stats is not None:
        benchmark.extra_info["queries_per_second"] = len(queries) / benchmark.stats.stats.min


@pytest.mark.parametrize("library", [Ours, Hnswlib], ids=lambda library: library.name)
def test_search_one_query_a_call(benchmark, data, built, library):
    if library not in built:
        built[library] = library(data[0])
    index, queries = built[library], data[1]

    def one_by_one():
        for query in queries:
            index.search(query, 28)

    benchmark.pedantic(one_by_one, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("library", [Ours, Hnswlib], ids=lambda library: library.name)
def test_save(benchmark, data, built, library, tmp_path):
    if library not in built:
        built[library] = library(data[0])
    path = tmp_path / "index"
    benchmark.pedantic(built[library].save, args=(path,), rounds=3)
    benchmark.extra_info["bytes"] = path.stat().st_size


@pytest.mark.parametrize("library", [Ours, Hnswlib], ids=lambda library: library.name)
def test_load(benchmark, data, built, library, tmp_path):
    if library not in built:
        built[library] = library(data[0])
    path = tmp_path / "index"
    built[library].save(path)
    benchmark.pedantic(built[library].load, args=(path,), rounds=3)
