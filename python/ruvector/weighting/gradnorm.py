"""Weights that bring the losses' gradients to one scale and let slow losses catch up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ruvector import _core
from ruvector.arrays import check_real
from ruvector.autograd import Variable
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.weighting.base import (
    Combined,
    Gradients,
    Weigher,
    check_state,
    part_gradients,
    values_of,
    weighted_sum,
)

__all__ = ["GradNorm"]

#: Weights stay above this before they are scaled: a loss must not lose its voice for ever.
_LEAST = 1e-3


@dataclass(frozen=True)
class GradNorm:
    """Weights under which every loss's gradient has about the same norm.

    With ``G = w |∇L|`` of each loss and ``r`` its remaining share of the first value, over the
    mean of those shares, the weights descend ``Σ |G - mean(G) r^alpha|``, the second term held
    constant; then they are scaled to add up to the number of losses. A step uses the weights from
    before its own update.

    Parameters
    ----------
    alpha : float
        How much a loss that lags behind is helped; 0 only evens the norms out.
    lr : float
        Learning rate of the weights, greater than 0.
    shared : tuple of str, optional
        Parameters whose gradients are measured; the paper takes the last layer that the losses
        share. All by default.

    Raises
    ------
    InvalidArgumentError
        A setting out of range; in training, a loss below 0 or an unknown parameter.

    Notes
    -----
    One walk back for each loss. A missing loss keeps its weight, and those present share what it
    leaves; one that was 0 at first has no
    share to lag behind with, r counts it as untouched.

    References
    ----------
    Chen, Badrinarayanan, Lee and Rabinovich (2018), "GradNorm: Gradient Normalization for Adaptive
    Loss Balancing in Deep Multitask Networks", ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.autograd import Variable, scale
    >>> from ruvector.weighting import GradNorm
    >>> weigher = GradNorm(lr=0.01, alpha=0.0).start(seed=0)
    >>> x = Variable(np.array(1.0))
    >>> parts = {"flat": scale(x, 1.0), "steep": scale(x, 3.0)}
    >>> for _ in range(100):
    ...     found = weigher.combine(parts, {"x": x}, at=0, total=1)
    >>> {name: round(weight, 1) for name, weight in found.weights.items()}
    {'flat': 1.5, 'steep': 0.5}
    """

    alpha: float = 1.5
    lr: float = 0.025
    shared: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_real(self.alpha, "alpha", low=0.0)
        check_real(self.lr, "lr", low=0.0, open_low=True)
        if isinstance(self.shared, str):
            raise InvalidTypeError(f"shared is {self.shared!r} but must be a tuple of names")

    def start(self, *, seed: int) -> Weigher:
        del seed
        return _GradNorm(self)


class _GradNorm:
    def __init__(self, settings: GradNorm) -> None:
        self.settings = settings
        self.first: dict[str, float] = {}
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
        losses = values_of(parts, method="GradNorm")
        shared = variables if self.settings.shared is None else self.settings.shared
        for name in shared:
            if name not in variables:
                raise InvalidArgumentError(
                    f"shared names {name!r}, which is none of the parameters {sorted(variables)}"
                )
        gradients = part_gradients(parts, variables)
        norms = {
            part: _norm({name: by_name[name] for name in shared})
            for part, by_name in gradients.items()
        }
        for name, loss in losses.items():
            self.first.setdefault(name, loss)
            self.weights.setdefault(name, 1.0)
        used = {name: self.weights[name] for name in parts}
        self._learn(losses, norms)
        return Combined(weighted_sum(gradients, used, variables), used)

    def _learn(self, losses: Mapping[str, float], norms: Mapping[str, float]) -> None:
        left = {
            name: loss / self.first[name] if self.first[name] > 0 else 1.0
            for name, loss in losses.items()
        }
        mean_left = sum(left.values()) / len(left) if left else 0.0
        weighted = {name: self.weights[name] * norm for name, norm in norms.items()}
        mean = sum(weighted.values()) / len(weighted) if weighted else 0.0
        for name, norm in norms.items():
            rate = left[name] / mean_left if mean_left > 0 else 1.0
            target = mean * rate**self.settings.alpha
            slope = float(np.sign(weighted[name] - target)) * norm
            self.weights[name] = max(self.weights[name] - self.settings.lr * slope, _LEAST)
        if not norms:
            return
        missing = sum(weight for name, weight in self.weights.items() if name not in norms)
        # Weights of a loaded state may leave nothing.
        room = len(self.weights) - missing
        room = room if room > 0 else len(norms)
        scale = room / sum(self.weights[name] for name in norms)
        self.weights.update({name: self.weights[name] * scale for name in norms})

    def state_dict(self) -> dict[str, Any]:
        return {"first": dict(self.first), "weights": dict(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_state(state, {"first", "weights"})
        loaded = []
        for kind in ("first", "weights"):
            if not isinstance(state[kind], Mapping):
                raise InvalidArgumentError(f"state's {kind} must be a mapping")
            loaded.append(
                {
                    name: check_real(value, f"{kind}[{name!r}]", low=0.0)
                    for name, value in state[kind].items()
                }
            )
        if set(loaded[0]) != set(loaded[1]):
            raise InvalidArgumentError("state's first and weights must name the same losses")
        self.first, self.weights = loaded


def _norm(gradients: Gradients) -> float:
    squares = (_core.squared_norm(np.ascontiguousarray(g).reshape(-1)) for g in gradients.values())
    return math.sqrt(sum(squares))
