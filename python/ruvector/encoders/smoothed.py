"""A linear map on smoothed features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int, check_real
from ruvector.autograd import Variable, constant, matmul
from ruvector.encoders.base import Encoder, Weights
from ruvector.graph import Graph
from ruvector.smoothing import Features, feature_basis, mean_of_powers

__all__ = ["SmoothedLinear"]


class _Inputs(NamedTuple):
    directions: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.float32]


@dataclass(frozen=True)
class SmoothedLinear(Encoder):
    """A linear map on features that were smoothed over the graph.

    ``h = S(Â) U Σᵖ`` as :func:`ruvector.smooth` computes it; the embedding of node i is
    ``|h_i|^m · W h_i / |h_i|``, or with `magnitude` 0 that row scaled to length 1. ``W`` starts as
    the identity, so training starts from smoothing and not from noise.

    Parameters
    ----------
    dim : int
        Columns kept of the features and columns of the embedding.
    powers : int
        How far features are smoothed.
    exponent : float
        p above, 0 to 1.
    magnitude : float
        m above: how much of a smoothed row's length the embedding keeps. On sparse graphs the
        length tells a node's degree, which helps to tell classes apart and not to predict links.

    References
    ----------
    Wu et al. (2019), "Simplifying Graph Convolutional Networks", ICML.
    Zhu and Koniusz (2021), "Simple Spectral Graph Convolution", ICLR.
    """

    dim: int = 256
    powers: int = 8
    exponent: float = 0.5
    magnitude: float = 0.0

    def __post_init__(self) -> None:
        check_int(self.dim, "dim", low=1)
        check_int(self.powers, "powers", low=0)
        check_real(self.exponent, "exponent", low=0, high=1)
        check_real(self.magnitude, "magnitude", low=0)

    @property
    def trainable(self) -> tuple[str, ...]:
        return ("weight",)

    def initialize(self, graph: Graph, features: Features, *, seed: int) -> Weights:
        del graph
        basis = feature_basis(features, dim=self.dim, exponent=self.exponent, seed=seed)
        return {"basis": basis, "weight": np.eye(basis.shape[1], dtype=np.float32)}

    def num_features(self, weights: Weights) -> int:
        return len(weights["basis"])

    def inputs(self, weights: Weights, graph: Graph, features: Features) -> _Inputs:
        cut = features @ weights["basis"]
        smoothed = mean_of_powers(graph.normalized_adjacency(), cut, self.powers)
        return _Inputs(*_polar(smoothed))

    def forward(
        self,
        variables: Mapping[str, Variable],
        inputs: Any,
        *,
        rows: npt.NDArray[np.int64] | None = None,
        rng: np.random.Generator | None = None,
    ) -> Variable:
        del rng
        directions = inputs.directions if rows is None else inputs.directions[rows]
        return matmul(constant(directions), variables["weight"])

    def output(self, weights: Weights, graph: Graph, features: Features) -> npt.NDArray[np.float32]:
        inputs = self.inputs(weights, graph, features)
        mapped = self.forward({"weight": constant(weights["weight"])}, inputs).value
        if self.magnitude == 0:
            return _polar(mapped)[0]
        scaled: npt.NDArray[np.float32] = mapped * (inputs.lengths**self.magnitude)[:, None]
        return scaled


def _polar(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Rows scaled to length 1 (zero rows stay zero), and their lengths."""
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64))
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return x * inverse.astype(np.float32)[:, None], lengths.astype(np.float32)
