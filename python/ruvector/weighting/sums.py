"""Weighted sums with given weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ruvector.autograd import Variable
from ruvector.errors import InvalidTypeError
from ruvector.schedules import Schedule, as_schedule
from ruvector.weighting.base import (
    Combined,
    Stateless,
    Weigher,
    named_value,
    weighted_gradients,
)
from ruvector.weighting.curves import DEFAULT_WEIGHTS

__all__ = ["PlainSum", "WeightedSum"]


@dataclass(frozen=True)
class PlainSum:
    """Every loss counts once."""

    def start(self, *, seed: int) -> Weigher:
        del seed
        return _PlainSum()


class _PlainSum(Stateless):
    def combine(
        self,
        parts: Mapping[str, Variable],
        variables: Mapping[str, Variable],
        *,
        at: float,
        total: float,
    ) -> Combined:
        del at, total
        weights = dict.fromkeys(parts, 1.0)
        return Combined(weighted_gradients(parts, weights, variables), weights)


@dataclass(frozen=True)
class WeightedSum:
    """Every loss by a weight of its own, which may change with the epochs.

    Parameters
    ----------
    weights : mapping of str to float or Schedule
        By the losses' names, at least 0; :data:`DEFAULT_WEIGHTS` by default. A part that has no
        entry takes that of its name's prefix before a dot or of its family ("in_batch" and
        "mined" are forms of "infonce", "cca_ssg" of "contrastive"); without any it is refused.

    Raises
    ------
    InvalidArgumentError
        A weight below 0 or not finite, when it is given or when its schedule reaches it; a loss
        without a weight.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.autograd import Variable, scale
    >>> from ruvector.schedules import Linear
    >>> from ruvector.weighting import WeightedSum
    >>> weights = {"task": 2.0, "contrastive": Linear(0.0, 1.0, duration=10)}
    >>> weigher = WeightedSum(weights).start(seed=0)
    >>> x = Variable(np.array(3.0))
    >>> parts = {"task": scale(x, 1.0), "contrastive": scale(x, 10.0)}
    >>> found = weigher.combine(parts, {"x": x}, at=5, total=20)
    >>> found.weights, float(found.gradients["x"])
    ({'task': 2.0, 'contrastive': 0.5}, 7.0)
    """

    weights: Mapping[str, float | Schedule] = field(default_factory=lambda: DEFAULT_WEIGHTS)

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping):
            raise InvalidTypeError(f"weights is {self.weights!r} but must be a mapping")
        for name, weight in self.weights.items():
            as_schedule(weight, f"weights[{name!r}]", low=0.0)

    def start(self, *, seed: int) -> Weigher:
        del seed
        return _WeightedSum(
            {name: as_schedule(weight, name) for name, weight in self.weights.items()}
        )


class _WeightedSum(Stateless):
    def __init__(self, schedules: Mapping[str, Schedule]) -> None:
        self.schedules = schedules

    def combine(
        self,
        parts: Mapping[str, Variable],
        variables: Mapping[str, Variable],
        *,
        at: float,
        total: float,
    ) -> Combined:
        weights = {}
        for name in parts:
            value = named_value(self.schedules, name)(at, total=total)
            # Checked here as well: a schedule's later values are its own affair.
            as_schedule(value, f"weights[{name!r}]", low=0.0)
            weights[name] = value
        return Combined(weighted_gradients(parts, weights, variables), weights)
