"""Nodes should know the graph that they are of from one with exchanged features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int
from ruvector.autograd import Variable, constant, loss_node
from ruvector.encoders import Encoder, Weights
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.losses import DeepGraphInfomaxLoss
from ruvector.objectives.base import Knobs, Step
from ruvector.objectives.random_state import SeededRun, own_weights
from ruvector.objectives.reading import Fanouts, Reader, check_fanouts
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["DeepGraphInfomax"]

_WEIGHT = "objective.discriminator"

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DeepGraphInfomax:
    """Deep Graph Infomax: a summary of the graph tells its nodes from corrupted ones.

    Each step embeds the graph, and the same graph with the rows of its features in random order; a
    bilinear discriminator, trained along, compares both with the summary.

    Parameters
    ----------
    loss : DeepGraphInfomaxLoss
    batch_size : int, optional
        Nodes of a step at most, about as many in each, whose mean is the summary then; all by
        default.
    num_neighbors : int or sequence of int, optional
        Embed a step's nodes from so many sampled neighbours at each layer of the encoder, in a list
        one number a layer, that of the step's own nodes first; -1 for all. A curriculum's number
        replaces them. Features are exchanged among the nodes that were sampled. Without it every
        step reads the whole graph.

    Notes
    -----
    One step an epoch without `batch_size`; a step costs two forward passes and two backward. The
    paper's encoder is ``GCN(dims=(512,), activation="prelu", activate_last=True)`` with Adam at
    1e-3; on batches it takes ``GraphSAGE(dims=(512, 512, 512), activation="prelu")``.

    References
    ----------
    Veličković et al. (2019), "Deep Graph Infomax", ICLR.
    """

    loss: DeepGraphInfomaxLoss = field(default_factory=DeepGraphInfomaxLoss)
    batch_size: int | None = None
    num_neighbors: Fanouts | None = None

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            check_int(self.batch_size, "batch_size", low=1)
        if self.num_neighbors is not None:
            check_fanouts(self.num_neighbors)
        if self.loss.reduction == "none":
            raise InvalidArgumentError("loss has reduction 'none'; use 'mean' or 'sum'")

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Run:
        return _Run(self, encoder, weights, graph, features, seed)


class _Run(SeededRun):
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
        self.reader = Reader(
            encoder, weights, graph, features, num_neighbors=objective.num_neighbors, seed=seed
        )
        read, _ = self.reader.read(np.zeros(1, np.int64), 0)
        dim = width_of(encoder, weights, read)
        self.parameters = own_weights({_WEIGHT: (dim, dim)}, seed)
        size = objective.batch_size
        self.steps_per_epoch = 1 if size is None else max(1, -(-graph.num_nodes // size))

    @property
    def samples_per_epoch(self) -> int:
        return self.graph.num_nodes

    def adjust(self, knobs: Knobs) -> set[str]:
        return self.reader.adjust(knobs.num_neighbors)

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        nodes = np.arange(self.graph.num_nodes)
        batches = [nodes]
        if self.steps_per_epoch > 1:
            batches = np.array_split(self.rng.permutation(nodes), self.steps_per_epoch)
        for i, batch in enumerate(batches):
            draw = number * self.steps_per_epoch + i
            pair = self._pair(weights, batch, draw)
            yield self._step(*pair, noise=self.noise(number, i))

    def _pair(self, weights: Weights, nodes: Ids, draw: int) -> tuple[Any, Any, Ids | None]:
        """What the encoder reads of the graph and of the corrupted one, and the rows it answers."""
        inputs, rows = self.reader.read(nodes, draw)
        if self.reader.whole is None:
            order = self.rng.permutation(inputs.features.shape[0])
            return inputs, inputs._replace(features=rows_of(inputs.features, order)), rows
        order = self.rng.permutation(self.graph.num_nodes)
        corrupted = self.encoder.inputs(weights, self.graph, rows_of(self.features, order))
        return inputs, corrupted, rows if self.steps_per_epoch > 1 else None

    def _step(
        self, inputs: Any, corrupted: Any, rows: Ids | None, *, noise: np.random.Generator
    ) -> Step:
        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            states = [
                self.encoder.forward(variables, read, rows=rows, rng=noise)
                for read in (inputs, corrupted)
            ]
            value = loss_node(self.loss, [*states, variables[_WEIGHT]])
            return {self.loss.name: value}

        return step


def rows_of(features: Features, rows: Ids) -> Features:
    """Return these rows of the features, in this order."""
    return features.take_rows(rows) if isinstance(features, CSR) else features[rows]


def width_of(encoder: Encoder, weights: Weights, inputs: object) -> int:
    """Return how many columns the encoder's embeddings have."""
    variables = {name: constant(weights[name]) for name in encoder.trainable}
    return encoder.forward(variables, inputs, rows=np.zeros(1, np.int64)).shape[1]
