"""Graphs to NetworkX; :meth:`ruvector.Graph.from_networkx` reads them."""

from __future__ import annotations

from typing import Any

import networkx
import numpy as np

from ruvector.errors import InvalidTypeError
from ruvector.graph import Graph
from ruvector.sparse import CSR

__all__ = ["to_networkx"]


def to_networkx(graph: Graph, *, attributes: bool = True) -> Any:
    """Return a graph of NetworkX with the same nodes and edges.

    Needs networkx (extra ``graph``).

    Parameters
    ----------
    graph : Graph
    attributes : bool
        Nodes get their features, as the array ``features``, and their class, as ``label``, where
        there are any; a class of -1 is none.

    Returns
    -------
    networkx.Graph
        Nodes in the order of their numbers, called by `node_names` where there are any; edges have
        ``weight`` where the graph has weights.

    Raises
    ------
    InvalidTypeError
        No graph, or names that NetworkX cannot use.

    Notes
    -----
    Rows of sparse features are made dense, one by one.

    Examples
    --------
    >>> from ruvector import Graph
    >>> from ruvector.interop.networkx import to_networkx
    >>> made = to_networkx(Graph.from_edges([[0, 1], [1, 2]], weights=[0.5, 2.0]))
    >>> list(made.edges(data="weight"))
    [(0, 1, 0.5), (1, 2, 2.0)]
    """
    if not isinstance(graph, Graph):
        raise InvalidTypeError(f"graph is a {type(graph).__name__} but must be a Graph")
    names = list(range(graph.num_nodes)) if graph.node_names is None else list(graph.node_names)
    try:
        different = len(set(names)) == len(names)
    except TypeError as error:
        raise InvalidTypeError(f"node_names holds what no node can be called: {error}") from None
    if not different or any(name is None for name in names):
        raise InvalidTypeError("node_names has a name twice, or None; NetworkX needs others")
    made = networkx.Graph()
    made.add_nodes_from(names)
    pairs = ((names[i], names[j]) for i, j in graph.edges.tolist())
    if graph.weights is None:
        made.add_edges_from(pairs)
    else:
        weighted = zip(pairs, graph.weights.tolist(), strict=True)
        made.add_weighted_edges_from((a, b, weight) for (a, b), weight in weighted)
    if attributes:
        _add_attributes(made, graph, names)
    return made


def _add_attributes(made: Any, graph: Graph, names: list[Any]) -> None:
    for i, name in enumerate(names):
        values = made.nodes[name]
        if isinstance(graph.features, CSR):
            values["features"] = graph.features.take_rows(np.array([i])).to_dense()[0]
        elif graph.features is not None:
            values["features"] = graph.features[i].copy()
        if graph.labels is not None and graph.labels[i] >= 0:
            values["label"] = int(graph.labels[i])
