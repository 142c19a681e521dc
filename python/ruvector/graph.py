"""Undirected graphs: from edge lists, SciPy and NetworkX; adjacency for the kernels."""

import logging
from dataclasses import dataclass, fields, replace
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import MaybeNone, as_floats, as_ids, as_labels, check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph_checks import (
    canonical,
    check_range,
    edge_array,
    edge_weights,
    frozen,
    node_features,
    node_mask,
)
from ruvector.sparse import CSR

__all__ = ["Graph"]

_log = logging.getLogger(__name__)

_MASKS = ("train_mask", "val_mask", "test_mask")
_MAX_NODES = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Graph:
    """An immutable undirected graph without loops and without parallel edges.

    `from_edges`, `from_scipy`, `from_networkx`, `load_npz` and `load_edges` make one from what is
    at hand; the constructor itself takes edges only in the form described here.
    `dataclasses.replace` gives a graph other features or labels.

    Parameters
    ----------
    num_nodes : int
        Nodes are ``0 .. num_nodes - 1``.
    edges : array_like of int, shape (num_edges, 2)
        Each undirected edge once, smaller end first, sorted; stored as int64.
    weights : array_like of float, shape (num_edges,), optional
        Positive; stored as float32. Without them every edge counts 1.
    features : CSR, matrix of scipy.sparse or array_like, shape (num_nodes, F), optional
        What is known of each node.
    labels : array_like of int, shape (num_nodes,), optional
        Classes, -1 where there is none.
    train_mask, val_mask, test_mask : array_like of bool, optional
        The data set's own split, shape (num_nodes,), or several, shape (splits, num_nodes).
    node_names : sequence, optional
        What the nodes are called outside.

    Attributes
    ----------
    num_edges : int
        Each undirected edge counts once.
    degrees : ndarray of int64, shape (num_nodes,)
        Numbers of neighbours.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        Arrays that do not fit each other or do not hold what is said above.

    Notes
    -----
    All arrays are read-only copies; those not given are None.

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> graph = Graph.from_edges([[0, 1], [2, 1]], num_nodes=4)
    >>> graph
    Graph(num_nodes=4, num_edges=2)
    >>> graph.edges.tolist()
    [[0, 1], [1, 2]]
    >>> graph.neighbors(1).tolist()
    [0, 2]
    """

    num_nodes: int
    edges: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32] | None = None
    features: CSR | npt.NDArray[Any] | MaybeNone = None
    labels: npt.NDArray[np.int64] | MaybeNone = None
    train_mask: npt.NDArray[np.bool_] | None = None
    val_mask: npt.NDArray[np.bool_] | None = None
    test_mask: npt.NDArray[np.bool_] | None = None
    node_names: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        count = check_int(self.num_nodes, "num_nodes", low=1, high=_MAX_NODES)
        edges = edge_array(self.edges)
        check_range(edges, count)
        keys = edges[:, 0] * count + edges[:, 1]
        if (edges[:, 0] >= edges[:, 1]).any() or (np.diff(keys) <= 0).any():
            raise InvalidArgumentError(
                "edges must list each edge once, smaller end first, sorted; use Graph.from_edges"
            )
        checked: dict[str, Any] = {"num_nodes": count, "edges": frozen(edges)}
        if self.weights is not None:
            checked["weights"] = frozen(edge_weights(self.weights, len(edges)))
        if self.features is not None:
            checked["features"] = node_features(self.features, count)
        if self.labels is not None:
            checked["labels"] = frozen(as_labels(self.labels, "labels", count=count))
        for name in _MASKS:
            if getattr(self, name) is not None:
                checked[name] = node_mask(getattr(self, name), name, count)
        if self.node_names is not None:
            checked["node_names"] = tuple(self.node_names)
            if len(checked["node_names"]) != count:
                raise InvalidArgumentError(
                    f"node_names has {len(checked['node_names'])} entries but there are {count} "
                    "nodes"
                )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Graph(num_nodes={self.num_nodes}, num_edges={self.num_edges})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, ({field.name: getattr(self, field.name) for field in fields(self)},)

    @classmethod
    def from_edges(
        cls,
        edges: object,
        num_nodes: int | None = None,
        weights: object | None = None,
        *,
        features: Any = None,
        labels: Any = None,
    ) -> "Graph":
        """Make a graph of an edge list.

        Parameters
        ----------
        edges : array_like of int, shape (E, 2)
            Pairs in either direction. Loops are dropped; an edge listed repeatedly, in either
            direction, is kept once. A warning is logged with the counts.
        num_nodes : int, optional
            Without it one more than the largest id, or as many as `features` has rows; an empty
            list needs it.
        weights : array_like of float, shape (E,), optional
            Positive weights. Of an edge listed repeatedly the largest weight is kept, so that
            listing every edge in both directions changes nothing.
        features, labels : optional
            As for the class.

        Raises
        ------
        InvalidTypeError
            Ids that are not integers.
        InvalidArgumentError
            A wrong shape, ids out of range, weights that are not finite and positive.

        Notes
        -----
        O(E log E).
        """
        pairs = edge_array(edges)
        if num_nodes is None:
            if features is not None:
                num_nodes = node_features(features, None).shape[0]
            elif len(pairs):
                num_nodes = int(pairs.max()) + 1
            else:
                raise InvalidArgumentError(
                    "edges is empty; pass num_nodes for a graph without edges"
                )
        count = check_int(num_nodes, "num_nodes", low=1, high=_MAX_NODES)
        check_range(pairs, count)
        given = None if weights is None else edge_weights(weights, len(pairs))
        unique, kept, loops = canonical(pairs, given, count)
        repeats = len(pairs) - loops - len(unique)
        if loops or repeats:
            _log.warning(
                "dropped %d loops and %d repeated edges (an edge listed in both directions is "
                "repeated) of %d; %d edges remain",
                loops,
                repeats,
                len(pairs),
                len(unique),
            )
        return cls(num_nodes=count, edges=unique, weights=kept, features=features, labels=labels)

    @classmethod
    def from_scipy(cls, matrix: Any, *, features: Any = None, labels: Any = None) -> "Graph":
        """Make a graph of a square sparse adjacency matrix.

        Parameters
        ----------
        matrix : matrix of scipy.sparse, or anything with ``tocoo()``
            Stored zeros count as no edge. Values become weights unless all are 1. Of two entries
            mirrored at the diagonal the larger counts; when one is missing, that is logged.
        features, labels : optional
            As for the class.
        """
        if not callable(getattr(matrix, "tocoo", None)):
            raise InvalidTypeError(
                f"matrix is a {type(matrix).__name__} but needs a tocoo() method, as the matrices "
                "of scipy.sparse have"
            )
        entries = matrix.tocoo()
        if len(entries.shape) != 2 or entries.shape[0] != entries.shape[1]:
            raise InvalidArgumentError(f"matrix has shape {entries.shape} but must be square")
        values = as_floats(entries.data, "matrix", ndim=1)
        stored = values != 0
        pairs = np.stack([entries.row, entries.col], axis=1).astype(np.int64)[stored]
        values = values[stored]
        weights = None if (values == 1).all() else edge_weights(values, len(values))
        unique, kept, loops = canonical(pairs, weights, int(entries.shape[0]))
        single = 2 * len(unique) - (len(pairs) - loops)
        if loops or single > 0:
            _log.warning(
                "dropped %d loops; %d entries without a mirrored one now count in both directions",
                loops,
                max(single, 0),
            )
        return cls(
            num_nodes=int(entries.shape[0]),
            edges=unique,
            weights=kept,
            features=features,
            labels=labels,
        )

    @classmethod
    def from_networkx(
        cls, graph: Any, *, weight: str | None = "weight", features: Any = None, labels: Any = None
    ) -> "Graph":
        """Make a graph of a NetworkX graph; node i is the i-th of ``graph.nodes``.

        Parameters
        ----------
        graph : networkx.Graph, DiGraph or a multigraph
            Directions are dropped and parallel edges merged as by `from_edges`.
        weight : str, optional
            The edge attribute that holds weights; edges without it count 1. If no edge has it,
            the graph has no weights.
        features, labels : optional
            As for the class, in the order of ``graph.nodes``.

        Returns
        -------
        Graph
            With `node_names`.
        """
        if not (hasattr(graph, "nodes") and hasattr(graph, "edges")):
            raise InvalidTypeError(
                f"graph is a {type(graph).__name__} but must be a networkx graph"
            )
        names = tuple(graph.nodes)
        numbers = {name: i for i, name in enumerate(names)}
        listed = list(graph.edges(data=weight, default=None) if weight else graph.edges(data=False))
        pairs = np.array([(numbers[edge[0]], numbers[edge[1]]) for edge in listed], np.int64)
        weights = None
        if weight and any(edge[2] is not None for edge in listed):
            weights = [1.0 if edge[2] is None else edge[2] for edge in listed]
        made = cls.from_edges(
            pairs.reshape(-1, 2), len(names), weights=weights, features=features, labels=labels
        )
        return replace(made, node_names=names)

    @classmethod
    def load_npz(cls, path: str | PathLike[str]) -> "Graph":
        """Read a graph with features, labels and masks from an ``.npz`` file.

        Parameters
        ----------
        path : path
            A file with `edges` (E, 2) and, where known, `num_nodes`, `weights`; `feat_indptr`,
            `feat_indices`, `feat_data`, `feat_shape` (sparse features) or `features` (dense);
            `labels`, `train_mask`, `val_mask`, `test_mask`, `node_names`. `save_npz` writes one.

        Raises
        ------
        CorruptFileError
            Not such a file, or a damaged one. Pickled objects are never loaded.
        """
        from ruvector.graph_files import read_npz  # noqa: PLC0415 - it imports this module

        return read_npz(path)

    @classmethod
    def load_edges(
        cls,
        path: str | PathLike[str],
        *,
        num_nodes: int | None = None,
        features: str | PathLike[str] | None = None,
    ) -> "Graph":
        """Read an edge list from a ``.csv`` (commas) or ``.tsv`` (tabs) file.

        Parameters
        ----------
        path : path
            Two columns of integer ids and optionally one of weights. A first line of words is
            taken for a header; empty lines and lines that begin with ``#`` are skipped.
        num_nodes : int, optional
            As for `from_edges`.
        features : path, optional
            A ``.npy`` file with one row a node.

        Raises
        ------
        CorruptFileError
            A line that is none of the above, named by its number.
        """
        from ruvector.graph_files import read_edges  # noqa: PLC0415 - it imports this module

        return read_edges(path, num_nodes=num_nodes, features=features)

    def save_npz(self, path: str | PathLike[str]) -> None:
        """Write what `load_npz` reads; the file appears only once it is complete.

        Node names are kept if all are strings or all are integers.
        """
        from ruvector.graph_files import write_npz  # noqa: PLC0415 - it imports this module

        write_npz(self, path)

    @property
    def num_edges(self) -> int:
        return len(self.edges)

    @cached_property
    def degrees(self) -> npt.NDArray[np.int64]:
        return frozen(np.bincount(self.edges.ravel(), minlength=self.num_nodes))

    @cached_property
    def _keys(self) -> npt.NDArray[np.int64]:
        return self.edges[:, 0] * self.num_nodes + self.edges[:, 1]

    @cached_property
    def _adjacency(self) -> CSR:
        return self._both_directions(loops=False)

    def adjacency(self) -> CSR:
        """Return the symmetric (num_nodes, num_nodes) matrix of the weights, made once."""
        return self._adjacency

    def normalized_adjacency(self, *, self_loops: bool = True) -> CSR:
        """Return the symmetrically normalised adjacency D^(-1/2) (A + I) D^(-1/2), made once.

        Parameters
        ----------
        self_loops : bool
            Add I; D holds the row sums of what is normalised. A node without edges gets an empty
            row otherwise.

        Returns
        -------
        CSR of float32, shape (num_nodes, num_nodes)

        References
        ----------
        Kipf and Welling (2017), "Semi-Supervised Classification with Graph Convolutional
        Networks".

        Examples
        --------
        >>> from ruvector import Graph
        >>> Graph.from_edges([[0, 1]]).normalized_adjacency().to_dense().round(6)
        array([[0.5, 0.5],
               [0.5, 0.5]], dtype=float32)
        """
        return self._normalized if self_loops else self._scaled(self._adjacency)

    @cached_property
    def _normalized(self) -> CSR:
        return self._scaled(self._both_directions(loops=True))

    def _scaled(self, matrix: CSR) -> CSR:
        sums = matrix.row_sums()
        scale = np.zeros(self.num_nodes)
        np.divide(1.0, np.sqrt(sums), out=scale, where=sums > 0)
        rows = np.repeat(scale, np.diff(matrix.indptr))
        data = (matrix.data * rows * scale[matrix.indices]).astype(np.float32)
        return CSR._of(matrix.indptr, matrix.indices, data, matrix.shape)

    def neighbors(self, node: int) -> npt.NDArray[np.int64]:
        """Return the neighbours of `node`, rising, as fresh int64."""
        row = check_int(node, "node", low=0, high=self.num_nodes - 1)
        indptr = self._adjacency.indptr
        return self._adjacency.indices[indptr[row] : indptr[row + 1]].astype(np.int64)

    def has_edges(self, src: object, dst: object) -> npt.NDArray[np.bool_]:
        """Return for each pair (src[i], dst[i]) whether it is an edge, in either direction.

        Raises
        ------
        InvalidArgumentError
            Unequal lengths or ids out of range.
        """
        sources, targets = as_ids(src, "src"), as_ids(dst, "dst")
        if len(sources) != len(targets):
            raise InvalidArgumentError(
                f"src has {len(sources)} entries but dst has {len(targets)}; they must be pairs"
            )
        for name, ids in (("src", sources), ("dst", targets)):
            check_range(ids, self.num_nodes, name)
        keys = np.minimum(sources, targets) * self.num_nodes + np.maximum(sources, targets)
        places = np.searchsorted(self._keys, keys)
        found = places < self.num_edges
        found[found] = self._keys[places[found]] == keys[found]
        return found

    def without_edges(self, drop: object) -> "Graph":
        """Return the graph without some edges, everything else the same.

        Parameters
        ----------
        drop : array_like of bool, shape (num_edges,), or of int
            True for edges to drop, or their positions in `edges`.
        """
        chosen = np.asarray(drop)
        if chosen.dtype == np.bool_:
            if chosen.shape != (self.num_edges,):
                raise InvalidArgumentError(
                    f"drop has shape {chosen.shape} but there are {self.num_edges} edges"
                )
            keep = ~chosen
        else:
            positions = as_ids(drop, "drop")
            if len(positions) and not 0 <= positions.min() <= positions.max() < self.num_edges:
                raise InvalidArgumentError(
                    f"drop holds positions from {positions.min()} to {positions.max()} but there "
                    f"are {self.num_edges} edges"
                )
            keep = np.ones(self.num_edges, np.bool_)
            keep[positions] = False
        weights = None if self.weights is None else self.weights[keep]
        return replace(self, edges=self.edges[keep], weights=weights)

    def structure(self) -> "Graph":
        """Return nodes, edges and weights alone, without what is known of the nodes."""
        return Graph(num_nodes=self.num_nodes, edges=self.edges, weights=self.weights)

    def same_structure(self, other: "Graph") -> bool:
        """Whether `other` has the same nodes, edges and weights."""
        return (
            self.num_nodes == other.num_nodes
            and np.array_equal(self.edges, other.edges)
            and np.array_equal(
                1 if self.weights is None else self.weights,
                1 if other.weights is None else other.weights,
            )
        )

    def _both_directions(self, *, loops: bool) -> CSR:
        n = self.num_nodes
        shape = (n, n)
        starts = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(self.edges[:, 0], minlength=n), out=starts[1:])
        data = np.ones(self.num_edges, np.float32) if self.weights is None else self.weights
        upper = CSR._of(starts, self.edges[:, 1].astype(np.int32), data, shape)
        lower = upper.T
        # A row holds the neighbours below its node, perhaps the node, and the neighbours above.
        loop = np.arange(n + 1) if loops else np.zeros(n + 1, np.int64)
        indptr = upper.indptr + lower.indptr + loop
        size = int(indptr[-1])
        indices, values = np.empty(size, np.int32), np.empty(size, np.float32)
        below = np.arange(lower.nnz) + np.repeat(
            indptr[:-1] - lower.indptr[:-1], np.diff(lower.indptr)
        )
        above = np.arange(upper.nnz) + np.repeat(
            indptr[1:] - upper.indptr[1:], np.diff(upper.indptr)
        )
        for places, part in ((below, lower), (above, upper)):
            indices[places], values[places] = part.indices, part.data
        if loops:
            places = indptr[:-1] + np.diff(lower.indptr)
            indices[places], values[places] = np.arange(n), 1.0
        return CSR._of(indptr, indices, values, shape)


def _rebuild(arguments: dict[str, Any]) -> Graph:
    return Graph(**arguments)
