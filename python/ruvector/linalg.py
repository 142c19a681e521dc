"""Dense products and truncated factorisations with the same bits for any number of threads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, check_int
from ruvector.blas import one_blas_thread
from ruvector.errors import InvalidArgumentError
from ruvector.sparse import CSR

__all__ = ["LeadingDirections", "TruncatedSVD", "leading_directions", "matmul", "truncated_svd"]


def matmul(
    a: object, b: object, *, transpose_a: bool = False, transpose_b: bool = False
) -> npt.NDArray[Any]:
    """Multiply two dense matrices.

    NumPy's own product may round differently from one number of threads to another; this one
    does not, and a row of the result has the same bits whichever other rows are computed with it.

    Parameters
    ----------
    a, b : array_like, 2-D
        float32 or float64; of two different types the wider is used.
    transpose_a, transpose_b : bool
        Use the transpose of an operand, without copying it.

    Returns
    -------
    ndarray, 2-D
        A fresh C-contiguous array.

    Raises
    ------
    InvalidTypeError
        Operands that are not numeric.
    InvalidArgumentError
        Shapes that do not fit.

    Notes
    -----
    2 m n k floating-point operations for an (m, k) by (k, n) product. NaN and infinity propagate.

    References
    ----------
    Goto and van de Geijn (2008), "Anatomy of High-Performance Matrix Multiplication".

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.linalg import matmul
    >>> x = np.arange(6, dtype=np.float32).reshape(2, 3)
    >>> matmul(x, x, transpose_b=True)
    array([[ 5., 14.],
           [14., 50.]], dtype=float32)
    """
    left, right = as_floats(a, "a"), as_floats(b, "b")
    inner = left.shape[0 if transpose_a else 1]
    if inner != right.shape[1 if transpose_b else 0]:
        flags = f"transpose_a={transpose_a}, transpose_b={transpose_b}"
        raise InvalidArgumentError(
            f"a has shape {left.shape} and b has shape {right.shape}, whose inner dimensions "
            f"differ ({flags})"
        )
    dtype = np.result_type(left.dtype, right.dtype)
    function = _core.matmul_f64 if dtype == np.float64 else _core.matmul_f32
    result: npt.NDArray[Any] = function(
        left.astype(dtype, copy=False), right.astype(dtype, copy=False), transpose_a, transpose_b
    )
    return result


class TruncatedSVD(NamedTuple):
    """The leading singular values of a matrix with their vectors: A ≈ U · diag(S) · Vt."""

    U: npt.NDArray[np.float32]
    """(rows, rank), orthonormal columns."""
    S: npt.NDArray[np.float32]
    """(rank,), falling, not negative."""
    Vt: npt.NDArray[np.float32]
    """(rank, columns), orthonormal rows."""


def truncated_svd(
    matrix: object, rank: int, *, oversampling: int = 16, iterations: int = 4, seed: int = 0
) -> TruncatedSVD:
    """Find the leading singular vectors of a sparse or dense matrix by random projection.

    Parameters
    ----------
    matrix : CSR, matrix of scipy.sparse or array_like, shape (rows, columns)
        Finite values; computed in float32. A sparse matrix is never made dense.
    rank : int
        Singular values to find; more than min(rows, columns) is clipped to it.
    oversampling : int
        Directions followed besides those returned.
    iterations : int
        Power iterations; each multiplies by the matrix and its transpose once. More sharpen the
        smallest of the values returned where the spectrum falls slowly.
    seed : int
        Of the projection.

    Returns
    -------
    TruncatedSVD
        `U` (rows, rank), `S` (rank,) and `Vt` (rank, columns), float32. In each row of `Vt` the
        entry of largest magnitude is positive. Values that vanish have vectors of zeros in `U`.

    Raises
    ------
    InvalidArgumentError
        An empty matrix, NaN or infinity, a rank below 1.

    Notes
    -----
    O((iterations + 1) · nnz · r + (rows + columns) · r²) with r = rank + oversampling. Products
    run on the package's threads with the same bits for any number of them; the r × r problems go
    to LAPACK in float64.

    References
    ----------
    Halko, Martinsson and Tropp (2011), "Finding Structure with Randomness".

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.linalg import truncated_svd
    >>> found = truncated_svd(np.diag([3.0, 2.0, 1.0]), 2)
    >>> found.S.round(4)
    array([3., 2.], dtype=float32)
    """
    a, wanted, width = _sizes(matrix, rank, oversampling)
    rows, cols = a.shape
    rounds = check_int(iterations, "iterations", low=0)
    start = np.random.Generator(np.random.PCG64(check_int(seed, "seed", low=0)))
    # The small side is multiplied by its r × r factors, so let it be the columns.
    if rows < cols:
        u, s, vt = _decompose(a.T, width, rounds, start)
        u, vt = vt.T, u.T
    else:
        u, s, vt = _decompose(a, width, rounds, start)
    u, s, vt = u[:, :wanted], s[:wanted], vt[:wanted]
    signs = _signs(vt)
    return TruncatedSVD(
        np.ascontiguousarray(u * signs),
        s.astype(np.float32),
        np.ascontiguousarray(vt * signs[:, None]),
    )


class LeadingDirections(NamedTuple):
    """Directions in which the rows of a matrix are longest."""

    S: npt.NDArray[np.float32]
    """(rank,), about the leading singular values, falling."""
    Vt: npt.NDArray[np.float32]
    """(rank, columns), orthonormal rows."""


def leading_directions(
    matrix: object, rank: int, *, oversampling: int = 16, iterations: int = 2, seed: int = 0
) -> LeadingDirections:
    """Find a matrix's leading right singular vectors, faster than :func:`truncated_svd`.

    Without left vectors all work but sparse products runs on blocks of as many rows as the matrix
    has columns, and the last step is the eigendecomposition of a small matrix: singular values
    below some 1e-3 of the largest are noise.

    Parameters
    ----------
    matrix, rank, oversampling, seed
        As for :func:`truncated_svd`.
    iterations : int
        Each multiplies by the matrix and its transpose once.

    Returns
    -------
    LeadingDirections
        In each row of `Vt` the entry of largest magnitude is positive.

    Raises
    ------
    InvalidArgumentError
        An empty matrix, NaN or infinity, a rank below 1.

    Notes
    -----
    O((iterations + 1) · nnz · r + (iterations · columns + rows) · r²) with r = rank +
    oversampling. Threads and bits as for :func:`truncated_svd`.

    References
    ----------
    Halko, Martinsson and Tropp (2011), "Finding Structure with Randomness".

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.linalg import leading_directions
    >>> leading_directions(np.diag([3.0, 2.0, 1.0]), 2).S.round(3)
    array([3., 2.], dtype=float32)
    """
    a, wanted, width = _sizes(matrix, rank, oversampling)
    rows = a.shape[0]
    rounds = check_int(iterations, "iterations", low=0)
    start = np.random.Generator(np.random.PCG64(check_int(seed, "seed", low=0)))
    back = a.T
    block = _orthonormal(back.matmul(start.standard_normal((rows, width), np.float32)))
    for _ in range(rounds):
        reached: _Matrix = a.matmul(block)
        # The square of a small matrix would vanish in float32.
        np.divide(reached, max(float(np.abs(reached).max()), 1e-30), out=reached)
        block = _orthonormal(back.matmul(reached))
    block = _orthonormal(block)
    image = a.matmul(block).astype(np.float64)
    square = matmul(image, image, transpose_a=True)
    with one_blas_thread(len(square)):
        values, vectors = np.linalg.eigh(square)
    sizes = np.sqrt(np.maximum(values[::-1][:wanted], 0.0))
    vt = matmul(vectors[:, ::-1][:, :wanted].T.astype(np.float32), block, transpose_b=True)
    signs = _signs(vt)
    return LeadingDirections(sizes.astype(np.float32), vt * signs[:, None])


class _Dense(NamedTuple):
    """A dense matrix that multiplies like a sparse one."""

    values: npt.NDArray[np.float32]
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.values.shape
        return (cols, rows) if self.transposed else (rows, cols)

    @property
    def T(self) -> _Dense:  # noqa: N802 - the name it has in NumPy
        return _Dense(self.values, not self.transposed)

    def matmul(self, dense: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return matmul(self.values, dense, transpose_a=self.transposed)


def _operand(matrix: Any) -> CSR | _Dense:
    if isinstance(matrix, CSR):
        return matrix.astype(np.float32)
    if callable(getattr(matrix, "tocsr", None)):
        return CSR.from_scipy(matrix).astype(np.float32)
    values = as_floats(matrix, "matrix", dtype=np.float32)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise InvalidArgumentError(
            f"matrix has NaN or infinity in row {int(np.argmin(finite))}; remove or replace it"
        )
    return _Dense(values)


def _sizes(matrix: object, rank: object, oversampling: object) -> tuple[CSR | _Dense, int, int]:
    """Return a matrix that is not empty, and how many directions are wanted and worked with."""
    a = _operand(matrix)
    if not all(a.shape):
        raise InvalidArgumentError(f"matrix has shape {a.shape} but must not be empty")
    wanted = check_int(rank, "rank", low=1)
    extra = check_int(oversampling, "oversampling", low=0)
    return a, min(wanted, *a.shape), min(wanted + extra, *a.shape)


def _signs(vt: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return what makes the entry of largest magnitude in each row positive."""
    largest = np.argmax(np.abs(vt), axis=1)
    return np.where(vt[np.arange(len(vt)), largest] < 0, -1.0, 1.0).astype(np.float32)


_Matrix = npt.NDArray[np.float32]


def _decompose(
    a: CSR | _Dense, width: int, rounds: int, start: np.random.Generator
) -> tuple[_Matrix, npt.NDArray[np.float64], _Matrix]:
    back = a.T
    basis = _orthonormal(a.matmul(start.standard_normal((a.shape[1], width), np.float32)))
    for _ in range(rounds):
        basis = _orthonormal(a.matmul(_orthonormal(back.matmul(basis))))
    basis = _orthonormal(basis)
    image = back.matmul(basis)
    other = _orthonormal(_orthonormal(image))
    core = matmul(other.astype(np.float64), image.astype(np.float64), transpose_a=True)
    with one_blas_thread(len(core)):
        left, values, right = np.linalg.svd(core)
    # Directions that only rounding tells from nothing.
    kept = values > values[0] * 1e-6
    left, right = left * kept, right * kept[:, None]
    u = matmul(basis, right.T.astype(np.float32))
    vt = matmul(left.T.astype(np.float32), other, transpose_b=True)
    return u, values * kept, vt


def _orthonormal(block: _Matrix) -> _Matrix:
    """Return orthonormal columns with the same span, and zeros for what the span lacks.

    By the Cholesky factor of the Gram matrix, which is one product of the whole block where
    Householder reflections would be one a column. Its result is orthonormal to the rounding of
    float32 times the condition number, so that a second call finishes what the first began.
    """
    wide = block.astype(np.float64)
    gram = matmul(wide, wide, transpose_a=True)
    with one_blas_thread(len(gram)):
        whitening = _whitening(gram)
    return matmul(block, whitening.astype(np.float32))


def _whitening(gram: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what makes the columns of this Gram matrix orthonormal."""
    try:
        factor = np.linalg.cholesky(gram)
        diagonal = factor.diagonal()
        if diagonal.min() > 1e-5 * diagonal.max():
            return np.asarray(np.linalg.inv(factor).T)
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(gram)
    kept = values > max(values[-1], 0.0) * 1e-12
    scale = np.zeros_like(values)
    scale[kept] = 1.0 / np.sqrt(values[kept])
    return np.asarray(vectors * scale)
