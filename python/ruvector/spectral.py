"""The Laplacian of a graph and its smallest eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_choice, check_int, check_real
from ruvector.errors import ConvergenceError, InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.sparse import CSR

__all__ = ["Eigenpairs", "laplacian", "laplacian_eigenpairs"]

_Floats = npt.NDArray[np.float64]

# Up to here the dense solver takes well under a second.
_DENSE = 1024


class Eigenpairs(NamedTuple):
    """Eigenvalues with their vectors."""

    values: npt.NDArray[np.float64]
    """(k,), rising."""
    vectors: npt.NDArray[np.float64]
    """(n, k), orthonormal columns."""


def laplacian(graph: Graph, *, normalization: Literal["none", "symmetric"] = "none") -> CSR:
    """Return the Laplacian matrix of a graph.

    Parameters
    ----------
    graph : Graph
        With n nodes; weights count.
    normalization : {"none", "symmetric"}, default "none"
        ``D - A``, or ``I - D^-½ A D^-½`` with an empty row for a node without edges.

    Returns
    -------
    CSR of float64, shape (n, n)
        Symmetric and positive semidefinite; ``tr(ZᵀLZ)`` is the value of
        :class:`ruvector.losses.LaplacianLoss`.

    Raises
    ------
    InvalidTypeError
        No graph.
    InvalidArgumentError
        Another normalisation.

    Notes
    -----
    O(n + E).

    References
    ----------
    Chung, "Spectral Graph Theory", AMS, 1997.

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> from ruvector.spectral import laplacian
    >>> laplacian(Graph.from_edges([[0, 1], [1, 2]])).to_dense()
    array([[ 1., -1.,  0.],
           [-1.,  2., -1.],
           [ 0., -1.,  1.]])
    """
    if not isinstance(graph, Graph):
        raise InvalidTypeError(f"graph is {type(graph).__name__} but must be a ruvector.Graph")
    check_choice(normalization, "normalization", choices=("none", "symmetric"))
    adjacency = graph.adjacency().astype(np.float64)
    degrees = adjacency.row_sums()
    diagonal = degrees
    if normalization == "symmetric":
        roots = np.zeros(len(degrees))
        np.divide(1.0, np.sqrt(degrees), out=roots, where=degrees > 0)
        adjacency = adjacency.scale_rows(roots).scale_columns(roots)
        diagonal = (degrees > 0).astype(np.float64)
    nodes = np.flatnonzero(diagonal)
    # Entries of one place would be added, but a graph has no loops.
    rows = np.repeat(np.arange(graph.num_nodes), np.diff(adjacency.indptr))
    order = np.argsort(np.r_[rows, nodes], kind="stable")
    indptr = np.zeros(graph.num_nodes + 1, np.int64)
    np.cumsum(np.diff(adjacency.indptr) + (diagonal > 0), out=indptr[1:])
    columns = np.r_[adjacency.indices, nodes][order]
    values = np.r_[-adjacency.data, diagonal[nodes]][order]
    return CSR(indptr, columns, values, adjacency.shape)


def laplacian_eigenpairs(
    graph: Graph,
    k: int,
    *,
    normalization: Literal["none", "symmetric"] = "none",
    solver: Literal["auto", "dense", "lanczos", "shift_invert"] = "auto",
    tolerance: float = 1e-9,
    max_iterations: int | None = None,
    seed: int = 0,
) -> Eigenpairs:
    """Find the smallest eigenvalues of a graph's Laplacian and their eigenvectors.

    Parameters
    ----------
    graph : Graph
        With n nodes.
    k : int
        How many, 1 to n.
    normalization : {"none", "symmetric"}, default "none"
        As for :func:`laplacian`.
    solver : {"auto", "dense", "lanczos", "shift_invert"}, default "auto"
        ``"dense"`` makes an (n, n) matrix for LAPACK; ``"lanczos"`` multiplies by the sparse one;
        ``"shift_invert"`` factorises it once, which is best for long thin graphs, such as roads and
        meshes, and too large for dense ones. ``"auto"`` is dense up to 1,024 nodes, else Lanczos.
    tolerance : float, default 1e-9
        Of an eigenvalue, relative to the largest possible one.
    max_iterations : int, optional
        Restarts of the iterative solvers; 10 n without.
    seed : int, default 0
        Of the first vector.

    Returns
    -------
    Eigenpairs
        `values` (k,), rising, at least 0; `vectors` (n, k), the entry of largest magnitude
        positive. Every connected part of the graph has an eigenvalue of exactly 0.

    Raises
    ------
    ImportError
        No SciPy; extra ``graph`` brings it. The dense solver does without.
    ConvergenceError
        The iterations did not suffice; another `solver`, more of them, or a larger `tolerance` may.
    InvalidArgumentError, InvalidTypeError
        An argument outside its range or of a wrong type.

    Notes
    -----
    The iterative solvers are ARPACK's. The eigenvectors of 0 are known, one a connected part, and
    taken out beforehand, so that a graph in many parts is no harder than one in one. What was found
    is taken out too and the search repeated until it finds nothing smaller, since a repeated
    eigenvalue shows only one of its vectors at a time.

    References
    ----------
    Lehoucq, Sorensen and Yang, "ARPACK Users' Guide", SIAM, 1998.

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> from ruvector.spectral import laplacian_eigenpairs
    >>> ring = Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 0]])
    >>> laplacian_eigenpairs(ring, 4).values.round(6) + 0.0
    array([0., 2., 2., 4.])
    """
    matrix = laplacian(graph, normalization=normalization)
    count = graph.num_nodes
    wanted = check_int(k, "k", low=1, high=count)
    check_choice(solver, "solver", choices=("auto", "dense", "lanczos", "shift_invert"))
    relative = check_real(tolerance, "tolerance", low=0.0)
    rounds = check_int(max_iterations or 10 * count, "max_iterations", low=1)
    start = np.random.default_rng(check_int(seed, "seed", low=0)).standard_normal(count)
    if solver == "dense" or (solver == "auto" and count <= _DENSE):
        values, vectors = np.linalg.eigh(matrix.to_dense())
        return _tidy(values[:wanted], vectors[:, :wanted])
    null = _null_vectors(graph, wanted, normalization == "symmetric")
    missing = wanted - null.shape[1]
    if missing == 0:
        return _tidy(np.zeros(wanted), null)
    if wanted >= count - 1:
        raise InvalidArgumentError(
            f"k is {wanted} but {solver!r} finds at most {count - 2} of {count}; use solver='dense'"
        )
    inverted = solver == "shift_invert"
    apply = _inverse(matrix) if inverted else _flipped(matrix)

    values, vectors = np.empty(0), np.empty((count, 0))
    limit = 10 * (relative + 1e-14) * _bound(matrix)
    while True:
        # One start shows one vector of a repeated eigenvalue. So what is found is taken out and
        # looked for again, until nothing smaller is left.
        known = np.c_[null, vectors]
        more = missing if not len(values) else min(missing, 8)
        more = min(more, count - 1 - known.shape[1])
        if more < 1:
            break
        found = _largest(_without(apply, known), start, more, relative, rounds)
        fresh = np.einsum("ij,ij->j", found, matrix.matmul(found))
        done = len(values) == missing and fresh.min() >= values[-1] - limit
        values, vectors = np.r_[values, fresh], np.c_[vectors, found]
        order = np.argsort(values, kind="stable")[:missing]
        values, vectors = values[order], vectors[:, order]
        if done:
            break
    zeros = np.zeros(null.shape[1])
    return _tidy(np.r_[zeros, values], np.c_[null, vectors])


def _bound(matrix: CSR) -> float:
    """Return a number that no eigenvalue exceeds: twice the largest on the diagonal."""
    on = matrix.indices == np.repeat(np.arange(len(matrix)), np.diff(matrix.indptr))
    return 2.0 * float(matrix.data[on].max(initial=0.0))


def _flipped(matrix: CSR) -> Callable[[_Floats], _Floats]:
    """Return the operator whose largest eigenvalues are the matrix's smallest."""
    bound = _bound(matrix)
    return lambda x: bound * x - matrix.matmul(x)


def _inverse(matrix: CSR) -> Callable[[_Floats], _Floats]:
    """Return the inverse of the matrix moved a little away from 0."""
    linalg = _scipy("scipy.sparse.linalg")
    sparse = _scipy("scipy.sparse")
    # The smallest positive eigenvalue may be 1 / n² of the largest, so little it must be.
    shift = 1e-10 * _bound(matrix)
    moved = sparse.csc_matrix(matrix.to_scipy()) + shift * sparse.identity(
        len(matrix), format="csc"
    )
    factors = linalg.splu(moved, options={"SymmetricMode": True})
    return lambda x: np.asarray(factors.solve(x), np.float64)


def _without(apply: Callable[[_Floats], _Floats], known: _Floats) -> Callable[[_Floats], _Floats]:
    """Return the operator with orthonormal vectors taken out."""

    def deflated(x: _Floats) -> _Floats:
        image = apply(x - known @ (known.T @ x))
        rest: _Floats = image - known @ (known.T @ image)
        return rest

    return deflated


def _largest(
    apply: Callable[[_Floats], _Floats], start: _Floats, k: int, tolerance: float, rounds: int
) -> _Floats:
    """Return the eigenvectors of a symmetric operator's largest eigenvalues."""
    linalg = _scipy("scipy.sparse.linalg")
    count = len(start)
    operator = linalg.LinearOperator((count, count), matvec=apply, dtype=np.float64)
    # More vectors than ARPACK's default of 2k + 1 find repeated eigenvalues sooner.
    width = min(count, max(2 * k + 16, 32))
    try:
        _, vectors = linalg.eigsh(
            operator, k=k, which="LA", v0=start, ncv=width, tol=tolerance, maxiter=rounds
        )
    except linalg.ArpackNoConvergence as error:
        raise ConvergenceError(
            f"{len(error.eigenvalues)} of {k} eigenvalues after {rounds} restarts; try "
            "solver='shift_invert', more max_iterations or a larger tolerance"
        ) from None
    found: _Floats = vectors
    return found


def _null_vectors(graph: Graph, most: int, symmetric: bool) -> _Floats:
    """Return orthonormal eigenvectors of 0, one a connected part, at most `most`."""
    csgraph = _scipy("scipy.sparse.csgraph")
    adjacency = graph.adjacency()
    parts, labels = csgraph.connected_components(adjacency.to_scipy(), directed=False)
    kept = min(int(parts), most)
    values = np.ones(graph.num_nodes)
    if symmetric:
        values = np.sqrt(adjacency.row_sums())
        values[values == 0] = 1.0
    vectors = np.zeros((graph.num_nodes, kept))
    nodes = np.flatnonzero(labels < kept)
    vectors[nodes, labels[nodes]] = values[nodes]
    normal: _Floats = vectors / np.linalg.norm(vectors, axis=0)
    return normal


def _tidy(values: _Floats, vectors: _Floats) -> Eigenpairs:
    """No rounding below 0, one sign."""
    top = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[top, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return Eigenpairs(np.maximum(values, 0.0), vectors * signs)


def _scipy(name: str) -> Any:
    import importlib  # noqa: PLC0415 - optional

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{error}; pip install scipy") from None
