"""Codes of eight bits order what a walk sees; they must not decide what is found."""

import pickle

import numpy as np
import pytest
from ruvector.index import HNSW, FlatIndex

CODED = 5000  # rows; an index has codes from 4,096 on


def normal(n, dim, seed):
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def plane(n, dim, rank, seed):
    """Rows in a subspace of their own."""
    axes = np.linalg.qr(normal(dim, rank, seed))[0].T
    return normal(n, rank, seed + 1) @ axes


def near(vectors, n, spread=0.05):
    return vectors[:n] + spread * normal(n, vectors.shape[1], 99)


def recall(parts, queries, metric="l2", **options):
    index = HNSW(queries.shape[1], metric=metric, ef_construction=80, **options)
    exact = FlatIndex(queries.shape[1], metric=metric)
    for part in parts:
        index.add(part)
        exact.add(part)
    index.check()
    found, truth = index.search(queries, 10).ids, exact.search(queries, 10).ids
    return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth, strict=True)])


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_codes_are_used_and_distances_are_exact(metric):
    vectors = plane(CODED, 96, 12, 0)
    index, exact = HNSW(96, metric=metric), FlatIndex(96, metric=metric)
    index.add(vectors)
    exact.add(vectors)
    assert index.memory_usage()["codes"] > CODED * 64
    queries = near(vectors, 100)
    found, truth = index.search(queries, 10), exact.search(queries, 10)
    same = found.ids == truth.ids
    assert same.mean() > 0.97
    assert (found.distances[same] == truth.distances[same]).all()


@pytest.mark.parametrize("shift", [0.0, 30.0, 1000.0])
def test_data_that_move_away_are_found(shift):
    if shift:
        first, second = normal(CODED, 24, 1), normal(CODED, 24, 2) + np.float32(shift)
    else:
        first, second = plane(CODED, 128, 10, 1), plane(CODED, 128, 10, 5)
    alone = recall([second], near(second, 100))
    assert recall([first, second], near(second, 100)) >= alone - 0.03


def test_data_that_move_away_little_by_little_are_found():
    first, second = plane(CODED, 64, 8, 1), plane(1500, 64, 8, 5)
    assert recall([first, *np.split(second, 30)], near(second, 100)) > 0.97


@pytest.mark.parametrize("share", [0.004, 0.02, 0.1])
def test_a_tight_cluster_among_others_is_found(share):
    vectors = normal(8000, 24, 1)
    tight = round(8000 * share)
    vectors[:tight] = 3 + 1e-4 * normal(tight, 24, 2)
    queries = vectors[: min(tight, 100)] + 2e-5 * normal(min(tight, 100), 24, 3)
    assert recall([vectors], queries) > 0.95


def test_zero_rows_do_not_hide_others_under_cosine():
    first, zeros, last = plane(CODED, 48, 12, 1), np.zeros((1000, 48), np.float32), 2
    assert recall([first, zeros, plane(last, 48, 12, 1)], near(first, 100), "cosine") > 0.97


def test_codes_survive_files_and_changes(tmp_path):
    vectors = plane(CODED, 96, 12, 0)
    index = HNSW(96, metric="l2")
    index.add(vectors)
    index.remove(np.arange(0, CODED, 7))
    index.update([1, 2], vectors[[3, 4]])
    index.compact()
    index.check()
    index.save(tmp_path / "index")
    queries = near(vectors, 50)
    want = index.search(queries, 10)
    for other in (
        HNSW.load(tmp_path / "index"),
        HNSW.load(tmp_path / "index", mmap=True),
        pickle.loads(pickle.dumps(index)),
    ):
        assert other.memory_usage()["codes"] == index.memory_usage()["codes"]
        for one, two in zip(other.search(queries, 10), want, strict=True):
            np.testing.assert_array_equal(one, two)
