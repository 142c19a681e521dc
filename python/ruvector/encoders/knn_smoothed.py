"""Another encoder's embeddings, averaged over what is near in the graph and in the embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int, check_real
from ruvector.autograd import Variable
from ruvector.encoders.base import Encoder, Weights, encoder_from_config
from ruvector.errors import InvalidTypeError
from ruvector.graph import Graph
from ruvector.index import HNSW
from ruvector.similarity import top_k
from ruvector.smoothing import Features, mean_of_powers

__all__ = ["KNNSmoothed"]

#: Up to this many nodes all pairs are compared; beyond, an index is searched.
MAX_EXACT = 16_384

_PREFIX = "part."


@dataclass(frozen=True)
class KNNSmoothed(Encoder):
    """Embeddings of another encoder, smoothed along edges and nearest neighbours at once.

    Every node gets edges to its nearest nodes by cosine, of weight ``weight · cosine`` in units of
    the graph's mean edge weight; the embedding is the mean over powers of the normalised adjacency
    of both kinds of edges, brought to a root mean square of 1 on the training graph. So nodes of
    few edges, whose embeddings are the least certain, are averaged too. Training is that of the
    encoder inside.

    Parameters
    ----------
    part : Encoder
        Makes the embeddings.
    neighbors : int
        Nearest nodes of each node.
    weight : float
        Of an edge to a node in the same direction.
    powers : int
        How far the result is averaged.

    Notes
    -----
    Besides the encoder inside: n² · d operations up to 16,384 nodes, an HNSW index beyond, and
    `powers` products with n · `neighbors` further edges. Memory goes with the number of edges.

    References
    ----------
    Zhou et al. (2004), "Learning with Local and Global Consistency", NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> import ruvector
    >>> from ruvector.encoders import KNNSmoothed, SmoothedLinear
    >>> graph = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]])
    >>> encoder = KNNSmoothed(SmoothedLinear(dim=3), neighbors=2)
    >>> ruvector.Trainer(encoder, epochs=2).fit(graph, np.eye(4)).embed().shape
    (4, 3)
    """

    part: Encoder
    neighbors: int = 15
    weight: float = 0.5
    powers: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.part, Encoder):
            raise InvalidTypeError(f"part is {self.part!r} but must be an encoder")
        check_int(self.neighbors, "neighbors", low=1)
        check_real(self.weight, "weight", low=0)
        check_int(self.powers, "powers", low=0)

    @property
    def trainable(self) -> tuple[str, ...]:
        return tuple(_PREFIX + name for name in self.part.trainable)

    def initialize(self, graph: Graph, features: Features, *, seed: int) -> Weights:
        return self.join(self.part.initialize(graph, features, seed=seed))

    def join(self, weights: Weights) -> Weights:
        """Return weights of the encoder inside as weights of the whole, not yet finished."""
        own = {_PREFIX + name: array for name, array in weights.items()}
        return {**own, "factor": np.ones(1, np.float32)}

    def num_features(self, weights: Weights) -> int:
        return self.part.num_features(_inside(weights))

    def inputs(self, weights: Weights, graph: Graph, features: Features) -> Any:
        return self.part.inputs(_inside(weights), graph, features)

    def forward(
        self,
        variables: Mapping[str, Variable],
        inputs: Any,
        *,
        rows: npt.NDArray[np.int64] | None = None,
        rng: np.random.Generator | None = None,
    ) -> Variable:
        """Return what the encoder inside returns: smoothing follows the training."""
        return self.part.forward(_inside(variables), inputs, rows=rows, rng=rng)

    def finish(self, weights: Weights, graph: Graph, features: Features) -> Weights:
        finished = {**weights, **self.join(self.part.finish(_inside(weights), graph, features))}
        smoothed = self.output(finished, graph, features)
        size = float(np.sqrt(np.mean(np.square(smoothed, dtype=np.float64))))
        return {**finished, "factor": np.array([1 / size if size > 0 else 1], np.float32)}

    def output(self, weights: Weights, graph: Graph, features: Features) -> npt.NDArray[np.float32]:
        z = self.part.output(_inside(weights), graph, features)
        joined = with_nearest(graph, z, neighbors=self.neighbors, weight=self.weight)
        smoothed = mean_of_powers(joined.normalized_adjacency(), z, self.powers)
        scaled: npt.NDArray[np.float32] = smoothed * weights["factor"]
        return scaled

    def config(self) -> dict[str, Any]:
        own = {"neighbors": self.neighbors, "weight": self.weight, "powers": self.powers}
        return {"kind": type(self).__name__, "part": self.part.config(), **own}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> KNNSmoothed:
        own = {name: value for name, value in settings.items() if name != "part"}
        return cls(encoder_from_config(settings["part"]), **own)


def with_nearest(
    graph: Graph, z: npt.NDArray[np.float32], *, neighbors: int, weight: float
) -> Graph:
    """Return the graph with edges from every node to its nearest ones by cosine.

    They weigh ``weight · cosine`` mean edges; pairs of no positive cosine get none, and edges that
    are there already keep the larger weight.
    """
    count = graph.num_nodes
    rows, cosines = _nearest(z, min(neighbors, count - 1))
    nodes = np.repeat(np.arange(count), rows.shape[1])
    others, values = rows.ravel(), cosines.ravel().astype(np.float64)
    unit = 1.0
    if graph.weights is not None and graph.num_edges:
        unit = float(graph.weights.mean(dtype=np.float64))
    added = (values * weight > 1e-6) & (others >= 0) & (others != nodes)
    keys = np.minimum(nodes, others) * count + np.maximum(nodes, others)
    own = np.ones(graph.num_edges) if graph.weights is None else graph.weights
    keys = np.concatenate([graph.edges[:, 0] * count + graph.edges[:, 1], keys[added]])
    weights = np.concatenate([own, values[added] * (weight * unit)])
    order = np.argsort(keys, kind="stable")
    keys, first = np.unique(keys[order], return_index=True)
    if len(keys):
        weights = np.maximum.reduceat(weights[order], first)
    return Graph(
        num_nodes=count,
        edges=np.stack([keys // count, keys % count], axis=1),
        weights=weights.astype(np.float32),
    )


def _nearest(
    z: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.floating[Any]]]:
    """Return the k nearest other rows of each, -1 where fewer were found, and their cosines."""
    if len(z) <= MAX_EXACT:
        # One more, since nearly every row finds itself first.
        found = top_k(z, z, k + 1)
        rows, cosines = found.rows, found.scores
    else:
        index = HNSW(z.shape[1], metric="cosine")
        index.add(z)
        hits = index.search(z, k + 1)
        rows, cosines = hits.ids, 1 - hits.distances
    # Rows alike may come before a row itself: then its last hit is one too many.
    itself = rows == np.arange(len(z))[:, None]
    itself[~itself.any(axis=1), -1] = True
    return rows[~itself].reshape(len(z), k), cosines[~itself].reshape(len(z), k)


def _inside(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(_PREFIX): array
        for name, array in arrays.items()
        if name.startswith(_PREFIX)
    }
