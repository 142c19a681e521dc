"""What is told of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["EpochRecord", "Totals"]

_NONE: Mapping[str, float] = MappingProxyType({})


class EpochRecord(NamedTuple):
    """One epoch of a training.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    losses : dict of str to float
        Mean of each part over the epoch's steps that had it, and ``"total"``, the sum of the means
        of weight times part.
    seconds : float
        Wall time.
    metrics : dict of str to float
        What the validation found after the epoch.
    weights : dict of str to float
        Mean of what each part counted for.
    lr : float or None
        Learning rate of the last step.
    stage : str or None
        The curriculum's stage.
    """

    epoch: int
    losses: Mapping[str, float]
    seconds: float
    metrics: Mapping[str, float] = _NONE
    weights: Mapping[str, float] = _NONE
    lr: float | None = None
    stage: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name as JSON holds them; ``EpochRecord(**fields)`` reads it."""
        return {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in self._asdict().items()
        }


class Totals:
    """Sums over the steps of an epoch, by part."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, float, float, int]] = {}

    def add(self, values: Mapping[str, float], weights: Mapping[str, float]) -> None:
        """Take one step's parts."""
        for name, value in values.items():
            loss, weight, product, count = self.sums.get(name, (0.0, 0.0, 0.0, 0))
            one = weights[name]
            self.sums[name] = (loss + value, weight + one, product + one * value, count + 1)

    def losses(self) -> dict[str, float]:
        means = {name: loss / count for name, (loss, _, _, count) in self.sums.items()}
        total = sum(product / count for _, _, product, count in self.sums.values())
        return {**means, "total": total}

    def weights(self) -> dict[str, float]:
        return {name: weight / count for name, (_, weight, _, count) in self.sums.items()}
