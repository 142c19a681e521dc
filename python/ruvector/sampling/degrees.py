"""Pairs without an edge whose ends have the degrees of an edge's ends."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_int, check_real
from ruvector.graph import Graph
from ruvector.graph_checks import check_range, edge_array
from ruvector.sampling._graph import MOST, adjacency_of, parts_of
from ruvector.sparse import CSR

__all__ = ["DegreeNegatives", "degree_negative_edges"]


class DegreeNegatives(NamedTuple):
    """Pairs without an edge for each given edge.

    Attributes
    ----------
    edges : (E, each, 2) int64
        The first node of a pair stands for the edge's first, the second for its second; -1 fills.
    counts : (E,) int64
        How many pairs each edge got.
    listed : int
        Edges for which most tries failed, so that their candidates were listed.
    """

    edges: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    listed: int


def degree_negative_edges(
    graph: Graph | CSR,
    edges: npt.ArrayLike | None = None,
    *,
    each: int = 1,
    tolerance: float = 0.1,
    seed: int = 0,
) -> DegreeNegatives:
    """Draw negatives that degrees do not give away.

    Uniform negatives mostly join nodes of low degree, edges those of high degree: a model may learn
    degrees alone. Here both ends of a negative have nearly the degrees of the edge's ends.

    Parameters
    ----------
    graph : Graph, or CSR of shape (n, n)
        A matrix is a directed graph; degrees are row lengths.
    edges : array_like of int, shape (E, 2), optional
        The edges to match; without it all of the graph's, of a matrix in the order of its rows.
    each : int
        Pairs for each edge.
    tolerance : int or float
        How far the degrees may lie apart: an int in degrees, a float as a share of the edge's
        degree, rounded down, so that low degrees must be equal.
    seed : int
        Same seed and input, same pairs, for any number of threads.

    Returns
    -------
    DegreeNegatives
        Never an edge, a loop, or a pair that was given before (in a Graph neither turned round).

    Raises
    ------
    InvalidArgumentError
        A setting out of range, nodes that do not exist.
    InvalidTypeError
        No graph, ids that are no integers.

    Notes
    -----
    Edges are served in order: where a class of degrees runs out of pairs, later edges get fewer, or
    none. The hub of a star is alone in its class and leads to every leaf, so its edges get none.
    Expected O(1) a pair; where 64 tries fail, the pairs of the two classes are listed once, in time
    and memory of their number. Runs on one thread.

    References
    ----------
    Aiyappa et al. (2024), "Implicit degree bias in the link prediction task", arXiv:2405.14985.

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> from ruvector.sampling import degree_negative_edges
    >>> star = Graph.from_edges([[0, 1], [0, 2], [0, 3], [4, 5]])
    >>> degree_negative_edges(star).counts.tolist()
    [1, 1, 0, 1]
    """
    matrix = adjacency_of(graph)
    if edges is not None:
        pairs = edge_array(edges)
        check_range(pairs, matrix.shape[0])
    elif isinstance(graph, Graph):
        pairs = graph.edges
    else:
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        pairs = np.stack([rows, matrix.indices.astype(np.int64)], axis=1)
    if isinstance(tolerance, (float, np.floating)):
        apart = (0, check_real(tolerance, "tolerance", low=0.0, high=1e9))
    else:
        apart = (check_int(tolerance, "tolerance", low=0, high=2**31), 0.0)
    count = check_int(each, "each", low=1, high=MOST)
    found, counts, listed = _core.degree_edges(
        parts_of(graph),
        isinstance(graph, CSR),
        (pairs[:, 0].copy(), pairs[:, 1].copy()),
        count,
        apart,
        check_int(seed, "seed", low=0, high=2**64 - 1),
    )
    return DegreeNegatives(found.reshape(len(pairs), count, 2), counts, listed)
