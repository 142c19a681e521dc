"""Weights learned as the uncertainty of each task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ruvector.arrays import check_choice, check_real
from ruvector.autograd import Variable
from ruvector.errors import InvalidArgumentError
from ruvector.weighting.base import (
    Combined,
    Weigher,
    check_state,
    values_of,
    weighted_gradients,
)

__all__ = ["UncertaintyLoss", "UncertaintyWeights", "uncertainty_loss"]

Kind = Literal["regression", "classification"]

#: Log-variances stay within ± this; a loss of 0 would lower its own without end.
_BOUND = 10.0


class UncertaintyLoss(NamedTuple):
    """Value of the joint loss, its derivative by each loss (the weight) and each log-variance."""

    value: float
    weights: dict[str, float]
    gradients: dict[str, float]


def uncertainty_loss(
    losses: Mapping[str, float],
    log_variances: Mapping[str, float],
    *,
    kinds: Mapping[str, Kind] | None = None,
) -> UncertaintyLoss:
    """Return ``Σ c e^(-s) L + s / 2`` and its derivatives.

    Parameters
    ----------
    losses : mapping of str to float
        L.
    log_variances : mapping of str to float
        s = log σ², by the same names.
    kinds : mapping of str to {"regression", "classification"}, optional
        c is 1/2 for a regression, as for those not named, and 1 for a classification.

    References
    ----------
    Kendall, Gal and Cipolla (2018), "Multi-Task Learning Using Uncertainty to Weigh Losses for
    Scene Geometry and Semantics", CVPR.

    Examples
    --------
    >>> from ruvector.weighting import uncertainty_loss
    >>> uncertainty_loss({"a": 4.0}, {"a": 0.0})
    UncertaintyLoss(value=2.0, weights={'a': 0.5}, gradients={'a': -1.5})
    """
    value, weights, gradients = 0.0, {}, {}
    for name, loss in losses.items():
        if name not in log_variances:
            raise InvalidArgumentError(f"log_variances lacks {name!r}")
        s = log_variances[name]
        factor = 1.0 if (kinds or {}).get(name) == "classification" else 0.5
        weights[name] = factor * math.exp(-s)
        gradients[name] = 0.5 - weights[name] * loss
        value += weights[name] * loss + 0.5 * s
    return UncertaintyLoss(value, weights, gradients)


@dataclass(frozen=True)
class UncertaintyWeights:
    """Learn a variance for each loss beside the parameters; noisy losses count for less.

    Each step uses the weights ``c e^(-s)`` and then moves every s of a loss that was there down
    the gradient of :func:`uncertainty_loss`. At rest a weight is 1 / (2 · loss).

    Parameters
    ----------
    lr : float
        Learning rate of the log-variances, greater than 0.
    kinds : mapping of str to {"regression", "classification"}
        The factor c, 1/2 or 1; "regression" for losses not named.

    Raises
    ------
    InvalidArgumentError
        A setting out of range; in training, a loss below 0, whose variance would have no minimum.

    References
    ----------
    Kendall, Gal and Cipolla (2018), "Multi-Task Learning Using Uncertainty to Weigh Losses for
    Scene Geometry and Semantics", CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.autograd import Variable, scale
    >>> from ruvector.weighting import UncertaintyWeights
    >>> weigher = UncertaintyWeights(lr=0.1).start(seed=0)
    >>> x = Variable(np.array(1.0))
    >>> parts = {"easy": scale(x, 0.5), "hard": scale(x, 8.0)}
    >>> for _ in range(200):
    ...     found = weigher.combine(parts, {"x": x}, at=0, total=1)
    >>> {name: round(weight, 3) for name, weight in found.weights.items()}
    {'easy': 1.0, 'hard': 0.063}
    """

    lr: float = 0.01
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_real(self.lr, "lr", low=0.0, open_low=True)
        for name, kind in self.kinds.items():
            check_choice(kind, f"kinds[{name!r}]", choices=("regression", "classification"))

    def start(self, *, seed: int) -> Weigher:
        del seed
        return _Uncertainty(self)


class _Uncertainty:
    def __init__(self, settings: UncertaintyWeights) -> None:
        self.settings = settings
        self.log_variances: dict[str, float] = {}

    def combine(
        self,
        parts: Mapping[str, Variable],
        variables: Mapping[str, Variable],
        *,
        at: float,
        total: float,
    ) -> Combined:
        del at, total
        losses = values_of(parts, method="uncertainty weighting")
        for name in losses:
            self.log_variances.setdefault(name, 0.0)
        joint = uncertainty_loss(losses, self.log_variances, kinds=self.settings.kinds)
        gradients = weighted_gradients(parts, joint.weights, variables)
        for name, slope in joint.gradients.items():
            moved = self.log_variances[name] - self.settings.lr * slope
            self.log_variances[name] = min(max(moved, -_BOUND), _BOUND)
        return Combined(gradients, joint.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"log_variances": dict(self.log_variances)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_state(state, {"log_variances"})
        if not isinstance(state["log_variances"], Mapping):
            raise InvalidArgumentError("state's log_variances must be a mapping")
        self.log_variances = {
            name: check_real(s, f"log_variances[{name!r}]", low=-_BOUND, high=_BOUND)
            for name, s in state["log_variances"].items()
        }
