"""Filters and radii where the index has codes: what is found must be what float32 tells."""

import numpy as np
import pytest
from ruvector.index import HNSW, FlatIndex

METRICS = ["cosine", "l2", "ip"]
N, DIM, RANK, CLUSTERS = 9000, 96, 16, 30


@pytest.fixture(scope="module")
def data():
    """Clusters in a subspace of their own, with copies and zero rows; and queries."""
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.standard_normal((DIM, RANK)))[0].T
    of = rng.integers(0, CLUSTERS, N + 60)
    centres = rng.standard_normal((CLUSTERS, RANK))
    low = centres[of] + 0.4 * rng.standard_normal((N + 60, RANK))
    vectors = (low @ axes + 0.02 * rng.standard_normal((N + 60, DIM))).astype(np.float32)
    vectors[100:160] = vectors[:60]
    vectors[7000:7010] = 0
    return vectors[:N], of[:N], vectors[N:]


def pair(metric, vectors, ids=None):
    """An HNSW with codes and its oracle."""
    index = HNSW(vectors.shape[1], metric=metric, ef_construction=80)
    exact = FlatIndex(vectors.shape[1], metric=metric)
    index.add(vectors, ids=ids)
    exact.add(vectors, ids=ids)
    assert index.memory_usage()["codes"] > 0
    return index, exact


@pytest.fixture(scope="module")
def indexes(data):
    ids = np.random.default_rng(2).permutation(3 * N)[:N]
    return {metric: pair(metric, data[0], ids) for metric in METRICS}


def recall(found, truth):
    pairs = zip(found.ids.tolist(), truth.ids.tolist(), strict=True)
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs])


def assert_equal(found, truth):
    for one, two in zip(found, truth, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [1, 5, 200, 3500, 8000])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_scans_find_what_an_exact_search_finds(indexes, data, metric, rows, k):
    index, exact = indexes[metric]
    where = np.random.default_rng(rows).choice(index.ids, rows, replace=False)
    found = index.search(data[2], k, ef=1000, where=where)
    assert_equal(found, exact.search(data[2], k, where=where))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [0.9, 0.6, 0.3])
def test_walks_find_nearly_all(indexes, data, metric, share):
    index, exact = indexes[metric]
    mask = np.random.default_rng(4).random(N) < share
    truth = exact.search(data[2], 10, where=index.ids[mask])
    found = index.search(data[2], 10, ef=16, where=mask)
    assert recall(found, truth) >= 0.93
    found = index.search(data[2], 10, where=mask)
    assert recall(found, truth) >= 0.98
    same = found.ids == truth.ids
    assert (found.distances[same] == truth.distances[same]).all()
    assert (np.diff(found.distances, axis=1) >= 0).all()
    assert np.isin(found.ids, index.ids[mask]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_small_pools_walk_to_near_and_far_sets(indexes, data, metric):
    index, exact = indexes[metric]
    for mask in (data[1] < 15, data[1] >= 8, data[1] % 2 == 0):
        truth = exact.search(data[2], 3, where=index.ids[mask])
        # Measured: at least .72 and .94.
        for ef, least in ((3, 0.65), (6, 0.9)):
            assert (index.search_stats(data[2], 3, ef=ef, where=mask).hops > 0).all()
            found = index.search(data[2], 3, ef=ef, where=mask)
            assert (found.counts == 3).all()
            assert recall(found, truth) >= least


@pytest.mark.parametrize("metric", METRICS)
def test_clusters_that_most_queries_are_far_from(indexes, data, metric):
    index, exact = indexes[metric]
    mask = data[1] < 15
    truth = exact.search(data[2], 10, where=index.ids[mask])
    for ef in (16, 64, 400):
        assert recall(index.search(data[2], 10, ef=ef, where=mask), truth) >= 0.95


@pytest.mark.parametrize("metric", METRICS)
def test_removed_rows_are_not_found(data, metric):
    index, exact = pair(metric, data[0])
    gone = np.random.default_rng(5).choice(N, 1500, replace=False)
    index.remove(gone)
    exact.remove(gone)
    where = np.arange(0, N, 2)
    assert not np.isin(index.search(data[2], 20, ef=40, where=where).ids, gone).any()
    assert_equal(
        index.search(data[2], 20, ef=1000, where=where), exact.search(data[2], 20, where=where)
    )


@pytest.mark.parametrize("metric", METRICS)
def test_ranges_hold_what_is_within_and_nothing_else(indexes, data, metric):
    index, exact = indexes[metric]
    nearest = exact.search(data[2], 40).distances
    for radius in (np.median(nearest[:, 4]), np.median(nearest[:, -1])):
        found = index.range_search(data[2], float(radius))
        truth = exact.range_search(data[2], float(radius))
        of = [
            set(zip(np.repeat(np.arange(60), np.diff(r.indptr)), r.ids, r.distances, strict=True))
            for r in (found, truth)
        ]
        assert of[0] <= of[1]
        assert len(of[0]) >= 0.97 * len(of[1]) > 0


def test_rows_that_codes_do_not_show_are_found():
    """A few late rows, outside the subspace that codes were made for."""
    rng = np.random.default_rng(6)
    index, exact = (kind(DIM, metric="l2") for kind in (HNSW, FlatIndex))
    first = rng.standard_normal((6000, RANK)) @ np.linalg.qr(rng.standard_normal((DIM, RANK)))[0].T
    late = 5 * rng.standard_normal((1, DIM)) + 0.1 * rng.standard_normal((200, DIM))
    for part in (first, late):
        index.add(part.astype(np.float32))
        exact.add(part.astype(np.float32))
    assert index.memory_usage()["codes"] > 0
    queries = late[:20].astype(np.float32) + np.float32(0.01)
    where = np.arange(6200)[np.random.default_rng(7).random(6200) < 0.9]
    assert_equal(
        index.search(queries, 10, ef=1000, where=where), exact.search(queries, 10, where=where)
    )


def test_a_pool_of_k_finds_more_than_codes_alone_would():
    rng = np.random.default_rng(8)
    vectors = (rng.standard_normal((6000, 64)) * np.geomspace(1, 0.05, 64)).astype(np.float32)
    index, exact = pair("l2", vectors)
    queries = vectors[:200] + np.float32(0.01)
    assert recall(index.search(queries, 10, ef=10), exact.search(queries, 10)) >= 0.9
