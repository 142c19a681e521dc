"""Operations that move values and compute none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_ids, check_int
from ruvector.autograd.checks import check_rows
from ruvector.autograd.variable import Variable, record
from ruvector.errors import InvalidArgumentError

__all__ = [
    "broadcast_to",
    "concat",
    "gather",
    "reshape",
    "scatter_add",
    "sum_to",
    "take_slice",
    "transpose",
]

Array = npt.NDArray[Any]


def reshape(x: Variable, shape: tuple[int, ...]) -> Variable:
    """Return the same values in another shape."""
    return record(
        x.value.reshape(shape),
        [x],
        lambda g: [g.reshape(x.shape)],
        lambda g: [reshape(g, x.shape)],
    )


def transpose(x: Variable) -> Variable:
    """Return `x` with its axes in reverse order."""
    return record(x.value.T, [x], lambda g: [g.T], lambda g: [transpose(g)])


def broadcast_to(x: Variable, shape: tuple[int, ...]) -> Variable:
    """Return `x` repeated to `shape` by NumPy's rules."""
    return record(
        np.broadcast_to(x.value, shape),
        [x],
        lambda g: [unbroadcast(g, x.shape)],
        lambda g: [sum_to(g, x.shape)],
    )


def sum_to(x: Variable, shape: tuple[int, ...]) -> Variable:
    """Sum `x` over the axes along which something of `shape` was repeated to its shape."""
    return record(
        unbroadcast(x.value, shape),
        [x],
        lambda g: [np.broadcast_to(g, x.shape)],
        lambda g: [broadcast_to(g, x.shape)],
    )


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum `gradient` over the axes along which an operand of `shape` was repeated."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    repeated = tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and gradient.shape[i + extra] != 1
    )
    summed: Array = gradient.sum(axis=tuple(range(extra)) + repeated, keepdims=True)
    return summed.reshape(shape)


def concat(parts: Sequence[Variable]) -> Variable:
    """Join (n, d_i) variables along their columns."""
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    value = np.concatenate([part.value for part in parts], axis=1)
    begins = [0, *ends]

    def again(g: Variable) -> list[Variable]:
        return [
            take_slice(g, (slice(None), slice(begin, begin + part.shape[1])))
            for begin, part in zip(begins, parts, strict=True)
        ]

    return record(value, parts, lambda g: np.split(g, ends, axis=1), again)


def take_slice(x: Variable, key: slice | tuple[slice | int, ...]) -> Variable:
    """Return ``x[key]``, with integers and slices as key: ``(slice(None), slice(0, 8))``."""
    parts = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(part, (slice, int, np.integer)) for part in parts):
        raise InvalidArgumentError(
            f"key is {key!r} but may hold integers and slices alone; use gather for lists of rows"
        )

    def pullback(g: Array) -> list[Array | None]:
        gradient = np.zeros_like(x.value)
        gradient[key] = g
        return [gradient]

    return record(x.value[key], [x], pullback)


def gather(x: Variable, rows: npt.NDArray[np.int64]) -> Variable:
    """Return ``x[rows]``; a row may be taken several times.

    Raises
    ------
    InvalidArgumentError
        A row number that is negative or too large, or an `x` without rows.
    """
    check_rows(x, "x")
    index = as_ids(rows, "rows")
    flat = _matrix(x.value)
    value = np.empty((len(index), flat.shape[1]), x.value.dtype)
    _core.gather(flat, index, value)

    def pullback(g: Array) -> list[Array | None]:
        gradient = np.zeros_like(flat)
        _core.scatter_add(index, _matrix(g), gradient)
        return [gradient.reshape(x.shape)]

    return record(
        value.reshape((len(index), *x.shape[1:])),
        [x],
        pullback,
        lambda g: [scatter_add(g, index, len(flat))],
    )


def scatter_add(x: Variable, rows: npt.NDArray[np.int64], count: int) -> Variable:
    """Return `count` rows, where row ``rows[i]`` has the sum of all ``x[i]`` sent to it.

    Repeats are added in the order of `rows`, for any number of threads.
    """
    check_rows(x, "x")
    index = as_ids(rows, "rows")
    flat = _matrix(x.value)
    value = np.zeros((check_int(count, "count", low=0), flat.shape[1]), x.value.dtype)
    _core.scatter_add(index, flat, value)

    def pullback(g: Array) -> list[Array | None]:
        gradient = np.empty_like(flat)
        _core.gather(_matrix(g), index, gradient)
        return [gradient.reshape(x.shape)]

    return record(
        value.reshape((len(value), *x.shape[1:])), [x], pullback, lambda g: [gather(g, index)]
    )


def _matrix(x: Array) -> Array:
    return np.ascontiguousarray(x).reshape(len(x), int(np.prod(x.shape[1:])))
