"""Weights found once, so that all losses begin with the same contribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruvector.arrays import check_real
from ruvector.autograd import Variable
from ruvector.errors import InvalidArgumentError
from ruvector.weighting.base import Combined, Weigher, check_state, weighted_gradients

__all__ = ["BalancedWeights", "balance_weights"]

#: Less than this share of the mean counts as nothing: its weight would only magnify noise.
_NOTHING = 1e-6


def balance_weights(losses: Mapping[str, float]) -> dict[str, float]:
    """Return weights that make all ``weight · |loss|`` equal and leave their sum as it is.

    Parameters
    ----------
    losses : mapping of str to float
        Finite; negative ones count by their size.

    Returns
    -------
    dict of str to float
        Positive. A loss that is 0, or below a millionth of the mean, keeps weight 1.

    Examples
    --------
    >>> from ruvector.weighting import balance_weights
    >>> balance_weights({"a": 4.0, "b": -2.0, "none": 0.0})
    {'a': 0.75, 'b': 1.5, 'none': 1.0}
    """
    sizes = {
        name: abs(check_real(loss, f"losses[{name!r}]", low=float("-inf")))
        for name, loss in losses.items()
    }
    level = _level(sizes)
    return {name: _weight(size, level) or 1.0 for name, size in sizes.items()}


def _level(sizes: Mapping[str, float]) -> float:
    """The mean of what is something."""
    largest = max(sizes.values(), default=0.0)
    some = [size for size in sizes.values() if size > _NOTHING * largest]
    return sum(some) / len(some) if some else 0.0


def _weight(size: float, level: float) -> float | None:
    return level / size if size > _NOTHING * level else None


@dataclass(frozen=True)
class BalancedWeights:
    """Find weights at the first step so that all losses contribute the same, and keep them.

    A loss that is missing or 0 at first counts once until it is something, and is then brought to
    the level of the others. Balancing at every step instead would descend ``Σ log loss``, whatever
    the losses' scales.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.autograd import Variable, scale
    >>> from ruvector.weighting import BalancedWeights
    >>> weigher = BalancedWeights().start(seed=0)
    >>> x = Variable(np.array(1.0))
    >>> parts = {"small": scale(x, 1.0), "large": scale(x, 3.0)}
    >>> weigher.combine(parts, {"x": x}, at=0, total=1).weights
    {'small': 2.0, 'large': 0.6666666666666666}
    """

    def start(self, *, seed: int) -> Weigher:
        del seed
        return _Balanced()


class _Balanced:
    def __init__(self) -> None:
        self.level = 0.0
        self.weights: dict[str, float] = {}

    def combine(
        self,
        parts: Mapping[str, Variable],
        variables: Mapping[str, Variable],
        *,
        at: float,
        total: float,
    ) -> Combined:
        del at, total
        sizes = {name: abs(float(part.value)) for name, part in parts.items()}
        if self.level == 0.0:
            self.level = _level(sizes)
        for name, size in sizes.items():
            found = _weight(size, self.level)
            if name not in self.weights and found is not None:
                self.weights[name] = found
        weights = {name: self.weights.get(name, 1.0) for name in parts}
        return Combined(weighted_gradients(parts, weights, variables), weights)

    def state_dict(self) -> dict[str, Any]:
        return {"level": self.level, "weights": dict(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_state(state, {"level", "weights"})
        level = check_real(state["level"], "level", low=0.0)
        if not isinstance(state["weights"], Mapping):
            raise InvalidArgumentError("state's weights must be a mapping")
        weights = {
            name: check_real(weight, f"weights[{name!r}]", low=0.0)
            for name, weight in state["weights"].items()
        }
        self.level, self.weights = level, weights
