"""Another encoder's embeddings, averaged over near nodes where a graph has few edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

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

#: New edges of a graph, as numbers of pairs with weights, and a digest of what they were found
#: from: a training ends with the embeddings that `embed` asks for next. 12 bytes an edge, held
#: until somebody asks for them, others of the same graph take their place or the graph goes.
_found: WeakKeyDictionary[Graph, tuple[bytes, npt.NDArray[np.int64], npt.NDArray[np.float32]]]
_found = WeakKeyDictionary()


@dataclass(frozen=True)
class KNNSmoothed(Encoder):
    """Embeddings of another encoder, those of nodes with few edges averaged over near nodes.

    An encoder that averages over a graph is least certain of nodes with few neighbours. Each node
    with fewer than `neighbors` edges gets the missing ones to its nearest nodes by cosine, of
    weight ``weight · cosine`` where a node itself counts 1; the embedding is the mean over powers
    of the normalised adjacency of these new edges, brought to a root mean square of 1 on the
    training graph. Training is that of the encoder inside.

    Parameters
    ----------
    part : Encoder
        Makes the embeddings.
    neighbors : int
        Edges that no node is left short of.
    weight : float
        Of a new edge between nodes in the same direction.
    powers : int
        How far the result is averaged.

    Notes
    -----
    Besides the encoder inside: n² · d operations up to 16,384 nodes, an HNSW index beyond, and
    `powers` products with at most 2 n · `neighbors` entries. Memory goes with these.

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
        near = near_nodes(graph, z, neighbors=self.neighbors, weight=self.weight)
        smoothed = mean_of_powers(near.normalized_adjacency(), z, self.powers)
        scaled: npt.NDArray[np.float32] = smoothed * weights["factor"]
        return scaled

    def config(self) -> dict[str, Any]:
        own = {"neighbors": self.neighbors, "weight": self.weight, "powers": self.powers}
        return {"kind": type(self).__name__, "part": self.part.config(), **own}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> KNNSmoothed:
        own = {name: value for name, value in settings.items() if name != "part"}
        return cls(encoder_from_config(settings["part"]), **own)


def near_nodes(graph: Graph, z: npt.NDArray[np.float32], *, neighbors: int, weight: float) -> Graph:
    """Return the graph of edges from nodes to their nearest ones, as many as they lack.

    They weigh ``weight · cosine``; pairs of no positive cosine get none.
    """
    import hashlib  # noqa: PLC0415 - importing the package would pay for it

    count = graph.num_nodes
    # No node can lack more, and NumPy's integers hold it.
    neighbors = min(neighbors, count + int(graph.degrees.max(initial=0)))
    hasher = hashlib.blake2b(f"{neighbors} {weight!r} {count <= MAX_EXACT} ".encode())
    hasher.update(np.ascontiguousarray(z).data)
    mark = hasher.digest()
    kept = _found.pop(graph, None)
    if kept is not None and kept[0] == mark:
        keys, weights = kept[1:]
    else:
        keys, weights = _new_edges(graph, z, neighbors, weight)
        _found[graph] = mark, keys, weights
    edges = np.stack([keys // count, keys % count], axis=1)
    return Graph(num_nodes=count, edges=edges, weights=weights)


def _new_edges(
    graph: Graph, z: npt.NDArray[np.float32], neighbors: int, weight: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return edges as ``smaller end · nodes + larger end``, rising, and their weights."""
    count = graph.num_nodes
    short = np.flatnonzero(graph.degrees < neighbors)
    rows, cosines = _nearest(z, short, min(neighbors, count - 1))
    wanted = neighbors - graph.degrees[short]
    weights = weight * np.where(rows >= 0, cosines, 0).astype(np.float64)
    added = (np.arange(rows.shape[1]) < wanted[:, None]) & (weights > 1e-6)
    nodes, others = np.broadcast_to(short[:, None], rows.shape)[added], rows[added]
    keys = np.minimum(nodes, others) * count + np.maximum(nodes, others)
    # Of two nodes that are each among the other's nearest, the edge is one.
    keys, first = np.unique(keys, return_index=True)
    return keys, weights[added][first].astype(np.float32)


def _nearest(
    z: npt.NDArray[np.float32], nodes: npt.NDArray[np.int64], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.floating[Any]]]:
    """Return the k nearest other rows of some, -1 where fewer were found, and their cosines."""
    if not len(nodes):
        return np.empty((0, k), np.int64), np.empty((0, k))
    if len(z) <= MAX_EXACT:
        # One more, since nearly every row finds itself first.
        found = top_k(z[nodes], z, k + 1)
        rows, cosines = found.rows, found.scores
    else:
        index = HNSW(z.shape[1], metric="cosine")
        index.add(z)
        hits = index.search(z[nodes], k + 1)
        rows, cosines = hits.ids, 1 - hits.distances
    # Rows alike may come before a row itself: then its last hit is one too many.
    itself = rows == nodes[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(nodes), k)
    return rows[~itself].reshape(shape), cosines[~itself].reshape(shape)


def _inside(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(_PREFIX): array
        for name, array in arrays.items()
        if name.startswith(_PREFIX)
    }
