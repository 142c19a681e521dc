"""Adam for large tables of which a step touches few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_ids, as_numbers, check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.optim.adam import Adam
from ruvector.optim.parameters import Array, Arrays, check_finite, same_names

__all__ = ["SparseAdam", "SparseRows"]


class SparseRows(NamedTuple):
    """The gradient of a table whose other rows have none.

    Attributes
    ----------
    rows : array_like of int, shape (k,)
        Row numbers in any order; a row may be listed several times, its gradients add up.
    values : array_like of shape (k, d)
        Their gradients, of the table's dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.optim import SparseRows
    >>> SparseRows([2, 0, 2], np.ones((3, 1))).to_dense(3)
    array([[1.],
           [0.],
           [2.]])
    """

    rows: npt.ArrayLike
    values: npt.ArrayLike

    def to_dense(self, count: int) -> Array:
        """Return the gradient of all `count` rows, shape (count, d).

        Raises
        ------
        InvalidArgumentError
            A row outside of these, or not as many rows as values.
        InvalidTypeError
            Rows that are no integers, or values that are no numbers.
        """
        count = check_int(count, "count", low=0)
        rows, values = as_ids(self.rows, "rows"), as_numbers(self.values, "values")
        if values.shape[:1] != rows.shape:
            raise InvalidArgumentError(
                f"values has shape {values.shape} but {len(rows)} rows are listed"
            )
        outside = rows[(rows < 0) | (rows >= count)]
        if outside.size:
            raise InvalidArgumentError(f"rows names row {outside[0]} but there are {count} rows")
        dense = np.zeros((count, *values.shape[1:]), values.dtype)
        np.add.at(dense, rows, values)
        return dense


class SparseAdam(Adam):
    """Adam that moves only the rows with a gradient, at a cost that goes with their number.

    Lazy, as ``torch.optim.SparseAdam`` is: the moments of a row stay as they are while it has no
    gradient, where :class:`Adam` would let them fade and go on moving the row; the correction of
    their bias counts all steps, whether they touched the row or not. A step that lists every row
    is a step of :class:`Adam`, bit by bit. (PyTorch's adds `eps` before it corrects the second
    moment; this adds it afterwards, as Adam does.)

    Parameters
    ----------
    params : mapping of str to ndarray, list of ndarray, or ndarray
        Tables of shape (n, d), float32 or float64, C-contiguous, updated in place.
    lr : float
        Learning rate, greater than 0.
    betas : (float, float)
        Decay of the running means, each in 0 to 1, 1 excluded.
    eps : float
        Added to the root; at least float32's smallest normal number.
    weight_decay : float
        Added to the gradient times the weights, in rows with a gradient.
    lr_scale : mapping of str to float, optional
        Factors on the learning rate by name.

    Raises
    ------
    InvalidArgumentError
        A setting out of range; a parameter that is no table, read-only or not contiguous.
    InvalidTypeError
        A parameter that is no float32 or float64 array.

    Notes
    -----
    28 bytes a float32 value of the listed rows pass through memory, and O(k log k) orders them
    where they do not rise. The same bits for any number of threads.

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.optim import SparseAdam, SparseRows
    >>> table = np.zeros((4, 2))
    >>> optimizer = SparseAdam(table, lr=0.5)
    >>> optimizer.step(SparseRows([2], np.array([[1.0, -1.0]])))
    >>> table.round(6).tolist()
    [[0.0, 0.0], [0.0, 0.0], [-0.5, 0.5], [0.0, 0.0]]
    """

    name: ClassVar[str] = "sparse_adam"

    def __init__(
        self,
        params: Arrays,
        lr: float = 1e-3,
        *,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        lr_scale: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas=betas, eps=eps, weight_decay=weight_decay, lr_scale=lr_scale
        )
        for name, param in self._params.items():
            if param.ndim != 2:
                raise InvalidArgumentError(
                    f"params[{name!r}] has shape {param.shape} but must be a table (n, d)"
                )

    def step(self, gradients: Mapping[str, SparseRows] | SparseRows) -> None:  # type: ignore[override]
        """Move the listed rows once.

        Everything is checked before the first write: after an exception parameters and state
        are as before.

        Parameters
        ----------
        gradients : SparseRows or mapping of str to SparseRows
            Of the parameters' dtypes and columns; finite, and so their sums where a row is listed
            several times.

        Raises
        ------
        InvalidArgumentError
            A name missing or unknown, another shape, a row that is not in the table, NaN or
            infinity.
        InvalidTypeError
            Another dtype, or a gradient that is no SparseRows.
        """
        given = {"0": gradients} if isinstance(gradients, SparseRows) else gradients
        if not isinstance(given, Mapping):
            raise InvalidTypeError(
                f"gradients is a {type(gradients).__name__} but must be SparseRows, or a mapping "
                "of names to SparseRows"
            )
        same_names(given, self._params)
        items = []
        for name, param in self._params.items():
            rows, values = _checked(given[name], name, param)
            lr, decay = self._rates(name)
            moments = self._first[name], self._second[name]
            flat = param.reshape(-1)
            items.append((flat, param.shape[1], rows, values, *moments, lr, decay))
        _core.sparse_adam_step(items, self._steps, self._betas, self._eps)

    def _settings(self) -> dict[str, Any]:
        return {"betas": list(self._betas), "eps": self._eps}


def _checked(gradient: object, name: str, param: Array) -> tuple[npt.NDArray[np.int64], Array]:
    """Return row numbers and flat, finite values."""
    if not isinstance(gradient, SparseRows):
        raise InvalidTypeError(
            f"gradients[{name!r}] is a {type(gradient).__name__} but must be SparseRows"
        )
    rows = as_ids(gradient.rows, f"gradients[{name!r}].rows")
    values = as_numbers(gradient.values, f"gradients[{name!r}].values")
    if values.dtype != param.dtype:
        raise InvalidTypeError(
            f"gradients[{name!r}].values has dtype {values.dtype} but the parameter is "
            f"{param.dtype}; cast it with astype"
        )
    if values.shape != (len(rows), param.shape[1]):
        raise InvalidArgumentError(
            f"gradients[{name!r}].values has shape {values.shape} but {len(rows)} rows of "
            f"{param.shape[1]} columns are listed"
        )
    flat = np.ascontiguousarray(values).reshape(-1)
    if np.may_share_memory(flat, param):
        flat = flat.copy()
    check_finite(name, flat, values.shape)
    return rows, flat
