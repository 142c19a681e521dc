"""Several graphs as one, and one vector for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_ids, check_choice
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.graph_checks import frozen
from ruvector.sparse import CSR

__all__ = ["GraphBatch"]

_POOLINGS = ("mean", "sum", "max")


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Graphs side by side in one, without edges between them.

    Whatever takes a graph takes all of them at once: its adjacency is block-diagonal.

    Parameters
    ----------
    graph : Graph
        All nodes and edges.
    indptr : array_like of int, shape (g + 1,)
        Graph i has nodes ``indptr[i] .. indptr[i + 1] - 1``.

    Raises
    ------
    InvalidArgumentError
        Offsets that do not rise from 0 to the number of nodes; an edge between two graphs.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.graph import Graph
    >>> from ruvector.graph_batch import GraphBatch
    >>> batch = GraphBatch.of([Graph.from_edges([[0, 1]]), Graph.from_edges([[0, 1], [1, 2]])])
    >>> batch.graph, len(batch)
    (Graph(num_nodes=5, num_edges=3), 2)
    >>> batch.pool(np.arange(5.0)[:, None], "max")
    array([[1.],
           [4.]])
    """

    graph: Graph
    indptr: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if not isinstance(self.graph, Graph):
            raise InvalidTypeError(
                f"graph is a {type(self.graph).__name__} but must be a Graph; use "
                "GraphBatch.of for a list of graphs"
            )
        offsets = as_ids(self.indptr, "indptr")
        nodes = self.graph.num_nodes
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != nodes:
            raise InvalidArgumentError(
                f"indptr must begin with 0 and end with the number of nodes, {nodes}"
            )
        if (np.diff(offsets) < 0).any():
            raise InvalidArgumentError("indptr falls but must not decrease")
        object.__setattr__(self, "indptr", frozen(offsets.copy()))
        ends = self.graph_of_node[self.graph.edges]
        across = np.flatnonzero(ends[:, 0] != ends[:, 1])
        if len(across):
            raise InvalidArgumentError(
                f"edge {self.graph.edges[across[0]].tolist()} joins two graphs of the batch"
            )

    @classmethod
    def of(cls, graphs: Sequence[Graph]) -> GraphBatch:
        """Join graphs, with their features if all have such of the same columns.

        Raises
        ------
        InvalidArgumentError
            No graph at all; features with different columns, or only some graphs with features.
        """
        if not len(graphs):
            raise InvalidArgumentError("graphs is empty; give at least one graph")
        sizes = [graph.num_nodes for graph in graphs]
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        edges = [graph.edges + start for graph, start in zip(graphs, indptr, strict=False)]
        weights = None
        if any(graph.weights is not None for graph in graphs):
            weights = np.concatenate(
                [
                    np.ones(graph.num_edges, np.float32) if graph.weights is None else graph.weights
                    for graph in graphs
                ]
            )
        joined = Graph(num_nodes=int(indptr[-1]), edges=np.concatenate(edges), weights=weights)
        features = _joined_features(graphs)
        return cls(joined if features is None else replace(joined, features=features), indptr)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def graph_of_node(self) -> npt.NDArray[np.int64]:
        """Number of the graph of each node, shape (n,)."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    @cached_property
    def members(self) -> CSR:
        """A row for each graph that names its nodes, shape (g, n), for segment operations."""
        nodes = self.graph.num_nodes
        return CSR(self.indptr, np.arange(nodes), None, (len(self), nodes))

    def pool(self, embeddings: npt.ArrayLike, how: str = "mean") -> npt.NDArray[Any]:
        """Return one row a graph from one row a node.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
        how : {"mean", "sum", "max"}

        Returns
        -------
        ndarray of shape (g, d)
            0 for a graph without nodes.
        """
        check_choice(how, "how", choices=_POOLINGS)
        rows = as_floats(embeddings, "embeddings")
        if len(rows) != self.graph.num_nodes:
            raise InvalidArgumentError(
                f"embeddings has {len(rows)} rows but the graphs have {self.graph.num_nodes} nodes"
            )
        if how == "max":
            pooled = np.zeros((len(self), rows.shape[1]), rows.dtype)
            filled = np.flatnonzero(np.diff(self.indptr))
            if len(filled):
                pooled[filled] = np.maximum.reduceat(rows, self.indptr[filled])
            return pooled
        counts = np.maximum(np.diff(self.indptr), 1)
        return self.members.matmul(rows, row_scale=1 / counts if how == "mean" else None)


def _joined_features(graphs: Sequence[Graph]) -> CSR | npt.NDArray[Any] | None:
    given = [graph.features for graph in graphs if graph.features is not None]
    if not given:
        return None
    if len(given) < len(graphs) or len({part.shape[1] for part in given}) > 1:
        raise InvalidArgumentError(
            "features must be there for all graphs, with the same columns, or for none"
        )
    return joined_rows(given)


def joined_rows(parts: Sequence[CSR | npt.NDArray[Any]]) -> CSR | npt.NDArray[Any]:
    """Return matrices of the same columns, one below the other; as CSR if one of them is."""
    if not any(isinstance(part, CSR) for part in parts):
        return np.concatenate(parts)  # type: ignore[arg-type]
    sparse = [part if isinstance(part, CSR) else CSR.from_dense(part) for part in parts]
    ends = np.cumsum([0, *(part.nnz for part in sparse)])
    indptr = [part.indptr[1:] + end for part, end in zip(sparse, ends, strict=False)]
    return CSR(
        np.concatenate([[0], *indptr]),
        np.concatenate([part.indices for part in sparse]),
        np.concatenate([part.data for part in sparse]),
        (sum(part.shape[0] for part in sparse), sparse[0].shape[1]),
    )
