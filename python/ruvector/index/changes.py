"""Indexes whose vectors come, change and go."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_ids, check_bool, check_choice, check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.index.base import BaseIndex, CoreT, as_rows

__all__ = ["ChangingIndex"]


class ChangingIndex(BaseIndex[CoreT]):
    """What all indexes offer for changing what they hold.

    Each call is all or nothing: after an exception the index is what it was. Ctrl-C too leaves it
    as it was or, where it comes when the change has just been made, with the whole change.
    """

    __slots__ = ()

    def remove(self, ids: npt.ArrayLike, *, missing: str = "raise") -> int:
        """Remove vectors.

        Parameters
        ----------
        ids : array_like of int, shape (n,)
            Stored ids, each given once.
        missing : {"raise", "ignore"}, default "raise"
            What to do about ids that are not stored. With ``"ignore"`` an id may also be given
            more than once.

        Returns
        -------
        int
            How many vectors were removed.

        Raises
        ------
        InvalidArgumentError
            An id that is not stored, which the message names.
        DuplicateIdError
            An id given twice.
        InvalidTypeError
            Ids that are not integers.

        Notes
        -----
        The vectors are never found again and their ids are free at once. In an `HNSW` many
        removals together are cheaper than one by one: every so often one call repairs the graph
        for all removed since the last repair, which looks at every link once and takes some
        thousand distances for each removed vector.

        Examples
        --------
        >>> from ruvector.index import HNSW
        >>> index = HNSW(2)
        >>> index.add([[1, 0], [0, 1], [1, 1]])
        array([0, 1, 2])
        >>> index.remove([0, 7], missing="ignore")
        1
        >>> index.search([1, 0], k=2).ids
        array([[2, 1]])
        """
        check_choice(missing, "missing", choices=("raise", "ignore"))
        return self._core.remove(as_ids(ids, "ids"), missing == "ignore")

    def update(self, ids: npt.ArrayLike, vectors: npt.ArrayLike) -> None:
        """Put new vectors in the place of stored ones.

        Parameters
        ----------
        ids : array_like of int, shape (n,)
            Stored ids, each given once.
        vectors : array_like, shape (n, dim) or (dim,)
            What they stand for from now on, as in `add`.

        Raises
        ------
        InvalidArgumentError
            An id that is not stored, wrong shape, NaN or infinity, too long vectors.
        InvalidTypeError
            Not numeric, or ids that are not integers.
        DuplicateIdError
            An id given twice.

        See Also
        --------
        ruvector.index.HNSW.add : with ``replace=True`` ids may also be new.

        Notes
        -----
        The old vectors are never found again. In an `HNSW` this costs a removal and an addition.

        Examples
        --------
        >>> from ruvector.index import HNSW
        >>> index = HNSW(2)
        >>> index.add([[1, 0], [0, 1]])
        array([0, 1])
        >>> index.update([0], [[0, 2]])
        >>> index.get([0])
        array([[0., 2.]], dtype=float32)
        """
        self._core.update(as_ids(ids, "ids"), as_rows(vectors, "vectors"))

    def merge(self, other: "ChangingIndex[Any]", *, replace: bool = False) -> int:
        """Add all vectors of another index.

        Parameters
        ----------
        other : HNSW or FlatIndex
            Of the same dimensions and metric; it stays as it is.
        replace : bool, default False
            Whether ids that are stored here already get the other's vectors instead of being
            refused.

        Returns
        -------
        int
            How many vectors the other holds.

        Raises
        ------
        InvalidTypeError
            Not an index.
        InvalidArgumentError
            Other dimensions or another metric.
        DuplicateIdError
            Without `replace`, an id that is stored here already.

        Notes
        -----
        Costs what adding them costs, and a copy of the other's vectors meanwhile. Their lengths
        are kept under cosine too.

        Examples
        --------
        >>> from ruvector.index import HNSW
        >>> one, two = HNSW(2), HNSW(2)
        >>> one.add([[1, 0]], ids=[1]), two.add([[0, 3]], ids=[2])
        (array([1]), array([2]))
        >>> one.merge(two)
        1
        >>> one.get([2])
        array([[0., 3.]], dtype=float32)
        """
        if not isinstance(other, ChangingIndex):
            raise InvalidTypeError(
                f"other is {type(other).__name__} but must be an HNSW or a FlatIndex"
            )
        self._check_alike(other)
        ids, vectors = other._core.export()
        self._core.add(vectors, ids, check_bool(replace, "replace"))
        return len(ids)

    def compact(self) -> None:
        """Repair all that removals left behind and give unused memory back.

        An `HNSW` does without it, but holds some removed vectors and some spare memory.

        Examples
        --------
        >>> from ruvector.index import HNSW
        >>> index = HNSW(2)
        >>> ids = index.add([[1, 0], [0, 1], [1, 1]])
        >>> index.remove(ids[:2])
        2
        >>> index.stats().tombstones
        2
        >>> index.compact()
        >>> index.stats().tombstones
        0
        """
        self._core.compact()

    def __iter__(self) -> Iterator[int]:
        """Iterate over the ids stored at this moment."""
        return iter(self.ids.tolist())

    def items(
        self, batch_size: int = 4096
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """Iterate over ids and vectors in blocks.

        Parameters
        ----------
        batch_size : int, default 4096
            Vectors a block; the last may hold fewer.

        Returns
        -------
        iterator of tuples
            Ids, int64 of shape (n,), and vectors, float32 of shape (n, dim), as `get` returns
            them. They are the ids stored when the call is made; those removed before their block
            comes are left out, and those changed come as they are by then.

        Raises
        ------
        InvalidArgumentError
            `batch_size` out of range.

        Examples
        --------
        >>> from ruvector.index import FlatIndex
        >>> index = FlatIndex(1, metric="l2")
        >>> ids = index.add([[1], [2], [3]])
        >>> [block.tolist() for block, vectors in index.items(2)]
        [[0, 1], [2]]
        """
        size = check_int(batch_size, "batch_size", low=1)
        ids = self.ids
        blocks = (ids[start : start + size] for start in range(0, len(ids), size))
        return (self._core.pick(block) for block in blocks)

    def _check_alike(self, other: "ChangingIndex[Any]") -> None:
        ours, theirs = (self.dim, self.metric), (other.dim, other.metric)
        if ours != theirs:
            raise InvalidArgumentError(
                f"other has {theirs[0]} dimensions and metric {theirs[1]!r} but this index has "
                f"{ours[0]} and {ours[1]!r}"
            )
