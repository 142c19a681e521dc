"""Operations on what the rows of a sparse pattern name: neighbours of nodes, nodes of graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.autograd.checks import check_matrix
from ruvector.autograd.products import parts_of, transposed
from ruvector.autograd.variable import Variable, record
from ruvector.errors import InvalidArgumentError

if TYPE_CHECKING:
    from ruvector.sparse import CSR

__all__ = ["segment_max", "segment_mean", "segment_softmax", "segment_sum"]

Array = npt.NDArray[Any]


def segment_softmax(pattern: CSR, scores: Variable) -> Variable:
    """Return the softmax of scores over the entries of each row.

    Parameters
    ----------
    pattern : CSR of shape (n, k)
        Its values are not read.
    scores : Variable of shape (nnz,) or (nnz, heads)
        One an entry, or one for each head, each of which has a softmax of its own.

    Returns
    -------
    Variable of the shape of `scores`
        The shares of a row's entries, which add up to 1.
    """
    if scores.shape[:1] != (pattern.nnz,):
        raise InvalidArgumentError(
            f"scores has shape {scores.shape} but the pattern has {pattern.nnz} entries"
        )
    heads = scores.shape[1] if scores.value.ndim > 1 else 1
    shares = np.array(scores.value, order="C").reshape(pattern.nnz, heads)
    _core.csr_softmax(parts_of(pattern), shares)

    def pullback(g: Array) -> list[Array | None]:
        gradient = np.array(g, order="C").reshape(shares.shape)
        _core.csr_softmax_backward(parts_of(pattern), shares, gradient)
        return [gradient.reshape(scores.shape)]

    return record(shares.reshape(scores.shape), [scores], pullback)


def segment_sum(pattern: CSR, x: Variable) -> Variable:
    """Return for each row of the pattern the sum of the rows of `x` that it names.

    Parameters
    ----------
    pattern : CSR of shape (n, k)
        Its values are not read; see :func:`ruvector.autograd.sparse_matmul` for weighted sums.
    x : Variable of shape (k, d)

    Returns
    -------
    Variable of shape (n, d)
        0 for rows without entries.

    Raises
    ------
    InvalidArgumentError
        `x` has another shape.
    """
    check_matrix(x, "x")
    value = _plain_sum(parts_of(pattern), x.value, None)
    return record(value, [x], lambda g: [_plain_sum(transposed(pattern)[0], g, None)])


def segment_mean(pattern: CSR, x: Variable) -> Variable:
    """Return the mean where :func:`segment_sum` returns the sum; 0 for rows without entries."""
    check_matrix(x, "x")
    counts = np.maximum(np.diff(pattern.indptr), 1)
    inverse = (1 / counts).astype(x.value.dtype)

    def pullback(g: Array) -> list[Array | None]:
        return [_plain_sum(transposed(pattern)[0], g * inverse[:, None], None)]

    return record(_plain_sum(parts_of(pattern), x.value, inverse), [x], pullback)


def segment_max(pattern: CSR, x: Variable) -> Variable:
    """Return the largest value of each column where :func:`segment_sum` returns the sum.

    Where several rows have the largest value the first gets the gradient. Rows without entries
    have 0.
    """
    check_matrix(x, "x")
    dense = np.ascontiguousarray(x.value)
    shape = (pattern.shape[0], *x.shape[1:])
    value, which = np.empty(shape, dense.dtype), np.empty(shape, np.int32)
    _core.csr_max(parts_of(pattern), dense, value, which)

    def pullback(g: Array) -> list[Array | None]:
        gradient = np.empty_like(dense)
        parts = transposed(pattern)[0]
        _core.csr_max_backward(parts, which, np.ascontiguousarray(g), gradient)
        return [gradient]

    return record(value, [x], pullback)


def _plain_sum(
    parts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], int], x: Array, scale: Array | None
) -> Array:
    indptr, indices, cols = parts
    function = _core.csr_matmul_f64 if x.dtype == np.float64 else _core.csr_matmul_f32
    result: Array = function(indptr, indices, None, cols, np.ascontiguousarray(x), scale)
    return result
