"""What all indexes have in common."""

import os
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, as_ids, check_bool, check_int, check_real
from ruvector.errors import InvalidTypeError
from ruvector.index.where import Filter, Where, as_where

__all__ = ["MAX_DIM", "MAX_K", "METRICS", "STORAGES", "BaseIndex", "as_limit", "as_path", "as_rows"]

METRICS = ("cosine", "l2", "ip")

#: What an index may keep of its vectors.
STORAGES = ("float32", "float16", "int8")
MAX_DIM = 2**20
MAX_K = 2**31 - 1
MAX_RESULTS = 2**28

_INT64 = np.iinfo(np.int64)

CoreT = TypeVar("CoreT", _core.Flat, _core.Hnsw)
IndexT = TypeVar("IndexT", bound="BaseIndex[Any]")


def as_rows(value: object, name: str) -> npt.NDArray[np.float32]:
    """Return one vector or several as a float32 matrix; one becomes a matrix of one row."""
    array = as_floats(value, name, ndim=(1, 2), dtype=np.float32)
    return array if array.ndim == 2 else array.reshape(1, -1)


def as_limit(value: object) -> int:
    """Return `value` as a number of results, the most there may be where it is None."""
    if value is None:
        return MAX_RESULTS
    return check_int(value, "max_results", low=1, high=MAX_RESULTS)


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
    def mapped(self) -> bool:
        """Whether it lies in a file, loaded with ``mmap=True``, and cannot be changed."""
        return self._core.mapped

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
        All or nothing: after an exception the index is what it was. Ctrl-C too leaves it as it
        was or, where it comes when the change has just been made, with the whole change.
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

    def filter(self, where: Where) -> Filter:
        """Prepare a choice of vectors for many searches.

        Parameters
        ----------
        where : array_like of int or array_like of bool, shape (len(index),)
            Ids, or a truth value for each of `ids`, which chooses those ids.

        Returns
        -------
        Filter
            For the `where` of searches. It follows changes of the index.

        Raises
        ------
        InvalidArgumentError
            Wrong number of dimensions, a mask of the wrong length.
        InvalidTypeError
            Neither integers nor truth values.

        Examples
        --------
        >>> from ruvector.index import FlatIndex
        >>> index = FlatIndex(1, metric="l2")
        >>> index.add([[0], [1], [2], [3]])
        array([0, 1, 2, 3])
        >>> odd = index.filter([1, 3])
        >>> index.search([0], k=2, where=odd).ids
        array([[1, 3]])
        """
        return Filter(self._core.filter(as_where(where)))

    def memory_usage(self) -> dict[str, int]:
        """Return the bytes the index takes, by part.

        Returns
        -------
        dict of str to int
            ``"vectors"``, ``"codes"`` (the vectors as bytes and how to make them, 0 without),
            ``"ids"`` and ``"lookup"`` (the table from ids to vectors), for a graph also
            ``"links"`` (level 0), ``"upper"`` (levels above), ``"nodes"`` (what else is kept for
            each vector) and ``"scratch"`` (working memory at rest between calls); ``"spare"``,
            reserved for growth; and ``"total"``, all but the spare part. After one `add` of
            everything the process takes the total up to a few per cent; after many, up to the
            spare part more, as far as the allocator reused memory that had been written to.

        Examples
        --------
        >>> from ruvector.index import FlatIndex
        >>> index = FlatIndex(16)
        >>> ids = index.add([[1.0] * 16] * 100)
        >>> index.memory_usage()["vectors"]  # 64 bytes each, and 8 for its length
        7200
        """
        parts = dict(self._core.memory())
        return {**parts, "total": sum(parts.values()) - parts["spare"]}

    def _radius(self, radius: object) -> float:
        """Return `radius` if something can lie within it."""
        # Negated inner products have no least value.
        low = -float("inf") if self.metric == "ip" else 0.0
        return check_real(radius, "radius", low=low)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file, whole or not at all.

        The bytes go to a temporary file beside `path`, which replaces `path` once it is safely on
        disk; after a crash, a full disk or Ctrl-C the old file is still there. Equal indexes give
        equal files. Indexes that were loaded from the old file with ``mmap=True`` keep it.

        Parameters
        ----------
        path : path_like
            Where to.

        Raises
        ------
        OSError
            It cannot be written; ``filename`` and ``errno`` are set.
        CorruptFileError
            The index is mapped from a file that is damaged.

        Notes
        -----
        The file is synchronised to disk before it takes the old one's place, and its directory
        afterwards: what ``save`` has returned from outlasts a power cut. A process that is killed
        leaves its temporary file behind, ``.<name>.<process>.<n>.tmp``. On Linux the next save to
        the same path removes it if that process is gone and nobody has the file locked; elsewhere,
        for names of more than 40 characters, and where the file system has no locks it stays and
        may be deleted.
        """
        self._core.save(as_path(path))

    def check(self) -> None:
        """Look for broken invariants, and for damage to the file of a mapped index.

        Ids are unique and not negative; vectors are finite, and of length 1 under cosine; what a
        mapped index has not read yet agrees with its checksums. Graphs are looked at too: links
        lead to other rows of the level, once each; the entry point is on the top level; every
        vector can be reached from it; codes, where there are any, are those of the vectors.

        Raises
        ------
        CorruptFileError
            With a description of the first one found: a damaged file, a bug, or memory that was
            overwritten.
        """
        self._core.check()

    def __copy__(self: IndexT) -> IndexT:
        return self._wrap(type(self._core).from_bytes(self._core.to_bytes()))

    def __deepcopy__(self: IndexT, memo: dict[int, Any]) -> IndexT:
        return self.__copy__()

    def __getstate__(self) -> bytes:
        return self._core.to_bytes()
