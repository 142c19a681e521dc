"""Files of format 1, written once and never again: they load for ever."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError
from ruvector.index import HNSW, FlatIndex

FILES = Path(__file__).parent / "fixtures" / "format_1"
CLASSES = {"hnsw": HNSW, "flat": FlatIndex}
DIMS = {"cosine": 20, "l2": 5, "ip": 17}
CASES = [(name, metric) for name in CLASSES for metric in DIMS]


@pytest.fixture(scope="module")
def ids():
    return np.load(FILES / "ids.npy")


def vectors(metric):
    return np.load(FILES / "vectors.npy")[:, : DIMS[metric]]


def loaded(name, metric, how):
    if how == "pickle":
        return pickle.loads((FILES / f"{name}_{metric}.pickle").read_bytes())
    return CLASSES[name].load(FILES / f"{name}_{metric}.ruv", mmap=how == "mmap")


def nearest(metric, rows, ids, queries, k):
    """Sorts everything in float64, ties by id."""
    rows, queries = rows.astype(np.float64), queries.astype(np.float64)
    products = queries @ rows.T
    if metric == "cosine":
        lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
        distances = 1 - np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    elif metric == "l2":
        distances = ((queries[:, None] - rows) ** 2).sum(axis=2)
    else:
        distances = -products
    order = np.stack([np.lexsort((ids, np.round(row, 9)))[:k] for row in distances])
    return ids[order], np.take_along_axis(distances, order, axis=1)


@pytest.mark.parametrize("how", ["load", "mmap", "pickle"])
@pytest.mark.parametrize(("name", "metric"), CASES)
def test_contents(name, metric, how, ids):
    index = loaded(name, metric, how)
    rows = vectors(metric)
    assert (len(index), index.dim, index.metric) == (len(rows), DIMS[metric], metric)
    np.testing.assert_array_equal(index.ids, ids)
    assert all(int(id_) in index for id_ in ids)
    assert int(ids[0]) + 2**40 not in index
    if metric == "cosine":
        np.testing.assert_allclose(index.get(ids), rows, rtol=3e-7)
    else:
        np.testing.assert_array_equal(index.get(ids), rows)


@pytest.mark.parametrize("how", ["load", "mmap", "pickle"])
@pytest.mark.parametrize(("name", "metric"), CASES)
def test_exact_search(name, metric, how, ids):
    index = loaded(name, metric, how)
    rows = vectors(metric)
    queries = np.roll(rows, 1, axis=1)[:25]
    ef = {"ef": len(rows)} if name == "hnsw" else {}
    found = index.search(queries, k=10, **ef)
    want_ids, want_distances = nearest(metric, rows, ids, queries, 10)
    # The zero row is as far from everything: 1e-9 does not part what float32 may.
    directed = np.linalg.norm(queries, axis=1) > 0
    np.testing.assert_array_equal(found.ids[directed], want_ids[directed])
    np.testing.assert_allclose(found.distances, want_distances, atol=1e-5)


@pytest.mark.parametrize("how", ["load", "mmap", "pickle"])
@pytest.mark.parametrize("metric", DIMS)
def test_the_graph_is_the_one_that_was_saved(metric, how, ids):
    index = loaded("hnsw", metric, how)
    index.check()
    assert (index.m, index.ef_construction, index.seed) == (5, 60, 77)
    stats = index.stats()
    for name, value in json.loads((FILES / "stats.json").read_text())[metric].items():
        assert getattr(stats, name) == value
    assert stats.unreachable == 0
    rows = vectors(metric)
    found = index.search(rows, k=10, ef=40).ids
    want, _ = nearest(metric, rows, ids, rows, 10)
    shared = [len(set(one) & set(two)) for one, two in zip(found, want, strict=True)]
    assert np.mean(shared) > 9


@pytest.mark.parametrize("how", ["load", "pickle"])
@pytest.mark.parametrize(("name", "metric"), CASES)
def test_it_grows_on(name, metric, how, ids):
    index = loaded(name, metric, how)
    more = vectors(metric)[:9] + 0.5
    # The largest id is int64's last.
    with pytest.raises(InvalidArgumentError, match="successor"):
        index.add(more)
    fresh = np.arange(9) + 10**6
    index.add(more, ids=fresh)
    np.testing.assert_array_equal(index.ids, [*ids, *fresh])
    np.testing.assert_allclose(index.get(fresh), more, rtol=3e-7)
    if name == "hnsw":
        index.check()


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_empty_ones(name, metric):
    for mmap in (True, False):
        index = CLASSES[name].load(FILES / f"{name}_{metric}_empty.ruv", mmap=mmap)
        assert (len(index), index.dim, index.metric) == (0, DIMS[metric], metric)
        assert index.search(np.ones(DIMS[metric])).counts.tolist() == [0]
    assert index.add(vectors(metric)[:2]).tolist() == [0, 1]
