"""Indexes: results, ids, bad input, copies."""

import copy
import doctest
import importlib
import pickle

import numpy as np
import pytest
from ruvector.errors import (
    CorruptFileError,
    DuplicateIdError,
    InvalidArgumentError,
    InvalidTypeError,
)
from ruvector.index import HNSW, FlatIndex

DIM = 8
METRICS = ["cosine", "l2", "ip"]
KINDS = [HNSW, FlatIndex]


def rows(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def distances(metric, queries, vectors):
    q, x = queries.astype(np.float64), vectors.astype(np.float64)
    if metric == "l2":
        return ((q[:, None] - x[None]) ** 2).sum(-1)
    if metric == "ip":
        return -q @ x.T
    lengths = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)
    return 1 - np.divide(q @ x.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.mark.parametrize("metric", METRICS)
def test_distances_and_order_agree_with_numpy(kind, metric):
    vectors, queries = rows(300), rows(20, 1)
    index = kind(DIM, metric=metric)
    index.add(vectors)
    ids, found, counts = index.search(queries, 300)
    expected = distances(metric, queries, vectors)
    np.testing.assert_allclose(found, np.sort(expected, axis=1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        np.take_along_axis(expected, ids, axis=1), found, rtol=1e-5, atol=1e-5
    )
    assert (ids.dtype, found.dtype, counts.dtype) == (np.int64, np.float32, np.int64)
    assert (counts == 300).all()


def test_fewer_hits_than_k_are_filled_up(kind):
    index = kind(DIM)
    assert index.search(rows(2), 3).ids.tolist() == [[-1] * 3] * 2
    index.add(rows(4))
    ids, found, counts = index.search(rows(2), 7)
    assert ids.shape == found.shape == (2, 7)
    assert (ids[:, 4:] == -1).all()
    assert np.isinf(found[:, 4:]).all()
    assert counts.tolist() == [4, 4]


def test_ties_come_in_order_of_ids(kind):
    index = kind(DIM, metric="l2")
    index.add(np.ones((6, DIM)), ids=[50, 3, 40, 7, 1, 9])
    assert index.search(np.ones(DIM), 6).ids.tolist() == [[1, 3, 7, 9, 40, 50]]


def test_zero_vectors_are_at_cosine_distance_one(kind):
    index = kind(DIM)
    index.add(np.vstack([np.zeros(DIM), np.ones(DIM), -np.ones(DIM)]))
    result = index.search(np.ones(DIM), 3)
    assert result.ids.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(result.distances, [[0, 1, 2]], atol=1e-6)
    assert index.search(np.zeros(DIM), 3).distances.tolist() == [[1, 1, 1]]
    assert not index.get([0]).any()


def test_one_vector_counts_as_one_row(kind):
    index = kind(DIM)
    assert index.add(rows(1)[0]).tolist() == [0]
    assert index.search(rows(1)[0], 1).ids.shape == (1, 1)
    assert index.add(np.empty((0, DIM))).shape == (0,)
    assert index.search(np.empty((0, DIM)), 3).ids.shape == (0, 3)


def test_ids_are_kept_and_continue_from_the_largest(kind):
    index = kind(DIM)
    assert index.add(rows(2), ids=[10, 4]).tolist() == [10, 4]
    assert index.add(rows(2, 1)).tolist() == [11, 12]
    assert index.ids.tolist() == [10, 4, 11, 12]
    assert len(index) == 4
    assert 4 in index
    assert np.int64(11) in index
    for stranger in (0, -1, 2**70, "4", 4.0, True, None):
        assert stranger not in index


@pytest.mark.parametrize("metric", METRICS)
def test_vectors_come_back_as_they_were_added(kind, metric):
    vectors = rows(20) * np.float32(1000)
    vectors[3] = 0
    index = kind(DIM, metric=metric)
    index.add(vectors)
    order = [5, 3, 0, 5]
    np.testing.assert_allclose(index.get(order), vectors[order], rtol=1e-6)
    if metric != "cosine":
        assert (index.get(order) == vectors[order]).all()
    with pytest.raises(InvalidArgumentError, match="holds 99"):
        index.get([99])


@pytest.mark.parametrize(
    "convert",
    [
        np.asfortranarray,
        lambda x: x.astype(np.float64),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x.astype(np.float64).tolist(),
        lambda x: x.astype(">f4"),
    ],
    ids=["fortran", "float64", "strided", "list", "big-endian"],
)
def test_other_layouts_and_numbers_give_the_same(kind, convert):
    plain, other = kind(DIM), kind(DIM)
    plain.add(rows(50))
    other.add(convert(rows(50)))
    assert pickle.dumps(plain) == pickle.dumps(other)


def test_small_integers_and_halves_are_cast(kind):
    index = kind(2, metric="l2")
    index.add(np.array([[1, 2]], dtype=np.uint8))
    index.add(np.array([[3, 4]], dtype=np.float16))
    assert index.get([0, 1]).tolist() == [[1, 2], [3, 4]]


def spoilt(value):
    vectors = rows(5)
    vectors[3, 2] = value
    return vectors


BAD_VECTORS = [
    (rows(3, dim=DIM + 1), InvalidArgumentError, rf"\(3, 9\) but the index holds {DIM}"),
    (np.float32(3), InvalidArgumentError, r"shape \(\)"),
    (rows(8).reshape(2, 4, DIM), InvalidArgumentError, "shape"),
    (spoilt(np.nan), InvalidArgumentError, "row 3"),
    (spoilt(-np.inf), InvalidArgumentError, "row 3"),
    (np.full((2, DIM), 1e300), InvalidArgumentError, "row 0"),
    ([["a"] * DIM], InvalidTypeError, "numeric"),
    (np.full((1, DIM), None), InvalidTypeError, "numeric"),
    (rows(2).astype(complex), InvalidTypeError, "numeric"),
    ([[1.0] * DIM, [1.0]], InvalidArgumentError, "equal lengths"),
    (np.empty((0, 3)), InvalidArgumentError, "holds"),
    ([], InvalidArgumentError, "holds"),
]


@pytest.mark.parametrize(("value", "error", "match"), BAD_VECTORS)
def test_bad_vectors_are_refused_and_change_nothing(kind, value, error, match):
    index = kind(DIM)
    index.add(rows(30))
    before = pickle.dumps(index)
    with pytest.raises(error, match=match):
        index.add(value)
    with pytest.raises(error, match=match):
        index.search(value, 3)
    assert pickle.dumps(index) == before


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_vectors_whose_distances_overflow_are_refused(kind, metric):
    index = kind(DIM, metric=metric)
    with pytest.raises(InvalidArgumentError, match="scale"):
        index.add(np.full((1, DIM), 1e19))
    index.add(np.full((1, DIM), 1e17))
    assert np.isfinite(index.search(np.full(DIM, -1e17), 1).distances).all()


@pytest.mark.parametrize(
    ("ids", "error", "match"),
    [
        ([1, 2], InvalidArgumentError, "2 entries but there are 3"),
        ([101, 102, 29], DuplicateIdError, "29"),
        ([40, 41, 40], DuplicateIdError, "40 twice, in rows 0 and 2"),
        ([40, -1, 41], InvalidArgumentError, "-1 in row 1"),
        ([40.0, 41.0, 42.0], InvalidTypeError, "integers"),
        (["a", "b", "c"], InvalidTypeError, "numeric"),
        ([[40, 41, 42]], InvalidArgumentError, "dimension"),
        (np.array([1, 2, 2**64 - 1], dtype=np.uint64), InvalidArgumentError, "int64"),
    ],
)
def test_bad_ids_are_refused_and_change_nothing(kind, ids, error, match):
    index = kind(DIM)
    index.add(rows(30))
    before = pickle.dumps(index)
    with pytest.raises(error, match=match):
        index.add(rows(3, 1), ids=ids)
    assert pickle.dumps(index) == before


@pytest.mark.parametrize("k", [0, -1, 2**31, 10**12, 10**30])
def test_k_out_of_range_is_named(kind, k):
    with pytest.raises(InvalidArgumentError, match="k is"):
        kind(DIM).search(rows(1), k)


def test_results_that_fill_the_memory_are_refused(kind):
    with pytest.raises(InvalidArgumentError, match="268435456"):
        kind(DIM).search(rows(3), 10**8)


@pytest.mark.parametrize("value", ["3", 2.5, None, True])
def test_k_of_another_type_is_named(kind, value):
    with pytest.raises(InvalidTypeError, match="k is"):
        kind(DIM).search(rows(1), value)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"dim": 0}, "dim is 0"),
        ({"dim": 10**9}, "dim is"),
        ({"m": 1}, "m is 1"),
        ({"m": 129}, "m is 129"),
        ({"ef_construction": 0}, "ef_construction is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed is"),
        ({"metric": "hamming"}, "metric is 'hamming'"),
        ({"metric": None}, "metric is None"),
    ],
)
def test_parameters_out_of_range_are_named(arguments, match):
    with pytest.raises(InvalidArgumentError, match=match):
        HNSW(**{"dim": DIM, **arguments})


@pytest.mark.parametrize("ef", [0, -5])
def test_ef_out_of_range_is_named(ef):
    with pytest.raises(InvalidArgumentError, match=f"ef is {ef}"):
        HNSW(DIM).search(rows(1), 1, ef=ef)


def test_ef_may_exceed_everything():
    index = HNSW(DIM)
    index.add(rows(100))
    assert (index.search(rows(100), 1, ef=2**31 - 1).ids[:, 0] == np.arange(100)).all()


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_are_equal_and_apart(kind, duplicate):
    index = kind(DIM, metric="l2")
    index.add(rows(200))
    other = duplicate(index)
    assert pickle.dumps(other) == pickle.dumps(index)
    for one, two in zip(index.search(rows(9, 1)), other.search(rows(9, 1)), strict=True):
        np.testing.assert_array_equal(one, two)
    other.add(rows(1, 2))
    assert (len(index), len(other)) == (200, 201)


def test_what_it_says_of_itself():
    index = HNSW(DIM, metric="ip", m=8, ef_construction=50, seed=4)
    index.add(rows(5000))
    assert repr(index) == (
        "HNSW(dim=8, metric='ip', m=8, ef_construction=50, seed=4): 5000 vectors"
    )
    assert (index.dim, index.metric, index.m) == (DIM, "ip", 8)
    assert (index.ef_construction, index.seed) == (50, 4)
    assert repr(FlatIndex(3)) == "FlatIndex(dim=3, metric='cosine'): 0 vectors"
    stats = index.stats()
    assert stats.rows == sum(stats.level_counts) == 5000
    # A level holds an eighth of the one below.
    assert 400 < sum(stats.level_counts[1:]) < 850
    assert 1 <= stats.degree_min <= stats.degree_mean <= stats.degree_max <= 16
    assert stats.unreachable == 0
    assert stats.bytes_vectors == 5000 * 64  # 8 floats fill half of a cache line
    assert stats.bytes_links == 5000 * 16 * 4
    index.check()


def test_a_foreign_state_is_refused(kind):
    other = FlatIndex if kind is HNSW else HNSW
    state = other(DIM).__getstate__()
    with pytest.raises(CorruptFileError, match="load it with the class"):
        kind(DIM).__setstate__(state)


@pytest.mark.parametrize("module", ["flat", "hnsw"])
def test_examples_in_the_documentation_run(module):
    outcome = doctest.testmod(importlib.import_module(f"ruvector.index.{module}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0
