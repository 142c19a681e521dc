"""Two disturbed views of the graph should be embedded alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ruvector.arrays import check_real
from ruvector.autograd import Variable, loss_node
from ruvector.encoders import Encoder, Weights
from ruvector.graph import Graph
from ruvector.losses import CCASSGLoss
from ruvector.objectives.base import Step
from ruvector.objectives.random_state import SeededRun
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["ViewCorrelation"]


@dataclass(frozen=True)
class ViewCorrelation:
    """Correlate two views, decorrelate the columns: canonical correlation without negatives.

    Each step draws two views of the whole graph, dropping a share of the edges and zeroing a share
    of the feature columns, and embeds both. Cost a step: O(n d²) and the encoder, never n×n.

    Parameters
    ----------
    loss : CCASSGLoss
        Compares the two views.
    edge_drop, feature_drop : float
        Shares that a view lacks, 0 to less than 1.

    References
    ----------
    Zhang et al. (2021), "From Canonical Correlation Analysis to Self-supervised Graph Neural
    Networks", NeurIPS.
    """

    loss: CCASSGLoss = field(default_factory=CCASSGLoss)
    edge_drop: float = 0.4
    feature_drop: float = 0.1

    def __post_init__(self) -> None:
        check_real(self.edge_drop, "edge_drop", low=0, high=0.999)
        check_real(self.feature_drop, "feature_drop", low=0, high=0.999)

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Run:
        del weights
        return _Run(self, encoder, graph, features, seed)


class _Run(SeededRun):
    steps_per_epoch = 1

    def __init__(
        self,
        objective: ViewCorrelation,
        encoder: Encoder,
        graph: Graph,
        features: Features,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.objective = objective
        self.encoder = encoder
        self.graph = graph
        self.features = features

    @property
    def samples_per_epoch(self) -> int:
        return self.graph.num_nodes

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        views = [self.encoder.inputs(weights, *self._view()) for _ in range(2)]

        noise = self.noise(number)

        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            embedded = [self.encoder.forward(variables, view, rng=noise) for view in views]
            return {self.objective.loss.name: loss_node(self.objective.loss, embedded)}

        yield step

    def _view(self) -> tuple[Graph, Features]:
        dropped = self.rng.random(self.graph.num_edges) < self.objective.edge_drop
        draws = self.rng.random(self.features.shape[1])
        factors = np.where(draws < self.objective.feature_drop, np.float32(0), np.float32(1))
        if isinstance(self.features, CSR):
            return self.graph.without_edges(dropped), self.features.scale_columns(factors)
        return self.graph.without_edges(dropped), self.features * factors
