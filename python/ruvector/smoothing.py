"""Embeddings by smoothing features over a graph, without training."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, check_int, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.linalg import leading_directions
from ruvector.sparse import CSR

__all__ = ["as_features", "feature_basis", "mean_of_powers", "smooth"]

Features = CSR | npt.NDArray[np.float32]


def smooth(
    graph: Graph,
    features: object | None = None,
    *,
    dim: int = 256,
    powers: int = 16,
    exponent: float = 1.0,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Embed every node by averaging features over its surroundings.

    The features, rows scaled to length 1, are cut to `dim` columns by a singular value
    decomposition ``U Σ Vᵀ``; the embedding is the mean of ``Âᵏ U Σᵖ`` over ``k = 0 … powers``,
    where ``Â`` is the symmetrically normalised adjacency with self-loops. Nothing is learned from
    the graph, so it is the baseline that anything trained has to beat.

    Parameters
    ----------
    graph : Graph
        With n nodes.
    features : array_like of shape (n, f), CSR or SciPy sparse matrix, optional
        Without features the rows of ``Â`` serve.
    dim : int
        Columns to keep; fewer where the features have a lower rank bound.
    powers : int
        How far to look; 0 gives the cut features themselves.
    exponent : float
        p above: 1 keeps the features' scale, 0.5 evens it out, which predicts links better.
    seed : int
        Of the randomised decomposition.

    Returns
    -------
    ndarray of shape (n, min(dim, n, f)), float32
        Row i embeds node i. A node without features and edges is zero.

    Raises
    ------
    InvalidArgumentError
        `features` has not n rows, or holds NaN or infinity.

    Notes
    -----
    Costs ``powers`` sparse products of n × dim, after a decomposition that reads the features a
    dozen times. Memory: three arrays of the result's size.

    References
    ----------
    Zhu and Koniusz (2021), "Simple Spectral Graph Convolution", ICLR.
    Halko, Martinsson and Tropp (2011), "Finding Structure with Randomness", SIAM Review 53(2).

    Examples
    --------
    >>> import numpy as np
    >>> import ruvector
    >>> graph = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3]])
    >>> ruvector.smooth(graph, np.eye(4), dim=2).shape
    (4, 2)
    """
    powers = check_int(powers, "powers", low=0)
    matrix = as_features(graph, features)
    basis = feature_basis(matrix, dim=dim, exponent=exponent, seed=seed)
    return mean_of_powers(graph.normalized_adjacency(), matrix @ basis, powers)


def as_features(graph: Graph, features: object | None) -> Features:
    """Return `features` with rows of length 1 (zero rows stay zero), or rows of Â without any."""
    if not isinstance(graph, Graph):
        raise InvalidTypeError(
            f"graph is a {type(graph).__name__} but must be a Graph; use Graph.from_edges"
        )
    if features is None:
        matrix: CSR | npt.NDArray[Any] = graph.normalized_adjacency()
    elif isinstance(features, CSR):
        matrix = features
    elif hasattr(features, "tocsr"):
        matrix = CSR.from_scipy(features)
    else:
        matrix = as_floats(features, "features", dtype=np.float32)
    if matrix.shape[0] != graph.num_nodes:
        raise InvalidArgumentError(
            f"features has {matrix.shape[0]} rows but the graph has {graph.num_nodes} nodes; "
            "give one row a node"
        )
    if matrix.shape[1] == 0:
        raise InvalidArgumentError(
            f"features has shape {matrix.shape} but needs a column; leave features out to embed "
            "by structure alone"
        )
    if isinstance(matrix, CSR):
        norms = matrix.row_norms()
        _check_finite(norms)
        return matrix.astype(np.float32).scale_rows(_inverse(norms))
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
    _check_finite(norms)
    return np.asarray(matrix * _inverse(norms)[:, None], dtype=np.float32)


def feature_basis(
    matrix: Features, *, dim: int, exponent: float, seed: int
) -> npt.NDArray[np.float32]:
    """Return ``V Σ^(exponent - 1)``, which takes features ``U Σ Vᵀ`` to ``U Σ^exponent``."""
    dim = check_int(dim, "dim", low=1)
    exponent = check_real(exponent, "exponent", low=0, high=1)
    result = leading_directions(matrix, dim, seed=seed)
    largest = result.S.max(initial=0.0)
    # Directions that are noise of the arithmetic must not be blown up.
    kept = 1e-5 * largest < result.S
    scales = np.zeros(len(result.S))
    scales[kept] = result.S[kept].astype(np.float64) ** (exponent - 1)
    return np.ascontiguousarray(result.Vt.T * scales, dtype=np.float32)


def mean_of_powers(
    adjacency: CSR, x: npt.NDArray[np.float32], powers: int
) -> npt.NDArray[np.float32]:
    """Return the mean of ``adjacencyᵏ x`` over ``k = 0 … powers``."""
    total: npt.NDArray[np.float32] = x.copy()
    reached = x
    for _ in range(powers):
        reached = adjacency @ reached
        total += reached
    np.multiply(total, np.float32(1 / (powers + 1)), out=total)
    return total


def _inverse(norms: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    inverse = np.zeros(len(norms), np.float32)
    # Shorter rows than float32 can stretch to length 1 count as zero.
    np.divide(1, norms, out=inverse, where=norms > 1e-37, casting="same_kind")
    return inverse


def _check_finite(norms: npt.NDArray[np.float64]) -> None:
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        raise InvalidArgumentError(
            f"features has NaN or infinity in row {bad[0]}; remove or replace such values"
        )
