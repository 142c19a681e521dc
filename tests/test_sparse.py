import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.sparse import CSR


def random_matrix(rows, cols, seed=0, dtype="f4", density=0.2):
    # NumPy draws, for SciPy's generator rounds the number of entries to 0 in small matrices.
    random = np.random.default_rng(seed)
    dense = random.normal(size=(rows, cols)) * (random.random((rows, cols)) < density)
    return sp.csr_matrix(dense.astype(dtype))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 70), st.sampled_from(["f4", "f8"]))
def test_products_agree_with_scipy(rows, cols, width, dtype):
    matrix = random_matrix(rows, cols, rows * 31 + cols, dtype)
    a = CSR.from_scipy(matrix)
    random = np.random.default_rng(width)
    x, g = (random.normal(size=(n, width)).astype(dtype) for n in (cols, rows))
    tolerance = {"f4": 1e-5, "f8": 1e-13}[dtype]
    assert (a @ x).dtype == dtype
    np.testing.assert_allclose(a @ x, matrix.toarray() @ x, atol=tolerance)
    np.testing.assert_allclose(a.T @ g, matrix.toarray().T @ g, atol=tolerance)
    scale = random.normal(size=rows)
    np.testing.assert_allclose(
        a.matmul(x, row_scale=scale), scale[:, None] * (matrix.toarray() @ x), atol=tolerance * 4
    )
    np.testing.assert_array_equal(a.to_dense(), matrix.toarray())
    np.testing.assert_array_equal(a.T.to_dense(), matrix.toarray().T)


def test_bits_do_not_depend_on_threads(each_thread_count):
    a = CSR.from_scipy(random_matrix(900, 700))
    x = np.random.default_rng(0).normal(size=(700, 130)).astype("f4")
    one, two = (a @ x for _ in each_thread_count())
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(a.take_rows([899, 3]) @ x, one[[899, 3]])


def test_the_wider_type_is_used():
    a = CSR.from_scipy(random_matrix(5, 4))
    assert (a @ np.ones((4, 2))).dtype == np.float64
    assert (a @ np.ones((4, 2), "i8")).dtype == np.float32
    assert (a.astype("f8") @ np.ones((4, 2), "f4")).dtype == np.float64
    assert a.astype("f4") is a


def test_a_vector_gives_a_vector():
    matrix = random_matrix(6, 5)
    x = np.arange(10, dtype="f4")[::2]
    np.testing.assert_allclose(CSR.from_scipy(matrix) @ x, matrix @ x, rtol=1e-5)


def test_nan_in_the_dense_operand_reaches_the_rows_that_use_it():
    a = CSR([0, 1, 2], [0, 1], None, (2, 2))
    product = a @ np.array([[np.nan], [1.0]])
    assert np.isnan(product[0, 0])
    assert product[1, 0] == 1.0


def test_entries_come_sorted_and_added():
    a = CSR([0, 3, 3, 5], [2, 0, 2, 1, 0], [1.0, 2.0, 3.0, 4.0, 5.0], (3, 3))
    assert a.indptr.tolist() == [0, 2, 2, 4]
    assert a.indices.tolist() == [0, 2, 0, 1]
    assert a.data.tolist() == [2.0, 4.0, 5.0, 4.0]
    np.testing.assert_allclose(a.row_norms(), np.linalg.norm(a.to_dense(), axis=1))
    np.testing.assert_allclose(a.row_sums(), a.to_dense().sum(axis=1))


def test_scaling_and_rows():
    matrix = random_matrix(7, 5)
    a = CSR.from_scipy(matrix)
    rows, cols = np.arange(7.0), np.arange(5.0)
    dense = matrix.toarray()
    np.testing.assert_allclose(a.scale_rows(rows).to_dense(), dense * rows[:, None].astype("f4"))
    np.testing.assert_allclose(a.scale_columns(cols).to_dense(), dense * cols.astype("f4"))
    np.testing.assert_array_equal(a.take_rows([6, 0, 6]).to_dense(), dense[[6, 0, 6]])
    assert a.take_rows([]).shape == (0, 5)
    assert CSR.from_dense(dense).nnz == matrix.nnz


def test_the_transpose_is_kept_and_leads_back():
    a = CSR.from_scipy(random_matrix(4, 3))
    assert a.T is a.T
    assert a.T.T is a
    assert a.T.shape == (3, 4)
    alone = CSR.from_scipy(random_matrix(4, 3)).T
    np.testing.assert_array_equal(alone.T.to_dense(), a.to_dense())


def test_a_matrix_and_its_transpose_go_without_a_collection():
    gc.disable()
    try:
        a = CSR.from_scipy(random_matrix(4, 3))
        gone = weakref.ref(a.T)
        del a
        assert gone() is None
    finally:
        gc.enable()


def test_a_matrix_cannot_be_changed():
    data = np.array([1.0, 2.0])
    a = CSR([0, 1, 2], [0, 1], data, (2, 2))
    data[0] = 9.0
    assert a.data[0] == 1.0
    for array in (a.indptr, a.indices, a.data, a.T.data):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert data.flags.writeable


def test_copies_and_pickles():
    a = CSR.from_scipy(random_matrix(4, 3))
    for twin in (pickle.loads(pickle.dumps(a)), copy.deepcopy(a)):
        np.testing.assert_array_equal(twin.to_dense(), a.to_dense())
        assert not twin.data.flags.writeable
    np.testing.assert_array_equal(a.to_scipy().toarray(), a.to_dense())
    assert repr(a) == f"CSR(shape=(4, 3), nnz={a.nnz}, dtype=float32)"


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        (([0, 1], [0], [1.0], (2, 2)), InvalidArgumentError, "indptr has 2 entries but 2 rows"),
        (([1, 1, 1], [0], [1.0], (2, 2)), InvalidArgumentError, "must start with 0"),
        (([0, 2, 1], [0], [1.0], (2, 2)), InvalidArgumentError, "falls from 2 to 1 after row 1"),
        (([0, 1, 2], [0], [1.0], (2, 2)), InvalidArgumentError, "ends with 2 but indices has 1"),
        (([0, 1, 1], [2], [1.0], (2, 2)), InvalidArgumentError, "holds column 2 but there are 2"),
        (([0, 1, 1], [-1], [1.0], (2, 2)), InvalidArgumentError, "holds column -1"),
        (([0, 1, 1], [2**32], [1.0], (2, 2)), InvalidArgumentError, "holds column 4294967296"),
        (([0, 1, 1], [0], [1.0, 2.0], (2, 2)), InvalidArgumentError, "data has 2 entries but"),
        (([0, 1, 1], [0], [np.nan], (2, 2)), InvalidArgumentError, "NaN or infinity at entry 0"),
        (([0, 1, 1], [0], ["a"], (2, 2)), InvalidTypeError, "data has dtype"),
        (([0.0, 1.0, 1.0], [0], [1.0], (2, 2)), InvalidTypeError, "must hold integers"),
        (([0, 1, 1], [[0]], [1.0], (2, 2)), InvalidArgumentError, "must have 1 dimension"),
        (([0, 1, 1], [0], [1.0], 2), InvalidArgumentError, "shape is 2"),
        (([0, 1, 1], [0], [1.0], (2, -1)), InvalidArgumentError, r"shape\[1\] is -1"),
        (([0, 1, 1], [0], [1.0], (2, 2**40)), InvalidArgumentError, r"shape\[1\] is"),
    ],
)
def test_malformed_parts(parts, error, message):
    with pytest.raises(error, match=message):
        CSR(*parts)


def test_misfit_operands():
    a = CSR([0, 1, 1], [0], [1.0], (2, 3))
    with pytest.raises(InvalidArgumentError, match="so it needs 3 rows"):
        a @ np.ones((2, 2))
    with pytest.raises(InvalidArgumentError, match="row_scale has 3 entries but there are 2 rows"):
        a.matmul(np.ones((3, 2)), row_scale=np.ones(3))
    with pytest.raises(InvalidTypeError, match="must be numeric"):
        a @ [["x"]] * 3
    with pytest.raises(InvalidArgumentError, match="factors has 2 entries but there are 3 columns"):
        a.scale_columns([1.0, 2.0])
    with pytest.raises(InvalidArgumentError, match="factors has NaN"):
        a.scale_rows([1.0, np.inf])
    with pytest.raises(InvalidArgumentError, match="rows holds 2 but there are 2 rows"):
        a.take_rows([0, 2])
    with pytest.raises(InvalidTypeError, match="float32 or float64"):
        a.astype("i4")
    with pytest.raises(InvalidTypeError, match="needs a tocsr"):
        CSR.from_scipy(np.ones((2, 2)))
    with pytest.raises(InvalidTypeError, match="must be numeric"):
        CSR.from_scipy(sp.csr_matrix(np.ones((2, 2), complex)))


@pytest.mark.parametrize("name", ["cora.npz", "citeseer.npz", "amazon_photo.npz"])
def test_real_features(name, data_file):
    features = Graph.load_npz(data_file(name)).features
    matrix = features.to_scipy()
    x = np.random.default_rng(0).normal(size=(features.shape[1], 8)).astype("f4")
    g = np.random.default_rng(1).normal(size=(features.shape[0], 8)).astype("f4")
    np.testing.assert_allclose(features @ x, matrix @ x.astype("f8"), atol=1e-3)
    np.testing.assert_allclose(features.T @ g, matrix.T @ g.astype("f8"), atol=1e-2)


def test_rows_without_entries_have_sums_and_norms_in_float64():
    empty = CSR.from_dense(np.zeros((3, 2), np.float32))
    for found in (empty.row_sums(), empty.row_norms()):
        assert found.dtype == np.float64
        assert found.tolist() == [0, 0, 0]
