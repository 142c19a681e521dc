"""Several objectives in one training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ruvector.autograd import Variable
from ruvector.encoders import Encoder, Weights
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.objectives.base import Knobs, Objective, Run, Step
from ruvector.smoothing import Features

__all__ = ["Together"]


@dataclass(frozen=True)
class Together:
    """Take the steps of several objectives at the same time.

    An epoch has as many steps as the objective with the most; the steps of the others are spread
    evenly among them, so that a loss is missing from some steps. A loss is called
    ``"objective.loss"``, or by the name alone where both are the same.

    Parameters
    ----------
    objectives : mapping of str to Objective
        At least one. Each draws from random streams of its own.
    """

    objectives: Mapping[str, Objective]

    def __post_init__(self) -> None:
        if not self.objectives:
            raise InvalidArgumentError("objectives is empty; name at least one")
        for name in self.objectives:
            if not name or "." in name:
                raise InvalidArgumentError(
                    f"objectives has the name {name!r}, which is empty or has a dot"
                )

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Run:
        runs: dict[str, Run] = {}
        for i, (name, objective) in enumerate(self.objectives.items()):
            own = int(np.random.SeedSequence((seed, i)).generate_state(1)[0])
            runs[name] = objective.start(encoder, weights, graph, features, seed=own)
        return _Run(runs)


class _Run:
    def __init__(self, runs: dict[str, Run]) -> None:
        self.runs = runs
        self.parameters: Weights = {
            _renamed(name, key): array
            for name, run in runs.items()
            for key, array in run.parameters.items()
        }

    @property
    def steps_per_epoch(self) -> int:
        return max(run.steps_per_epoch for run in self.runs.values())

    @property
    def samples_per_epoch(self) -> int:
        return max(run.samples_per_epoch for run in self.runs.values())

    def adjust(self, knobs: Knobs) -> set[str]:
        return set().union(*(run.adjust(knobs) for run in self.runs.values()))

    def state_dict(self) -> dict[str, Any]:
        states = {name: run.state_dict() for name, run in self.runs.items()}
        arrays = {
            f"{name}/{key}": array
            for name, state in states.items()
            for key, array in state.pop("arrays").items()
        }
        return {"runs": states, "arrays": arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if set(state["runs"]) != set(self.runs):
            raise InvalidArgumentError(
                f"state has the objectives {sorted(state['runs'])} but these are "
                f"{sorted(self.runs)}"
            )
        for name, run in self.runs.items():
            arrays = {
                key.removeprefix(f"{name}/"): array
                for key, array in state["arrays"].items()
                if key.startswith(f"{name}/")
            }
            run.load_state_dict({**state["runs"][name], "arrays": arrays})

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        total = self.steps_per_epoch
        steps = {name: run.epoch(number, weights) for name, run in self.runs.items()}
        counts = {name: run.steps_per_epoch for name, run in self.runs.items()}
        for i in range(total):
            # As many are due after i + 1 steps as that share of all, rounded up: the first at once.
            due = [
                name
                for name, count in counts.items()
                if -(-(i + 1) * count // total) > -(-i * count // total)
            ]
            yield self._joined({name: next(steps[name]) for name in due})

    def _joined(self, steps: Mapping[str, Step]) -> Step:
        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            parts = {}
            for name, one in steps.items():
                own = {key: variables[_renamed(name, key)] for key in self.runs[name].parameters}
                found = one({**variables, **own})
                for loss, part in found.items():
                    parts[name if loss == name else f"{name}.{loss}"] = part
            return parts

        return step


def _renamed(name: str, parameter: str) -> str:
    """Return what a parameter of the objective `name` is called beside those of the others."""
    return f"objective.{name}.{parameter.removeprefix('objective.')}"
