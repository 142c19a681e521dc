"""What the trainer needs from an objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from ruvector.autograd import Variable
from ruvector.encoders import Encoder, Weights
from ruvector.graph import Graph
from ruvector.smoothing import Features

__all__ = ["Objective", "Run", "Step"]

#: From the trainable arrays to the loss of one batch, by name; the total is their sum.
Step = Callable[[Mapping[str, Variable]], dict[str, Variable]]


class Run(Protocol):
    """One training: an objective with its graph, encoder and random streams.

    A run may have ``parameters``, weights of its own by names that begin with ``objective.``. The
    trainer trains them along with the encoder's and keeps them beside those.
    """

    @property
    def steps_per_epoch(self) -> int:
        """How many steps :meth:`epoch` yields."""
        ...

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        """Yield the steps of epoch `number`, counted from 0; `weights` are those at its start."""
        ...


class Objective(Protocol):
    """Where batches come from and which losses they pay."""

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> Run:
        """Prepare a training; the same seed gives the same one."""
        ...
