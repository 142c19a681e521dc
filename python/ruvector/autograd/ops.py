"""Operations on variables. Products run on the package's kernels, the rest on NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ruvector import linalg
from ruvector._core import scatter_add
from ruvector.arrays import check_real
from ruvector.autograd.variable import Variable, record
from ruvector.errors import InvalidArgumentError

if TYPE_CHECKING:
    from ruvector.losses import Loss
    from ruvector.sparse import CSR

__all__ = [
    "add",
    "concat",
    "dropout",
    "gather",
    "loss_node",
    "matmul",
    "normalize_rows",
    "relu",
    "reshape",
    "scale",
    "sparse_matmul",
    "standardize",
    "tanh",
]

Array = npt.NDArray[Any]


def matmul(a: Variable, b: Variable) -> Variable:
    """Return ``a @ b`` for (n, k) and (k, m)."""

    def pullback(g: Array) -> list[Array | None]:
        return [
            linalg.matmul(g, b.value, transpose_b=True) if a.needs_grad else None,
            linalg.matmul(a.value, g, transpose_a=True) if b.needs_grad else None,
        ]

    return record(linalg.matmul(a.value, b.value), [a, b], pullback)


def sparse_matmul(matrix: CSR, x: Variable) -> Variable:
    """Return ``matrix @ x`` for a constant sparse (n, k) and a dense (k, m)."""
    return record(matrix @ x.value, [x], lambda g: [matrix.T @ g])


def add(a: Variable, b: Variable) -> Variable:
    """Return ``a + b`` under NumPy's broadcasting."""

    def pullback(g: Array) -> list[Array | None]:
        return [_unbroadcast(g, a.shape), _unbroadcast(g, b.shape)]

    return record(a.value + b.value, [a, b], pullback)


def scale(x: Variable, factor: float) -> Variable:
    """Return ``factor * x``."""
    typed = x.value.dtype.type(factor)
    return record(x.value * typed, [x], lambda g: [g * typed])


def relu(x: Variable) -> Variable:
    """Return ``max(x, 0)``; the derivative at 0 is 0."""
    positive = x.value > 0
    return record(x.value * positive, [x], lambda g: [g * positive])


def tanh(x: Variable) -> Variable:
    """Return the hyperbolic tangent of `x`."""
    value = np.tanh(x.value)
    return record(value, [x], lambda g: [g * (1 - value * value)])


def dropout(x: Variable, rate: float, *, rng: np.random.Generator | None) -> Variable:
    """Set a share `rate` of the values to 0 and scale the others up; nothing without `rng`."""
    check_real(rate, "rate", low=0, high=np.nextafter(1, 0))
    if rng is None or rate == 0:
        return x
    kept = (rng.random(x.shape, dtype=np.float32) >= rate).astype(x.value.dtype)
    kept /= x.value.dtype.type(1 - rate)
    return record(x.value * kept, [x], lambda g: [g * kept])


def gather(x: Variable, rows: npt.NDArray[np.int64]) -> Variable:
    """Return ``x[rows]``; a row may be taken several times."""
    if rows.size and rows.min() < 0:
        raise InvalidArgumentError(f"rows holds {rows.min()} but must not be negative")

    def pullback(g: Array) -> list[Array | None]:
        gradient = np.zeros_like(x.value)
        scatter_add(rows, np.ascontiguousarray(g), gradient)
        return [gradient]

    return record(x.value[rows], [x], pullback)


def reshape(x: Variable, shape: tuple[int, ...]) -> Variable:
    """Return the same values in another shape."""
    return record(x.value.reshape(shape), [x], lambda g: [g.reshape(x.shape)])


def concat(parts: Sequence[Variable]) -> Variable:
    """Join (n, d_i) variables along their columns."""
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]
    value = np.concatenate([part.value for part in parts], axis=1)
    return record(value, parts, lambda g: np.split(g, ends, axis=1))


def normalize_rows(x: Variable) -> Variable:
    """Project each row onto the unit sphere; a zero row stays zero and gets no gradient."""
    norms = np.sqrt(np.einsum("ij,ij->i", x.value, x.value))[:, None]
    inverse = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    unit = x.value * inverse

    def pullback(g: Array) -> list[Array | None]:
        along = np.einsum("ij,ij->i", g, unit)[:, None]
        return [(g - along * unit) * inverse]

    return record(unit, [x], pullback)


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


def loss_node(loss: Loss, inputs: Sequence[Variable], **options: Any) -> Variable:
    """Return the value of `loss` as a scalar variable.

    Parameters
    ----------
    loss : Loss
        Any loss of :mod:`ruvector.losses` with reduction ``"mean"`` or ``"sum"``.
    inputs : sequence of Variable
        Its embedding inputs in their order.
    **options
        Its other arguments, such as ids.
    """
    if loss.reduction == "none":
        raise InvalidArgumentError("loss has reduction 'none'; use 'mean' or 'sum'")
    result = loss.value_and_grad(*[x.value for x in inputs], **options)  # type: ignore[attr-defined]
    gradients = [g for g in result.gradients if g is not None]
    value = np.asarray(result.value, dtype=inputs[0].value.dtype)
    return record(value, inputs, lambda g: [part * g for part in gradients])


def _unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum `gradient` over the axes along which an operand of `shape` was repeated."""
    extra = gradient.ndim - len(shape)
    repeated = tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and gradient.shape[i + extra] != 1
    )
    summed: Array = gradient.sum(axis=tuple(range(extra)) + repeated, keepdims=True)
    return summed.reshape(shape)
