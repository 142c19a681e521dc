"""Schedules made of parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from ruvector.arrays import check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.schedules.base import Schedule, check_span, set_checked

__all__ = ["Piecewise", "WarmUp"]


@dataclass(frozen=True)
class Piecewise(Schedule):
    """Straight lines between points; the first and last values reach outwards.

    Parameters
    ----------
    points : sequence of (float, float)
        Positions in epochs, each after the one before, and values there. At least one.

    Raises
    ------
    InvalidArgumentError
        No points, or positions that do not rise.

    Examples
    --------
    >>> from ruvector.schedules import Piecewise
    >>> late = Piecewise([(50, 0.1), (100, 1.0)])
    >>> [round(late(at, total=200), 3) for at in (0, 50, 75, 150)]
    [0.1, 0.1, 0.55, 1.0]
    """

    points: Sequence[tuple[float, float]]
    kind: ClassVar[str] = "piecewise"

    def __post_init__(self) -> None:
        if isinstance(self.points, str) or not isinstance(self.points, Sequence):
            raise InvalidTypeError(f"points is {self.points!r} but must be a list of pairs")
        checked: list[tuple[float, float]] = []
        for i, point in enumerate(self.points):
            if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
                raise InvalidArgumentError(f"points[{i}] is {point!r} but must be (epoch, value)")
            at = check_real(point[0], f"points[{i}][0]", low=0.0)
            checked.append((at, check_real(point[1], f"points[{i}][1]", low=-math.inf)))
        if not checked:
            raise InvalidArgumentError("points is empty but needs at least one (epoch, value)")
        for (before, _), (after, _) in pairwise(checked):
            if after <= before:
                raise InvalidArgumentError(f"points has {after:g} after {before:g}; let them rise")
        set_checked(self, "points", tuple(checked))

    def _value(self, at: float, total: float) -> float:
        del total
        if at <= self.points[0][0]:
            return self.points[0][1]
        for (left, low), (right, high) in pairwise(self.points):
            if at < right:
                passed = (at - left) / (right - left)
                return (1 - passed) * low + passed * high
        return self.points[-1][1]


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A straight line up to where another schedule begins, and then that one.

    Parameters
    ----------
    then : Schedule
        Begins after `duration`; where it lasts as long as training, as long as what is left.
    duration : float
        In epochs; 0 begins `then` at once.
    start : float
        Value at 0.

    References
    ----------
    Goyal et al. (2017), "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
    arXiv:1706.02677.

    Examples
    --------
    >>> from ruvector.schedules import Cosine
    >>> from ruvector.schedules import WarmUp
    >>> lr = WarmUp(Cosine(0.1, 0.0), duration=5)
    >>> [round(lr(at, total=25), 3) for at in (0, 2.5, 5, 15, 25)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """

    then: Schedule
    duration: float
    start: float = 0.0
    kind: ClassVar[str] = "warm_up"

    def __post_init__(self) -> None:
        if not isinstance(self.then, Schedule):
            # As to_dict left it.
            set_checked(self, "then", Schedule.from_dict(self.then))
        check_span(self, "start")
        set_checked(self, "duration", check_real(self.duration, "duration", low=0.0))

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "then": self.then.to_dict()}

    def _value(self, at: float, total: float) -> float:
        left = max(total - self.duration, 0.0)
        if at >= self.duration:
            return self.then(at - self.duration, total=left)
        passed = at / self.duration
        return (1 - passed) * self.start + passed * self.then(0.0, total=left)
