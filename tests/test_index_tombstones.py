"""Removed rows that are still walked: no way of asking finds them, in files neither."""

import threading

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, ReadOnlyIndexError
from ruvector.index import HNSW, FlatIndex

N, DIM = 3000, 8
GONE = np.arange(100, 130)
REPLACED = np.arange(200, 215)


def draw(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


@pytest.fixture(params=["memory", "loaded", "mapped"])
def pair(request, tmp_path):
    """An HNSW with tombstones, and a FlatIndex of the same vectors."""
    index = HNSW(DIM, metric="l2", m=8, ef_construction=60)
    exact = FlatIndex(DIM, metric="l2")
    for each in (index, exact):
        each.add(draw(N))
        each.remove(GONE)
        each.update(REPLACED, draw(len(REPLACED), seed=1))
    assert index.stats().tombstones == len(GONE) + len(REPLACED)
    if request.param != "memory":
        index.save(tmp_path / "index")
        index = HNSW.load(tmp_path / "index", mmap=request.param == "mapped")
        assert index.stats().tombstones == len(GONE) + len(REPLACED)
    return index, exact


def same(got, want):
    np.testing.assert_array_equal(got.ids, want.ids)
    np.testing.assert_array_equal(got.distances, want.distances)


def test_ids_lead_to_what_they_stand_for_now(pair):
    index, exact = pair
    assert len(index) == len(index.ids) == N - len(GONE)
    assert sorted(index) == sorted(exact)
    assert not any(gone in index for gone in GONE)
    np.testing.assert_array_equal(index.get(REPLACED), draw(len(REPLACED), seed=1))
    index.check()


@pytest.mark.parametrize("ef", [20, 400, N])
def test_searches_do_not_find_them(pair, ef):
    index, exact = pair
    # The removed rows themselves, and the former vectors of those that were replaced.
    queries = draw(N)[np.concatenate([GONE, REPLACED])]
    got, want = index.search(queries, k=10, ef=ef), exact.search(queries, k=10)
    assert not np.isin(got.ids, GONE).any()
    assert (got.counts == 10).all()
    assert (got.distances[:, 0] > 0).all()
    if ef >= 400:
        same(got, want)


def test_a_mask_goes_by_the_list_of_ids(pair):
    index, exact = pair
    queries = draw(20, seed=2)
    for odd in (lambda ids: ids % 2 == 1, lambda ids: ids < 250):
        got = index.search(queries, k=5, ef=400, where=odd(index.ids))
        same(got, exact.search(queries, k=5, where=odd(exact.ids)))
        same(got, index.search(queries, k=5, ef=400, where=index.ids[odd(index.ids)]))
    with pytest.raises(InvalidArgumentError, match=f"index holds {N - len(GONE)} rows"):
        index.search(queries, where=np.ones(N, bool))


def test_a_filter_of_removed_ids_finds_nothing(pair):
    index, _ = pair
    found = index.search(draw(3), k=4, where=index.filter(GONE))
    assert (found.ids == -1).all()
    assert (index.range_search(draw(3), radius=1e9, where=GONE).ids == -1).all()


def test_a_filter_follows_removals():
    index = HNSW(DIM, metric="l2")
    index.add(draw(N))
    chosen = index.filter(np.arange(50))
    assert index.search(draw(1), k=1, where=chosen).ids[0, 0] == 0
    index.remove([0])
    assert index.search(draw(1), k=1, where=chosen).ids[0, 0] != 0
    index.add(draw(1), ids=[0])
    assert index.search(draw(1), k=1, where=chosen).ids[0, 0] == 0


def test_ranges_leave_them_out(pair):
    index, exact = pair
    queries = draw(N)[GONE]
    for ef in (64, N):
        got = index.range_search(queries, radius=4.0, ef=ef)
        want = exact.range_search(queries, radius=4.0)
        assert not np.isin(got.ids, GONE).any()
        if ef == N:
            np.testing.assert_array_equal(got.ids, want.ids)
            np.testing.assert_array_equal(got.indptr, want.indptr)


def test_layers_go_by_the_list_of_ids(pair):
    index, _ = pair
    links = index.layer(0)
    assert links.shape == (len(index), len(index))
    near, far = np.repeat(np.arange(len(index)), np.diff(links.indptr)), links.indices
    vectors = index.get(index.ids)
    linked = ((vectors[near] - vectors[far]) ** 2).sum(1).mean()
    rng = np.random.default_rng(0)
    drawn = ((vectors[near] - vectors[rng.permutation(far)]) ** 2).sum(1).mean()
    assert linked < drawn / 2


def test_a_mapped_index_refuses_every_change(tmp_path):
    index = HNSW(DIM, metric="l2")
    index.add(draw(10))
    for each in (index, FlatIndex(DIM, metric="l2")):
        if not len(each):
            each.add(draw(10))
        each.save(tmp_path / "index")
        mapped = type(each).load(tmp_path / "index", mmap=True)
        for change in (
            lambda mapped=mapped: mapped.add(draw(1)),
            lambda mapped=mapped: mapped.remove([1]),
            lambda mapped=mapped: mapped.update([1], draw(1)),
            lambda mapped=mapped: mapped.merge(index, replace=True),
            lambda mapped=mapped: mapped.compact(),
        ):
            with pytest.raises(ReadOnlyIndexError):
                change()
        np.testing.assert_array_equal(mapped.get(mapped.ids), draw(10))


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_whoever_searches_meanwhile_sees_all_of_a_replacement_or_nothing(kind):
    index = kind(DIM, metric="l2")
    size = 600
    ids = np.arange(size)
    index.add(np.zeros((size, DIM)) + np.arange(size)[:, None] / size, ids)
    index.add(draw(500, seed=3) + 1000)
    over = threading.Event()
    failures = []

    def look():
        while not over.is_set():
            marks = np.unique(index.get(ids)[:, 1:] // 10)
            hits = index.search(index.get(ids[:5]), k=3)
            if len(marks) != 1 or (hits.counts != 3).any() or len(index) != size + 500:
                failures.append((marks, hits))

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(1, 6):
        index.update(ids, 10 * turn + np.arange(size)[:, None] / size + np.zeros((1, DIM)))
    over.set()
    for reader in readers:
        reader.join()
    assert not failures


def test_among_equal_vectors_as_many_are_found_as_asked_for():
    # A crowd is walked through twice; hidden vectors seen once took the places of others.
    for seed in range(6):
        rng = np.random.default_rng(seed)
        index = HNSW(7, metric="l2", m=3, ef_construction=60)
        for _ in range(6):
            index.add(np.ones((rng.integers(20, 60), 7)))
            index.remove(rng.choice(index.ids, len(index) // 5, replace=False))
            for k in range(5, 41):
                counts = index.search(np.ones((1, 7)), k).counts
                assert (counts == min(k, len(index))).all()
