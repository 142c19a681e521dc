"""Losses as operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ruvector.autograd.variable import Variable, constant, record
from ruvector.errors import InvalidArgumentError

if TYPE_CHECKING:
    from ruvector.losses import Loss

__all__ = ["loss_node"]


def loss_node(loss: Loss, inputs: Sequence[Variable | None], **options: Any) -> Variable:
    """Return the value of `loss` as a scalar variable.

    Parameters
    ----------
    loss : Loss
        Any loss of :mod:`ruvector.losses` with reduction ``"mean"`` or ``"sum"``.
    inputs : sequence of Variable
        What it has gradients for, in its order; None for an optional input that is left out.
    **options
        Its other arguments by name, such as ids, labels or edges.
    """
    if loss.reduction == "none":
        raise InvalidArgumentError("loss has reduction 'none'; use 'mean' or 'sum'")
    given = [x for x in inputs if x is not None]
    dtype = np.result_type(*(x.value.dtype for x in given))
    values = [None if x is None else x.value for x in inputs]
    if not any(x.needs_grad for x in given):
        return constant(np.asarray(loss(*values, **options), dtype=dtype))  # type: ignore[operator]
    result = loss.value_and_grad(*values, **options)  # type: ignore[attr-defined]
    gradients = [
        gradient for gradient, x in zip(result.gradients, inputs, strict=False) if x is not None
    ]
    value = np.asarray(result.value, dtype=dtype)

    def pullback(g: npt.NDArray[Any]) -> list[npt.NDArray[Any] | None]:
        # Mostly the loss is what is differentiated; its gradients need no other copy then.
        return [part if part is None or g == 1 else part * g for part in gradients]

    return record(value, given, pullback)
