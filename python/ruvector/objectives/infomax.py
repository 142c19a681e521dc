"""Nodes should know the graph that they are of from one with exchanged features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ruvector.autograd import Variable, constant, loss_node
from ruvector.encoders import Encoder, Weights
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.losses import DeepGraphInfomaxLoss
from ruvector.objectives.base import Step
from ruvector.objectives.random_state import SeededRun, own_weights
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["DeepGraphInfomax"]

_WEIGHT = "objective.discriminator"


@dataclass(frozen=True)
class DeepGraphInfomax:
    """Deep Graph Infomax: a summary of the graph tells its nodes from corrupted ones.

    Each step embeds the graph, and the same graph with the rows of its features in random order; a
    bilinear discriminator, trained along, compares both with the summary.

    Parameters
    ----------
    loss : DeepGraphInfomaxLoss

    Notes
    -----
    One step an epoch, which costs two forward passes and two backward. The paper's encoder is
    ``GCN(dims=(512,), activation="prelu", activate_last=True)`` with Adam at 1e-3.

    References
    ----------
    Veličković et al. (2019), "Deep Graph Infomax", ICLR.
    """

    loss: DeepGraphInfomaxLoss = field(default_factory=DeepGraphInfomaxLoss)

    def __post_init__(self) -> None:
        if self.loss.reduction == "none":
            raise InvalidArgumentError("loss has reduction 'none'; use 'mean' or 'sum'")

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Run:
        return _Run(self, encoder, weights, graph, features, seed)


class _Run(SeededRun):
    steps_per_epoch = 1

    def __init__(  # noqa: PLR0917  (called once, just above)
        self,
        objective: DeepGraphInfomax,
        encoder: Encoder,
        weights: Weights,
        graph: Graph,
        features: Features,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.loss = objective.loss
        self.encoder = encoder
        self.graph = graph
        self.features = features
        self.whole = encoder.inputs(weights, graph, features)
        dim = width_of(encoder, weights, self.whole)
        self.parameters = own_weights({_WEIGHT: (dim, dim)}, seed)

    @property
    def samples_per_epoch(self) -> int:
        return self.graph.num_nodes

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        order = self.rng.permutation(self.graph.num_nodes)
        shuffled = (
            self.features.take_rows(order)
            if isinstance(self.features, CSR)
            else self.features[order]
        )
        corrupted = self.encoder.inputs(weights, self.graph, shuffled)

        noise = self.noise(number)

        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            states = [
                self.encoder.forward(variables, inputs, rng=noise)
                for inputs in (self.whole, corrupted)
            ]
            value = loss_node(self.loss, [*states, variables[_WEIGHT]])
            return {self.loss.name: value}

        yield step


def width_of(encoder: Encoder, weights: Weights, inputs: object) -> int:
    """Return how many columns the encoder's embeddings have."""
    variables = {name: constant(weights[name]) for name in encoder.trainable}
    return encoder.forward(variables, inputs, rows=np.zeros(1, np.int64)).shape[1]
