"""Indexes that change: removal, update, replacement, merging, iteration."""

import copy
import doctest
import importlib
import pickle

import numpy as np
import pytest
from fuzz_index import CodedLife, Life
from ruvector.errors import DuplicateIdError, InvalidArgumentError, InvalidTypeError
from ruvector.index import HNSW, FlatIndex

DIM = 8
METRICS = ["cosine", "l2", "ip"]


def rows(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def checked(index):
    if isinstance(index, HNSW):
        index.check()
        assert index.stats().unreachable == 0
    return index


def recall(index, model, queries, ef, k=10):
    """Share of the exact nearest among what is live, and that nothing else is found."""
    exact = FlatIndex(index.dim, metric=index.metric)
    exact.add(np.stack(list(model.values())), ids=list(model))
    truth = exact.search(queries, k)
    found = index.search(queries, k, ef=ef)
    np.testing.assert_array_equal(found.counts, truth.counts)
    assert np.isin(found.ids, [*model, -1]).all()
    pairs = zip(found.ids, truth.ids, strict=True)
    return np.mean([len(set(a) & set(b)) / k for a, b in pairs])


@pytest.fixture(params=[HNSW, FlatIndex], ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("removed", "n"), [(15, 50), (200, 2000), (1900, 2000)])
def test_the_next_nearest_follow_when_the_nearest_go(kind, metric, removed, n):
    vectors, query = rows(n), rows(1, 1)
    index = kind(DIM, metric=metric)
    index.add(vectors)
    order = index.search(query, n).ids[0]
    assert index.remove(order[:removed]) == removed
    checked(index)
    k = min(30, n - removed)
    ids, distances, counts = index.search(query, k)
    assert counts.tolist() == [k]
    assert (np.diff(distances) >= 0).all()
    assert not set(ids[0]) & set(order[:removed])
    assert index.search(query, n).counts.tolist() == [n - removed]


@pytest.mark.parametrize("metric", METRICS)
def test_a_hole_is_searched_as_well_as_in_an_index_built_without_it(metric):
    # The hardest place: the query is where the 200 nearest went. Over 25 seeds the repaired
    # indexes found .937, .944, .939 (cosine, l2, ip) and fresh ones .907, .936, .935.
    found, fresh = [], []
    for seed in range(6):
        vectors, query = rows(2000, seed), rows(1, 100 + seed)
        index = HNSW(DIM, metric=metric)
        index.add(vectors)
        order = index.search(query, 2000, ef=2000).ids[0]
        index.remove(order[:200])
        built = HNSW(DIM, metric=metric)
        stay = np.sort(order[200:])
        built.add(vectors[stay], ids=stay)
        truth = set(order[200:230])
        for result, shares in ((index, found), (built, fresh)):
            shares.append(len(truth & set(result.search(query, 30).ids[0])) / 30)
    assert np.mean(found) >= np.mean(fresh) - 0.03
    assert np.mean(found) >= 0.88


@pytest.mark.parametrize("metric", METRICS)
def test_recall_survives_when_half_of_it_is_exchanged_five_times(metric):
    rng = np.random.default_rng(3)
    vectors = rows(12000, 4, dim=24)
    index = HNSW(24, metric=metric)
    ids = index.add(vectors[:2000])
    model = dict(zip(ids.tolist(), vectors, strict=False))
    for turn in range(5):
        gone = rng.choice(list(model), 1000, replace=False)
        assert index.remove(gone) == 1000
        for id_ in gone.tolist():
            del model[id_]
        fresh = vectors[2000 + 1000 * turn :][:1000]
        model.update(zip(index.add(fresh).tolist(), fresh, strict=True))
        checked(index)
        assert len(index) == 2000
    assert recall(index, model, rows(200, 5, dim=24), 64) >= 0.95
    if metric != "ip":
        stored = np.stack(list(model.values()))
        assert (index.search(stored, 1, ef=64).ids[:, 0] == list(model)).all()


def test_removals_one_by_one_are_as_good():
    vectors = rows(3000, 6, dim=16)
    index = HNSW(16, metric="l2")
    index.add(vectors)
    for id_ in range(0, 3000, 3):
        index.remove([id_])
    checked(index)
    model = {i: vectors[i] for i in range(3000) if i % 3}
    assert sorted(index) == sorted(model)
    assert index.stats().tombstones <= 64
    assert recall(index, model, rows(200, 7, dim=16), 64) >= 0.98


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_whole_clusters_go(metric):
    rng = np.random.default_rng(8)
    centres = 6 * rng.standard_normal((20, 16))
    of = rng.integers(0, 20, 4000)
    vectors = (centres[of] + rng.standard_normal((4000, 16))).astype(np.float32)
    index = HNSW(16, metric=metric)
    index.add(vectors)
    for leaving in range(0, 16, 4):
        index.remove(np.flatnonzero((of >= leaving) & (of < leaving + 4)))
        checked(index)
    model = {i: vectors[i] for i in np.flatnonzero(of >= 16).tolist()}
    queries = vectors[rng.permutation(4000)[:200]] + np.float32(0.1)
    assert recall(index, model, queries, 64) >= 0.95


def test_removed_ids_lead_to_nothing_and_are_free_again(kind):
    index = kind(DIM, metric="l2")
    vectors = rows(300)
    index.add(vectors)
    index.remove([7, 200])
    assert len(index) == 298
    assert 7 not in index
    assert 7 not in index.ids
    with pytest.raises(InvalidArgumentError, match="holds 7"):
        index.get([7])
    assert index.add(rows(1, 9), ids=[7]).tolist() == [7]
    np.testing.assert_array_equal(index.get([7]), rows(1, 9))
    # The old vector is no longer there.
    assert index.search(vectors[7], 1).distances[0, 0] > 0
    assert index.search(rows(1, 9), 1).ids.tolist() == [[7]]
    assert len(checked(index)) == 299


def test_all_go_and_others_come(kind):
    index = kind(DIM)
    for turn in range(3):
        ids = index.add(rows(500, turn))
        # Ids are not given twice.
        assert ids[0] == 500 * turn
        assert index.remove(ids) == 500
        checked(index)
        assert len(index) == 0
        assert index.ids.size == 0
        result = index.search(rows(2), 3)
        assert (result.ids == -1).all()
        assert result.counts.tolist() == [0, 0]
    index.add(rows(500))
    assert (index.search(rows(500), 1).ids[:, 0] == np.arange(1500, 2000)).all()


def test_the_last_one_goes_and_comes_back(kind):
    index = kind(1, metric="l2")
    for value in range(5):
        index.add([[value]], ids=[3])
        assert index.search([0], 2).distances[0].tolist() == [value**2, np.inf]
        assert index.remove([3]) == 1
        assert len(checked(index)) == 0


@pytest.mark.parametrize(
    ("ids", "error", "match"),
    [
        ([1, 400, 2], InvalidArgumentError, "holds 400, which is not in the index"),
        ([-1], InvalidArgumentError, "holds -1"),
        ([1, 2, 1], DuplicateIdError, "1 twice, in rows 0 and 2"),
        ([1.5], InvalidTypeError, "integers"),
        (["a"], InvalidTypeError, "numeric"),
        ([[1]], InvalidArgumentError, "dimension"),
        (3, InvalidArgumentError, "dimension"),
        (np.array([2**64 - 1], dtype=np.uint64), InvalidArgumentError, "int64"),
    ],
)
def test_bad_removals_and_updates_change_nothing(kind, ids, error, match):
    index = kind(DIM)
    index.add(rows(300))
    before = pickle.dumps(index)
    with pytest.raises(error, match=match):
        index.remove(ids)
    with pytest.raises(error, match=match):
        index.update(ids, rows(np.size(ids)))
    assert pickle.dumps(index) == before


def test_missing_ids_can_be_ignored(kind):
    index = kind(DIM)
    index.add(rows(10))
    assert index.remove([3, 99, 3, -5], missing="ignore") == 1
    assert index.remove([3], missing="ignore") == 0
    assert index.remove([]) == 0
    assert len(index) == 9
    with pytest.raises(InvalidArgumentError, match="missing is 'skip'"):
        index.remove([1], missing="skip")


@pytest.mark.parametrize("metric", METRICS)
def test_update_puts_vectors_in_the_place_of_others(kind, metric):
    index = kind(DIM, metric=metric)
    old, new = rows(1000), rows(1000, 1) * 3
    index.add(old, ids=np.arange(1000) * 2)
    index.update(np.arange(0, 2000, 4), new[::2])
    checked(index)
    assert len(index) == 1000
    assert sorted(index) == list(range(0, 2000, 2))
    np.testing.assert_allclose(index.get(np.arange(0, 2000, 4)), new[::2], rtol=1e-5)
    np.testing.assert_allclose(index.get(np.arange(2, 2000, 4)), old[1::2], rtol=1e-5)
    if metric != "ip":
        assert (index.search(new[::2], 1).ids[:, 0] == np.arange(0, 2000, 4)).all()
        gone = index.get(index.search(old[::2], 1).ids[:, 0])
        assert not np.isclose(gone, old[::2]).all(axis=1).any()


def test_a_bad_update_changes_nothing(kind):
    index = kind(DIM)
    index.add(rows(300))
    before = pickle.dumps(index)
    spoilt = rows(2, 1)
    spoilt[1, 3] = np.nan
    for vectors, match in [
        (spoilt, "row 1"),
        (rows(3, 1), "2 entries but there are 3"),
        (rows(2, 1, dim=9), "holds 8 dimensions"),
    ]:
        with pytest.raises(InvalidArgumentError, match=match):
            index.update([4, 5], vectors)
        with pytest.raises(InvalidArgumentError, match=match):
            index.add(vectors, ids=[4, 5], replace=True)
    assert pickle.dumps(index) == before


def test_add_replaces_on_request_alone(kind):
    index = kind(DIM, metric="l2")
    index.add(rows(300))
    before = pickle.dumps(index)
    with pytest.raises(DuplicateIdError, match="299"):
        index.add(rows(2, 1), ids=[300, 299])
    with pytest.raises(DuplicateIdError, match="299 twice"):
        index.add(rows(2, 1), ids=[299, 299], replace=True)
    with pytest.raises(InvalidTypeError, match="replace is 'yes'"):
        index.add(rows(2, 1), ids=[299, 300], replace="yes")
    assert pickle.dumps(index) == before
    assert index.add(rows(2, 1), ids=[300, 299], replace=True).tolist() == [300, 299]
    assert len(checked(index)) == 301
    np.testing.assert_array_equal(index.get([300, 299]), rows(2, 1))
    assert index.search(rows(300)[299], 1).distances[0, 0] > 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("giver", [HNSW, FlatIndex])
def test_merged_indexes_hold_what_both_held(kind, giver, metric):
    one, two = kind(DIM, metric=metric), giver(DIM, metric=metric)
    ours, theirs = rows(400) * 5, rows(300, 1) * np.float32(0.2)
    theirs[7] = 0
    one.add(ours)
    two.add(theirs, ids=np.arange(1000, 1300))
    two.remove(np.arange(1000, 1050, 5))
    assert one.merge(two) == 290
    checked(one)
    assert (len(one), len(two)) == (690, 290)
    np.testing.assert_allclose(one.get(np.arange(400)), ours, rtol=1e-5)
    left = [i for i in range(300) if i % 5 or i >= 50]
    np.testing.assert_allclose(one.get(1000 + np.array(left)), theirs[left], rtol=1e-5)


def test_merging_minds_ids_and_kinds(kind):
    one, two = kind(DIM), kind(DIM)
    one.add(rows(300))
    two.add(rows(3, 1), ids=[500, 299, 501])
    before = pickle.dumps(one)
    with pytest.raises(DuplicateIdError, match="299"):
        one.merge(two)
    with pytest.raises(InvalidArgumentError, match="other has 9 dimensions and metric 'cosine'"):
        one.merge(kind(9))
    with pytest.raises(InvalidArgumentError, match="metric 'l2' but this index has 8"):
        one.merge(kind(DIM, metric="l2"))
    with pytest.raises(InvalidTypeError, match="other is ndarray"):
        one.merge(rows(3))
    assert pickle.dumps(one) == before
    assert one.merge(two, replace=True) == 3
    assert len(one) == 302
    np.testing.assert_allclose(one.get([299]), rows(3, 1)[1:2], rtol=1e-5)
    # With itself: nothing changes but the work is done.
    assert one.merge(one, replace=True) == 302
    assert len(checked(one)) == 302


def test_iteration_gives_ids_and_blocks(kind):
    index = kind(DIM, metric="l2")
    vectors = rows(100)
    index.add(vectors, ids=np.arange(100) * 3)
    index.remove([0, 30])
    assert sorted(index) == [i for i in range(0, 300, 3) if i not in (0, 30)]
    assert sorted(index.ids.tolist()) == sorted(index)
    blocks = list(index.items(25))
    assert [len(ids) for ids, _ in blocks] == [25, 25, 25, 23]
    for ids, block in blocks:
        np.testing.assert_array_equal(block, vectors[ids // 3])
    assert list(kind(DIM).items()) == []
    with pytest.raises(InvalidArgumentError, match="batch_size is 0"):
        index.items(0)


def test_what_goes_during_iteration_is_left_out(kind):
    index = kind(DIM)
    index.add(rows(10))
    blocks = index.items(5)
    assert len(next(blocks)[0]) == 5
    last = index.ids[5:]
    index.remove(last[:2])
    ids, vectors = next(blocks)
    assert ids.tolist() == last[2:].tolist()
    assert vectors.shape == (3, DIM)


@pytest.mark.parametrize("duplicate", [copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_removed_rows_stay_removed_in_copies(kind, duplicate, tmp_path):
    index = kind(DIM)
    index.add(rows(1000))
    index.remove(np.arange(0, 100, 2))
    index.save(tmp_path / "file")
    for other in (duplicate(index), kind.load(tmp_path / "file")):
        assert pickle.dumps(other) == pickle.dumps(index)
        assert len(checked(other)) == 950
        assert 0 not in other
        for one, two in zip(index.search(rows(9)), other.search(rows(9)), strict=True):
            np.testing.assert_array_equal(one, two)
        twin = duplicate(index)
        for changed in (twin, other):
            changed.remove(np.arange(101, 201))
            changed.add(rows(50, 2))
        assert pickle.dumps(twin) == pickle.dumps(other)
        assert twin.ids.max() == 1049


def test_ids_continue_after_the_largest_was_removed_and_saved(kind):
    index = kind(DIM)
    index.add(rows(2), ids=[4, 9])
    index.remove([9])
    assert pickle.loads(pickle.dumps(index)).add(rows(1)).tolist() == [10]
    assert index.add(rows(1)).tolist() == [10]


def test_the_largest_id_of_all(kind):
    last = 2**63 - 1
    index = kind(DIM)
    index.add(rows(3), ids=[last, 0, last - 1])
    assert index.search(rows(3), 1).ids[:, 0].tolist() == [last, 0, last - 1]
    with pytest.raises(InvalidArgumentError, match="no successor"):
        index.add(rows(1))
    index.update([last], rows(1, 1))
    assert index.remove([last]) == 1
    assert last not in index
    with pytest.raises(InvalidArgumentError, match="no successor"):
        index.add(rows(1))
    assert index.add(rows(1), ids=[last]).tolist() == [last]


@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_come_and_go(kind, metric):
    index = kind(16, metric=metric)
    ones = np.ones((1000, 16), np.float32)
    index.add(ones)
    for turn in range(4):
        index.remove(index.ids[::2])
        checked(index)
        result = index.search(ones[:3], 100)
        assert (result.counts == 100).all()
        assert all(len(set(ids)) == 100 for ids in result.ids)
        index.add(ones[: 500 - turn])
        checked(index)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_many_copies_of_few_vectors_come_and_go(metric):
    twenty = rows(20, 3, dim=32)
    index = HNSW(32, metric=metric)
    index.add(np.tile(twenty, (100, 1)))
    rng = np.random.default_rng(0)
    for _ in range(3):
        index.remove(rng.choice(index.ids, 700, replace=False))
        checked(index)
        index.add(np.repeat(twenty, 35, axis=0))
        checked(index)
    found = index.get(index.search(twenty, 1, ef=64).ids[:, 0])
    np.testing.assert_allclose(found, twenty, rtol=1e-5)
    result = index.search(twenty, 80)
    assert (result.counts == 80).all()
    assert (result.distances < 1e-5).mean() >= 0.8


@pytest.mark.parametrize("m", [2, 3, 4])
def test_small_m_and_one_dimension(m):
    index = HNSW(1, metric="l2", m=m, ef_construction=20)
    rng = np.random.default_rng(1)
    for _ in range(4):
        index.add(rng.standard_normal((800, 1)))
        index.remove(rng.choice(index.ids, 500, replace=False))
        checked(index)
    assert (index.search(rows(9, dim=1), 20).counts == 20).all()


def test_the_graph_is_the_same_for_any_number_of_threads(each_thread_count):
    states = []
    for _ in each_thread_count():
        index = HNSW(DIM, metric="l2")
        index.add(rows(4000))
        index.remove(np.arange(0, 4000, 3))
        index.update(np.arange(1, 4000, 3)[:800], rows(800, 1))
        index.compact()
        states.append(pickle.dumps(index))
    assert states[0] == states[1]


def test_memory_does_not_grow_under_change():
    index = HNSW(DIM)
    index.add(rows(2000))
    sizes = []
    for turn in range(8):
        index.remove(index.ids[turn::10])
        index.add(rows(2000 - len(index), turn))
        stats = index.stats()
        sizes.append(sum(size for name, size in stats._asdict().items() if "bytes" in name))
        assert stats.rows == len(index) == 2000
        assert stats.tombstones <= 64
    assert max(sizes) <= 1.03 * sizes[0]
    # Levels are drawn anew for every row, whatever numbers rows get.
    assert 0.04 < 1 - index.stats().level_counts[0] / 2000 < 0.09


def test_compact_leaves_nothing_behind(kind):
    index = kind(DIM)
    index.add(rows(1000))
    index.remove(np.arange(60))
    index.compact()
    checked(index)
    if kind is HNSW:
        stats = index.stats()
        assert stats.tombstones == 0
        assert stats.bytes_vectors == 940 * (64 + 8)
    assert len(index) == 940
    index.compact()
    empty = kind(DIM)
    empty.compact()
    assert len(empty) == 0


def test_examples_in_the_documentation_run():
    outcome = doctest.testmod(importlib.import_module("ruvector.index.changes"))
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("seed", range(12))
def test_random_operations_agree_with_a_dictionary(seed):
    # `tools/fuzz_index.py --seed N` repeats one; it runs for hours too.
    life = Life(seed)
    life.run(12)
    assert life.counts.total() == 12


@pytest.mark.parametrize("seed", range(3))
def test_random_operations_on_an_index_with_codes_agree_with_a_dictionary(seed):
    life = CodedLife(seed)
    life.run(8)
    assert life.seen["with codes"] > 0
