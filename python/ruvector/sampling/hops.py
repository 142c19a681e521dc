"""Nodes by their distance in the graph."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_int
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.sampling._graph import MOST, node_list, parts_of
from ruvector.sparse import CSR

__all__ = ["HopLists", "hops"]


class HopLists(NamedTuple):
    """A list of nodes for each node asked for.

    Attributes
    ----------
    indptr : (A + 1,) int64
        Those of node i are ``indices[indptr[i]:indptr[i + 1]]``.
    indices : (P,) int32
        Rising in each list.
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]


def hops(
    graph: Graph | CSR, nodes: npt.ArrayLike | None = None, *, most: int, least: int = 1
) -> HopLists:
    """Return the nodes within some hops of each node.

    Parameters
    ----------
    graph : Graph, or CSR of shape (n, n)
        A matrix is a directed graph: hops lead from rows to columns.
    nodes : array_like of int, shape (A,), optional
        All without it; may repeat.
    most, least : int
        Distances that count; 0 is the node itself.

    Returns
    -------
    HopLists
        As :class:`ruvector.mining.HardNegativeMiner` takes it for `exclude`.

    Raises
    ------
    InvalidArgumentError
        A setting out of range, nodes that do not exist, a result beyond memory.
    InvalidTypeError
        No graph, ids that are no integers.

    Notes
    -----
    A search looks at the edges of the nodes nearer than `most` and never at others; its marks are
    used again by the next. Where searches cover much of the graph, 512 of them run together, in
    O(most · E · 512 / 64) for all of them. Memory beside the result: 4 bytes a node and thread
    alone, 192 together, 4 an edge for each of these threads, and up to 256 MiB of results that
    are not lists yet.

    References
    ----------
    Then et al. (2014), "The More the Merrier: Efficient Multi-Source Graph Traversal", VLDB.

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> from ruvector.sampling import hops
    >>> path = Graph.from_edges([[0, 1], [1, 2], [2, 3]])
    >>> near = hops(path, [0, 1], most=2)
    >>> near.indptr.tolist(), near.indices.tolist()
    ([0, 2, 5], [1, 2, 0, 2, 3])
    """
    parts = parts_of(graph)
    high = check_int(most, "most", low=0, high=MOST)
    low = check_int(least, "least", low=0, high=MOST)
    if low > high:
        raise InvalidArgumentError(f"least is {low} but must not be above most, which is {high}")
    return HopLists(*_core.hop_lists(parts, node_list(nodes, graph), low, high))
