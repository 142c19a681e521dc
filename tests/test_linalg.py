import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.linalg import leading_directions, matmul, truncated_svd
from ruvector.sparse import CSR

sizes = st.integers(0, 40)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(sizes, sizes, sizes),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from(["f4", "f8"]),
)
def test_product_agrees_with_numpy(shape, transposed, dtype):
    m, n, k = shape
    transpose_a, transpose_b = transposed
    random = np.random.default_rng(m * 1681 + n * 41 + k)
    a = random.normal(size=(k, m) if transpose_a else (m, k)).astype(dtype)
    b = random.normal(size=(n, k) if transpose_b else (k, n)).astype(dtype)
    got = matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    want = (a.T if transpose_a else a).astype("f8") @ (b.T if transpose_b else b).astype("f8")
    assert got.dtype == dtype
    assert got.shape == (m, n)
    np.testing.assert_allclose(got, want, atol=np.finfo(dtype).eps * 8 * (k + 1))


def test_product_has_the_same_bits_for_any_number_of_threads(each_thread_count):
    random = np.random.default_rng(0)
    a = random.normal(size=(700, 600)).astype("f4")
    b = random.normal(size=(600, 500)).astype("f4")
    one, two = (matmul(a, b) for _ in each_thread_count())
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(matmul(a[123:], b), one[123:])


def test_strided_integer_and_mixed_operands_are_taken():
    a = np.arange(24, dtype="f4").reshape(4, 6)
    np.testing.assert_array_equal(
        matmul(a[::2, ::3], [[1, 2], [3, 4]]), a[::2, ::3] @ [[1, 2], [3, 4]]
    )
    assert matmul(a, np.ones((6, 1))).dtype == np.float64


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 3)), InvalidArgumentError, r"a has shape \(2, 3\) and b has"),
        (np.ones(3), np.ones((3, 3)), InvalidArgumentError, "must have 2 dimension"),
        ([["x"]], np.ones((1, 1)), InvalidTypeError, "must be numeric"),
        (
            [[1.0], [1.0, 2.0]],
            np.ones((1, 1)),
            InvalidArgumentError,
            "rows must have equal lengths",
        ),
    ],
)
def test_bad_operands(a, b, error, message):
    with pytest.raises(error, match=message):
        matmul(a, b)


def falling(rows, cols, seed=0):
    """Return a matrix with singular values 2^0, 2^-1, ... and its factors."""
    random = np.random.default_rng(seed)
    count = min(rows, cols)
    u = np.linalg.qr(random.normal(size=(rows, count)))[0]
    v = np.linalg.qr(random.normal(size=(cols, count)))[0]
    s = 0.5 ** np.arange(count)
    return u * s @ v.T, s


@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (30, 30), (1, 5), (5, 1)])
def test_svd_finds_the_leading_part(shape):
    matrix, s = falling(*shape)
    rank = min(8, *shape)
    found = truncated_svd(matrix, rank)
    assert found.U.dtype == found.S.dtype == found.Vt.dtype == np.float32
    np.testing.assert_allclose(found.S, s[:rank], rtol=1e-4)
    np.testing.assert_allclose(found.U.T @ found.U, np.eye(rank), atol=1e-5)
    np.testing.assert_allclose(found.Vt @ found.Vt.T, np.eye(rank), atol=1e-5)
    error = np.linalg.norm(matrix - found.U * found.S @ found.Vt, 2)
    assert error <= 1.01 * (s[rank] if rank < len(s) else 0.0) + 1e-5
    largest = np.abs(found.Vt).argmax(axis=1)
    assert (found.Vt[np.arange(rank), largest] > 0).all()


def test_sparse_and_dense_agree():
    matrix = sp.random(80, 50, 0.2, "csr", dtype="f4", random_state=1)
    dense = truncated_svd(matrix.toarray(), 5)
    for given_as in (matrix, CSR.from_scipy(matrix)):
        found = truncated_svd(given_as, 5)
        for got, want in zip(found, dense, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-4)


def test_a_rank_beyond_the_shape_is_clipped():
    found = truncated_svd(np.eye(4, 7), 100)
    assert (found.U.shape, found.S.shape, found.Vt.shape) == ((4, 4), (4,), (4, 7))


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_a_matrix_of_lower_rank_is_reproduced(rank):
    random = np.random.default_rng(rank)
    matrix = random.normal(size=(40, rank)) @ random.normal(size=(rank, 30))
    found = truncated_svd(matrix, 10)
    np.testing.assert_allclose(found.U * found.S @ found.Vt, matrix, atol=1e-4)
    assert (found.S[rank:] == 0).all()
    assert np.isfinite(found.U).all()


def test_zeros_have_zero_values():
    found = truncated_svd(np.zeros((6, 4)), 2)
    assert not found.S.any()
    assert np.isfinite(found.U).all()


def test_svd_repeats_for_a_seed_and_any_number_of_threads(each_thread_count):
    matrix = np.random.default_rng(0).normal(size=(900, 300))
    one, two = (truncated_svd(matrix, 20, seed=4) for _ in each_thread_count())
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(truncated_svd(matrix, 20, seed=5).U, one.U)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((3, 3)), 0), InvalidArgumentError, "rank is 0"),
        ((np.ones((3, 3)), 1.5), InvalidTypeError, "rank is 1.5"),
        ((np.ones((0, 3)), 1), InvalidArgumentError, "must not be empty"),
        ((np.ones(3), 1), InvalidArgumentError, "must have 2 dimension"),
        (([[1.0, 2.0], [np.nan, 1.0]], 1), InvalidArgumentError, "NaN or infinity in row 1"),
        (("words", 1), InvalidTypeError, "must be numeric"),
    ],
)
def test_bad_matrices(arguments, error, message):
    with pytest.raises(error, match=message):
        truncated_svd(*arguments)


def test_cora_features(data_file):
    features = Graph.load_npz(data_file("cora.npz")).features
    exact = np.linalg.svd(features.to_dense(), compute_uv=False)
    found = truncated_svd(features, 64)
    np.testing.assert_allclose(found.S[:32], exact[:32], rtol=2e-2)
    best = np.sqrt((exact[64:] ** 2).sum())
    error = np.linalg.norm(features.to_dense() - found.U * found.S @ found.Vt)
    assert error <= 1.01 * best


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (1, 5), (5, 1), (30, 30)])
@pytest.mark.parametrize("sparse", [False, True])
def test_leading_directions_are_those_of_the_singular_value_decomposition(shape, sparse):
    rng = np.random.default_rng(0)
    a = rng.standard_normal(shape) * 0.8 ** np.arange(shape[1])
    found = leading_directions(CSR.from_dense(a) if sparse else a, 4, seed=1)
    rank = min(4, *shape)
    _, s, vt = np.linalg.svd(a, full_matrices=False)
    np.testing.assert_allclose(found.S, s[:rank], rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(found.Vt * vt[:rank], axis=1)), 1, atol=1e-3)
    np.testing.assert_allclose(found.Vt @ found.Vt.T, np.eye(rank), atol=1e-4)
    assert (found.Vt[np.arange(rank), np.abs(found.Vt).argmax(axis=1)] > 0).all()


def test_leading_directions_of_nothing_are_finite():
    for a in (np.zeros((6, 4)), np.ones((6, 4)), np.eye(6, 4) * 1e-20):
        found = leading_directions(a, 3)
        assert np.isfinite(found.S).all()
        assert np.isfinite(found.Vt).all()


def test_leading_directions_have_the_same_bits_for_any_number_of_threads(each_thread_count):
    a = np.random.default_rng(2).standard_normal((300, 80))
    first, *others = [leading_directions(a, 20) for _ in each_thread_count()]
    for other in others:
        assert np.array_equal(first.Vt, other.Vt)
        assert np.array_equal(first.S, other.S)


def test_leading_directions_refuse_bad_input():
    for wrong in (np.zeros((0, 3)), np.zeros((3, 0)), np.full((3, 3), np.nan)):
        with pytest.raises(InvalidArgumentError):
            leading_directions(wrong, 2)
    for options in ({"rank": 0}, {"rank": 2, "iterations": -1}, {"rank": 2, "seed": -1}):
        with pytest.raises(InvalidArgumentError):
            leading_directions(np.eye(3), **options)
