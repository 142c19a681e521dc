"""Embeddings should hold what is needed to draw the graph and its features again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int, check_real
from ruvector.autograd import Variable, gather, loss_node, scale
from ruvector.encoders import Encoder, Weights
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.losses import EdgeReconstructionLoss, FeatureReconstructionLoss
from ruvector.objectives.base import Knobs, Step
from ruvector.objectives.infomax import rows_of, width_of
from ruvector.objectives.random_state import SeededRun, own_weights
from ruvector.objectives.reading import Fanouts, Reader, check_fanouts
from ruvector.sampling import random_negative_edges
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["Reconstruction"]

logger = logging.getLogger(__name__)

_WEIGHT, _BIAS = "objective.decoder.weight", "objective.decoder.bias"

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reconstruction:
    """Graph autoencoder: edges by inner products, features by a linear decoder.

    Each step embeds the whole graph once, or what its own nodes need. Edges are compared with as
    many pairs, drawn afresh by :func:`ruvector.sampling.random_negative_edges`, that are none, or
    with all of those where they are fewer; the decoder, trained along, answers the features of some
    nodes, so that sparse features are dense for those alone.

    Parameters
    ----------
    edges : EdgeReconstructionLoss or None
        None leaves edges out.
    features : FeatureReconstructionLoss or None
        None leaves features out.
    feature_weight : float
        Factor on the loss of the features.
    feature_rows : int
        Nodes whose features a step answers.
    batch_size : int, optional
        Edges of a step at most, about as many in each; all by default.
    num_neighbors : int or sequence of int, optional
        Embed a step's nodes from so many sampled neighbours at each layer of the encoder, in a list
        one number a layer, that of the step's own nodes first; -1 for all. A curriculum's number
        replaces them. Without it every step reads the whole graph.

    Notes
    -----
    Raises :class:`~ruvector.errors.InvalidArgumentError` when the training starts if `edges` is
    given and the graph has no edges, or no pair without one.

    References
    ----------
    Kipf and Welling (2016), "Variational Graph Auto-Encoders", arXiv:1611.07308.
    """

    edges: EdgeReconstructionLoss | None = field(default_factory=EdgeReconstructionLoss)
    features: FeatureReconstructionLoss | None = None
    feature_weight: float = 1.0
    feature_rows: int = 1024
    batch_size: int | None = None
    num_neighbors: Fanouts | None = None

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            check_int(self.batch_size, "batch_size", low=1)
        if self.num_neighbors is not None:
            check_fanouts(self.num_neighbors)
        if self.edges is None and self.features is None:
            raise InvalidArgumentError("edges and features are both None; give a loss for one")
        for name in ("edges", "features"):
            loss = getattr(self, name)
            if loss is not None and loss.reduction == "none":
                raise InvalidArgumentError(f"{name} has reduction 'none'; use 'mean' or 'sum'")
        check_real(self.feature_weight, "feature_weight", low=0)
        check_int(self.feature_rows, "feature_rows", low=1)

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Run:
        if self.edges is not None and graph.num_edges == 0:
            raise InvalidArgumentError("graph has no edges to draw; use Reconstruction(edges=None)")
        pairs = graph.num_nodes * (graph.num_nodes - 1) // 2
        free = pairs - graph.num_edges
        if self.edges is not None and free == 0:
            raise InvalidArgumentError(
                f"graph has all {pairs} edges that it can have, and no pair without one to compare "
                "them with; use Reconstruction(edges=None)"
            )
        if self.edges is not None and free < graph.num_edges:
            logger.warning(
                "the graph has only %d pairs without an edge to compare its %d edges with; "
                "each step takes all of them",
                free,
                graph.num_edges,
            )
        return _Run(self, encoder, weights, graph, features, seed)


class _Run(SeededRun):
    def __init__(  # noqa: PLR0917  (called once, just above)
        self,
        objective: Reconstruction,
        encoder: Encoder,
        weights: Weights,
        graph: Graph,
        features: Features,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.objective = objective
        self.encoder = encoder
        self.graph = graph
        self.features = features
        self.reader = Reader(
            encoder, weights, graph, features, num_neighbors=objective.num_neighbors, seed=seed
        )
        size = objective.batch_size
        self.steps_per_epoch = (
            1 if size is None or objective.edges is None else -(-graph.num_edges // size)
        )
        if objective.features is not None:
            width = features.shape[1]
            read, _ = self.reader.read(np.zeros(1, np.int64), 0)
            dim = width_of(encoder, weights, read)
            self.parameters = own_weights({_WEIGHT: (dim, width), _BIAS: (width,)}, seed)

    @property
    def samples_per_epoch(self) -> int:
        return self.graph.num_edges

    def adjust(self, knobs: Knobs) -> set[str]:
        return self.reader.adjust(knobs.num_neighbors)

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        del weights
        steps = self.steps_per_epoch
        edges = [self.graph.edges]
        if steps > 1:
            order = self.rng.permutation(self.graph.num_edges)
            edges = [self.graph.edges[np.sort(part)] for part in np.array_split(order, steps)]
        for i in range(steps):
            draw = number * steps + i
            yield self._step(edges[i], draw, noise=self.noise(number, i))

    def _step(self, edges: Ids, draw: int, *, noise: np.random.Generator) -> Step:
        objective, graph = self.objective, self.graph
        pairs = np.empty((0, 2), np.int64)
        count = 0
        if objective.edges is not None:
            count = len(edges)
            drawn = int(self.rng.integers(2**63))
            negatives = random_negative_edges(graph, count, seed=drawn).edges
            pairs = np.concatenate([edges, negatives])
        answered = np.empty(0, np.int64)
        if objective.features is not None:
            answered = np.sort(self.rng.permutation(graph.num_nodes)[: objective.feature_rows])
        nodes = np.concatenate([pairs.ravel(), answered])

        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            inputs, places = self.reader.read(nodes, draw)
            z = self.encoder.forward(variables, inputs, rng=noise)
            ends, rows = places[: pairs.size].reshape(-1, 2), places[pairs.size :]
            parts = {}
            if objective.edges is not None:
                parts[objective.edges.name] = loss_node(
                    objective.edges,
                    [z],
                    src=ends[:count, 0],
                    dst=ends[:count, 1],
                    negative_src=ends[count:, 0],
                    negative_dst=ends[count:, 1],
                )
            if objective.features is not None:
                value = loss_node(
                    objective.features,
                    [gather(z, rows), variables[_WEIGHT], variables[_BIAS]],
                    target=self._dense(answered),
                )
                parts[objective.features.name] = scale(value, objective.feature_weight)
            return parts

        return step

    def _dense(self, rows: Ids) -> npt.NDArray[np.float32]:
        target = rows_of(self.features, rows)
        dense: npt.NDArray[np.float32] = target.to_dense() if isinstance(target, CSR) else target
        return dense
