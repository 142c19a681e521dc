"""Sparse matrices in compressed rows, for features and adjacency."""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, as_ids, check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["CSR"]

_LIMIT = np.iinfo(np.int32).max


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array


class CSR:
    """An immutable sparse matrix whose entries are stored row after row.

    Row ``i`` has its columns in ``indices[indptr[i]:indptr[i + 1]]`` and its values at the same
    places of ``data``, the columns rising. Parts that come in another order are sorted, and
    entries that name the same place are added.

    Parameters
    ----------
    indptr : array_like of int, shape (rows + 1,)
        Offsets; stored as int64.
    indices : array_like of int, shape (nnz,)
        Columns; stored as int32.
    data : array_like of float, shape (nnz,), optional
        Values, finite. float64 stays float64, anything else becomes float32. Without them every
        entry is 1 (float32).
    shape : tuple of two ints
        Rows and columns.

    Raises
    ------
    InvalidTypeError
        Offsets or columns that are not integers, values that are not numbers.
    InvalidArgumentError
        Parts that do not fit each other, columns out of range, NaN or infinity.

    Notes
    -----
    The arrays are copied and read-only, so that a checked matrix stays one. Products run on the
    package's threads and give the same bits for any number of them.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.sparse import CSR
    >>> a = CSR([0, 2, 3], [0, 2, 1], np.array([1, 2, 3], np.float32), (2, 3))
    >>> a
    CSR(shape=(2, 3), nnz=3, dtype=float32)
    >>> a @ np.ones((3, 1), np.float32)
    array([[3.],
           [3.]], dtype=float32)
    >>> a.T.to_dense()
    array([[1., 0.],
           [0., 3.],
           [2., 0.]], dtype=float32)
    """

    __slots__ = ("__weakref__", "_data", "_indices", "_indptr", "_origin", "_shape", "_transpose")

    _indptr: npt.NDArray[np.int64]
    _indices: npt.NDArray[np.int32]
    _data: npt.NDArray[Any]
    _shape: tuple[int, int]
    _transpose: "CSR | None"
    # What this is the transpose of; weak, since a cycle would keep both until a collection.
    _origin: "weakref.ref[CSR] | None"

    # A left operand of NumPy's must not take `array @ csr` apart.
    __array_ufunc__ = None

    def __init__(
        self, indptr: object, indices: object, data: object | None, shape: tuple[int, int]
    ) -> None:
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise InvalidArgumentError(f"shape is {shape!r} but must be (rows, columns)")
        rows = check_int(shape[0], "shape[0]", low=0)
        cols = check_int(shape[1], "shape[1]", low=0, high=_LIMIT)
        offsets = as_ids(indptr, "indptr")
        columns = as_ids(indices, "indices")
        if len(offsets) != rows + 1:
            raise InvalidArgumentError(
                f"indptr has {len(offsets)} entries but {rows} rows need {rows + 1}"
            )
        if data is None:
            values: npt.NDArray[Any] = np.ones(len(columns), np.float32)
        else:
            values = as_floats(data, "data", ndim=1)
        if len(values) != len(columns):
            raise InvalidArgumentError(
                f"data has {len(values)} entries but indices has {len(columns)}"
            )
        if not np.isfinite(values).all():
            entry = int(np.argmin(np.isfinite(values)))
            raise InvalidArgumentError(f"data has NaN or infinity at entry {entry}")
        if len(columns) and not 0 <= int(columns.min()) <= int(columns.max()) < cols:
            wrong = columns[(columns < 0) | (columns >= cols)][0]
            raise InvalidArgumentError(f"indices holds column {wrong} but there are {cols} columns")
        narrow = columns.astype(np.int32)
        _core.csr_check(offsets, narrow, cols)
        self._set(*_canonical(offsets, narrow, values, cols), (rows, cols))

    def _set(
        self,
        indptr: npt.NDArray[np.int64],
        indices: npt.NDArray[np.int32],
        data: npt.NDArray[Any],
        shape: tuple[int, int],
    ) -> None:
        self._indptr = _frozen(indptr)
        self._indices = _frozen(indices)
        self._data = _frozen(data)
        self._shape = shape
        self._transpose = None
        self._origin = None

    @classmethod
    def _of(
        cls,
        indptr: npt.NDArray[np.int64],
        indices: npt.NDArray[np.int32],
        data: npt.NDArray[Any],
        shape: tuple[int, int],
    ) -> "CSR":
        """Take over arrays that are known to be right and that nobody else writes to."""
        result = cls.__new__(cls)
        result._set(indptr, indices, data, shape)
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        return CSR, (self._indptr, self._indices, self._data, self._shape)

    @classmethod
    def from_scipy(cls, matrix: Any) -> "CSR":
        """Copy a matrix of `scipy.sparse`, or anything else that has ``tocsr()``.

        Raises
        ------
        InvalidTypeError
            No ``tocsr()``, or complex values.
        """
        if not callable(getattr(matrix, "tocsr", None)):
            raise InvalidTypeError(
                f"matrix is a {type(matrix).__name__} but needs a tocsr() method, as the matrices "
                "of scipy.sparse have"
            )
        rows = matrix.tocsr()
        shape = (int(rows.shape[0]), int(rows.shape[1]))
        return cls(rows.indptr, rows.indices, rows.data, shape)

    @classmethod
    def from_dense(cls, array: object) -> "CSR":
        """Keep the entries of a dense (rows, columns) array that are not 0."""
        dense = as_floats(array, "array")
        rows, cols = np.nonzero(dense)
        indptr = np.zeros(len(dense) + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=len(dense)), out=indptr[1:])
        return cls(indptr, cols, dense[rows, cols], dense.shape)

    @property
    def indptr(self) -> npt.NDArray[np.int64]:
        """Offsets, int64 (rows + 1,), read-only."""
        return self._indptr

    @property
    def indices(self) -> npt.NDArray[np.int32]:
        """Columns, int32 (nnz,), read-only."""
        return self._indices

    @property
    def data(self) -> npt.NDArray[Any]:
        """Values, float32 or float64 (nnz,), read-only."""
        return self._data

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._shape

    @property
    def nnz(self) -> int:
        """Number of stored entries."""
        return len(self._indices)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._data.dtype

    @property
    def ndim(self) -> int:
        """2."""
        return 2

    def __len__(self) -> int:
        return self._shape[0]

    def __repr__(self) -> str:
        return f"CSR(shape={self._shape}, nnz={self.nnz}, dtype={self.dtype})"

    @property
    def T(self) -> "CSR":  # noqa: N802 - the name it has in NumPy
        """The transpose, made once by a counting sort and kept; columns rise in its rows."""
        origin = None if self._origin is None else self._origin()
        if origin is not None:
            return origin
        if self._transpose is None:
            function = _typed(self.dtype, _core.csr_transpose_f32, _core.csr_transpose_f64)
            rows, cols = self._shape
            indptr, indices, data = function(self._indptr, self._indices, self._data, cols)
            self._transpose = CSR._of(indptr, indices, data, (cols, rows))
            self._transpose._origin = weakref.ref(self)
        return self._transpose

    def matmul(self, dense: object, *, row_scale: object | None = None) -> npt.NDArray[Any]:
        """Multiply by a dense matrix.

        Parameters
        ----------
        dense : array_like, shape (columns, d) or (columns,)
            The right operand. The result has the wider of both float types.
        row_scale : array_like, shape (rows,), optional
            Multiplies the rows of the product, such as 1 / degree for a mean over neighbours.

        Returns
        -------
        ndarray, shape (rows, d) or (rows,)
            A fresh C-contiguous array.

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit.

        Notes
        -----
        O(nnz · d). NaN and infinity in `dense` propagate.
        """
        right = as_floats(dense, "dense", ndim=(1, 2))
        if len(right) != self._shape[1]:
            raise InvalidArgumentError(
                f"dense has shape {right.shape} but the sparse matrix has shape {self._shape}, "
                f"so it needs {self._shape[1]} rows"
            )
        dtype = np.result_type(self.dtype, right.dtype)
        scale = None
        if row_scale is not None:
            scale = as_floats(row_scale, "row_scale", ndim=1, dtype=dtype)
            if len(scale) != self._shape[0]:
                raise InvalidArgumentError(
                    f"row_scale has {len(scale)} entries but there are {self._shape[0]} rows"
                )
        block = right if right.ndim == 2 else right[:, None]
        product: npt.NDArray[Any] = _typed(dtype, _core.csr_matmul_f32, _core.csr_matmul_f64)(
            self._indptr,
            self._indices,
            self._data.astype(dtype, copy=False),
            self._shape[1],
            block.astype(dtype, copy=False),
            scale,
        )
        return product if right.ndim == 2 else product[:, 0]

    def __matmul__(self, dense: object) -> npt.NDArray[Any]:
        return self.matmul(dense)

    def to_dense(self) -> npt.NDArray[Any]:
        """Return the matrix as a fresh dense array of its dtype."""
        dense = np.zeros(self._shape, self.dtype)
        dense[self._row_numbers(), self._indices] = self._data
        return dense

    def to_scipy(self) -> Any:
        """Return a copy as a `scipy.sparse.csr_array`; needs SciPy."""
        from scipy.sparse import csr_array  # noqa: PLC0415 - optional

        parts = (self._data.copy(), self._indices.copy(), self._indptr.copy())
        return csr_array(parts, shape=self._shape)

    def astype(self, dtype: npt.DTypeLike) -> "CSR":
        """Return the matrix with values of `dtype`, float32 or float64."""
        wanted = np.dtype(dtype)
        if wanted not in (np.float32, np.float64):
            raise InvalidTypeError(f"dtype is {wanted} but must be float32 or float64")
        if wanted == self.dtype:
            return self
        return CSR._of(self._indptr, self._indices, self._data.astype(wanted), self._shape)

    def scale_rows(self, factors: object) -> "CSR":
        """Return diag(factors) · A, with `factors` of shape (rows,) and finite."""
        scale = self._factors(factors, self._shape[0], "rows")
        return self._with_data(self._data * np.repeat(scale, np.diff(self._indptr)))

    def scale_columns(self, factors: object) -> "CSR":
        """Return A · diag(factors), with `factors` of shape (columns,) and finite."""
        scale = self._factors(factors, self._shape[1], "columns")
        return self._with_data(self._data * scale[self._indices])

    def take_rows(self, rows: object) -> "CSR":
        """Return the named rows in the order given; a row may be named repeatedly.

        Raises
        ------
        InvalidArgumentError
            A row number that is negative or too large.
        """
        chosen = as_ids(rows, "rows")
        if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < self._shape[0]:
            wrong = chosen[(chosen < 0) | (chosen >= self._shape[0])][0]
            raise InvalidArgumentError(f"rows holds {wrong} but there are {self._shape[0]} rows")
        lengths = np.diff(self._indptr)[chosen]
        indptr = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        places = np.arange(indptr[-1]) + np.repeat(self._indptr[chosen] - indptr[:-1], lengths)
        shape = (len(chosen), self._shape[1])
        return CSR._of(indptr, self._indices[places], self._data[places], shape)

    def row_sums(self) -> npt.NDArray[np.float64]:
        """Return the sum of each row, added in float64."""
        wide = self._data.astype(np.float64)
        sums = np.bincount(self._row_numbers(), wide, self._shape[0])
        # Without entries NumPy counts in integers.
        return sums.astype(np.float64, copy=False)

    def row_norms(self) -> npt.NDArray[np.float64]:
        """Return the Euclidean length of each row, added in float64."""
        wide = self._data.astype(np.float64)
        norms: npt.NDArray[np.float64] = np.sqrt(
            np.bincount(self._row_numbers(), wide**2, self._shape[0])
        )
        return norms

    def _row_numbers(self) -> npt.NDArray[np.int64]:
        return np.repeat(np.arange(self._shape[0]), np.diff(self._indptr))

    def _factors(self, factors: object, count: int, what: str) -> npt.NDArray[Any]:
        scale = as_floats(factors, "factors", ndim=1, dtype=self.dtype)
        if len(scale) != count:
            raise InvalidArgumentError(
                f"factors has {len(scale)} entries but there are {count} {what}"
            )
        if not np.isfinite(scale).all():
            entry = int(np.argmin(np.isfinite(scale)))
            raise InvalidArgumentError(f"factors has NaN or infinity at entry {entry}")
        return scale

    def _with_data(self, data: npt.NDArray[Any]) -> "CSR":
        return CSR._of(self._indptr, self._indices, data, self._shape)


def _canonical(
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    data: npt.NDArray[Any],
    cols: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[Any]]:
    """Return copies with columns that rise strictly in each row, repeated entries added."""
    rises = indices[1:] > indices[:-1]
    starts = indptr[1:-1]
    rises[starts[(starts > 0) & (starts < len(indices))] - 1] = True
    if rises.all():
        return indptr.copy(), indices, data.copy()
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    keys = rows * cols + indices
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    rows = rows[order][first]
    result = np.zeros_like(indptr)
    np.cumsum(np.bincount(rows, minlength=len(indptr) - 1), out=result[1:])
    return result, indices[order][first], np.add.reduceat(data[order], first)


def _typed(
    dtype: np.dtype[Any], single: Callable[..., Any], double: Callable[..., Any]
) -> Callable[..., Any]:
    return double if dtype == np.float64 else single
