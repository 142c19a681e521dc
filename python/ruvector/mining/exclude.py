"""Lists of rows that must not be chosen."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_ids
from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["Lists", "as_lists"]

Lists = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def as_lists(exclude: Sequence[npt.ArrayLike], *, anchors: int, pool: int | None) -> Lists:
    """Return `exclude` as int64 (indptr, indices), one list an anchor.

    Parameters
    ----------
    exclude : (indptr, indices)
        CSR lists.
    anchors : int
        How many lists there must be.
    pool : int or None
        Number of rows that may be listed; None where lists hold ids, which may be unknown.

    Raises
    ------
    InvalidArgumentError
        An indptr that does not fit, or a row outside the pool.
    InvalidTypeError
        Not a pair, or not integers.
    """
    if not isinstance(exclude, (tuple, list)) or len(exclude) != 2:
        raise InvalidTypeError(
            f"exclude is a {type(exclude).__name__} but must be the pair (indptr, indices)"
        )
    indptr, indices = as_ids(exclude[0], "exclude[0]"), as_ids(exclude[1], "exclude[1]")
    if len(indptr) != anchors + 1:
        raise InvalidArgumentError(
            f"exclude has an indptr of {len(indptr)} entries but {anchors} anchors need "
            f"{anchors + 1}"
        )
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any() or indptr[-1] != len(indices):
        raise InvalidArgumentError(
            f"exclude needs an indptr that rises from 0 to the {len(indices)} indices"
        )
    if pool is not None:
        outside = indices[(indices < 0) | (indices >= pool)]
        if outside.size:
            raise InvalidArgumentError(
                f"exclude names row {outside[0]} but the pool has {pool} rows"
            )
    return indptr, indices
