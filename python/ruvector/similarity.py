"""Similarities of vectors: pair by pair, all pairs, and the nearest of all pairs.

``dot`` and ``cosine`` are similarities, larger is nearer; ``squared_l2`` is a squared distance,
smaller is nearer.

Inputs may be float64, float32, float16 or int8, and of two types:

* float64 results where one side is float64, float32 results otherwise.
* float16 is decoded block by block inside the kernels, never as a whole.
* Two int8 arrays are multiplied in integers: products, squares and squared distances are exact and
  rounded once, to float32. They may have up to 131,071 columns, beyond which sums could overflow.
  Beside another type, int8 is converted to float32 first, as other integers are.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, as_numbers, check_choice, check_int
from ruvector.errors import InvalidArgumentError

__all__ = [
    "CosineResult",
    "TopK",
    "cosine",
    "cosine_and_grad",
    "cosine_matrix",
    "dot",
    "dot_matrix",
    "squared_l2",
    "squared_l2_matrix",
    "top_k",
]

Array = npt.NDArray[Any]


class CosineResult(NamedTuple):
    """Cosines of row pairs with their gradients."""

    value: Array
    grad_a: Array
    grad_b: Array


class TopK(NamedTuple):
    """The nearest rows of each query, nearest first."""

    rows: npt.NDArray[np.int64]
    scores: Array


def _rows(value: object, name: str) -> Array:
    """Rows of a type that the kernels read; other numbers become float32."""
    array = as_numbers(value, name)
    if array.dtype in (np.float16, np.int8) and array.ndim in (1, 2):
        return np.ascontiguousarray(array).reshape(array.shape)
    return as_floats(array, name, ndim=(1, 2))


def _two(a: object, b: object, *, names: tuple[str, str] = ("a", "b")) -> tuple[Array, Array]:
    """Both sides in types that go together."""
    left, right = _rows(a, names[0]), _rows(b, names[1])
    if left.shape[-1] != right.shape[-1]:
        raise InvalidArgumentError(
            f"{names[1]} has shape {right.shape} but {names[0]} has shape {left.shape}; "
            "the last axes must be equally long"
        )
    if left.dtype == right.dtype == np.int8:
        return left, right
    dtype = _result_type(left, right)
    return _beside(left, dtype), _beside(right, dtype)


def _result_type(a: Array, b: Array) -> np.dtype[Any]:
    return np.dtype(np.float64 if np.float64 in (a.dtype, b.dtype) else np.float32)


def _beside(array: Array, dtype: np.dtype[Any]) -> Array:
    return array if array.dtype == np.float16 else array.astype(dtype, copy=False)


def _bits(array: Array) -> Array:
    """What the core takes: halves as the integers that their bits are."""
    return array.view(np.uint16) if array.dtype == np.float16 else array


def _pairs(name: str, a: object, b: object) -> Any:
    left, right = _two(a, b)
    if left.shape != right.shape:
        raise InvalidArgumentError(
            f"b has shape {right.shape} but a has shape {left.shape}; for all pairs use "
            f"{name}_matrix"
        )
    left_rows, right_rows = np.atleast_2d(left), np.atleast_2d(right)
    values = _core.similarity_pairs(name, _bits(left_rows), _bits(right_rows))
    return values if left.ndim == 2 else values[0]


def _matrix(name: str, a: object, b: object) -> Array:
    left, right = (np.atleast_2d(array) for array in _two(a, b))
    out = np.empty((len(left), len(right)), _result_type(left, right))
    _core.similarity_matrix(name, _bits(left), _bits(right), out)
    return out


def dot(a: npt.ArrayLike, b: npt.ArrayLike) -> Any:
    """Return the inner product of each row of `a` with the same row of `b`.

    Parameters
    ----------
    a, b : array_like of float or int8, shape (n, d) or (d,)

    Returns
    -------
    ndarray of shape (n,), or a scalar for two vectors

    Raises
    ------
    InvalidArgumentError
        Different shapes, NaN or infinity.

    Examples
    --------
    >>> from ruvector.similarity import dot
    >>> float(dot([1.0, 2.0], [3.0, 4.0]))
    11.0
    """
    return _pairs("dot", a, b)


def cosine(a: npt.ArrayLike, b: npt.ArrayLike) -> Any:
    """Return ``a·b / max(|a||b|, 1e-8)`` of each row of `a` with the same row of `b`.

    Within [-1, 1]; a zero vector has cosine 0 with everything.

    Parameters
    ----------
    a, b : array_like of float or int8, shape (n, d) or (d,)

    Returns
    -------
    ndarray of shape (n,), or a scalar for two vectors

    Raises
    ------
    InvalidArgumentError
        Different shapes, NaN or infinity.

    Examples
    --------
    >>> from ruvector.similarity import cosine
    >>> round(float(cosine([3.0, 4.0], [4.0, 3.0])), 6)
    0.96
    """
    return _pairs("cosine", a, b)


def squared_l2(a: npt.ArrayLike, b: npt.ArrayLike) -> Any:
    """Return the squared Euclidean distance of each row of `a` to the same row of `b`.

    Parameters
    ----------
    a, b : array_like of float or int8, shape (n, d) or (d,)

    Returns
    -------
    ndarray of shape (n,), or a scalar for two vectors

    Raises
    ------
    InvalidArgumentError
        Different shapes, NaN or infinity.

    Examples
    --------
    >>> from ruvector.similarity import squared_l2
    >>> float(squared_l2([1.0, 2.0], [3.0, 4.0]))
    8.0
    """
    return _pairs("squared_l2", a, b)


def cosine_and_grad(a: npt.ArrayLike, b: npt.ArrayLike) -> CosineResult:
    """Return the cosine of each pair of rows and its gradients.

    Where ``|a||b| > 1e-8`` the gradient to a is ``b/(|a||b|) - cos·a/|a|²``, else ``b/1e-8``.

    Parameters
    ----------
    a, b : array_like of float, shape (n, d)

    Returns
    -------
    CosineResult
        `value` of shape (n,), `grad_a` and `grad_b` of shape (n, d).

    Raises
    ------
    InvalidArgumentError
        Different shapes, NaN or infinity.

    Examples
    --------
    >>> from ruvector.similarity import cosine_and_grad
    >>> cosine_and_grad([[1.0, 0.0]], [[0.0, 2.0]]).grad_a
    array([[0., 1.]])
    """
    left, right = as_floats(a, "a", ndim=(1, 2)), as_floats(b, "b", ndim=(1, 2))
    dtype = np.result_type(left, right)
    left, right = left.astype(dtype, copy=False), right.astype(dtype, copy=False)
    if left.ndim != 2 or left.shape != right.shape:
        raise InvalidArgumentError(
            f"b has shape {right.shape} but a has shape {left.shape}; both must be (n, d)"
        )
    grad_a, grad_b = np.empty_like(left), np.empty_like(right)
    value = _core.cosine_gradients(left, right, grad_a, grad_b)
    return CosineResult(value, grad_a, grad_b)


def dot_matrix(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """Return the inner product of each row of `a` with each row of `b`.

    Parameters
    ----------
    a : array_like of float or int8, shape (n, d) or (d,)
    b : array_like of float or int8, shape (m, d) or (d,)

    Returns
    -------
    ndarray of shape (n, m)

    Raises
    ------
    InvalidArgumentError
        Different numbers of columns, NaN or infinity.

    Examples
    --------
    >>> from ruvector.similarity import dot_matrix
    >>> dot_matrix([[1.0, 2.0]], [[3.0, 4.0], [0.0, 1.0]])
    array([[11.,  2.]])
    """
    return _matrix("dot", a, b)


def cosine_matrix(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """Return the cosine of each row of `a` with each row of `b`, as :func:`cosine` defines it.

    Parameters
    ----------
    a : array_like of float or int8, shape (n, d) or (d,)
    b : array_like of float or int8, shape (m, d) or (d,)

    Returns
    -------
    ndarray of shape (n, m)

    Raises
    ------
    InvalidArgumentError
        Different numbers of columns, NaN or infinity.

    Notes
    -----
    One matrix product whose tiles are divided by the lengths while they are in the cache. Where
    one side has up to 8 rows, the other is read once, its lengths included. No side is copied.

    Examples
    --------
    >>> from ruvector.similarity import cosine_matrix
    >>> cosine_matrix([[1.0, 0.0]], [[2.0, 0.0], [0.0, 0.0]])
    array([[1., 0.]])
    """
    return _matrix("cosine", a, b)


def squared_l2_matrix(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """Return the squared Euclidean distance of each row of `a` to each row of `b`.

    Differences of floats are squared and added as they are, tile by tile, so near points keep all
    digits.

    Parameters
    ----------
    a : array_like of float or int8, shape (n, d) or (d,)
    b : array_like of float or int8, shape (m, d) or (d,)

    Returns
    -------
    ndarray of shape (n, m)

    Raises
    ------
    InvalidArgumentError
        Different numbers of columns, NaN or infinity.

    Examples
    --------
    >>> from ruvector.similarity import squared_l2_matrix
    >>> squared_l2_matrix([[1.0, 2.0]], [[3.0, 4.0], [1.0, 2.0]])
    array([[8., 0.]])
    """
    return _matrix("squared_l2", a, b)


def top_k(queries: npt.ArrayLike, base: npt.ArrayLike, k: int, *, metric: str = "cosine") -> TopK:
    """Return the `k` rows of `base` nearest to each query.

    Scores are those of :func:`cosine_matrix`, :func:`dot_matrix` or :func:`squared_l2_matrix`, bit
    by bit, but only blocks of that matrix exist at a time. The same for any number of threads.

    Parameters
    ----------
    queries : array_like of float or int8, shape (n, d) or (d,)
    base : array_like of float or int8, shape (m, d) or (d,)
    k : int
        At least 1. With more than m, all rows are returned.
    metric : {"cosine", "dot", "squared_l2"}
        Largest first for the similarities, smallest first for the squared distance. Rows that are
        equally near come in the order of their numbers. Sums that overflow are infinite or NaN,
        as in the matrix; NaN comes last.

    Returns
    -------
    TopK
        `rows`, int64 of shape (n, min(k, m)), and `scores` of the same shape.

    Raises
    ------
    InvalidArgumentError
        Different numbers of columns, NaN or infinity, `k` below 1, more than 2**28 results, an
        unknown metric.

    See Also
    --------
    ruvector.index.FlatIndex : keeps vectors with ids, to be searched again and again.

    Notes
    -----
    O(n m d) operations; O(n k) memory beside blocks of about 1 MiB for each thread.

    Examples
    --------
    >>> from ruvector.similarity import top_k
    >>> found = top_k([[1.0, 0.0]], [[0.0, 3.0], [2.0, 0.0], [1.0, 1.0]], 2)
    >>> found.rows
    array([[1, 2]])
    >>> found.scores.round(3)
    array([[1.   , 0.707]])
    """
    k = check_int(k, "k", low=1)
    metric = check_choice(metric, "metric", choices=("cosine", "dot", "squared_l2"))
    left, right = (np.atleast_2d(array) for array in _two(queries, base, names=("queries", "base")))
    rows, scores = _core.similarity_top(metric, _bits(left), _bits(right), min(k, len(right)))
    shape = (len(left), min(k, len(right)))
    return TopK(rows.reshape(shape), scores.reshape(shape))
