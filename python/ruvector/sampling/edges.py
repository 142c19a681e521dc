"""Random pairs of nodes that are no edge."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_bool, check_int
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.sampling._graph import parts_of
from ruvector.sparse import CSR

__all__ = ["NegativeEdges", "random_negative_edges"]


class NegativeEdges(NamedTuple):
    """Pairs of nodes that are no edge.

    Attributes
    ----------
    edges : (m, 2) int64
        Different nodes, no pair twice; in a random order.
    missing : int
        How many of those asked for do not exist.
    """

    edges: npt.NDArray[np.int64]
    missing: int


def random_negative_edges(
    graph: Graph | CSR, count: int, *, directed: bool | None = None, seed: int = 0
) -> NegativeEdges:
    """Draw pairs of different nodes that are no edge, uniformly and without repeats.

    Parameters
    ----------
    graph : Graph, or CSR of shape (n, n)
        A matrix is a directed graph: row i holds what i leads to. Its values do not matter.
    count : int
        Pairs. Where fewer exist, all of them are given and `missing` tells how many lack.
    directed : bool, optional
        Draw ordered pairs. Without it pairs of a Graph have the smaller node first and pairs of a
        matrix are ordered; a matrix cannot have unordered ones.
    seed : int
        Same seed and graph, same pairs in the same order, for any number of threads.

    Returns
    -------
    NegativeEdges
        Every set of so many pairs is equally likely, and so is every order: a part of the pairs is
        a uniform sample too.

    Raises
    ------
    InvalidArgumentError
        A setting out of range, a matrix that is not square, more pairs than fit into memory.
    InvalidTypeError
        No graph.

    Notes
    -----
    O(m), with edges and repeats looked up in the cache, where few of all pairs are edges or asked
    for; otherwise the pairs without an edge are numbered, in O(E + m) while one in sixteen or more
    of all pairs is an edge or asked for. Nothing is tried that succeeds less than every other time,
    so that the last pair of a nearly complete graph takes no longer. A matrix is also searched for
    loops, O(n).

    References
    ----------
    Mikolov et al. (2013), "Distributed Representations of Words and Phrases and their
    Compositionality" (negative sampling).

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> from ruvector.sampling import random_negative_edges
    >>> ring = Graph.from_edges([[i, (i + 1) % 5] for i in range(5)])
    >>> negatives = random_negative_edges(ring, 7)
    >>> sorted(negatives.edges.tolist()), negatives.missing
    ([[0, 2], [0, 3], [1, 3], [1, 4], [2, 4]], 2)
    """
    parts = parts_of(graph)
    wanted = check_int(count, "count", low=0, high=2**48)
    number = check_int(seed, "seed", low=0, high=2**64 - 1)
    ordered = isinstance(graph, CSR) if directed is None else check_bool(directed, "directed")
    if isinstance(graph, CSR) and not ordered:
        raise InvalidArgumentError(
            "directed is False but a CSR is a directed graph; make it one with Graph.from_scipy"
        )
    return NegativeEdges(*_core.random_edges(parts, ordered, wanted, number))
