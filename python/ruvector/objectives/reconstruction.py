"""Embeddings should hold what is needed to draw the graph and its features again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int, check_real
from ruvector.autograd import Variable, gather, loss_node, scale
from ruvector.encoders import Encoder, Weights
from ruvector.encoders.layers import initial_weights
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.losses import EdgeReconstructionLoss, FeatureReconstructionLoss
from ruvector.objectives.base import Step
from ruvector.objectives.infomax import width_of
from ruvector.objectives.random_state import SeededRun
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["Reconstruction"]

_WEIGHT, _BIAS = "objective.decoder.weight", "objective.decoder.bias"

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reconstruction:
    """Graph autoencoder: edges by inner products, features by a linear decoder.

    Each step embeds the whole graph once. All edges are compared with as many pairs, drawn afresh,
    that are none; the decoder, trained along, answers the features of some nodes, so that sparse
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
            self.parameters = initial_weights({_WEIGHT: (dim, width), _BIAS: (width,)}, seed)

    @property
    def samples_per_epoch(self) -> int:
        return self.graph.num_edges

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        del weights
        objective, graph = self.objective, self.graph
        negatives = self._draw() if objective.edges is not None else None
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
                    negative_src=negatives[0],
                    negative_dst=negatives[1],
                )
            if objective.features is not None and rows is not None:
                decoder = [variables[_WEIGHT], variables[_BIAS]]
                value = loss_node(
                    objective.features, [gather(z, rows), *decoder], target=self._dense(rows)
                )
                parts[objective.features.name] = scale(value, objective.feature_weight)
            return parts

        yield step

    def _draw(self) -> tuple[Ids, Ids]:
        """As many random pairs as there are edges, without those that are edges or loops."""
        src, dst = self.rng.integers(0, self.graph.num_nodes, (2, self.graph.num_edges))
        free = (src != dst) & ~self.graph.has_edges(src, dst)
        return src[free], dst[free]

    def _dense(self, rows: Ids) -> npt.NDArray[np.float32]:
        if isinstance(self.features, CSR):
            dense: npt.NDArray[np.float32] = self.features.take_rows(rows).to_dense()
            return dense
        return self.features[rows]
