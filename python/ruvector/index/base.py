"""What all indexes have in common."""

import os
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, as_ids, check_bool
from ruvector.errors import InvalidTypeError

__all__ = ["MAX_DIM", "MAX_K", "METRICS", "BaseIndex", "as_path", "as_rows"]

METRICS = ("cosine", "l2", "ip")
MAX_DIM = 2**20
MAX_K = 2**31 - 1

_INT64 = np.iinfo(np.int64)

CoreT = TypeVar("CoreT", _core.Flat, _core.Hnsw)
IndexT = TypeVar("IndexT", bound="BaseIndex[Any]")


def as_rows(value: object, name: str) -> npt.NDArray[np.float32]:
    """Return one vector or several as a float32 matrix; one becomes a matrix of one row."""
    array = as_floats(value, name, ndim=(1, 2), dtype=np.float32)
    return array if array.ndim == 2 else array.reshape(1, -1)


def as_path(path: object) -> str | os.PathLike[str]:
    """Return `path` if it is one."""
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidTypeError(f"path is {path!r} but must be a string or a path")
    return path


class BaseIndex(Generic[CoreT]):
    """Rows with ids; subclasses say how they are searched."""

    __slots__ = ("_core",)
    _core: CoreT

    @classmethod
    def _wrap(cls: type[IndexT], core: Any) -> IndexT:
        index = cls.__new__(cls)
        index._core = core
        return index

    @property
    def dim(self) -> int:
        """Values a vector."""
        return self._core.dim

    @property
    def metric(self) -> str:
        """``"cosine"``, ``"l2"`` or ``"ip"``."""
        return self._core.metric

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """A fresh array of the stored ids, in the order they were added until some are removed."""
        return self._core.ids()

    def __len__(self) -> int:
        return len(self._core)

    def __contains__(self, id_: object) -> bool:
        if isinstance(id_, bool) or not isinstance(id_, (int, np.integer)):
            return False
        number = int(id_)
        return 0 <= number <= _INT64.max and self._core.contains(number)

    def add(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        *,
        replace: bool = False,
    ) -> npt.NDArray[np.int64]:
        """Store vectors.

        Parameters
        ----------
        vectors : array_like, shape (n, dim) or (dim,)
            Finite numbers; C-contiguous float32 is read without a copy, other numbers are cast
            once. Under l2 and ip no vector may be longer than 1e18.
        ids : array_like of int, shape (n,), optional
            Not negative, not stored yet, each given once. By default they continue from the
            largest id there ever was, or from 0: the ids of removed vectors are not given again.
        replace : bool, default False
            Whether ids that are stored already get the new vectors instead of being refused.

        Returns
        -------
        ndarray of int64, shape (n,)
            The vectors' ids.

        Raises
        ------
        InvalidArgumentError
            Wrong shape, NaN or infinity (the message names the row), too long vectors, negative
            ids.
        InvalidTypeError
            Not numeric, or ids that are not integers.
        DuplicateIdError
            An id that is given twice or, without `replace`, stored already.

        Notes
        -----
        All or nothing: after an exception, Ctrl-C included, the index is what it was.
        """
        rows = as_rows(vectors, "vectors")
        numbers = None if ids is None else as_ids(ids, "ids")
        return self._core.add(rows, numbers, check_bool(replace, "replace"))

    def get(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the vectors with these ids as they were added.

        Parameters
        ----------
        ids : array_like of int, shape (n,)
            Stored ids, in any order.

        Returns
        -------
        ndarray of float32, shape (n, dim)
            Under cosine they agree with what was added up to rounding.

        Raises
        ------
        InvalidArgumentError
            An id that is not stored.
        """
        return self._core.get(as_ids(ids, "ids"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file, whole or not at all.

        The bytes go to a temporary file beside `path`, which replaces `path` once it is safely on
        disk; after a crash or a full disk the old file is still there. Equal indexes give equal
        files.

        Parameters
        ----------
        path : path_like
            Where to.

        Raises
        ------
        OSError
            It cannot be written.
        """
        self._core.save(as_path(path))

    def __copy__(self: IndexT) -> IndexT:
        return self._wrap(type(self._core).from_bytes(self._core.to_bytes()))

    def __deepcopy__(self: IndexT, memo: dict[int, Any]) -> IndexT:
        return self.__copy__()

    def __getstate__(self) -> bytes:
        return self._core.to_bytes()
