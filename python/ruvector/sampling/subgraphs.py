"""Small graphs within a large one, with what makes training on them unbiased."""

from collections.abc import Iterator
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_choice, check_int
from ruvector.errors import InvalidTypeError
from ruvector.graph import Graph
from ruvector.sampling._graph import MOST
from ruvector.sparse import CSR

__all__ = ["SampledSubgraph", "SubgraphSampler"]

_AHEAD = 16


class SampledSubgraph(NamedTuple):
    """The graph between some nodes.

    Attributes
    ----------
    nodes : (m,) int64
        Numbers in the whole graph, rising.
    matrix : CSR of float32, shape (m, m)
        The mean over neighbours, each entry divided by how likely it is given that the row's node
        is there: ``matrix @ x[nodes]`` estimates the mean over all neighbours.
    loss_weights : (m,) float32
        One over n times how likely each node is: ``(loss_weights * losses).sum()`` estimates the
        mean of the nodes' losses over the whole graph.
    """

    nodes: npt.NDArray[np.int64]
    matrix: CSR
    loss_weights: npt.NDArray[np.float32]


class SubgraphSampler:
    """Samples subgraphs to train on as if each were the whole graph (GraphSAINT).

    Parameters
    ----------
    graph : Graph
        Weights of edges are not used.
    method : {"walks", "edges", "nodes"}
        ``"walks"``: nodes on random walks of `length` steps from `size` uniform roots. ``"edges"``:
        the ends of `size` edges, drawn with probability ∝ 1/deg u + 1/deg v. ``"nodes"``: `size`
        nodes with probability ∝ the sum over its neighbours of 1/deg². All drawn with
        replacement; all edges between the nodes come along. Only ``"walks"`` comes to nodes
        without neighbours.
    size, length : int
        See above.
    runs : int
        Subgraphs that are drawn first, once, to learn how often nodes and edges are in one.
    seed : int
        Same seed, same subgraphs, for any number of threads.

    Attributes
    ----------
    node_counts : (n,) int64
        How many of the `runs` subgraphs held each node.
    entry_counts : (2 E,) int64
        The same for the entries of ``graph.adjacency()``.

    Raises
    ------
    InvalidArgumentError
        A setting out of range.
    InvalidTypeError
        No Graph.

    Notes
    -----
    A subgraph costs the sum of its nodes' degrees. What none of the `runs` subgraphs held counts as
    held by one of them: take so many runs that this is rare.

    References
    ----------
    Zeng et al. (2020), "GraphSAINT: Graph Sampling Based Inductive Learning Method".

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> from ruvector.sampling import SubgraphSampler
    >>> ring = Graph.from_edges([[i, (i + 1) % 30] for i in range(30)])
    >>> sampler = SubgraphSampler(ring, size=3, length=2)
    >>> subgraph = sampler.sample(0)
    >>> 3 <= len(subgraph.nodes) <= 9
    True
    >>> subgraph.matrix.shape == (len(subgraph.nodes), len(subgraph.nodes))
    True
    """

    def __init__(
        self,
        graph: Graph,
        method: Literal["walks", "edges", "nodes"] = "walks",
        *,
        size: int,
        length: int = 2,
        runs: int = 200,
        seed: int = 0,
    ) -> None:
        if not isinstance(graph, Graph):
            raise InvalidTypeError(f"graph is a {type(graph).__name__} but must be a Graph")
        self.graph = graph
        self.method = check_choice(method, "method", choices=("walks", "edges", "nodes"))
        self.size = check_int(size, "size", low=1, high=2**31)
        self.length = check_int(length, "length", low=0, high=MOST)
        self.runs = check_int(runs, "runs", low=1, high=2**31)
        self.seed = check_int(seed, "seed", low=0, high=2**64 - 1)
        adjacency = graph.adjacency()
        self._parts = (adjacency.indptr, adjacency.indices)

    @cached_property
    def _drawn(
        self,
    ) -> npt.NDArray[np.float64] | tuple[npt.NDArray[np.int64], int] | npt.NDArray[np.int64]:
        if self.method == "walks":
            return np.arange(self.graph.num_nodes), self.length
        if self.method == "edges":
            return np.flatnonzero(self.graph.degrees)
        return _core.column_importance(self._parts, self._means)

    @cached_property
    def _means(self) -> npt.NDArray[np.float32]:
        degrees = self.graph.degrees
        return (1.0 / np.repeat(degrees, degrees)).astype(np.float32)

    @cached_property
    def _counts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        return _core.count_subgraphs(self._parts, self._drawn, self.size, self.runs, self.seed)

    @property
    def node_counts(self) -> npt.NDArray[np.int64]:
        nodes, _ = self._counts
        return np.array(nodes)

    @property
    def entry_counts(self) -> npt.NDArray[np.int64]:
        _, entries = self._counts
        return np.array(entries)

    def sample(self, number: int = 0) -> SampledSubgraph:
        """Return the subgraph of a number below 2⁵⁶; other numbers give other ones.

        Raises
        ------
        InvalidArgumentError
            A number out of range.
        """
        return self._sample(check_int(number, "number", low=0, high=2**56 - 1), 1)[0]

    def batches(self, count: int, *, epoch: int = 0) -> Iterator[SampledSubgraph]:
        """Yield `count` subgraphs, other ones each epoch; 16 are sampled in one call.

        Raises
        ------
        InvalidArgumentError
            A setting out of range, before the first subgraph.
        """
        total = check_int(count, "count", low=0, high=2**32 - 1)
        first = check_int(epoch, "epoch", low=0, high=2**24 - 1) << 32
        return self._run(total, first)

    def _run(self, count: int, first: int) -> Iterator[SampledSubgraph]:
        for start in range(0, count, _AHEAD):
            yield from self._sample(first + start, min(_AHEAD, count - start))

    def _sample(self, first: int, count: int) -> list[SampledSubgraph]:
        drawn = _core.sample_subgraphs(
            self._parts, self._drawn, self.size, (first, count), self.seed
        )
        return [self._normalised(*subgraph) for subgraph in drawn]

    def _normalised(
        self,
        nodes: npt.NDArray[np.int64],
        indptr: npt.NDArray[np.int64],
        indices: npt.NDArray[np.int32],
        entries: npt.NDArray[np.int64],
    ) -> SampledSubgraph:
        held, joined = (np.maximum(counts, 1) for counts in self._picked(nodes, entries))
        rows = np.repeat(held, np.diff(indptr))
        data = (self._means[entries] * rows / joined).astype(np.float32)
        weights = (self.runs / (held * self.graph.num_nodes)).astype(np.float32)
        matrix = CSR._of(indptr, indices, data, (len(nodes), len(nodes)))
        return SampledSubgraph(nodes, matrix, weights)

    def _picked(
        self, nodes: npt.NDArray[np.int64], entries: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        node_counts, entry_counts = self._counts
        return node_counts[nodes], entry_counts[entries]
