"""A linear map of the features, averaged over the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int
from ruvector.autograd import (
    Variable,
    add,
    constant,
    gather,
    matmul,
    scale,
    sparse_matmul,
)
from ruvector.encoders.base import Encoder, Weights
from ruvector.graph import Graph
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["PropagatedLinear"]


class _Inputs(NamedTuple):
    adjacency: CSR
    features: Features


@dataclass(frozen=True)
class PropagatedLinear(Encoder):
    """A linear map of the full features, then the mean over powers of the adjacency.

    ``Z = (1 / (K + 1)) Σ_k Âᵏ X W`` with ``K = powers``; the embedding is Z with every column
    standardised by its mean and deviation on the training graph. Sparse features are never made
    dense: with W first, the products run on n × dim values however wide X is.

    Parameters
    ----------
    dim : int
        Columns of the embedding.
    powers : int
        How far the map's results are averaged.

    References
    ----------
    Zhu and Koniusz (2021), "Simple Spectral Graph Convolution", ICLR.
    """

    dim: int = 256
    powers: int = 4

    def __post_init__(self) -> None:
        check_int(self.dim, "dim", low=1)
        check_int(self.powers, "powers", low=0)

    @property
    def trainable(self) -> tuple[str, ...]:
        return ("weight",)

    def initialize(self, graph: Graph, features: Features, *, seed: int) -> Weights:
        del graph
        width = features.shape[1]
        bound = np.sqrt(6 / (width + self.dim))  # Glorot and Bengio 2010
        rng = np.random.default_rng(seed)
        weight = rng.uniform(-bound, bound, (width, self.dim)).astype(np.float32)
        zeros, ones = np.zeros(self.dim, np.float32), np.ones(self.dim, np.float32)
        return {"weight": weight, "mean": zeros, "deviation": ones}

    def num_features(self, weights: Weights) -> int:
        return len(weights["weight"])

    def inputs(self, weights: Weights, graph: Graph, features: Features) -> _Inputs:
        del weights
        return _Inputs(graph.normalized_adjacency(), features)

    def forward(
        self,
        variables: Mapping[str, Variable],
        inputs: Any,
        *,
        rows: npt.NDArray[np.int64] | None = None,
        rng: np.random.Generator | None = None,
    ) -> Variable:
        del rng
        features, weight = inputs.features, variables["weight"]
        if isinstance(features, CSR):
            reached = sparse_matmul(features, weight)
        else:
            reached = matmul(constant(features), weight)
        total = reached
        for _ in range(self.powers):
            reached = sparse_matmul(inputs.adjacency, reached)
            total = add(total, reached)
        mean = scale(total, 1 / (self.powers + 1))
        return mean if rows is None else gather(mean, rows)

    def finish(self, weights: Weights, graph: Graph, features: Features) -> Weights:
        z = self._propagate(weights, graph, features)
        deviation = np.maximum(z.std(axis=0), np.float32(1e-9))
        return {**weights, "mean": z.mean(axis=0), "deviation": deviation}

    def output(self, weights: Weights, graph: Graph, features: Features) -> npt.NDArray[np.float32]:
        z = self._propagate(weights, graph, features)
        standard: npt.NDArray[np.float32] = (z - weights["mean"]) / weights["deviation"]
        return standard

    def _propagate(
        self, weights: Weights, graph: Graph, features: Features
    ) -> npt.NDArray[np.float32]:
        inputs = self.inputs(weights, graph, features)
        return self.forward({"weight": constant(weights["weight"])}, inputs).value
