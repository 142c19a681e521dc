"""Embeddings should tell the classes of labelled nodes, or of labelled graphs, apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_labels, check_int
from ruvector.autograd import Variable, loss_node
from ruvector.encoders import Encoder, Weights
from ruvector.encoders.layers import linear
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.graph_batch import GraphBatch
from ruvector.losses import GraphClassificationLoss, NodeClassificationLoss
from ruvector.objectives.base import BlockSampler, Knobs, Step
from ruvector.objectives.infomax import width_of
from ruvector.objectives.random_state import SeededRun, own_weights
from ruvector.objectives.reading import Fanouts, Reader, check_fanouts
from ruvector.smoothing import Features

__all__ = ["GraphClassification", "NodeClassification"]

_WEIGHT, _BIAS = "objective.weight", "objective.bias"


@dataclass(frozen=True, eq=False)
class NodeClassification:
    """Softmax cross-entropy of labelled nodes.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Classes from 0; -1 for none.
    mask : array_like of bool, shape (n,), optional
        Which labelled nodes may be learned from; all by default.
    head : bool
        Train a linear map from embeddings to logits, which the trainer's weights keep as
        ``objective.weight`` and ``objective.bias``. Without one the encoder's columns are the
        logits.
    loss : NodeClassificationLoss
    batch_size : int, optional
        Labelled nodes of a step at most, about as many in each; all by default.
    sampler : BlockSampler, optional
        Draws the surroundings of each step's nodes, with as many layers as the encoder; without
        one the encoder reads the whole graph at each step. Embedding reads it in any case.
    num_neighbors : int or sequence of int, optional
        Instead of `sampler`: sample so many neighbours at each layer of the encoder, in a list one
        number a layer, that of the step's own nodes first; -1 for all. A curriculum's number
        replaces them.

    References
    ----------
    Kipf and Welling (2017), "Semi-Supervised Classification with Graph Convolutional Networks",
    ICLR.
    """

    labels: npt.ArrayLike
    mask: npt.ArrayLike | None = None
    head: bool = False
    loss: NodeClassificationLoss = field(default_factory=NodeClassificationLoss)
    batch_size: int | None = None
    sampler: BlockSampler | None = None
    num_neighbors: Fanouts | None = None

    def __post_init__(self) -> None:
        _check_reduction(self.loss)
        if self.num_neighbors is not None:
            check_fanouts(self.num_neighbors)
            if self.sampler is not None:
                raise InvalidArgumentError("sampler and num_neighbors are both given; give one")
        if self.batch_size is not None:
            check_int(self.batch_size, "batch_size", low=1)

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Nodes:
        return _Nodes(self, encoder, weights, graph, features, seed)


class _Nodes(SeededRun):
    def __init__(  # noqa: PLR0917  (called once, just above)
        self,
        objective: NodeClassification,
        encoder: Encoder,
        weights: Weights,
        graph: Graph,
        features: Features,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.objective = objective
        self.encoder = encoder
        self.labels = as_labels(objective.labels, "labels", count=graph.num_nodes)
        self.rows = _labelled(self.labels, objective.mask)
        self.reader = Reader(
            encoder,
            weights,
            graph,
            features,
            num_neighbors=objective.num_neighbors,
            seed=seed,
            sampler=objective.sampler,
        )
        read, _ = self.reader.read(self.rows[:1], 0)
        width = width_of(encoder, weights, read)
        self.parameters = _head(width, self.labels[self.rows], objective.head, seed)
        self.steps_per_epoch = _steps(len(self.rows), objective.batch_size)

    @property
    def samples_per_epoch(self) -> int:
        return len(self.rows)

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        del weights
        batches = [self.rows]
        if self.steps_per_epoch > 1:
            batches = np.array_split(self.rng.permutation(self.rows), self.steps_per_epoch)
        for i, rows in enumerate(batches):
            draw = number * self.steps_per_epoch + i
            yield self._step(rows, draw, noise=self.noise(number, i))

    def adjust(self, knobs: Knobs) -> set[str]:
        return self.reader.adjust(knobs.num_neighbors)

    def _step(
        self, nodes: npt.NDArray[np.int64], number: int, *, noise: np.random.Generator
    ) -> Step:
        read, rows = self.reader.read(nodes, number)

        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            logits = self.encoder.forward(variables, read, rows=rows, rng=noise)
            if self.objective.head:
                logits = linear(logits, variables[_WEIGHT], variables[_BIAS])
            loss = self.objective.loss
            return {loss.name: loss_node(loss, [logits], labels=self.labels[nodes])}

        return step


@dataclass(frozen=True, eq=False)
class GraphClassification:
    """Softmax cross-entropy of whole graphs, whose nodes are pooled.

    Parameters
    ----------
    batch : GraphBatch
        The graphs; train on ``batch.graph``.
    labels : array_like of int, shape (g,)
        Classes from 0; -1 for none.
    mask : array_like of bool, shape (g,), optional
        Which labelled graphs may be learned from; all by default.
    loss : GraphClassificationLoss
        Says how nodes are pooled. The linear map from pooled embeddings to logits is trained along
        and kept as ``objective.weight`` and ``objective.bias``.

    References
    ----------
    Xu, Hu, Leskovec and Jegelka (2019), "How Powerful are Graph Neural Networks?", ICLR.
    """

    batch: GraphBatch
    labels: npt.ArrayLike
    mask: npt.ArrayLike | None = None
    loss: GraphClassificationLoss = field(default_factory=GraphClassificationLoss)

    def __post_init__(self) -> None:
        _check_reduction(self.loss)

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Graphs:
        return _Graphs(self, encoder, weights, graph, features, seed)


class _Graphs(SeededRun):
    steps_per_epoch = 1

    def __init__(  # noqa: PLR0917  (called once, just above)
        self,
        objective: GraphClassification,
        encoder: Encoder,
        weights: Weights,
        graph: Graph,
        features: Features,
        seed: int,
    ) -> None:
        super().__init__(seed)
        if graph.num_nodes != objective.batch.graph.num_nodes:
            raise InvalidArgumentError(
                f"the graph has {graph.num_nodes} nodes but the batch "
                f"{objective.batch.graph.num_nodes}; train on batch.graph"
            )
        self.loss = objective.loss
        self.encoder = encoder
        self.graphs = objective.batch.graph_of_node
        labels = as_labels(objective.labels, "labels", count=len(objective.batch))
        rows = _labelled(labels, objective.mask)
        self.labels = np.full_like(labels, -1)
        self.labels[rows] = labels[rows]
        self.whole = encoder.inputs(weights, graph, features)
        dim = width_of(encoder, weights, self.whole)
        self.parameters = _head(dim, self.labels[rows], True, seed)

    @property
    def samples_per_epoch(self) -> int:
        return int((self.labels >= 0).sum())

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        del weights
        noise = self.noise(number)

        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            states = self.encoder.forward(variables, self.whole, rng=noise)
            inputs = [states, variables[_WEIGHT], variables[_BIAS]]
            value = loss_node(self.loss, inputs, graphs=self.graphs, labels=self.labels)
            return {self.loss.name: value}

        yield step


def _check_reduction(loss: Any) -> None:
    if loss.reduction == "none":
        raise InvalidArgumentError("loss has reduction 'none'; use 'mean' or 'sum'")


def _labelled(labels: npt.NDArray[np.int64], mask: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
    chosen = labels >= 0
    if mask is not None:
        allowed = np.asarray(mask)
        if allowed.dtype != np.bool_ or allowed.shape != labels.shape:
            raise InvalidArgumentError(
                f"mask has dtype {allowed.dtype} and shape {allowed.shape} but must be bool with "
                f"shape {labels.shape}"
            )
        chosen &= allowed
    rows = np.flatnonzero(chosen)
    if not len(rows):
        raise InvalidArgumentError("labels and mask leave nothing to learn from; give labels")
    return rows


def _head(dim: int, labels: npt.NDArray[np.int64], wanted: bool, seed: int) -> Weights:
    classes = int(labels.max()) + 1
    if wanted:
        return own_weights({_WEIGHT: (dim, classes), _BIAS: (classes,)}, seed)
    if dim < classes:
        raise InvalidArgumentError(
            f"the encoder makes {dim} columns but labels tells of {classes} classes; let it make "
            f"{classes}, or use head=True"
        )
    return {}


def _steps(count: int, batch_size: int | None) -> int:
    return 1 if batch_size is None else -(-count // batch_size)
