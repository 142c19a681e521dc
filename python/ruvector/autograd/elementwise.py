"""Operations on single values, with NumPy's broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_real
from ruvector.autograd.shapes import sum_to, unbroadcast
from ruvector.autograd.variable import Variable, constant, record

__all__ = [
    "add",
    "divide",
    "dropout",
    "elu",
    "exp",
    "leaky_relu",
    "log",
    "multiply",
    "prelu",
    "relu",
    "scale",
    "sigmoid",
    "subtract",
    "tanh",
]

Array = npt.NDArray[Any]


def add(a: Variable, b: Variable) -> Variable:
    """Return ``a + b`` under NumPy's broadcasting."""
    return record(
        a.value + b.value,
        [a, b],
        lambda g: [unbroadcast(g, a.shape), unbroadcast(g, b.shape)],
        lambda g: [sum_to(g, a.shape), sum_to(g, b.shape)],
    )


def subtract(a: Variable, b: Variable) -> Variable:
    """Return ``a - b`` under NumPy's broadcasting."""
    return record(
        a.value - b.value,
        [a, b],
        lambda g: [unbroadcast(g, a.shape), -unbroadcast(g, b.shape)],
        lambda g: [sum_to(g, a.shape), sum_to(scale(g, -1), b.shape)],
    )


def multiply(a: Variable, b: Variable) -> Variable:
    """Return ``a * b``, value by value, under NumPy's broadcasting."""

    def pullback(g: Array) -> list[Array | None]:
        return [
            unbroadcast(g * b.value, a.shape) if a.needs_grad else None,
            unbroadcast(g * a.value, b.shape) if b.needs_grad else None,
        ]

    def again(g: Variable) -> list[Variable | None]:
        return [
            sum_to(multiply(g, b), a.shape) if a.needs_grad else None,
            sum_to(multiply(g, a), b.shape) if b.needs_grad else None,
        ]

    return record(a.value * b.value, [a, b], pullback, again)


def divide(a: Variable, b: Variable) -> Variable:
    """Return ``a / b``, value by value, under NumPy's broadcasting."""
    value = a.value / b.value

    def pullback(g: Array) -> list[Array | None]:
        share = g / b.value
        return [
            unbroadcast(share, a.shape) if a.needs_grad else None,
            -unbroadcast(share * value, b.shape) if b.needs_grad else None,
        ]

    def again(g: Variable) -> list[Variable | None]:
        share = divide(g, b)
        return [
            sum_to(share, a.shape) if a.needs_grad else None,
            sum_to(scale(multiply(share, divide(a, b)), -1), b.shape) if b.needs_grad else None,
        ]

    return record(value, [a, b], pullback, again)


def scale(x: Variable, factor: float) -> Variable:
    """Return ``factor * x``."""
    typed = x.value.dtype.type(factor)
    return record(x.value * typed, [x], lambda g: [g * typed], lambda g: [scale(g, factor)])


def exp(x: Variable) -> Variable:
    """Return e to the power of `x`."""
    value = np.exp(x.value)
    return record(value, [x], lambda g: [g * value], lambda g: [multiply(g, exp(x))])


def log(x: Variable) -> Variable:
    """Return the natural logarithm of `x`, which must be positive."""
    return record(np.log(x.value), [x], lambda g: [g / x.value], lambda g: [divide(g, x)])


def relu(x: Variable) -> Variable:
    """Return ``max(x, 0)``; the derivative at 0 is 0."""
    positive = x.value > 0

    def again(g: Variable) -> list[Variable]:
        return [multiply(g, constant(positive.astype(g.value.dtype)))]

    return record(np.maximum(x.value, 0), [x], lambda g: [g * positive], again)


def leaky_relu(x: Variable, slope: float = 0.01) -> Variable:
    """Return `x` where it is positive and ``slope * x`` elsewhere.

    References
    ----------
    Maas, Hannun and Ng (2013), "Rectifier Nonlinearities Improve Neural Network Acoustic Models".
    """
    factors = _sides(x.value > 0, x.value.dtype.type(slope))
    return record(
        x.value * factors,
        [x],
        lambda g: [g * factors],
        lambda g: [multiply(g, constant(factors))],
    )


def prelu(x: Variable, slope: Variable) -> Variable:
    """Return `x` where it is positive and ``slope * x`` elsewhere; `slope` is learned.

    References
    ----------
    He, Zhang, Ren and Sun (2015), "Delving Deep into Rectifiers".
    """
    factors = _sides(x.value > 0, slope.value)

    def pullback(g: Array) -> list[Array | None]:
        return [g * factors, unbroadcast(g * np.minimum(x.value, 0), slope.shape)]

    return record(x.value * factors, [x, slope], pullback)


def elu(x: Variable, alpha: float = 1.0) -> Variable:
    """Return `x` where it is positive and ``alpha * (exp(x) - 1)`` elsewhere.

    References
    ----------
    Clevert, Unterthiner and Hochreiter (2016), "Fast and Accurate Deep Network Learning by
    Exponential Linear Units (ELUs)", ICLR.
    """
    typed = x.value.dtype.type(alpha)
    below = typed * np.expm1(np.minimum(x.value, 0))
    slopes = _sides(x.value > 0, below + typed)
    return record(np.maximum(x.value, 0) + below, [x], lambda g: [g * slopes])


def sigmoid(x: Variable) -> Variable:
    """Return ``1 / (1 + exp(-x))``, to the dtype's precision beside 1; nothing overflows."""
    half = x.value.dtype.type(0.5)
    value = np.tanh(half * x.value)
    value = half * value + half

    def again(g: Variable) -> list[Variable]:
        y = sigmoid(x)
        return [multiply(g, subtract(y, multiply(y, y)))]

    return record(value, [x], lambda g: [g * value * (1 - value)], again)


def tanh(x: Variable) -> Variable:
    """Return the hyperbolic tangent of `x`."""
    value = np.tanh(x.value)

    def again(g: Variable) -> list[Variable]:
        y = tanh(x)
        return [subtract(g, multiply(g, multiply(y, y)))]

    return record(value, [x], lambda g: [g * (1 - value * value)], again)


def dropout(x: Variable, rate: float, *, rng: np.random.Generator | None) -> Variable:
    """Set a share `rate` of the values to 0 and scale the others up; nothing without `rng`.

    References
    ----------
    Srivastava et al. (2014), "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".
    """
    check_real(rate, "rate", low=0, high=np.nextafter(1, 0))
    if rng is None or rate == 0:
        return x
    kept = (rng.random(x.shape, dtype=np.float32) >= rate).astype(x.value.dtype)
    kept /= x.value.dtype.type(1 - rate)
    return record(
        x.value * kept, [x], lambda g: [g * kept], lambda g: [multiply(g, constant(kept))]
    )


def _sides(positive: npt.NDArray[np.bool_], below: Any) -> Array:
    """Return 1 where `positive` and `below` elsewhere.

    Ten times as fast as ``np.where``, whose branches random signs mislead.
    """
    # NumPy 1 would make a float16 of a truth value times a scalar.
    factors: Array = np.multiply(~positive, below, dtype=below.dtype)
    factors += positive
    return factors
