"""Joblib dumps, loads, hashes and sends an index as it does NumPy arrays."""

import numpy as np
import pytest
from ruvector.index import HNSW, FlatIndex

joblib = pytest.importorskip("joblib")

VECTORS = np.random.default_rng(0).standard_normal((400, 8), dtype=np.float32)


@pytest.fixture(params=[HNSW, FlatIndex], ids=lambda kind: kind.__name__)
def index(request):
    index = request.param(8, metric="l2")
    index.add(VECTORS, ids=np.arange(400) * 5)
    return index


def same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("compress", [0, 3])
def test_a_dumped_index_is_loaded_whole(index, compress, tmp_path):
    joblib.dump({"index": index, "name": "mine"}, tmp_path / "file", compress=compress)
    loaded = joblib.load(tmp_path / "file")["index"]
    assert type(loaded) is type(index)
    assert same(loaded.search(VECTORS[:20], 5), index.search(VECTORS[:20], 5))
    loaded.add(VECTORS[:1], ids=[1])
    assert (len(loaded), len(index)) == (401, 400)


def test_equal_indexes_have_equal_hashes(index):
    other = type(index)(8, metric="l2")
    other.add(VECTORS, ids=np.arange(400) * 5)
    assert joblib.hash(other) == joblib.hash(index)
    other.add(VECTORS[:1], ids=[1])
    assert joblib.hash(other) != joblib.hash(index)


def test_workers_in_other_processes_search(index):
    parts = np.array_split(VECTORS, 4)
    found = joblib.Parallel(2)(joblib.delayed(type(index).search)(index, p, 3) for p in parts)
    assert same(
        index.search(VECTORS, 3), [np.concatenate(column) for column in zip(*found, strict=True)]
    )
