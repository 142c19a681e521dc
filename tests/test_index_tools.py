"""Tuning, costs of searches, memory and layers of a graph index."""

import copy
import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.index import HNSW, FlatIndex

DIM = 16


def rows(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


@pytest.fixture(scope="module")
def index():
    built = HNSW(DIM, metric="l2", m=8, ef_construction=60)
    built.add(rows(6000))
    return built


def recall(index, queries, k, ef):
    exact = FlatIndex(DIM, metric="l2")
    exact.add(index.get(index.ids))
    found, truth = index.search(queries, k, ef=ef).ids, exact.search(queries, k).ids
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(found, truth, strict=True)])


@pytest.mark.parametrize("target", [0.5, 0.9, 0.97, 1.0])
def test_tune_finds_the_smallest_ef(index, target):
    queries = rows(200, 1)
    tuned = index.tune(queries, 10, target_recall=target)
    assert tuned.reached
    assert tuned.recall == pytest.approx(recall(index, queries, 10, tuned.ef), abs=1e-9)
    assert tuned.recall >= target
    if tuned.ef > 10:
        assert recall(index, queries, 10, tuned.ef - 1) < target
    assert [step.ef for step in tuned.table] == sorted({step.ef for step in tuned.table})
    assert all(step.queries_per_second > 0 for step in tuned.table)
    assert all(0 <= step.recall <= 1 for step in tuned.table)


def test_tune_says_what_it_cannot_reach(index, caplog):
    queries = rows(200, 1)
    with caplog.at_level(logging.WARNING, "ruvector"):
        tuned = index.tune(queries, 10, target_recall=1.0, max_ef=20)
    assert not tuned.reached
    assert tuned.ef <= 20
    assert tuned.recall == max(step.recall for step in tuned.table) < 1
    assert "recall 1 is not reached" in caplog.text


def test_tune_among_some_and_more_than_there_are(index):
    assert index.tune(rows(50, 1), 5, where=np.arange(6000) % 2 == 0).reached
    small = HNSW(DIM, metric="l2")
    small.add(np.ones((30, DIM)))
    tuned = small.tune(rows(5), 100, target_recall=1.0)
    assert (tuned.ef, tuned.recall, tuned.reached) == (30, 1.0, True)
    assert index.tune(rows(5), 10, where=[3], target_recall=1.0).recall == 1


def test_bad_tuning_is_refused(index):
    queries = rows(5)
    for change, error in [
        ({"target_recall": 0}, InvalidArgumentError),
        ({"target_recall": 1.1}, InvalidArgumentError),
        ({"target_recall": float("nan")}, InvalidArgumentError),
        ({"target_recall": "high"}, InvalidTypeError),
        ({"k": 0}, InvalidArgumentError),
        ({"max_ef": 0}, InvalidArgumentError),
        ({"max_ef": 2.5}, InvalidTypeError),
        ({"where": []}, InvalidArgumentError),
        ({"where": [True]}, InvalidArgumentError),
        ({"queries": np.empty((0, DIM))}, InvalidArgumentError),
        ({"queries": np.empty((3, 2))}, InvalidArgumentError),
    ]:
        with pytest.raises(error):
            index.tune(**{"queries": queries, **change})
    with pytest.raises(InvalidArgumentError, match="index is empty"):
        HNSW(DIM).tune(queries)


def test_ef_is_what_searches_use_that_name_none(index):
    queries = rows(100, 1)
    own = copy.copy(index)
    assert own.ef is None
    own.ef = 11
    for other in (own, copy.copy(own), copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        assert other.ef == 11
        np.testing.assert_array_equal(other.search(queries).ids, index.search(queries, ef=11).ids)
        assert (other.search_stats(queries).hops == index.search_stats(queries, ef=11).hops).all()
    assert (own.search(queries, ef=64).ids == index.search(queries).ids).all()
    for wrong, error in (
        (0, InvalidArgumentError),
        (2.0, InvalidTypeError),
        ("1", InvalidTypeError),
    ):
        with pytest.raises(error):
            own.ef = wrong
        assert own.ef == 11
    own.ef = None
    np.testing.assert_array_equal(own.search(queries).ids, index.search(queries).ids)


def test_search_stats_grow_with_ef_and_end_in_a_scan(index):
    queries = rows(30, 1)
    before = 0.0
    for ef in (10, 40, 160):
        stats = index.search_stats(queries, ef=ef)
        assert (stats.hops.dtype, stats.distances.dtype) == (np.int64, np.int64)
        assert stats.hops.shape == stats.distances.shape == (30,)
        assert stats.hops_mean == stats.hops.mean()
        assert stats.distances_mean == stats.distances.mean() > before
        # Every row of the pool is expanded, and no row compared twice on level 0.
        assert (stats.hops >= ef).all()
        assert (stats.distances < 6000 + 200).all()
        before = stats.distances_mean
    scan = index.search_stats(queries, ef=6000)
    assert (scan.hops == 0).all()
    assert (scan.distances == 6000).all()
    few = index.search_stats(queries, where=[4, 5, 6])
    assert (few.hops_mean, few.distances_mean) == (0, 3)
    walk = index.search_stats(queries, ef=10, where=np.arange(6000) % 8 > 0)
    assert (walk.hops >= 10).all()
    assert (walk.distances < 3200).all()
    nothing = index.search_stats(np.empty((0, DIM)))
    assert np.isnan(nothing.hops_mean)
    assert HNSW(DIM).search_stats(queries).distances_mean == 0
    with pytest.raises(InvalidArgumentError):
        index.search_stats(queries, 0)
    with pytest.raises(InvalidArgumentError):
        index.search_stats(queries, where=[True])


def test_a_walk_counts_its_levels_too():
    line = HNSW(1, metric="l2", m=2, ef_construction=10)
    line.add(np.arange(3.0)[:, None])
    stats = line.search_stats([[0.0]], 1, ef=1)
    assert stats.hops.tolist() >= [1]
    assert 1 <= stats.distances[0] <= 3 * len(line.stats().level_counts)


MEMORY = """
import ctypes
import sys
import numpy as np
from ruvector.index import HNSW, FlatIndex
from ruvector import _core

def resident():
    with open("/proc/self/smaps_rollup") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

_core.set_num_threads(1)
kind, dim, n, parts = sys.argv[1], *map(int, sys.argv[2:])
make = lambda: HNSW(dim, m=16, ef_construction=10) if kind == "HNSW" else FlatIndex(dim)
pieces = np.split(np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32), parts)
warm = make()
warm.add(pieces[0][:2000])
warm.search(pieces[0][:50])
before = resident()
index = make()
for piece in pieces:
    index.add(piece)
# What the allocator keeps of blocks freed while building is not the index's.
ctypes.CDLL(None).malloc_trim(0)
usage = index.memory_usage()
print(resident() - before, usage["total"], usage["spare"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, calls glibc")
@pytest.mark.parametrize(
    ("kind", "n", "parts"),
    [("HNSW", 50000, 1), ("FlatIndex", 100000, 1), ("FlatIndex", 100000, 10)],
)
def test_memory_usage_is_what_the_process_takes(kind, n, parts):
    command = [sys.executable, "-c", MEMORY, kind, "128", str(n), str(parts)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    taken, total, spare = map(int, output.split())
    # Room to grow is backed by memory as far as an earlier block had written to it.
    assert 0.95 * taken <= total + spare
    assert 0.95 * total <= taken
    if parts == 1:
        assert total == pytest.approx(taken, rel=0.05)


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_a_table_finds_ids_that_do_not_count_the_rows(kind):
    table = 2048 * 17 + 16  # 1000 entries need 2048 places of an entry and a byte each
    scattered = kind(DIM, metric="l2")
    scattered.add(rows(1000), ids=np.random.default_rng(0).permutation(1000))
    assert scattered.memory_usage()["lookup"] == table + 8 * 16
    index = kind(DIM, metric="l2")
    index.add(rows(600), ids=np.arange(70, 670))
    index.add(rows(400, 1))
    assert index.memory_usage()["lookup"] == 8 * 16
    assert [69 in index, 70 in index, 1069 in index, 1070 in index] == [False, True, True, False]
    index.remove(np.arange(70, 270))
    stored = {id_: row for row, id_ in enumerate(np.arange(70, 1070)) if id_ >= 270}
    both = np.concatenate([rows(600), rows(400, 1)])
    index.add(rows(1, 2), ids=[100])
    index.add(rows(2, 3), ids=[600, 5], replace=True)
    stored |= {100: 1000, 600: 1001, 5: 1002}
    both = np.concatenate([both, rows(1, 2), rows(2, 3)])
    assert sorted(index.ids) == sorted(stored)
    np.testing.assert_array_equal(index.get(index.ids), both[[stored[id_] for id_ in index.ids]])
    assert [id_ in index for id_ in (70, 269, 270, 1069, 1070)] == [False, False, True, True, False]
    again = pickle.loads(pickle.dumps(index))
    np.testing.assert_array_equal(again.get([100, 600, 5]), both[[1000, 1001, 1002]])
    index._core.check()


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_memory_by_part(kind, metric):
    index = kind(20, metric=metric)
    empty = index.memory_usage()
    assert empty["total"] == sum(empty.values()) - empty["total"] - empty["spare"]
    assert empty["vectors"] == 0
    index.add(rows(1000, dim=20))
    usage = index.memory_usage()
    # Rows begin at cache lines; under cosine their lengths are kept too.
    assert usage["vectors"] == 1000 * (128 + (8 if metric == "cosine" else 0))
    assert usage["ids"] == 8000
    # A bit tells removed rows; ids that count the rows need no table.
    assert usage["lookup"] == 8 * 16
    if kind is HNSW:
        stats = index.stats()
        assert usage["links"] == 1000 * 2 * 16 * 4 == stats.bytes_links
        uppers = sum(level * count for level, count in enumerate(stats.level_counts))
        assert usage["upper"] == uppers * 16 * 4
        assert usage["scratch"] >= 1000
    assert usage["total"] == sum(usage.values()) - usage["total"] - usage["spare"]


def test_layers(index):
    stats = index.stats()
    n = len(index)
    reached = np.zeros(n, bool)
    below = np.ones(n, bool)
    for level, _ in enumerate(stats.level_counts):
        layer = index.layer(level)
        assert layer.shape == (n, n)
        assert (layer.data == 1).all()
        degrees = np.diff(layer.indptr)
        on_level = sum(stats.level_counts[level:])
        members = (degrees > 0) | (np.bincount(layer.indices, minlength=n) > 0)
        assert members.sum() == on_level or on_level == 1
        assert not (members & ~below).any()
        assert degrees.max() <= (16 if level == 0 else 8)
        for row in np.flatnonzero(degrees)[:50]:
            links = layer.indices[layer.indptr[row] : layer.indptr[row + 1]]
            assert (np.diff(links) > 0).all()
            assert row not in links
        if level == 0:
            assert (degrees.min(), degrees.max()) == (stats.degree_min, stats.degree_max)
            assert degrees.mean() == pytest.approx(stats.degree_mean)
            waiting = [0]
            reached[0] = True
            while waiting:
                row = waiting.pop()
                links = layer.indices[layer.indptr[row] : layer.indptr[row + 1]]
                waiting.extend(links[~reached[links]].tolist())
                reached[links] = True
            assert n - reached.sum() == stats.unreachable == 0
        below = members
    assert len(stats.level_counts) >= 3
    with pytest.raises(InvalidArgumentError, match="highest level"):
        index.layer(len(stats.level_counts))
    for wrong, error in (
        (-1, InvalidArgumentError),
        (0.0, InvalidTypeError),
        (300, InvalidArgumentError),
    ):
        with pytest.raises(error):
            index.layer(wrong)
    assert HNSW(3).layer().shape == (0, 0)


def test_links_of_a_layer_are_near(index):
    """Positions, not ids: the ends of links are nearer than chance."""
    layer = index.layer(0)
    vectors = index.get(index.ids)
    starts = np.repeat(np.arange(len(index)), np.diff(layer.indptr))
    linked = ((vectors[starts] - vectors[layer.indices]) ** 2).sum(1).mean()
    chance = ((vectors - vectors[::-1]) ** 2).sum(1).mean()
    assert linked < 0.5 * chance
