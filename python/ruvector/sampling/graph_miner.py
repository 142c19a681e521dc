"""The most similar nodes at some distance in the graph."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, check_choice, check_int, check_skip
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.sampling._graph import MOST, adjacency_of, node_list, parts_of
from ruvector.sparse import CSR

__all__ = ["GraphMiner", "GraphNegatives", "HardEdges", "hard_negative_edges"]


class GraphNegatives(NamedTuple):
    """What a graph miner chose.

    Attributes
    ----------
    indices : (A, k) int64
        Nodes, most similar first, distinct in a row; -1 fills where there are fewer.
    similarities : (A, k) float32
        Cosine or inner product with the node; -inf fills.
    counts : (A,) int64
        How many were found.
    candidates : (A,) int64
        Nodes at a distance that counts, the band included; all others were left out.
    """

    indices: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]
    candidates: npt.NDArray[np.int64]


class GraphMiner:
    """Chooses for each node others at some distance in the graph, at random or the most similar.

    By default nodes at random that are no neighbours. With ``strategy="hardest", most=3`` those
    near enough to be mistaken for neighbours that are none; with ``strategy="hardest"`` nodes that
    are close in the embedding and far, or cut off, in the graph.

    Parameters
    ----------
    k : int
        Nodes chosen for each.
    strategy : {"random", "hardest"}
        ``"random"``: uniform, without repeats. ``"hardest"``: the most similar. The default is
        ``"random"``: where neighbours are alike, training on the hardest, or on those at 2 to 3
        hops, loses to it where classes count, as docs/mining.md shows.
    least, most : int
        Distances that count, in hops, both included; `least` at least 1, and at least 2 leaves out
        neighbours. ``most=None`` counts every distance from `least` on and nodes that cannot be
        reached.
    skip : int or float
        The band of ``"hardest"``: so many of the most similar candidates are passed over, or this
        share of them, rounded down. Where classes cluster, the very hardest are mostly unlabelled
        neighbours.
    metric : {"cosine", "dot"}
        What similarity is. A row of zeros has cosine 0 to everything.
    seed : int
        For ``"random"``: same seed and input, same result, for any number of threads. Vary it
        between calls to get other nodes.

    Raises
    ------
    InvalidArgumentError
        A setting out of range; a band for ``"random"``, which has none.

    Notes
    -----
    Distances are found as by :func:`hops`, a batch of nodes at a time, and never kept. Where
    candidates of ``"hardest"`` are a large share of the nodes, similarities come from products,
    ``2·A·n·d`` operations; otherwise from single pairs, ``2·d`` a candidate. ``"random"`` measures
    only the nodes that it chose.

    References
    ----------
    Ying et al. (2018), "Graph Convolutional Neural Networks for Web-Scale Recommender Systems"
    (hard negatives by the graph).

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.graph import Graph
    >>> from ruvector.sampling import GraphMiner
    >>> path = Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 4]])
    >>> embeddings = np.array([[1.0, 0], [1, 0.1], [0, 1], [1, 0.2], [1, 0]])
    >>> GraphMiner(k=1, strategy="hardest", most=3).mine(embeddings, path).indices.ravel().tolist()
    [3, 3, 0, 1, 1]
    """

    def __init__(
        self,
        *,
        k: int,
        strategy: Literal["random", "hardest"] = "random",
        least: int = 2,
        most: int | None = None,
        skip: float = 0,
        metric: Literal["cosine", "dot"] = "cosine",
        seed: int = 0,
    ) -> None:
        self.k = check_int(k, "k", low=1, high=MOST)
        self.strategy = check_choice(strategy, "strategy", choices=("random", "hardest"))
        self.least = check_int(least, "least", low=1, high=MOST)
        self.most = None if most is None else check_int(most, "most", low=1, high=MOST)
        if self.most is not None and self.least > self.most:
            raise InvalidArgumentError(
                f"least is {self.least} but must not be above most, which is {self.most}"
            )
        self._skip = check_skip(skip)
        self.skip = self._skip[1] or self._skip[0]
        if self.strategy == "random" and self.skip:
            raise InvalidArgumentError(
                f"skip is {self.skip!r} but strategy 'random' passes over nothing; choose "
                "strategy='hardest'"
            )
        self.metric = check_choice(metric, "metric", choices=("cosine", "dot"))
        self.seed = check_int(seed, "seed", low=0, high=2**64 - 1)

    def __repr__(self) -> str:
        return (
            f"GraphMiner(k={self.k}, strategy={self.strategy!r}, least={self.least}, "
            f"most={self.most}, skip={self.skip!r}, metric={self.metric!r}, seed={self.seed})"
        )

    def mine(
        self, embeddings: npt.ArrayLike, graph: Graph | CSR, *, nodes: npt.ArrayLike | None = None
    ) -> GraphNegatives:
        """Choose nodes.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            One row a node, finite.
        graph : Graph, or CSR of shape (n, n)
            A matrix is a directed graph: distances lead from rows to columns.
        nodes : array_like of int, shape (A,), optional
            The nodes to choose for; all without it.

        Returns
        -------
        GraphNegatives
            Fresh arrays.

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit, nodes that do not exist, NaN or infinity.
        InvalidTypeError
            No graph, no numbers.
        """
        rows = as_floats(embeddings, "embeddings")
        if rows.shape[1] == 0:
            raise InvalidArgumentError(f"embeddings has shape {rows.shape} but needs a column")
        parts, chosen = parts_of(graph), node_list(nodes, graph)
        count = adjacency_of(graph).shape[0]
        if len(rows) != count:
            raise InvalidArgumentError(
                f"embeddings has shape {rows.shape} but the graph has {count} nodes"
            )
        skip, share = self._skip
        found = _core.mine_by_hops(
            parts,
            rows,
            chosen,
            (self.least, self.most),
            (self.k, skip, share, self.metric == "cosine"),
            self.seed if self.strategy == "random" else None,
        )
        return GraphNegatives(*found)


class HardEdges(NamedTuple):
    """Pairs of nodes close in the embedding and far in the graph.

    Attributes
    ----------
    edges : (m, 2) int64
        No pair twice, the smaller node first (of a matrix: ordered pairs); most similar first.
    similarities : (m,) float32
        Cosine or inner product.
    short : int
        Nodes that had fewer than `k` others so far away.
    """

    edges: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    short: int


def hard_negative_edges(
    graph: Graph | CSR,
    embeddings: npt.ArrayLike,
    *,
    k: int = 1,
    apart: int = 2,
    nodes: npt.ArrayLike | None = None,
    skip: float = 0.2,
    metric: Literal["cosine", "dot"] = "cosine",
) -> HardEdges:
    """Find the pairs that look like edges and are more than some hops apart.

    Parameters
    ----------
    graph : Graph, or CSR of shape (n, n)
        As for :meth:`GraphMiner.mine`.
    embeddings : array_like of float, shape (n, d)
        One row a node, finite.
    k : int
        Pairs a node at most; a pair that both its ends choose counts once.
    apart : int
        Pairs must be more than this many hops apart, or not connected; at least 1.
    nodes : array_like of int, optional
        Choose for these only.
    skip, metric
        As for :class:`GraphMiner`. By default a fifth of what is far enough is passed over: on
        homophilous graphs the most similar of it mostly have the node's own label.

    Returns
    -------
    HardEdges
        Fresh arrays.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        As :meth:`GraphMiner.mine`.

    Notes
    -----
    ``2·A·n·d`` operations, and those of :func:`hops`; a share to pass over keeps and sorts as many
    candidates, which can take many times as long as ``skip=0``. docs/mining.md compares training
    on such pairs, with and without a band, with training on uniform ones.

    References
    ----------
    Robinson et al. (2021), "Contrastive Learning with Hard Negative Samples", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.graph import Graph
    >>> from ruvector.sampling import hard_negative_edges
    >>> path = Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 4]])
    >>> embeddings = np.array([[1.0, 0], [1, 0.1], [0, 1], [1, 0.2], [1, 0]])
    >>> hard_negative_edges(path, embeddings).edges.tolist()
    [[0, 4], [1, 4], [0, 3]]
    """
    miner = GraphMiner(
        k=k,
        strategy="hardest",
        least=check_int(apart, "apart", low=1, high=MOST - 1) + 1,
        skip=skip,
        metric=metric,
    )
    found = miner.mine(embeddings, graph, nodes=nodes)
    filled = found.indices >= 0
    sources = np.repeat(node_list(nodes, graph), found.counts)
    pairs = np.stack([sources, found.indices[filled]], axis=1)
    if isinstance(graph, Graph):
        pairs.sort(axis=1)
    keys = pairs[:, 0] * adjacency_of(graph).shape[0] + pairs[:, 1]
    _, first = np.unique(keys, return_index=True)
    scores = found.similarities[filled][first]
    order = np.argsort(-scores, kind="stable")
    short = int(np.count_nonzero(found.counts < miner.k))
    return HardEdges(pairs[first[order]], scores[order], short)
