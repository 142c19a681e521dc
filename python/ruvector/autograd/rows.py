"""Operations on whole rows or columns: sums, softmax, normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.autograd.checks import check_dtype, check_matrix, check_vector
from ruvector.autograd.elementwise import multiply, scale, subtract
from ruvector.autograd.shapes import broadcast_to, reshape
from ruvector.autograd.variable import Variable, record

__all__ = [
    "layer_norm",
    "log_softmax",
    "logsumexp",
    "mean",
    "normalize_rows",
    "softmax",
    "standardize",
    "total",
]

Array = npt.NDArray[Any]


def total(x: Variable, axis: int | None = None) -> Variable:
    """Return the sum over one axis, or of all values as a scalar."""

    def pullback(g: Array) -> list[Array | None]:
        wide = g if axis is None else np.expand_dims(g, axis)
        return [np.broadcast_to(wide, x.shape)]

    return record(
        np.asarray(x.value.sum(axis=axis)), [x], pullback, lambda g: [_spread(g, x, axis)]
    )


def mean(x: Variable, axis: int | None = None) -> Variable:
    """Return the mean over one axis, or of all values as a scalar."""
    count = x.value.size if axis is None else x.shape[axis]

    def pullback(g: Array) -> list[Array | None]:
        wide = g if axis is None else np.expand_dims(g, axis)
        return [np.broadcast_to(wide / x.value.dtype.type(count), x.shape)]

    return record(
        np.asarray(x.value.mean(axis=axis)),
        [x],
        pullback,
        lambda g: [scale(_spread(g, x, axis), 1 / count)],
    )


def softmax(x: Variable) -> Variable:
    """Return ``exp(x)`` scaled to sum 1 along the last axis; large values do not overflow."""
    value = np.exp(x.value - x.value.max(axis=-1, keepdims=True))
    value /= value.sum(axis=-1, keepdims=True)

    def again(g: Variable) -> list[Variable]:
        y = softmax(x)
        return [multiply(y, subtract(g, _column(total(multiply(g, y), axis=-1))))]

    return record(value, [x], lambda g: [value * (g - _along(g, value))], again)


def log_softmax(x: Variable) -> Variable:
    """Return the logarithm of :func:`softmax`, which keeps its gradient where that is tiny."""
    shifted = x.value - x.value.max(axis=-1, keepdims=True)
    value = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))

    def again(g: Variable) -> list[Variable]:
        return [subtract(g, multiply(softmax(x), _column(total(g, axis=-1))))]

    return record(value, [x], lambda g: [g - np.exp(value) * g.sum(axis=-1, keepdims=True)], again)


def logsumexp(x: Variable) -> Variable:
    """Return ``log(sum(exp(x)))`` along the last axis, which is dropped."""
    top = x.value.max(axis=-1, keepdims=True)
    powers = np.exp(x.value - top)
    sums = powers.sum(axis=-1, keepdims=True)
    value = (top + np.log(sums))[..., 0]
    return record(
        value,
        [x],
        lambda g: [g[..., None] * (powers / sums)],
        lambda g: [multiply(_column(g), softmax(x))],
    )


def layer_norm(x: Variable, scale: Variable, shift: Variable, *, eps: float = 1e-5) -> Variable:
    """Give each row of (n, d) mean 0 and variance 1, then multiply and shift each column.

    The variance is the biased one, with `eps` added. One pass over memory in each direction.

    References
    ----------
    Ba, Kiros and Hinton (2016), "Layer Normalization", arXiv:1607.06450.

    Raises
    ------
    InvalidArgumentError
        `x` has no rows and columns, or `scale` or `shift` another length than these.
    InvalidTypeError
        Several dtypes.
    """
    check_matrix(x, "x")
    for variable, name in ((scale, "scale"), (shift, "shift")):
        check_vector(variable, name)
        check_dtype(variable, name, x, "x")
    rows = np.ascontiguousarray(x.value)
    value, statistics = np.empty_like(rows), np.empty((len(rows), 2), rows.dtype)
    _core.layer_norm(rows, scale.value, shift.value, eps, value, statistics)

    def pullback(g: Array) -> list[Array | None]:
        parts = (np.empty_like(rows), np.empty_like(scale.value), np.empty_like(shift.value))
        gradient = np.ascontiguousarray(g)
        _core.layer_norm_backward(rows, scale.value, statistics, gradient, parts)
        return list(parts)

    return record(value, [x, scale, shift], pullback)


def normalize_rows(x: Variable) -> Variable:
    """Project each row onto the unit sphere; a zero row stays zero and gets no gradient."""
    norms = np.sqrt(np.einsum("ij,ij->i", x.value, x.value))[:, None]
    inverse = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    unit = x.value * inverse
    return record(unit, [x], lambda g: [(g - _along(g, unit) * unit) * inverse])


def standardize(x: Variable, *, eps: float = 1e-5) -> Variable:
    """Give each column mean 0 and variance 1 over the rows.

    The variance is the biased one, with `eps` added, as in batch normalisation (Ioffe and
    Szegedy 2015) without its scale and shift.
    """
    centred = x.value - x.value.mean(axis=0)
    inverse = 1 / np.sqrt((centred * centred).mean(axis=0) + x.value.dtype.type(eps))
    value = centred * inverse

    def pullback(g: Array) -> list[Array | None]:
        return [inverse * (g - g.mean(axis=0) - value * (g * value).mean(axis=0))]

    return record(value, [x], pullback)


def _spread(g: Variable, x: Variable, axis: int | None) -> Variable:
    """Give every value the gradient of the sum it went into."""
    wide = () if axis is None else np.expand_dims(g.value, axis).shape
    return broadcast_to(reshape(g, wide), x.shape)


def _column(x: Variable) -> Variable:
    return reshape(x, (*x.shape, 1))


def _along(g: Array, y: Array) -> Array:
    """The inner product of each row of g and y, as a column."""
    products: Array = np.einsum("...j,...j->...", g, y)[..., None]
    return products
