"""Discrete curvature of the edges of a graph."""

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_bool, check_real
from ruvector.errors import InvalidTypeError
from ruvector.graph import Graph

__all__ = ["forman_curvature", "ollivier_curvature"]


def forman_curvature(graph: Graph, *, triangles: bool = True) -> npt.NDArray[np.float64]:
    """Return Forman's curvature of each edge, ``4 - deg u - deg v + 3·triangles``.

    Parameters
    ----------
    graph : Graph
        Weights of edges are not used.
    triangles : bool, default True
        Count the triangles on an edge, the augmented form [2]_; without them it is that of the
        bare graph [1]_.

    Returns
    -------
    ndarray of float64, shape (num_edges,)
        In the order of ``graph.edges``.

    Raises
    ------
    InvalidTypeError
        `graph` is no Graph, `triangles` no bool.

    Notes
    -----
    Time is the sum of both ends' degrees over all edges.

    References
    ----------
    .. [1] Sreejith, Mohanraj, Jost, Saucan and Samal, "Forman curvature for complex networks",
       Journal of Statistical Mechanics, 2016. arXiv:1603.00386
    .. [2] Samal, Sreejith, Gu, Liu, Saucan and Jost, "Comparative analysis of two discretizations
       of Ricci curvature for complex networks", Scientific Reports 8, 2018. arXiv:1712.07600

    Examples
    --------
    >>> from ruvector.curvature import forman_curvature
    >>> from ruvector.graph import Graph
    >>> graph = Graph.from_edges([[0, 1], [0, 2], [1, 2], [2, 3]])
    >>> forman_curvature(graph).tolist()
    [3.0, 2.0, 2.0, 0.0]
    """
    flag = check_bool(triangles, "triangles")
    adjacency = _checked(graph).adjacency()
    return _core.forman_curvature(adjacency.indptr, adjacency.indices, flag)


def ollivier_curvature(graph: Graph, *, laziness: float = 0.5) -> npt.NDArray[np.float64]:
    """Return Ollivier's curvature of each edge, ``1 - W₁(m_u, m_v)``.

    The measure m_u leaves `laziness` at u and spreads the rest evenly over its neighbours; W₁ is
    the least total distance in hops over which mass must move to turn one measure into the other.

    Parameters
    ----------
    graph : Graph
        Weights of edges are not used.
    laziness : float, default 0.5
        In 0 to 1; a multiple of 2⁻²⁰ is taken, the nearest.

    Returns
    -------
    ndarray of float64, shape (num_edges,)
        In the order of ``graph.edges``; between -2 and 1.

    Raises
    ------
    InvalidTypeError
        `graph` is no Graph, `laziness` no number.
    InvalidArgumentError
        `laziness` out of range.

    Notes
    -----
    The transport is solved exactly, in whole numbers, by successive shortest paths. An edge whose
    ends have degree D takes about D³ steps and D² memory, so hubs of thousands of neighbours are
    out of reach.

    References
    ----------
    .. [1] Ollivier, "Ricci curvature of Markov chains on metric spaces", Journal of Functional
       Analysis 256, 2009. doi:10.1016/j.jfa.2008.11.001
    .. [2] Lin, Lu and Yau, "Ricci curvature of graphs", Tohoku Mathematical Journal 63, 2011 (on
       laziness). doi:10.2748/tmj/1325886283

    Examples
    --------
    >>> from ruvector.curvature import ollivier_curvature
    >>> from ruvector.graph import Graph
    >>> triangle = Graph.from_edges([[0, 1], [0, 2], [1, 2]])
    >>> ollivier_curvature(triangle, laziness=0.0).tolist()
    [0.5, 0.5, 0.5]
    """
    stay = check_real(laziness, "laziness", low=0.0, high=1.0)
    adjacency = _checked(graph).adjacency()
    return _core.ollivier_curvature(adjacency.indptr, adjacency.indices, stay)


def _checked(graph: object) -> Graph:
    if not isinstance(graph, Graph):
        raise InvalidTypeError(f"graph is {type(graph).__name__} but must be a ruvector.Graph")
    return graph
