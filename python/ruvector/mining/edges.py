"""Hard triplets of a graph: for each edge nodes that are near without being neighbours."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, check_choice, check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.mining.hard import HardNegativeMiner, Strategy
from ruvector.sampling import hops

__all__ = ["EdgeTripletMiner", "EdgeTriplets"]


class EdgeTriplets(NamedTuple):
    """Triplets of edges, ordered by edge, then direction, hardest first.

    Attributes
    ----------
    anchors, positives, negatives : (T,) int64
        Nodes: the edge's two ends and a node that is no neighbour of the anchor, nor any nearer in
        the graph than the miner's `apart`.
    similarities : (T,) float32
        Of anchor and negative.
    edges : (T,) int64
        Rows of the graph's `edges`.
    short : int
        Ends of edges that have fewer than `k` negatives because nearly all nodes are too near the
        anchor in the graph.
    """

    anchors: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]
    negatives: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    edges: npt.NDArray[np.int64]
    short: int


class EdgeTripletMiner:
    """For each edge, up to `k` nodes that are no neighbours of one end, at random or near it.

    Never the ends of the edge, their loops, or a neighbour of the anchor. Each node is searched
    once, whatever its degree.

    Parameters
    ----------
    k : int
        Negatives an anchor.
    strategy, skip, hard_share, alpha, metric, seed
        As for :class:`HardNegativeMiner`; not ``"semi_hard"``. ``strategy="hardest"`` takes the
        nearest: on homophilous graphs these are mostly of the anchor's class, and training on them
        is worse than on random ones unless a `skip` passes over some.
    apart : int
        Negatives are more than this many hops away, or not connected; 1 leaves out neighbours
        alone.
    both_ends : bool
        Whether each end of an edge is an anchor, or the smaller one alone.

    Raises
    ------
    InvalidArgumentError
        A setting out of range.

    Notes
    -----
    As a :class:`HardNegativeMiner` over all nodes: ``2 · N² · d`` operations and no matrix of
    similarities.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.graph import Graph
    >>> from ruvector.mining import EdgeTripletMiner
    >>> graph = Graph.from_edges([[0, 1], [1, 2]], num_nodes=4)
    >>> rows = np.array([[1.0, 0.0], [0.9, 0.1], [0.4, 0.6], [0.0, 1.0]])
    >>> miner = EdgeTripletMiner(k=1, strategy="hardest")
    >>> found = miner.mine(rows, graph)
    >>> np.stack(found[:3], axis=1).tolist()
    [[0, 1, 2], [1, 0, 3], [1, 2, 3], [2, 1, 3]]
    """

    def __init__(
        self,
        k: int,
        *,
        strategy: Strategy = "random",
        skip: float = 0,
        apart: int = 1,
        both_ends: bool = True,
        **options: Any,
    ) -> None:
        allowed = ("hardest", "mixed", "random", "distance_weighted")
        check_choice(strategy, "strategy", choices=allowed)
        self.nodes = HardNegativeMiner(strategy, k=k, skip=skip, **options)
        self.apart = check_int(apart, "apart", low=1, high=1 << 20)
        self.both_ends = both_ends

    def __repr__(self) -> str:
        return f"EdgeTripletMiner({self.nodes!r}, apart={self.apart}, both_ends={self.both_ends})"

    def mine(self, embeddings: npt.ArrayLike, graph: Graph) -> EdgeTriplets:
        """Choose triplets.

        Parameters
        ----------
        embeddings : (N, d) array
            One row a node, float32 or float64, finite.
        graph : Graph
            Undirected; its edges are the positives.

        Returns
        -------
        EdgeTriplets
            Fresh arrays.

        Raises
        ------
        InvalidArgumentError
            Not a row for each node, NaN or infinity.
        InvalidTypeError
            Not numbers, not a graph.
        """
        if not isinstance(graph, Graph):
            raise InvalidTypeError(f"graph is a {type(graph).__name__} but must be a Graph")
        rows = as_floats(embeddings, "embeddings")
        if len(rows) != graph.num_nodes:
            raise InvalidArgumentError(
                f"embeddings has {len(rows)} rows but the graph has {graph.num_nodes} nodes"
            )
        adjacency = graph.adjacency()
        near: tuple[Any, Any] = adjacency.indptr, adjacency.indices
        if self.apart > 1:
            near = hops(graph, most=self.apart)
        # A node without edges is no anchor and needs no search.
        anchors = np.flatnonzero(np.diff(adjacency.indptr) > 0)
        place = np.full(graph.num_nodes, -1, np.int64)
        place[anchors] = np.arange(len(anchors))
        if len(anchors) == graph.num_nodes:
            found = self.nodes.mine(rows, exclude=near)
        else:
            lists = _with_own(*near, anchors)
            found = self.nodes.mine(rows[anchors], rows, exclude=lists)
        ends = graph.edges if self.both_ends else graph.edges[:, :1]
        others = graph.edges[:, ::-1] if self.both_ends else graph.edges[:, 1:]
        edge = np.repeat(np.arange(len(ends)), ends.shape[1])
        anchor, positive = ends.ravel(), others.ravel()
        is_loop = anchor == positive
        edge, anchor, positive = edge[~is_loop], anchor[~is_loop], positive[~is_loop]
        counts = found.counts[place[anchor]]
        chosen = np.arange(found.indices.shape[1]) < counts[:, None]
        return EdgeTriplets(
            np.repeat(anchor, counts),
            np.repeat(positive, counts),
            found.indices[place[anchor]][chosen],
            found.similarities[place[anchor]][chosen],
            np.repeat(edge, counts),
            int(np.count_nonzero(counts < self.nodes.k)),
        )


def _with_own(
    indptr: npt.NDArray[Any], indices: npt.NDArray[Any], anchors: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The lists of some nodes, with the node itself on each."""
    counts = np.diff(indptr)[anchors]
    starts = np.concatenate([[0], np.cumsum(counts + 1)])
    lists = np.empty(starts[-1], np.int64)
    lists[starts[1:] - 1] = anchors
    rest = np.ones(len(lists), bool)
    rest[starts[1:] - 1] = False
    # Nodes that are left out have no entries.
    lists[rest] = indices
    return starts, lists
