"""Negatives through an index against all of them."""

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError
from ruvector.index import HNSW, FlatIndex
from ruvector.mining import HardNegativeMiner

ROWS, DIM, ANCHORS = 1500, 12, 90


def problem(seed):
    rng = np.random.default_rng(seed)
    pool = rng.normal(size=(ROWS, DIM)).astype(np.float32)
    anchors = rng.normal(size=(ANCHORS, DIM)).astype(np.float32)
    # Classes of hundreds of rows, which are filtered, and of few, which are dropped; some without.
    pool_labels = np.where(np.arange(ROWS) < 1300, np.arange(ROWS) % 3, np.arange(ROWS) // 9)
    pool_labels[::50] = -1
    labels = pool_labels[rng.permutation(ROWS)[:ANCHORS]]
    positives = rng.integers(-1, ROWS, (ANCHORS, 2))
    lists = [rng.permutation(ROWS)[: rng.integers(0, 30)] for _ in range(ANCHORS)]
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in lists])])
    return (
        anchors,
        pool,
        {
            "positives": positives,
            "labels": labels,
            "pool_labels": pool_labels,
            "exclude": (indptr, np.concatenate(lists)),
        },
    )


def filled(kind, pool, metric, ids=None):
    index = kind(DIM, metric={"cosine": "cosine", "dot": "ip"}[metric])
    index.add(pool, ids)
    return index


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("skip", [0, 5])
@pytest.mark.parametrize("with_labels", [True, False])
def test_an_exact_index_gives_the_exact_answer(metric, skip, with_labels):
    anchors, pool, data = problem(0)
    if not with_labels:
        del data["labels"], data["pool_labels"]
    miner = HardNegativeMiner("hardest", k=10, skip=skip, metric=metric)
    index = filled(FlatIndex, pool, metric)
    found = miner.mine(anchors, index, sample=0, **data)
    exact = miner.mine(anchors, pool, **data)
    np.testing.assert_array_equal(found.indices, exact.indices)
    np.testing.assert_allclose(found.similarities, exact.similarities, atol=1e-5)
    np.testing.assert_array_equal(found.counts, exact.counts)
    assert found.recall is None
    again = miner.mine(anchors, index, ef=3, sample=3, **data)
    np.testing.assert_array_equal(again.indices, exact.indices)
    assert again.recall == 1.0


def test_a_graph_index_finds_most_and_tells_how_many():
    anchors, pool, data = problem(1)
    miner = HardNegativeMiner("hardest", k=10)
    found = miner.mine(anchors, filled(HNSW, pool, "cosine"), sample=ANCHORS, **data)
    exact = miner.mine(anchors, pool, **data).indices
    hits = np.mean([len(np.intersect1d(a, b)) for a, b in zip(found.indices, exact, strict=True)])
    assert found.recall == pytest.approx(hits / 10)
    # 0.99 and more over twenty seeds.
    assert found.recall > 0.95


def test_rows_are_ids():
    anchors, pool, data = problem(2)
    ids = np.random.default_rng(0).permutation(ROWS) * 7 + 5
    miner = HardNegativeMiner("hardest", k=6)
    exact = miner.mine(anchors, pool, **data)
    named = np.where(data["positives"] < 0, -1, ids[data["positives"]])
    indptr, rows = data["exclude"]
    data |= {"positives": named, "exclude": (indptr, ids[rows])}
    found = miner.mine(anchors, filled(FlatIndex, pool, "cosine", ids), **data)
    np.testing.assert_array_equal(found.indices, ids[exact.indices])


def test_fewer_than_asked_are_filled_up():
    rows = np.eye(3, dtype=np.float32)
    index = FlatIndex(3)
    miner = HardNegativeMiner("hardest", k=5)
    empty = miner.mine(rows, index, positives=[-1, -1, -1], sample=2)
    np.testing.assert_array_equal(empty.counts, [0, 0, 0])
    assert empty.recall == 1.0
    index.add(rows)
    found = miner.mine(rows, index, labels=[0, 0, 1], pool_labels=[0, 0, 1], positives=[0, 1, 0])
    np.testing.assert_array_equal(found.counts, [1, 1, 1])
    np.testing.assert_array_equal(found.indices[:, 0], [2, 2, 1])
    assert (found.indices[:, 1:] == -1).all()
    assert (found.similarities[:, 1:] == -np.inf).all()
    assert miner.mine(np.empty((0, 3)), index).indices.shape == (0, 5)


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({"strategy": "random"}, {}, "strategy is 'random'"),
        ({"skip": 0.1}, {}, "skip 0.1"),
        ({"metric": "dot"}, {}, "metric 'cosine' but metric 'dot'"),
        ({}, {"anchors": np.ones((2, 4))}, "index holds 3 dimensions"),
        ({}, {"positives": np.ones((2, 3))}, "must be ids"),
        ({}, {"positives": [1]}, "positives has 1 rows"),
        ({}, {"labels": [0, 1]}, "needs pool_labels"),
        ({}, {"labels": [0, 1], "pool_labels": [0]}, "pool_labels has 1"),
        ({}, {"exclude": ([0, 1], [0])}, "2 anchors need 3"),
        ({}, {"exclude": ([1, 1, 1], [0])}, "rises from 0"),
        ({}, {"sample": -1}, "sample"),
    ],
)
def test_bad_input_is_refused(settings, arguments, message):
    index = FlatIndex(3)
    index.add(np.eye(3, dtype=np.float32))
    miner = HardNegativeMiner(**{"strategy": "hardest", "k": 2} | settings)
    given = {"anchors": np.ones((2, 3))} | arguments
    with pytest.raises(InvalidArgumentError, match=message):
        miner.mine(given.pop("anchors"), index, **given)


def test_what_is_for_an_index_is_refused_without():
    with pytest.raises(InvalidArgumentError, match="ef and sample"):
        HardNegativeMiner("hardest", k=1).mine(np.eye(3), np.eye(3), sample=2)
