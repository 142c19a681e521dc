"""Dense and sparse products, on the package's kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ruvector import _core, linalg
from ruvector.arrays import check_int
from ruvector.autograd.elementwise import multiply
from ruvector.autograd.rows import total
from ruvector.autograd.shapes import transpose
from ruvector.autograd.variable import Variable, record
from ruvector.errors import InvalidArgumentError

if TYPE_CHECKING:
    from ruvector.sparse import CSR

__all__ = ["bilinear", "edge_products", "matmul", "sparse_matmul", "weighted_matmul"]

Array = npt.NDArray[Any]
Pattern = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], int]


def matmul(a: Variable, b: Variable) -> Variable:
    """Return ``a @ b`` for (n, k) and (k, m)."""

    def pullback(g: Array) -> list[Array | None]:
        return [
            linalg.matmul(g, b.value, transpose_b=True) if a.needs_grad else None,
            linalg.matmul(a.value, g, transpose_a=True) if b.needs_grad else None,
        ]

    def again(g: Variable) -> list[Variable | None]:
        return [
            matmul(g, transpose(b)) if a.needs_grad else None,
            matmul(transpose(a), g) if b.needs_grad else None,
        ]

    return record(linalg.matmul(a.value, b.value), [a, b], pullback, again)


def bilinear(a: Variable, weight: Variable, b: Variable) -> Variable:
    """Return ``a_i · weight · b_i`` for each row i of (n, d), (d, k) and (n, k) or (k,)."""
    return total(multiply(matmul(a, weight), b), axis=1)


def sparse_matmul(matrix: CSR, x: Variable) -> Variable:
    """Return ``matrix @ x`` for a constant sparse (n, k) and a dense (k, m)."""
    return record(
        matrix @ x.value, [x], lambda g: [matrix.T @ g], lambda g: [sparse_matmul(matrix.T, g)]
    )


def weighted_matmul(pattern: CSR, weights: Variable, x: Variable) -> Variable:
    """Multiply a sparse matrix whose values are variables, one or several an entry.

    Parameters
    ----------
    pattern : CSR of shape (n, k)
        Where the entries are; its own values are not read.
    weights : Variable of shape (nnz,) or (nnz, heads)
        Values of the entries in their order. With several heads, head h weighs the h-th of
        `heads` equal shares of the columns.
    x : Variable of shape (k, d)

    Returns
    -------
    Variable of shape (n, d)

    Raises
    ------
    InvalidArgumentError
        Shapes that do not fit.

    Notes
    -----
    O(nnz · d) in either direction; the same bits for any number of threads.
    """
    if weights.shape[:1] != (pattern.nnz,):
        raise InvalidArgumentError(
            f"weights has shape {weights.shape} but the pattern has {pattern.nnz} entries"
        )
    heads = weights.shape[1] if weights.value.ndim > 1 else 1
    values, dense = _same(weights.value.reshape(pattern.nnz, heads), x.value)

    def pullback(g: Array) -> list[Array | None]:
        return [
            _products(pattern, heads, g, dense).reshape(weights.shape)
            if weights.needs_grad
            else None,
            _sum_back(pattern, values, g) if x.needs_grad else None,
        ]

    return record(_sum(pattern, values, dense), [weights, x], pullback)


def edge_products(pattern: CSR, a: Variable, b: Variable, *, heads: int = 1) -> Variable:
    """Return the inner product of row i of `a` and row j of `b` for each entry (i, j).

    Parameters
    ----------
    pattern : CSR of shape (n, k)
        Which pairs; its values are not read.
    a, b : Variable of shape (n, d) and (k, d)
    heads : int
        Equal shares of the columns, with a product each.

    Returns
    -------
    Variable of shape (nnz, heads)

    Notes
    -----
    O(nnz · d) in either direction: what is not an entry is not computed.
    """
    heads = check_int(heads, "heads", low=1)
    left, right = _same(a.value, b.value)

    def pullback(g: Array) -> list[Array | None]:
        return [
            _sum(pattern, g, right) if a.needs_grad else None,
            _sum_back(pattern, g, left) if b.needs_grad else None,
        ]

    return record(_products(pattern, heads, left, right), [a, b], pullback)


def parts_of(pattern: CSR) -> Pattern:
    """Return what the kernels take of a pattern."""
    return pattern.indptr, pattern.indices, pattern.shape[1]


_TRANSPOSED: WeakKeyDictionary[CSR, tuple[Pattern, npt.NDArray[np.int64]]] = WeakKeyDictionary()


def transposed(pattern: CSR) -> tuple[Pattern, npt.NDArray[np.int64]]:
    """Return the parts of the transpose and which entry each of its entries was; kept."""
    found = _TRANSPOSED.get(pattern)
    if found is None:
        # Places as values: below 2⁵³ float64 holds them exactly.
        places = np.arange(pattern.nnz, dtype=np.float64)
        indptr, indices, order = _core.csr_transpose_f64(
            pattern.indptr, pattern.indices, places, pattern.shape[1]
        )
        assert order is not None
        found = (indptr, indices, pattern.shape[0]), order.astype(np.int64)
        _TRANSPOSED[pattern] = found
    return found


def _same(a: Array, b: Array) -> tuple[Array, Array]:
    dtype = np.result_type(a.dtype, b.dtype)
    return np.ascontiguousarray(a, dtype), np.ascontiguousarray(b, dtype)


def _sum(pattern: CSR, weights: Array, x: Array) -> Array:
    weights, x = _same(weights, x)
    out = np.empty((pattern.shape[0], x.shape[1]), x.dtype)
    _core.csr_weighted_sum(parts_of(pattern), weights, x, out)
    return out


def _sum_back(pattern: CSR, weights: Array, g: Array) -> Array:
    weights, g = _same(weights, g)
    out = np.empty((pattern.shape[1], g.shape[1]), g.dtype)
    parts, order = transposed(pattern)
    _core.csr_weighted_sum(parts, weights, g, out, order)
    return out


def _products(pattern: CSR, heads: int, a: Array, b: Array) -> Array:
    a, b = _same(a, b)
    out = np.empty((pattern.nnz, heads), a.dtype)
    _core.csr_sampled_products(parts_of(pattern), a, b, out)
    return out
