"""Similarities of vectors: pair by pair and all pairs.

``dot`` and ``cosine`` are similarities, larger is nearer; ``squared_l2`` is a squared distance,
smaller is nearer. Results have the dtype of the inputs, the wider one where they differ.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats
from ruvector.errors import InvalidArgumentError

__all__ = [
    "CosineResult",
    "cosine",
    "cosine_and_grad",
    "cosine_matrix",
    "dot",
    "dot_matrix",
    "squared_l2",
    "squared_l2_matrix",
]

Array = npt.NDArray[Any]


class CosineResult(NamedTuple):
    """Cosines of row pairs with their gradients."""

    value: Array
    grad_a: Array
    grad_b: Array


def _two(a: object, b: object) -> tuple[Array, Array]:
    left, right = as_floats(a, "a", ndim=(1, 2)), as_floats(b, "b", ndim=(1, 2))
    if left.shape[-1] != right.shape[-1]:
        raise InvalidArgumentError(
            f"b has shape {right.shape} but a has shape {left.shape}; "
            "the last axes must be equally long"
        )
    dtype = np.result_type(left, right)
    return left.astype(dtype, copy=False), right.astype(dtype, copy=False)


def _pairs(name: str, a: object, b: object) -> Any:
    left, right = _two(a, b)
    if left.shape != right.shape:
        raise InvalidArgumentError(
            f"b has shape {right.shape} but a has shape {left.shape}; for all pairs use "
            f"{name}_matrix"
        )
    values = _core.similarity_pairs(name, np.atleast_2d(left), np.atleast_2d(right))
    return values if left.ndim == 2 else values[0]


def _matrix(name: str, a: object, b: object) -> Array:
    left, right = (np.atleast_2d(array) for array in _two(a, b))
    out = np.empty((len(left), len(right)), left.dtype)
    _core.similarity_matrix(name, left, right, out)
    return out


def dot(a: npt.ArrayLike, b: npt.ArrayLike) -> Any:
    """Return the inner product of each row of `a` with the same row of `b`.

    Parameters
    ----------
    a, b : array_like of float, shape (n, d) or (d,)

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
    a, b : array_like of float, shape (n, d) or (d,)

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
    a, b : array_like of float, shape (n, d) or (d,)

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
    left, right = _two(a, b)
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
    a : array_like of float, shape (n, d) or (d,)
    b : array_like of float, shape (m, d) or (d,)

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
    a : array_like of float, shape (n, d) or (d,)
    b : array_like of float, shape (m, d) or (d,)

    Returns
    -------
    ndarray of shape (n, m)

    Raises
    ------
    InvalidArgumentError
        Different numbers of columns, NaN or infinity.

    Notes
    -----
    One matrix product over normalised copies; a single row of `a` is compared in one sweep over
    `b` without a copy.

    Examples
    --------
    >>> from ruvector.similarity import cosine_matrix
    >>> cosine_matrix([[1.0, 0.0]], [[2.0, 0.0], [0.0, 0.0]])
    array([[1., 0.]])
    """
    return _matrix("cosine", a, b)


def squared_l2_matrix(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """Return the squared Euclidean distance of each row of `a` to each row of `b`.

    Differences are squared and added as they are, so near points keep all digits.

    Parameters
    ----------
    a : array_like of float, shape (n, d) or (d,)
    b : array_like of float, shape (m, d) or (d,)

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
