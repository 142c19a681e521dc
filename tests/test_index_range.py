"""Everything within a radius, against NumPy and the exact index."""

from itertools import pairwise

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.index import HNSW, FlatIndex

DIM = 16


def clustered(n, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((30, DIM))
    points = centres[rng.integers(0, 30, n)] + 0.4 * rng.standard_normal((n, DIM))
    return points.astype(np.float32)


def distances(metric, queries, vectors):
    q, x = queries.astype(np.float64), vectors.astype(np.float64)
    if metric == "l2":
        return ((q[:, None] - x[None]) ** 2).sum(-1)
    if metric == "cosine":
        q, x = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (q, x))
    return (metric == "cosine") - q @ x.T


def built(kind, metric, vectors, **parameters):
    index = kind(DIM, metric=metric, **parameters)
    index.add(vectors, ids=3 * np.arange(len(vectors))[::-1])
    return index


def per_query(result):
    return [set(part.tolist()) for part in np.split(result.ids, result.indptr[1:-1])]


def check_form(result, radius):
    indptr, ids, found = result
    assert (indptr.dtype, ids.dtype, found.dtype) == (np.int64, np.int64, np.float32)
    assert indptr[0] == 0
    assert indptr[-1] == len(ids) == len(found)
    assert (found <= radius).all()
    for start, end in pairwise(indptr.tolist()):
        pairs = list(zip(found[start:end], ids[start:end], strict=True))
        assert pairs == sorted(pairs)


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("share", [0, 0.002, 0.03, 0.5])
def test_exact_agrees_with_numpy(metric, share):
    vectors, queries = clustered(600), clustered(20, 1)
    index = built(FlatIndex, metric, vectors)
    expected = distances(metric, queries, vectors)
    radius = float(np.quantile(expected, share)) + 1e-4
    if share == 0 and metric != "ip":
        radius = 0.0
    result = index.range_search(queries, radius)
    check_form(result, radius)
    inside = [set(index.ids[row <= radius].tolist()) for row in expected]
    clear = np.abs(expected - radius).min() > 1e-5
    assert clear
    assert per_query(result) == inside
    mask = np.arange(600) % 3 == 1
    chosen = set(index.ids[mask].tolist())
    among = index.range_search(queries, radius, where=mask)
    assert per_query(among) == [row & chosen for row in inside]


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_the_graph_finds_nearly_all(metric):
    vectors, queries = clustered(8000), clustered(60, 1)
    flat = built(FlatIndex, metric, vectors)
    graph = built(HNSW, metric, vectors, ef_construction=100)
    expected = distances(metric, queries, vectors)
    # Inner products have no neighbourhoods: what lies within the radius need not be linked.
    bound = 0.95 if metric == "ip" else 0.98
    mask = np.random.default_rng(5).random(8000) < 0.6
    for share in (0.0005, 0.005, 0.05):
        radius = float(np.quantile(expected, share))
        for where in (None, mask, flat.ids[::9]):
            truth = flat.range_search(queries, radius, where=where)
            found = graph.range_search(queries, radius, where=where)
            check_form(found, radius)
            assert all(a <= b for a, b in zip(per_query(found), per_query(truth), strict=True))
            assert len(found.ids) >= bound * len(truth.ids)
    whole = graph.range_search(queries, radius, ef=8000)
    truth = flat.range_search(queries, radius)
    for one, two in zip(whole, truth, strict=True):
        np.testing.assert_array_equal(one, two)


def test_images(data_file):
    with np.load(data_file("fashion_mnist.npz")) as data:
        images = data["x_train"][:6000].reshape(-1, 784).astype(np.float32)[:, ::3]
    vectors, queries = np.ascontiguousarray(images[:5900]), images[5900:]
    flat, graph = FlatIndex(vectors.shape[1], metric="l2"), HNSW(vectors.shape[1], metric="l2")
    flat.add(vectors)
    graph.add(vectors)
    near = flat.search(queries, 50).distances
    for radius in (float(np.median(near[:, 9])), float(np.median(near[:, 49]))):
        truth, found = flat.range_search(queries, radius), graph.range_search(queries, radius)
        assert set(found.ids) <= set(truth.ids)
        assert len(found.ids) >= 0.99 * len(truth.ids)


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_edges(kind):
    index = kind(DIM, metric="l2")
    for queries, n in ((np.empty((0, DIM)), 0), (np.ones(DIM), 1)):
        result = index.range_search(queries, 5.0)
        assert result.indptr.tolist() == [0] * (n + 1)
        assert len(result.ids) == 0
    index.add(np.ones((200, DIM)))
    # At the radius is within it, and equal vectors come in order of ids.
    assert index.range_search(np.ones(DIM), 0).ids.tolist() == list(range(200))
    assert index.range_search(np.zeros(DIM), DIM).indptr.tolist() == [0, 200]
    assert index.range_search(np.zeros(DIM), np.nextafter(DIM, 0)).indptr.tolist() == [0, 0]
    assert index.range_search(np.ones(DIM), 1, where=[]).indptr.tolist() == [0, 0]
    result = index.range_search(np.ones(DIM), 1, where=[5, 7, 999])
    assert result.ids.tolist() == [5, 7]


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_results_are_limited(kind):
    index = built(kind, "l2", clustered(500))
    queries = clustered(4, 1)
    assert len(index.range_search(queries, 1e6, max_results=2000).ids) == 2000
    with pytest.raises(InvalidArgumentError, match="more than 1999 results"):
        index.range_search(queries, 1e6, max_results=1999)
    assert len(index.range_search(queries, 1e6).ids) == 2000


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_bad_input_is_refused(kind):
    index = built(kind, "l2", clustered(50))
    query = clustered(1)
    cases = [
        ({"radius": -1.0}, InvalidArgumentError, "at least 0"),
        ({"radius": float("nan")}, InvalidArgumentError, "finite"),
        ({"radius": float("inf")}, InvalidArgumentError, "finite"),
        ({"radius": "1"}, InvalidTypeError, "number"),
        ({"radius": [1.0]}, InvalidTypeError, "number"),
        ({"radius": True}, InvalidTypeError, "number"),
        ({"max_results": 0}, InvalidArgumentError, "max_results"),
        ({"max_results": 2**28 + 1}, InvalidArgumentError, "max_results"),
        ({"max_results": 1.5}, InvalidTypeError, "max_results"),
        ({"where": np.ones(3, bool)}, InvalidArgumentError, "3 truth values"),
        ({"queries": np.ones(3)}, InvalidArgumentError, "dimensions"),
        ({"queries": np.full((2, DIM), np.nan)}, InvalidArgumentError, "NaN"),
        ({"queries": ["a"]}, InvalidTypeError, "numeric"),
    ]
    if kind is HNSW:
        cases += [({"ef": 0}, InvalidArgumentError, "ef"), ({"ef": 1.0}, InvalidTypeError, "ef")]
    for change, error, message in cases:
        with pytest.raises(error, match=message):
            index.range_search(**{"queries": query, "radius": 1.0, **change})
    with pytest.raises(InvalidArgumentError, match="radius"):
        built(kind, "cosine", clustered(5)).range_search(query, -0.1)
    assert built(kind, "ip", clustered(5)).range_search(query, -1e9).indptr.tolist() == [0, 0]
    with pytest.raises(InvalidArgumentError, match="radius"):
        built(kind, "ip", clustered(5)).range_search(query, -float("inf"))


def test_threads_do_not_change_the_result(each_thread_count):
    index = built(HNSW, "cosine", clustered(3000), ef_construction=60)
    results = [index.range_search(clustered(50, 1), 0.2, ef=20) for _ in each_thread_count()]
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
