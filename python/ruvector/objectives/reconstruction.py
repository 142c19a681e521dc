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
from ruvector.objectives.base import Step
from ruvector.objectives.infomax import width_of
from ruvector.objectives.random_state import SeededRun, own_weights
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

    Each step embeds the whole graph once. All edges are compared with as many pairs, drawn afresh
    by :func:`ruvector.sampling.random_negative_edges`, that are none, or with all of those where
    they are fewer; the decoder, trained along, answers the features of some nodes, so that sparse
    features are dense for those alone.

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

    def __post_init__(self) -> None:
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
    steps_per_epoch = 1

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
        self.whole = encoder.inputs(weights, graph, features)
        if objective.features is not None:
            width = features.shape[1]
            dim = width_of(encoder, weights, self.whole)
            self.parameters = own_weights({_WEIGHT: (dim, width), _BIAS: (width,)}, seed)

    @property
    def samples_per_epoch(self) -> int:
        return self.graph.num_edges

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        del weights
        objective, graph = self.objective, self.graph
        negatives = None
        if objective.edges is not None:
            drawn = int(self.rng.integers(2**63))
            negatives = random_negative_edges(graph, graph.num_edges, seed=drawn).edges
        rows = (
            np.sort(self.rng.permutation(graph.num_nodes)[: objective.feature_rows])
            if objective.features is not None
            else None
        )

        noise = self.noise(number)

        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            z = self.encoder.forward(variables, self.whole, rng=noise)
            parts = {}
            if objective.edges is not None and negatives is not None:
                parts[objective.edges.name] = loss_node(
                    objective.edges,
                    [z],
                    src=graph.edges[:, 0],
                    dst=graph.edges[:, 1],
                    negative_src=negatives[:, 0],
                    negative_dst=negatives[:, 1],
                )
            if objective.features is not None and rows is not None:
                decoder = [variables[_WEIGHT], variables[_BIAS]]
                value = loss_node(
                    objective.features, [gather(z, rows), *decoder], target=self._dense(rows)
                )
                parts[objective.features.name] = scale(value, objective.feature_weight)
            return parts

        yield step

    def _dense(self, rows: Ids) -> npt.NDArray[np.float32]:
        if isinstance(self.features, CSR):
            dense: npt.NDArray[np.float32] = self.features.take_rows(rows).to_dense()
            return dense
        return self.features[rows]
