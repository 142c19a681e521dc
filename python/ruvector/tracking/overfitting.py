"""When training goes on learning what validation does not confirm."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, check_choice, check_int, check_real
from ruvector.errors import InvalidArgumentError

__all__ = ["Overfitting", "find_overfitting"]


class Overfitting(NamedTuple):
    """Where over-fitting shows.

    Attributes
    ----------
    best : int
        Position of validation's best value before.
    found : int
        Position at which it had gone on for long enough.
    gap : float
        How much worse than its best validation was at `found`; positive.
    """

    best: int
    found: int
    gap: float


def find_overfitting(
    train: object,
    validation: object,
    *,
    patience: int = 3,
    min_delta: float = 0.0,
    mode: str = "min",
) -> Overfitting | None:
    """Return where validation gets worse while the training loss still falls, or None.

    That is the first position at which validation has been worse than its best by more than
    `min_delta` for `patience` values in a row, while the training loss at the end of these is
    below what it was at validation's best. Noise that comes back within `patience` is none, and
    neither is a training whose loss rises as well.

    Parameters
    ----------
    train : array_like of shape (n,)
        Losses.
    validation : array_like of shape (n,)
        Losses or, with `mode` "max", scores such as an accuracy. Pairs with NaN are passed over.
    patience : int
        At least 1.
    min_delta : float
        At least 0.
    mode : {"min", "max"}
        Which way validation is better.

    Raises
    ------
    InvalidArgumentError
        Lengths that differ, or a setting out of range.

    Examples
    --------
    >>> from ruvector.tracking import find_overfitting
    >>> find_overfitting([5, 4, 3, 2, 1], [3, 2, 2.5, 3, 3.5])
    Overfitting(best=1, found=4, gap=1.5)
    >>> find_overfitting([5, 4, 3, 2, 1], [3, 2, 2.5, 1.5, 1]) is None
    True
    """
    losses = as_floats(train, "train", ndim=1, dtype=np.float64)
    figures = as_floats(validation, "validation", ndim=1, dtype=np.float64)
    if len(losses) != len(figures):
        raise InvalidArgumentError(
            f"train has {len(losses)} values but validation has {len(figures)}"
        )
    check_int(patience, "patience", low=1)
    check_real(min_delta, "min_delta", low=0.0)
    signed: npt.NDArray[Any] = (
        -figures if check_choice(mode, "mode", choices=("min", "max")) == "max" else figures
    )
    best, worse = -1, 0
    for i, value in enumerate(signed):
        if np.isnan(value) or np.isnan(losses[i]):
            continue
        if best < 0 or value < signed[best]:
            best, worse = i, 0
        elif value > signed[best] + min_delta:
            worse += 1
        else:
            worse = 0
        if worse >= patience and losses[i] < losses[best]:
            return Overfitting(best, i, float(value - signed[best]))
    return None
