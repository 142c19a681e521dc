"""One vector for each of many graphs, from what lies at the two ends of short walks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_numbers, check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError, NotFittedError
from ruvector.graph import Graph
from ruvector.graph_batch import GraphBatch, joined_rows
from ruvector.linalg import matmul, truncated_svd
from ruvector.smoothing import as_features
from ruvector.sparse import CSR

__all__ = ["WalkPairs"]

#: Wider features are cut to this many columns: pairs grow with the square.
MAX_SIGNALS = 24

#: Lowest degree of each class but the first; finer where most nodes are.
DEGREES = (1, 2, 3, 4, 5, 7, 10, 15, 23)


class _Fitted(NamedTuple):
    columns: int | None
    basis: npt.NDArray[np.float32] | None
    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float32]
    factor: np.float32


class WalkPairs:
    """Whole graphs by the pairs of node signals at the ends of their walks, without training.

    Signals ``x_i`` of a node are its features, rows scaled to length 1, and its class of degree.
    A graph is described by their sum and by ``Σ_i x_i (Sᵏ x)_iᵀ`` for ``k = 0 … powers``, with
    ``S = D^(-1/2) A D^(-1/2)``: with labels for features, how often walks of k steps lead from
    one label to another. Columns are centred and divided by the square root of their deviation
    (Pareto scaling), so that rare pairs count for less than common ones without vanishing, and
    turned to their principal axes.

    Parameters
    ----------
    dim : int
        Columns to keep; fewer where there are fewer graphs or pairs.
    powers : int
        Steps of the longest walks.
    seed : int
        Of the randomised decompositions.

    Notes
    -----
    With s signals, nnz entries of the adjacency, n nodes and g graphs: O(powers · (nnz · s +
    n · s²)) and a decomposition of a g × powers · s² / 2 matrix; s is at most 34.

    References
    ----------
    Gärtner, Flach and Wrobel (2003), "On Graph Kernels: Hardness Results and Efficient
    Alternatives", COLT.
    van den Berg et al. (2006), "Centering, scaling, and transformations", BMC Genomics 7.

    Examples
    --------
    >>> import ruvector
    >>> from ruvector.walk_pairs import WalkPairs
    >>> path = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3]])
    >>> ring = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 0]])
    >>> fitted = WalkPairs().fit([path, ring])
    >>> fitted.embed([ring, path, ring]).shape
    (3, 1)
    """

    def __init__(self, *, dim: int = 256, powers: int = 5, seed: int = 0) -> None:
        self.dim = check_int(dim, "dim", low=1)
        self.powers = check_int(powers, "powers", low=0)
        self.seed = check_int(seed, "seed", low=0)
        self._fitted: _Fitted | None = None

    def fit(
        self, graphs: GraphBatch | Sequence[Graph], features: object | None = None
    ) -> WalkPairs:
        """Find scales and axes on `graphs`; arguments are those of :meth:`embed`.

        Returns
        -------
        WalkPairs
            Itself.

        Raises
        ------
        InvalidArgumentError
            Fewer than two graphs; features that do not fit them, or hold NaN or infinity.
        """
        self.fit_embed(graphs, features)
        return self

    def fit_embed(
        self, graphs: GraphBatch | Sequence[Graph], features: object | None = None
    ) -> npt.NDArray[np.float32]:
        """Return what :meth:`embed` returns of the graphs fitted to."""
        batch, matrix = _given(graphs, features)
        if len(batch) < 2:
            raise InvalidArgumentError(
                "graphs holds one graph but what tells graphs apart needs two or more; for the "
                "nodes of one graph use task='node'"
            )
        basis = None
        if matrix is not None and matrix.shape[1] > MAX_SIGNALS:
            found = truncated_svd(matrix, MAX_SIGNALS, seed=self.seed)
            basis = np.ascontiguousarray(found.Vt.T)
        pairs = self._pairs(batch, matrix, basis)
        mean = pairs.mean(axis=0)
        deviation = pairs.std(axis=0)
        # What rounding alone makes differ is the same in all graphs.
        differs = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-30)
        scale = np.zeros_like(deviation)
        scale[differs] = deviation[differs] ** -0.5
        scaled = ((pairs - mean) * scale).astype(np.float32)
        found = truncated_svd(scaled, self.dim, seed=self.seed)
        kept = 1e-5 * found.S.max(initial=0.0) < found.S
        kept[0] = True
        axes = np.ascontiguousarray(found.Vt[kept].T)
        size = float(np.sqrt(np.mean(np.square(matmul(scaled, axes), dtype=np.float64))))
        factor = np.float32(1 / size if size > 0 else 1)
        columns = None if matrix is None else int(matrix.shape[1])
        self._fitted = _Fitted(columns, basis, mean, scale, axes, factor)
        return self._turned(pairs, self._fitted)

    def embed(
        self, graphs: GraphBatch | Sequence[Graph], features: object | None = None
    ) -> npt.NDArray[np.float32]:
        """Embed graphs, which need not be those of the fit.

        Parameters
        ----------
        graphs : GraphBatch or sequence of Graph
        features : array_like of shape (n, f), CSR or SciPy sparse matrix, or a list, optional
            Of all nodes, one graph after the other, or a list of one array or sparse matrix for
            each graph; the graphs' own by default.

        Returns
        -------
        ndarray of shape (g, d), float32
            Row i embeds graph i.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        InvalidArgumentError
            Features with other columns than those of the fit, or none where it had some.
        """
        if self._fitted is None:
            raise NotFittedError("WalkPairs has no scales yet; call fit(graphs) first")
        batch, matrix = _given(graphs, features)
        columns = None if matrix is None else matrix.shape[1]
        if columns != self._fitted.columns:
            raise InvalidArgumentError(
                f"features has {columns or 'no'} columns but WalkPairs was fitted to graphs with "
                f"{self._fitted.columns or 'none'}"
            )
        return self._turned(self._pairs(batch, matrix, self._fitted.basis), self._fitted)

    def _turned(self, pairs: npt.NDArray[np.float64], fitted: _Fitted) -> npt.NDArray[np.float32]:
        scaled = ((pairs - fitted.mean) * fitted.scale).astype(np.float32)
        # Row by row the same bits, whatever other graphs are embedded along.
        turned: npt.NDArray[np.float32] = matmul(scaled, fitted.axes) * fitted.factor
        return turned

    def _pairs(
        self,
        batch: GraphBatch,
        matrix: CSR | npt.NDArray[np.float32] | None,
        basis: npt.NDArray[np.float32] | None,
    ) -> npt.NDArray[np.float64]:
        """Return the sums that describe each graph, shape (g, p)."""
        classes = np.digitize(batch.graph.degrees, DEGREES)
        signals = [np.eye(len(DEGREES) + 1, dtype=np.float32)[classes]]
        if matrix is not None:
            if basis is not None:
                signals.insert(0, matrix @ basis)
            else:
                signals.insert(0, matrix.to_dense() if isinstance(matrix, CSR) else matrix)
        x = np.ascontiguousarray(np.concatenate(signals, axis=1), dtype=np.float64)
        steps = batch.graph.normalized_adjacency(self_loops=False)
        sums = [batch.pool(x, "sum")]
        reached = x
        for k in range(self.powers + 1):
            if k:
                reached = steps @ reached
            # S is symmetric, so a pair of signals and its reverse have the same sum.
            sums += [batch.pool(x[:, i, None] * reached[:, i:], "sum") for i in range(x.shape[1])]
        return np.concatenate(sums, axis=1)


def _given(
    graphs: GraphBatch | Sequence[Graph], features: object | None
) -> tuple[GraphBatch, CSR | npt.NDArray[np.float32] | None]:
    """Return the graphs as a batch and their features, rows of length 1."""
    if isinstance(graphs, GraphBatch):
        batch = graphs
    elif isinstance(graphs, Graph):
        raise InvalidTypeError(
            "graphs is one Graph but must be a GraphBatch or a list of graphs; for the nodes of "
            "one graph use task='node'"
        )
    else:
        batch = GraphBatch.of(_checked(graphs))
    given: Any = batch.graph.features if features is None else features
    if isinstance(given, (list, tuple)) and given and _matrix(given[0], 0).ndim == 2:
        given = _stacked(given, batch)
    return batch, None if given is None else as_features(batch.graph, given)


def _checked(graphs: object) -> list[Graph]:
    if not isinstance(graphs, Sequence) or isinstance(graphs, str):
        raise InvalidTypeError(
            f"graphs is a {type(graphs).__name__} but must be a GraphBatch or a list of graphs"
        )
    for number, graph in enumerate(graphs):
        if not isinstance(graph, Graph):
            raise InvalidTypeError(
                f"graphs[{number}] is a {type(graph).__name__} but must be a Graph; use "
                "Graph.from_edges"
            )
    return list(graphs)


def _matrix(part: Any, number: int) -> CSR | npt.NDArray[Any]:
    if isinstance(part, CSR):
        return part
    if hasattr(part, "tocsr") and np.ndim(part) == 2:
        return CSR.from_scipy(part)
    return as_numbers(part, f"features[{number}]")


def _stacked(parts: Sequence[Any], batch: GraphBatch) -> CSR | npt.NDArray[Any]:
    sizes = np.diff(batch.indptr)
    if len(parts) != len(sizes):
        raise InvalidArgumentError(
            f"features has {len(parts)} arrays but there are {len(sizes)} graphs; give one a graph"
        )
    matrices = [_matrix(part, number) for number, part in enumerate(parts)]
    columns = matrices[0].shape[1]
    for number, (matrix, size) in enumerate(zip(matrices, sizes, strict=True)):
        if matrix.ndim != 2 or matrix.shape != (size, columns):
            raise InvalidArgumentError(
                f"features[{number}] has shape {matrix.shape} but graph {number} has {size} nodes "
                f"and features[0] has {columns} columns"
            )
    return joined_rows(matrices)
