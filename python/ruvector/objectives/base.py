"""What the trainer needs from an objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from ruvector.autograd import Variable
from ruvector.encoders import Encoder, Weights
from ruvector.graph import Graph
from ruvector.smoothing import Features

__all__ = ["Knobs", "Objective", "Run", "Step"]

#: From the trainable arrays to the loss of one batch, by name; the total is their sum.
Step = Callable[[Mapping[str, Variable]], dict[str, Variable]]


class Knobs(NamedTuple):
    """What a training may change of an objective while it goes on; None is the objective's own.

    Attributes
    ----------
    temperature : float or None
    num_negatives : int or None
        Mined negatives of an anchor.
    num_neighbors : int or None
        Neighbours sampled of a node.
    threshold : float or None
        The difficulty, 0 to 1, above which items are left out.
    """

    temperature: float | None = None
    num_negatives: int | None = None
    num_neighbors: int | None = None
    threshold: float | None = None


class Run(Protocol):
    """One training: an objective with its graph, encoder and random streams.

    A training without schedules, curriculum and checkpoints calls only :meth:`epoch`.
    """

    @property
    def steps_per_epoch(self) -> int:
        """How many steps :meth:`epoch` yields."""
        ...

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        """Yield the steps of epoch `number`, counted from 0; `weights` are those at its start.

        What is random is drawn before a step is yielded, not when it is called: a training that
        goes on in the middle of an epoch passes over steps without calling them.
        """
        ...

    @property
    def samples_per_epoch(self) -> int:
        """How many items an epoch shows."""
        ...

    def adjust(self, knobs: Knobs) -> set[str]:
        """Go on with these settings; return the names of those that mean something here."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what the next epochs depend on: plain JSON values, and arrays in ``arrays``."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        ...


class Objective(Protocol):
    """Where batches come from and which losses they pay."""

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> Run:
        """Prepare a training; the same seed gives the same one."""
        ...
