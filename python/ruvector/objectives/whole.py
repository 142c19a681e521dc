"""Losses of all embeddings at once: regularisers, reconstructions, tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ruvector.arrays import check_int
from ruvector.autograd import Variable
from ruvector.encoders import Encoder, Weights
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.objectives.base import Step
from ruvector.objectives.random_state import SeededRun
from ruvector.smoothing import Features

__all__ = ["WholeGraph"]

#: From the embeddings of all nodes, and their graph, to a scalar.
EmbeddingLoss = Callable[[Variable, Graph], Variable]


@dataclass(frozen=True)
class WholeGraph:
    """Embed every node and let named losses judge the embeddings.

    Parameters
    ----------
    losses : mapping of str to callable
        Each takes the embeddings, a variable of shape (n, d), and the graph, and returns a scalar
        variable, such as ``lambda z, graph: loss_node(LaplacianLoss(), [z], graph=graph)``.
    steps : int
        Steps an epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import ruvector
    >>> from ruvector.autograd import loss_node
    >>> from ruvector.losses import NormLoss
    >>> from ruvector.objectives import EdgeContrast, Together, WholeGraph
    >>> norm = WholeGraph({"norm": lambda z, graph: loss_node(NormLoss(), [z])})
    >>> graph = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 0]])
    >>> objective = Together({"edges": EdgeContrast(), "norm": norm})
    >>> trainer = ruvector.Trainer(ruvector.SmoothedLinear(dim=3), objective, epochs=1)
    >>> sorted(trainer.fit(graph, np.eye(4)).history[0].losses)
    ['edges.in_batch', 'norm', 'total']
    """

    losses: Mapping[str, EmbeddingLoss]
    steps: int = 1

    def __post_init__(self) -> None:
        check_int(self.steps, "steps", low=1)
        if not self.losses:
            raise InvalidArgumentError("losses is empty; name at least one")
        for name, loss in self.losses.items():
            if not callable(loss):
                raise InvalidTypeError(f"losses[{name!r}] is {loss!r}, which cannot be called")

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Run:
        return _Run(self, encoder, graph, encoder.inputs(weights, graph, features), seed)


class _Run(SeededRun):
    def __init__(
        self,
        objective: WholeGraph,
        encoder: Encoder,
        graph: Graph,
        inputs: object,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.objective = objective
        self.encoder = encoder
        self.graph = graph
        self.inputs = inputs

    @property
    def steps_per_epoch(self) -> int:
        return self.objective.steps

    @property
    def samples_per_epoch(self) -> int:
        return self.objective.steps * self.graph.num_nodes

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        del weights
        for i in range(self.objective.steps):
            yield self._step(self.noise(number, i))

    def _step(self, noise: np.random.Generator) -> Step:
        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            embedded = self.encoder.forward(variables, self.inputs, rng=noise)
            return {
                name: loss(embedded, self.graph) for name, loss in self.objective.losses.items()
            }

        return step
