"""One curve each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ruvector.arrays import check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.schedules.base import Schedule, check_span, set_checked, share

__all__ = ["Constant", "Cosine", "Decay", "Exponential", "Linear", "Step", "as_schedule"]


@dataclass(frozen=True)
class Constant(Schedule):
    """Always `value`.

    Examples
    --------
    >>> from ruvector.schedules import Constant
    >>> Constant(0.1)(7, total=10)
    0.1
    """

    value: float
    kind: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        check_span(self, "value")

    def _value(self, at: float, total: float) -> float:
        del at, total
        return self.value


@dataclass(frozen=True)
class Linear(Schedule):
    """On a straight line from `start` to `end`.

    Parameters
    ----------
    start, end : float
        Values at 0 and after `duration`.
    duration : float, optional
        In epochs; 0 is at the end at once, None lasts as long as training.

    Examples
    --------
    >>> from ruvector.schedules import Linear
    >>> Linear(0.5, 0.1)(0.25)
    0.4
    >>> Linear(0.5, 0.1, duration=10)(20, total=100)
    0.1
    """

    start: float
    end: float
    duration: float | None = None
    kind: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        check_span(self, "start", "end")

    def _value(self, at: float, total: float) -> float:
        passed = share(at, self.duration, total)
        # This form is exact at both ends.
        return (1 - passed) * self.start + passed * self.end


@dataclass(frozen=True)
class Exponential(Schedule):
    """``start · (end / start)^p``, p the share of `duration` that has passed.

    Equal steps change the value by equal factors.

    Parameters
    ----------
    start, end : float
        Both greater than 0: a curve that ends at 0 would be 0 at once.
    duration : float, optional
        In epochs; 0 is at the end at once, None lasts as long as training.

    Raises
    ------
    InvalidArgumentError
        `start` or `end` not positive.

    Examples
    --------
    >>> from ruvector.schedules import Exponential
    >>> round(Exponential(1.0, 0.01)(0.5), 6)
    0.1
    """

    start: float
    end: float
    duration: float | None = None
    kind: ClassVar[str] = "exponential"

    def __post_init__(self) -> None:
        check_span(self)
        for name in ("start", "end"):
            value = check_real(getattr(self, name), name, low=0.0, open_low=True)
            set_checked(self, name, value)

    def _value(self, at: float, total: float) -> float:
        passed = share(at, self.duration, total)
        if passed == 1:
            return self.end
        return self.start * math.exp(passed * (math.log(self.end) - math.log(self.start)))


@dataclass(frozen=True)
class Decay(Schedule):
    """``start · exp(-at / scale)``, which never ends.

    Parameters
    ----------
    scale : float
        Epochs after which the value is 1/e of what it was, greater than 0.
    start : float
        Value at 0.

    Examples
    --------
    >>> from ruvector.schedules import Decay
    >>> round(Decay(50)(100, total=200), 4)
    0.1353
    """

    scale: float
    start: float = 1.0
    kind: ClassVar[str] = "decay"

    def __post_init__(self) -> None:
        check_span(self, "start")
        set_checked(self, "scale", check_real(self.scale, "scale", low=0.0, open_low=True))

    def _value(self, at: float, total: float) -> float:
        del total
        return self.start * math.exp(-at / self.scale)


@dataclass(frozen=True)
class Cosine(Schedule):
    """``end + (start - end) · (1 + cos πp) / 2``: slow at both ends.

    Parameters
    ----------
    start, end : float
        Values at 0 and after `duration`.
    duration : float, optional
        In epochs; 0 is at the end at once, None lasts as long as training.

    References
    ----------
    Loshchilov and Hutter (2017), "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR;
    without restarts.

    Examples
    --------
    >>> from ruvector.schedules import Cosine
    >>> Cosine(1.0, 0.0)(0.5)
    0.5
    """

    start: float
    end: float
    duration: float | None = None
    kind: ClassVar[str] = "cosine"

    def __post_init__(self) -> None:
        check_span(self, "start", "end")

    def _value(self, at: float, total: float) -> float:
        rest = (1 + math.cos(math.pi * share(at, self.duration, total))) / 2
        return rest * self.start + (1 - rest) * self.end


@dataclass(frozen=True)
class Step(Schedule):
    """``start · factor^⌊at / every⌋``: a factor after every so many epochs.

    Parameters
    ----------
    start : float
        Value at 0.
    factor : float
        At least 0.
    every : float
        Epochs between two steps, greater than 0.

    Raises
    ------
    InvalidArgumentError
        A setting out of range; when called, a value beyond the range of float64.

    Examples
    --------
    >>> from ruvector.schedules import Step
    >>> [Step(1.0, 0.5, every=10)(at, total=30) for at in (0, 9.9, 10, 25)]
    [1.0, 1.0, 0.5, 0.25]
    """

    start: float
    factor: float
    every: float
    kind: ClassVar[str] = "step"

    def __post_init__(self) -> None:
        check_span(self, "start")
        set_checked(self, "factor", check_real(self.factor, "factor", low=0.0))
        set_checked(self, "every", check_real(self.every, "every", low=0.0, open_low=True))

    def _value(self, at: float, total: float) -> float:
        del total
        steps = at / self.every
        # 0.3 / 0.1 is a little less than 3.
        nearest = float(np.rint(steps))
        whole = nearest if math.isclose(steps, nearest, rel_tol=1e-12) else math.floor(steps)
        try:
            value = float(self.start * self.factor**whole)
        except OverflowError:
            value = math.inf
        if self.start == 0:
            return 0.0
        if not math.isfinite(value):
            raise InvalidArgumentError(
                f"{self} is beyond the range of float64 at {at:g}; give a factor of at most 1, or "
                "a larger every"
            )
        return value


def as_schedule(value: object, name: str, *, low: float = -math.inf) -> Schedule:
    """Return `value` if it is a schedule, or the constant schedule of a number.

    Raises
    ------
    InvalidTypeError
        Neither a schedule nor a number.
    InvalidArgumentError
        A number that is not finite or below `low`.
    """
    if isinstance(value, Schedule):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InvalidTypeError(f"{name} is {value!r} but must be a number or a schedule")
    return Constant(check_real(value, name, low=low))
