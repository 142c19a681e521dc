"""Encoders that look at a node's own features alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int
from ruvector.autograd import Variable, constant
from ruvector.encoders.base import Encoder, Weights
from ruvector.encoders.layers import Rng, Shapes, activate, initial_weights, linear, thinned
from ruvector.encoders.message_passing import LayeredEncoder
from ruvector.graph import Graph
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["MLP", "Linear"]


@dataclass(frozen=True)
class Linear(Encoder):
    """A linear map of the features: ``X W + b``.

    Parameters
    ----------
    dim : int
        Columns of the embedding.

    Notes
    -----
    Sparse features are never made dense. Edges are not read: the baseline that tells what they
    bring.
    """

    dim: int = 256

    def __post_init__(self) -> None:
        check_int(self.dim, "dim", low=1)

    @property
    def trainable(self) -> tuple[str, ...]:
        return ("weight", "bias")

    def initialize(self, graph: Graph, features: Features, *, seed: int) -> Weights:
        del graph
        shapes: Shapes = {"weight": (features.shape[1], self.dim), "bias": (self.dim,)}
        return initial_weights(shapes, seed)

    def num_features(self, weights: Weights) -> int:
        return len(weights["weight"])

    def inputs(self, weights: Weights, graph: Graph, features: Features) -> Features:
        del weights, graph
        return features

    def forward(
        self,
        variables: Mapping[str, Variable],
        inputs: Any,
        *,
        rows: npt.NDArray[np.int64] | None = None,
        rng: Rng = None,
    ) -> Variable:
        del rng
        return linear(_rows(inputs, rows), variables["weight"], variables["bias"])

    def output(self, weights: Weights, graph: Graph, features: Features) -> npt.NDArray[np.float32]:
        del graph
        variables = {name: constant(weights[name]) for name in self.trainable}
        return np.ascontiguousarray(self.forward(variables, features).value, np.float32)


@dataclass(frozen=True)
class MLP(LayeredEncoder):
    """A multilayer perceptron of the features: ``X ← activation(X W + b)``, layer after layer.

    Parameters
    ----------
    dims : tuple of int
        Columns after each layer; the last are those of the embedding.
    activation : {"relu", "prelu", "leaky_relu", "elu", "tanh", "none"}
        After every layer but the last.
    dropout : float
        Share of the values read by each layer that training sets to 0.
    activate_last : bool
        Activate after the last layer too.

    Notes
    -----
    Sparse features are never made dense. Edges are not read.
    """

    def layer_shapes(self, read: int, made: int) -> Shapes:
        return {"weight": (read, made), "bias": (made,)}

    def coefficients(self, graph: Graph) -> CSR:
        return graph.adjacency()

    def layer(
        self,
        own: Mapping[str, Variable],
        adjacency: CSR,
        x: Features | Variable,
        *,
        last: bool,
        rng: Rng,
    ) -> Variable:
        del adjacency
        reached = linear(thinned(x, self.dropout, rng), own["weight"], own["bias"])
        if last and not self.activate_last:
            return reached
        return activate(reached, self.activation, own)

    def forward(
        self,
        variables: Mapping[str, Variable],
        inputs: Any,
        *,
        rows: npt.NDArray[np.int64] | None = None,
        rng: Rng = None,
    ) -> Variable:
        wanted = inputs._replace(features=_rows(inputs.features, rows))
        return super().forward(variables, wanted, rng=rng)


def _rows(features: Features, rows: npt.NDArray[np.int64] | None) -> Features:
    if rows is None:
        return features
    return features.take_rows(rows) if isinstance(features, CSR) else features[rows]
