"""What samplers need of a graph."""

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_ids
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.sparse import CSR

__all__ = ["MOST", "adjacency_of", "node_list", "parts_of"]

Parts = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]

MOST = 1 << 20
"""The most of anything that is asked for by node."""


def adjacency_of(graph: object) -> CSR:
    """Return the matrix whose row i has the nodes that i leads to."""
    if isinstance(graph, Graph):
        return graph.adjacency()
    if not isinstance(graph, CSR):
        raise InvalidTypeError(
            f"graph is a {type(graph).__name__} but must be a Graph, or a square CSR"
        )
    if graph.shape[0] != graph.shape[1]:
        raise InvalidArgumentError(f"graph has shape {graph.shape} but must be square")
    return graph


def parts_of(graph: object) -> Parts:
    """Return `indptr` and `indices` of :func:`adjacency_of`."""
    matrix = adjacency_of(graph)
    return matrix.indptr, matrix.indices


def node_list(nodes: object | None, graph: object, name: str = "nodes") -> npt.NDArray[np.int64]:
    """Return the nodes named, or all."""
    count = adjacency_of(graph).shape[0]
    if nodes is None:
        return np.arange(count)
    chosen = as_ids(nodes, name)
    if chosen.size and not 0 <= int(chosen.min()) <= int(chosen.max()) < count:
        wrong = int(chosen[(chosen < 0) | (chosen >= count)][0])
        raise InvalidArgumentError(
            f"{name} holds node {wrong} but there are {count} nodes, 0 to {count - 1}"
        )
    return chosen
