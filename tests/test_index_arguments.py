"""However queries are handed over, the answer is the same; the short way in lets nothing pass."""

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.index import HNSW, FlatIndex, SearchResult

DIM = 8
QUERIES = np.random.default_rng(1).standard_normal((6, DIM), dtype=np.float32)


@pytest.fixture(params=[HNSW, FlatIndex])
def index(request):
    index = request.param(DIM, metric="l2")
    index.add(np.random.default_rng(0).standard_normal((300, DIM), dtype=np.float32))
    return index


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(np.float32).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        read_only,
        lambda a: a.astype(np.float64),
        lambda a: a.astype(">f4"),
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[::-1][::-1],
        lambda a: a.tolist(),
        lambda a: a.view(np.matrix),
        np.ma.masked_array,
    ],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_forms_of_queries_agree(index, form):
    expected = index.search(QUERIES, 4)
    assert type(expected) is SearchResult
    for number, got in zip(expected, index.search(form(QUERIES), np.int64(4)), strict=True):
        np.testing.assert_array_equal(number, got)
        assert got.dtype == number.dtype
        assert got.flags.writeable


def test_one_query_is_a_row_in_every_form(index):
    expected = index.search(QUERIES, 4)
    strided = np.repeat(QUERIES, 3, axis=1)
    for i, query in enumerate(QUERIES):
        for form in (query, query[None], strided[i, ::3], query.tolist()):
            result = index.search(form, 4)
            assert result.ids.shape == (1, 4)
            np.testing.assert_array_equal(result.ids[0], expected.ids[i])
            np.testing.assert_array_equal(result.distances[0], expected.distances[i])
            assert result.counts.tolist() == [4]


def test_many_results_come_in_the_same_shape(index):
    result = index.search(np.repeat(QUERIES, 20, axis=0), 300)
    assert result.ids.shape == result.distances.shape == (120, 300)
    np.testing.assert_array_equal(result.ids[::20], index.search(QUERIES, 300).ids)
    assert index.search(np.empty((0, DIM), np.float32), 3).ids.shape == (0, 3)


@pytest.mark.parametrize("k", [True, 1.0, "1", None])
def test_k_of_another_type_is_refused(index, k):
    with pytest.raises(InvalidTypeError, match=r"k is .* but must be an integer"):
        index.search(QUERIES[0], k)


@pytest.mark.parametrize("k", [0, -1, 2**31, 2**70])
def test_k_out_of_range_is_refused(index, k):
    with pytest.raises(InvalidArgumentError, match=f"k is {k} but must be between 1 and"):
        index.search(QUERIES[0], k)


def test_ef_is_looked_at_in_the_short_way_too():
    index = HNSW(DIM)
    index.add(QUERIES)
    for ef in (True, 2.0, "3"):
        with pytest.raises(InvalidTypeError, match="ef is"):
            index.search(QUERIES[0], ef=ef)
    with pytest.raises(InvalidArgumentError, match="ef is 0 but must be between 1"):
        index.search(QUERIES[0], ef=0)


def test_wrong_shapes_and_values_have_their_messages(index):
    with pytest.raises(InvalidArgumentError, match=r"shape \(1, 5\) but the index holds 8 dim"):
        index.search(QUERIES[0, :5], 1)
    with pytest.raises(InvalidArgumentError, match=r"shape \(6, 5\) but the index holds 8 dim"):
        index.search(np.ascontiguousarray(QUERIES[:, :5]), 1)
    with pytest.raises(InvalidArgumentError, match="must have 1 or 2 dimension"):
        index.search(np.float32(3), 1)
    with pytest.raises(InvalidArgumentError, match="must have 1 or 2 dimension"):
        index.search(QUERIES[None], 1)
    with pytest.raises(InvalidArgumentError, match="NaN or infinity in row 0"):
        index.search(np.full(DIM, np.nan, np.float32), 1)


def test_an_array_that_is_not_aligned_is_copied(index):
    expected = index.search(QUERIES, 2)
    got = index.search(misaligned(QUERIES), 2)
    np.testing.assert_array_equal(got.ids, expected.ids)
    ids = index.add(misaligned(QUERIES))
    np.testing.assert_allclose(index.get(ids), QUERIES, rtol=1e-6)
