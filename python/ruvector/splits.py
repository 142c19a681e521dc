"""Edges held out for link prediction, with as many pairs that are no edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.sampling import random_negative_edges

__all__ = ["EdgeSplit", "split_edges"]

_Pairs = npt.NDArray[np.int64]


class EdgeSplit(NamedTuple):
    """A graph to train on, and edges and non-edges to measure on."""

    train_graph: Graph
    """All nodes, features and labels, without the edges held out."""
    validation: _Pairs
    """(V, 2), edges of the full graph."""
    validation_negatives: _Pairs
    """(V, 2), pairs without an edge in the full graph."""
    test: _Pairs
    """(T, 2), edges of the full graph."""
    test_negatives: _Pairs
    """(T, 2), pairs without an edge in the full graph."""

    def held_out(self) -> dict[str, _Pairs]:
        """Return the four arrays of pairs by name, which :meth:`from_held_out` reads back."""
        return {name: getattr(self, name) for name in self._fields[1:]}

    @classmethod
    def from_held_out(cls, graph: Graph, arrays: Mapping[str, _Pairs]) -> EdgeSplit:
        """Return the split of `graph` whose :meth:`held_out` is given.

        Raises
        ------
        KeyError
            An array is missing.
        InvalidArgumentError
            The edges are not all edges of `graph`.
        """
        pairs = {name: arrays[name] for name in cls._fields[1:]}
        every = np.concatenate(list(pairs.values()))
        if every.size and not 0 <= every.min() <= every.max() < graph.num_nodes:
            raise InvalidArgumentError(
                "arrays hold out pairs of nodes that the graph does not have"
            )
        edges = np.concatenate([pairs["validation"], pairs["test"]])
        if not graph.has_edges(edges[:, 0], edges[:, 1]).all():
            raise InvalidArgumentError("arrays hold out edges that the graph does not have")
        keys = edges[:, 0] * graph.num_nodes + edges[:, 1]
        drop = np.isin(graph.edges[:, 0] * graph.num_nodes + graph.edges[:, 1], keys)
        return cls(graph.without_edges(drop), **pairs)


def split_edges(
    graph: Graph, *, validation: float = 0.05, test: float = 0.10, seed: int = 0
) -> EdgeSplit:
    """Hold out random edges and as many random non-edges.

    Parameters
    ----------
    graph : Graph
        At least one edge for each part that is asked for.
    validation, test : float
        Shares of the edges, rounded down; 0 for none. Together less than 1.
    seed : int
        The same seed gives the same split.

    Returns
    -------
    EdgeSplit
        Pairs have the smaller node first. No pair occurs twice, in whichever part; negatives are
        drawn uniformly from all pairs of different nodes that are no edge of the full graph.

    Raises
    ------
    InvalidArgumentError
        Shares that leave nothing to train or to measure on, or a graph so dense that it has too
        few pairs without an edge.

    Notes
    -----
    O(E log E + n). Non-edges are those of :func:`~ruvector.sampling.random_negative_edges`. Nodes
    may lose all their edges in `train_graph`.

    References
    ----------
    Kipf and Welling (2016), "Variational Graph Auto-Encoders", for the shares.

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> from ruvector.splits import split_edges
    >>> ring = Graph.from_edges([[i, (i + 1) % 40] for i in range(40)])
    >>> split = split_edges(ring, seed=1)
    >>> split.train_graph.num_edges, len(split.validation), len(split.test_negatives)
    (34, 2, 4)
    """
    if not isinstance(graph, Graph):
        raise InvalidTypeError(f"graph is a {type(graph).__name__} but must be a Graph")
    shares = {
        "validation": check_real(validation, "validation", low=0.0, high=1.0),
        "test": check_real(test, "test", low=0.0, high=1.0),
    }
    if sum(shares.values()) >= 1.0:
        raise InvalidArgumentError(
            f"validation is {validation:g} and test is {test:g} but together they must stay below 1"
        )
    # A share such as 0.1 is a little off in binary; 10 % of 30 edges must be 3.
    counts = {name: int(share * graph.num_edges + 1e-9) for name, share in shares.items()}
    for name, share in shares.items():
        if share > 0 and counts[name] == 0:
            raise InvalidArgumentError(
                f"{name} is {share:g}, which of {graph.num_edges} edges is none; use a larger share"
            )
    held = counts["validation"] + counts["test"]
    random = np.random.Generator(np.random.PCG64(check_int(seed, "seed", low=0)))
    order = random.permutation(graph.num_edges)[:held]
    negatives = _non_edges(graph, held, random)
    first = counts["validation"]
    return EdgeSplit(
        train_graph=graph.without_edges(order),
        validation=graph.edges[order[:first]],
        validation_negatives=negatives[:first],
        test=graph.edges[order[first:]],
        test_negatives=negatives[first:],
    )


def _non_edges(graph: Graph, count: int, random: np.random.Generator) -> _Pairs:
    """Draw `count` different pairs i < j that are no edge, uniformly."""
    drawn = random_negative_edges(graph, count, seed=int(random.integers(2**63)))
    if drawn.missing:
        raise InvalidArgumentError(
            f"graph has only {len(drawn.edges)} pairs of nodes without an edge but {count} are "
            "needed as negatives; hold out fewer edges"
        )
    return drawn.edges
