"""When to stop before the last epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_choice, check_int, check_real
from ruvector.errors import InvalidArgumentError, RuvectorError
from ruvector.training.records import EpochRecord

__all__ = ["EarlyStop", "StopTraining", "Stopper"]

Arrays = dict[str, npt.NDArray[Any]]


class StopTraining(RuvectorError):  # noqa: N818  (a request, as StopIteration is)
    """Raise it in a callback to end the training after the present epoch; ``fit`` returns."""


@dataclass(frozen=True)
class EarlyStop:
    """End a training whose metric has not improved for a while, with the best weights.

    Parameters
    ----------
    metric : str
        One that the validation returns, or one of the losses, such as ``"total"``.
    patience : int
        Epochs in a row without improvement after which training ends, at least 1.
    mode : {"max", "min"}
        Which way is better.
    min_delta : float
        By how much a value must be better to be an improvement, at least 0.
    restore : bool
        Whether the weights of the best epoch come back when training ends.

    References
    ----------
    Prechelt (1998), "Early Stopping - But When?", Neural Networks: Tricks of the Trade.

    Examples
    --------
    >>> from ruvector.training import EarlyStop
    >>> EarlyStop("auc", patience=3)
    EarlyStop(metric='auc', patience=3, mode='max', min_delta=0.0, restore=True)
    """

    metric: str
    patience: int = 5
    mode: str = "max"
    min_delta: float = 0.0
    restore: bool = True

    def __post_init__(self) -> None:
        check_int(self.patience, "patience", low=1)
        check_choice(self.mode, "mode", choices=("max", "min"))
        check_real(self.min_delta, "min_delta", low=0.0)

    def start(self) -> Stopper:
        """Return a stopper for one training."""
        return Stopper(self)


class Stopper:
    """The best value of one training so far, and the weights it came from."""

    def __init__(self, settings: EarlyStop) -> None:
        self.settings = settings
        self.best: float | None = None
        self.waited = 0
        self.weights: Arrays = {}

    @property
    def stop(self) -> bool:
        return self.waited >= self.settings.patience

    def look(self, record: EpochRecord, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take in an epoch.

        Raises
        ------
        InvalidArgumentError
            The epoch has no such metric.
        """
        known = {**record.losses, **record.metrics}
        name = self.settings.metric
        if name not in known:
            raise InvalidArgumentError(
                f"early_stop looks at {name!r} but epoch {record.epoch} has only {sorted(known)}"
            )
        value = known[name] if self.settings.mode == "max" else -known[name]
        # Nothing is better than NaN, so that NaN is never the best.
        if not math.isnan(value) and (
            self.best is None
            or math.isnan(self.best)
            or value > self.best + self.settings.min_delta
        ):
            self.best, self.waited = value, 0
            if self.settings.restore:
                self.weights = {name: array.copy() for name, array in weights.items()}
        else:
            self.waited += 1

    def restore(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write the best epoch's weights over `weights`."""
        for name, array in self.weights.items():
            np.copyto(weights[name], array)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "arrays": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = state["best"], int(state["waited"])
        self.weights = dict(state["arrays"])
