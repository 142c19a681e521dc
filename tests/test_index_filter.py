"""Searching among some of the vectors: ids, masks, filters, near and far."""

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.index import HNSW, FlatIndex

METRICS = ["cosine", "l2", "ip"]
N, DIM, CLUSTERS = 20000, 24, 40


@pytest.fixture(scope="module")
def clusters():
    """Vectors around 40 centres, the cluster of each, and queries from all of them."""
    rng = np.random.default_rng(3)
    of = rng.integers(0, CLUSTERS, N + 100)
    centres = rng.standard_normal((CLUSTERS, DIM))
    data = (centres[of] + 0.5 * rng.standard_normal((N + 100, DIM))).astype(np.float32)
    return data[:N], of[:N], data[N:]


@pytest.fixture(scope="module")
def indexes(clusters):
    """An HNSW under each metric, with ids that are not positions."""
    built = {}
    for metric in METRICS:
        built[metric] = HNSW(DIM, metric=metric, ef_construction=80)
        built[metric].add(clusters[0], ids=5 * np.arange(N)[::-1])
    return built


def exact(metric, vectors, queries, mask, k):
    """Positions of the nearest vectors that the mask allows, in float64."""
    q, x = queries.astype(np.float64), vectors[mask].astype(np.float64)
    if metric == "cosine":
        q, x = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (q, x))
    far = -2 * q @ x.T + (x**2).sum(1) if metric == "l2" else -q @ x.T
    return np.flatnonzero(mask)[np.argsort(far, axis=1, kind="stable")[:, :k]]


def recall(found, truth):
    pairs = zip(found.tolist(), truth.tolist(), strict=True)
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs])


def check_among(index, clusters, mask, k=10):
    vectors, _, queries = clusters
    ids = index.ids
    result = index.search(queries, k, where=mask)
    assert (result.counts == min(k, mask.sum())).all()
    assert np.isin(result.ids[result.ids >= 0], ids[mask]).all()
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in result.ids)
    hits = result.distances[:, : min(k, mask.sum())]
    assert (np.diff(hits, axis=1) >= 0).all()
    truth = ids[exact(index.metric, vectors, queries, mask, k)]
    assert recall(result.ids, truth) >= 0.95
    by_id = index.search(queries, k, where=ids[mask])
    np.testing.assert_array_equal(by_id.ids, result.ids)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.1, 0.01, 0.001])
def test_random_shares(indexes, clusters, metric, share):
    mask = np.random.default_rng(4).random(N) < share
    check_among(indexes[metric], clusters, mask)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [1, 0.3])
@pytest.mark.parametrize("allowed", [1, 15, 30])
def test_whole_clusters_that_most_queries_are_far_from(indexes, clusters, metric, share, allowed):
    mask = (clusters[1] < allowed) & (np.random.default_rng(5).random(N) < share)
    check_among(indexes[metric], clusters, mask)


def test_small_pools_walk_where_large_ones_scan(indexes, clusters):
    vectors, of, queries = clusters
    index = indexes["l2"]
    for mask in (of < 8, of % 3 == 0, np.random.default_rng(6).random(N) < 0.1):
        truth = index.ids[exact("l2", vectors, queries, mask, 5)]
        result = index.search(queries, 5, ef=20, where=mask)
        assert (result.counts == 5).all()
        assert recall(result.ids, truth) >= 0.85
        assert recall(index.search(queries, 5, ef=200, where=mask).ids, truth) >= 0.99


def test_fashion_mnist_by_class(data_file):
    with np.load(data_file("fashion_mnist.npz")) as data:
        images = data["x_train"][:12000].reshape(-1, 784).astype(np.float32)[:, ::4]
        labels = data["y_train"][:11800]
    vectors, queries = np.ascontiguousarray(images[:11800]), images[11800:]
    index = HNSW(196, metric="l2", ef_construction=100)
    index.add(vectors)
    for mask in (labels == 0, labels >= 5, labels % 2 == 1, np.arange(11800) % 10 == 0):
        truth = exact("l2", vectors, queries, mask, 10)
        assert recall(index.search(queries, 10, where=mask).ids, truth) >= 0.95
        assert recall(index.search(queries, 10, ef=24, where=mask).ids, truth) >= 0.88


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_flat_and_graph_take_the_same_filters(kind, clusters):
    vectors, _, queries = clusters
    index = kind(DIM, metric="l2")
    index.add(vectors[:500], ids=np.arange(500) * 2)
    mask = np.arange(500) % 7 == 0
    truth = exact("l2", vectors[:500], queries, mask, 10) * 2
    ids = index.ids[mask]
    for where in (mask, mask.tolist(), ids, ids.tolist(), ids.astype(np.int32)):
        np.testing.assert_array_equal(index.search(queries, 10, where=where).ids, truth)
    messy = np.concatenate([ids, ids[::-1], [-1, 1, 3, 10**12, -(2**63), 2**63 - 1]])
    np.testing.assert_array_equal(index.search(queries, 10, where=messy).ids, truth)
    np.testing.assert_array_equal(index.search(queries, 10, where=index.filter(messy)).ids, truth)
    everything = index.search(queries, 10, where=np.ones(500, bool))
    np.testing.assert_array_equal(
        everything.ids,
        index.search(queries, 10, ef=500).ids if kind is HNSW else index.search(queries, 10).ids,
    )


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_where_nothing_matches_there_are_no_hits(kind, clusters):
    index = kind(DIM)
    for filled in (False, True):
        if filled:
            index.add(clusters[0][:300])
        for where in ([], np.zeros(len(index), bool), [10**6, -5], index.filter([])):
            ids, distances, counts = index.search(clusters[2][:3], 4, where=where)
            assert (ids == -1).all()
            assert np.isposinf(distances).all()
            assert counts.tolist() == [0, 0, 0]
    result = index.search(clusters[2][:3], 4, where=[7, 8])
    assert result.counts.tolist() == [2, 2, 2]
    assert (np.sort(result.ids[:, :2]) == [7, 8]).all()
    assert (result.ids[:, 2:] == -1).all()


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_bad_filters_are_refused(kind, clusters):
    index = kind(DIM)
    index.add(clusters[0][:20])
    queries = clusters[2][:2]
    cases = [
        (np.ones(19, bool), InvalidArgumentError, "19 truth values but the index holds 20"),
        (np.ones(21, bool), InvalidArgumentError, "21 truth values"),
        (np.zeros(0, bool), InvalidArgumentError, "0 truth values"),
        (np.ones((20, 1), bool), InvalidArgumentError, "shape"),
        (np.ones((4, 5), int), InvalidArgumentError, "shape"),
        (3, InvalidArgumentError, "shape"),
        ([0.0, 1.0], InvalidTypeError, "integers"),
        ([float("nan")], InvalidTypeError, "integers"),
        (["a"], InvalidTypeError, "numeric"),
        ("all", InvalidTypeError, "numeric"),
        ([2**63], InvalidArgumentError, "int64"),
        (lambda _: True, InvalidTypeError, "numeric"),
    ]
    for where, error, message in cases:
        with pytest.raises(error, match=message):
            index.search(queries, 3, where=where)
        with pytest.raises(error, match=message):
            index.filter(where)


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_a_filter_follows_the_index(kind, clusters):
    index = kind(DIM, metric="l2")
    index.add(clusters[0][:50])
    chosen = index.filter([60, 3, 3, 20, 4])
    assert chosen.ids.tolist() == [3, 4, 20, 60]
    assert repr(chosen) == "Filter(4 ids)"
    found = index.search(clusters[0][0], 9, where=chosen)
    assert (found.counts, set(found.ids[0][:3])) == ([3], {3, 4, 20})
    index.add(clusters[0][50:70])
    assert set(index.search(clusters[0][0], 9, where=chosen).ids[0][:4]) == {3, 4, 20, 60}
    other = kind(DIM)
    other.add(clusters[0][:2], ids=[60, 61])
    assert other.search(clusters[0][0], 9, where=chosen).counts == [1]
    assert index.search(clusters[0][0], 9, where=chosen).counts == [4]
    by_mask = index.filter(np.arange(70) < 2)
    index.add(clusters[0][:5])
    assert set(index.search(clusters[0][0], 9, where=by_mask).ids[0][:2]) == {0, 1}


def test_threads_do_not_change_the_result(indexes, clusters, each_thread_count):
    mask = clusters[1] < 20
    results = [
        indexes["cosine"].search(clusters[2], 10, ef=16, where=mask) for _ in each_thread_count()
    ]
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_query_finds_the_same_alone_and_among_others(indexes, clusters):
    mask = np.random.default_rng(8).random(N) < 0.3
    together = indexes["l2"].search(clusters[2][:20], 10, where=mask).ids
    alone = [indexes["l2"].search(query, 10, where=mask).ids[0] for query in clusters[2][:20]]
    np.testing.assert_array_equal(together, alone)
