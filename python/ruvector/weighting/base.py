"""What the trainer needs from a weighting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ruvector.autograd import Variable, add, backward, scale
from ruvector.errors import InvalidArgumentError

__all__ = ["Combined", "Weigher", "Weighting", "part_gradients"]

Gradients = dict[str, npt.NDArray[Any]]
V = TypeVar("V")

#: Where a part has no entry of its own: the loss that it is a form of.
_FAMILY = {"in_batch": "infonce", "mined": "infonce", "cca_ssg": "contrastive"}


class Combined(NamedTuple):
    """One step's direction.

    Attributes
    ----------
    gradients : dict of str to ndarray
        By parameter; zeros where no loss reaches.
    weights : dict of str to float
        By loss: what each counted for.
    """

    gradients: Gradients
    weights: dict[str, float]


class Weigher(Protocol):
    """One training's weighting, with what it has learned."""

    def combine(
        self,
        parts: Mapping[str, Variable],
        variables: Mapping[str, Variable],
        *,
        at: float,
        total: float,
    ) -> Combined:
        """Return the gradient of the parts together; `at` of `total` epochs have passed."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a bit-equal continuation needs, as plain JSON values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        ...


class Weighting(Protocol):
    """How named losses become one direction."""

    def start(self, *, seed: int) -> Weigher:
        """Return a weigher for one training."""
        ...


class Stateless:
    """A weigher that learns nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_state(state, set())


def check_state(state: object, names: set[str]) -> None:
    """Raise unless `state` is a mapping with just these names."""
    if not isinstance(state, Mapping) or set(state) != names:
        raise InvalidArgumentError(
            f"state of the weighting must have {sorted(names)}; give what state_dict returned"
        )


def named_value(values: Mapping[str, V], part: str) -> V:
    """Return the entry of a part: its own, its prefix before a dot, or its family's.

    Raises
    ------
    InvalidArgumentError
        There is none. A part never silently counts as 1.
    """
    prefix, _, last = part.partition(".")
    for name in (part, prefix, _FAMILY.get(last or prefix), _FAMILY.get(prefix)):
        if name is not None and name in values:
            return values[name]
    raise InvalidArgumentError(
        f"no weight is given for the loss {part!r}, only for {sorted(values)}; add one"
    )


def weighted_gradients(
    parts: Mapping[str, Variable], weights: Mapping[str, float], variables: Mapping[str, Variable]
) -> Gradients:
    """Return the gradient of ``Σ weight · part`` by one walk back."""
    total: Variable | None = None
    for name, part in parts.items():
        if weights[name] == 0:
            continue
        term = part if weights[name] == 1 else scale(part, weights[name])
        total = term if total is None else add(total, term)
    return gradients_of(total, variables)


def part_gradients(
    parts: Mapping[str, Variable], variables: Mapping[str, Variable]
) -> dict[str, Gradients]:
    """Return each part's own gradient: as many walks back as there are parts."""
    return {name: gradients_of(part, variables) for name, part in parts.items()}


def gradients_of(output: Variable | None, variables: Mapping[str, Variable]) -> Gradients:
    """Return the gradient of a scalar by variable, zeros where it does not reach."""
    for variable in variables.values():
        variable.grad = None
    if output is not None:
        backward(output)
    return {
        name: np.zeros_like(variable.value) if variable.grad is None else variable.grad
        for name, variable in variables.items()
    }


def weighted_sum(
    gradients: Mapping[str, Gradients], weights: Mapping[str, float], like: Mapping[str, Variable]
) -> Gradients:
    """Return ``Σ weight · gradient`` by variable."""
    total = {name: np.zeros_like(variable.value) for name, variable in like.items()}
    for part, by_variable in gradients.items():
        for name, gradient in by_variable.items():
            total[name] += gradient.dtype.type(weights[part]) * gradient
    return total


def values_of(parts: Mapping[str, Variable], *, method: str) -> dict[str, float]:
    """Return the parts' values, refusing negative ones, on which `method` has no meaning."""
    values = {name: float(part.value) for name, part in parts.items()}
    for name, value in values.items():
        if not value >= 0:
            raise InvalidArgumentError(
                f"{method} needs losses of at least 0 but {name!r} is {value:g}; "
                "give that loss a fixed weight with WeightedSum"
            )
    return values
