"""Exact search."""

import os

import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_bool, check_choice, check_int
from ruvector.index.base import MAX_DIM, MAX_K, METRICS, as_limit, as_path, as_rows
from ruvector.index.changes import ChangingIndex
from ruvector.index.results import RangeResult, SearchResult
from ruvector.index.where import Where, as_where

__all__ = ["FlatIndex"]


class FlatIndex(ChangingIndex[_core.Flat]):
    """Finds the nearest vectors by comparing with every one.

    The right choice for up to some ten thousand vectors, and the measure of every approximate
    index.

    Parameters
    ----------
    dim : int
        Values a vector, 1 to 2**20.
    metric : {"cosine", "l2", "ip"}, default "cosine"
        Distance: ``1 - cos`` (1 where a vector is zero), *squared* Euclidean, or negated inner
        product. Smaller is nearer.

    Raises
    ------
    InvalidArgumentError
        A parameter out of range.

    Notes
    -----
    Threads may share an index. Searches go on while another thread adds, and see all of a change
    or nothing; changes wait for each other. A child forked meanwhile can use the index unless a
    change was under way: then it gets `BrokenIndexError` and must load it again. A query costs
    ``len(index) * dim`` multiplications.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.index import FlatIndex
    >>> index = FlatIndex(2, metric="l2")
    >>> index.add([[0, 0], [3, 4], [6, 8]], ids=[7, 8, 9])
    array([7, 8, 9])
    >>> ids, distances, counts = index.search([0, 1], k=2)
    >>> ids, distances
    (array([[7, 8]]), array([[ 1., 18.]], dtype=float32))
    """

    __slots__ = ()

    def __init__(self, dim: int, *, metric: str = "cosine") -> None:
        check_choice(metric, "metric", choices=METRICS)
        self._core = _core.Flat(check_int(dim, "dim", low=1, high=MAX_DIM), metric)

    def search(
        self, queries: npt.ArrayLike, k: int = 10, *, where: Where | None = None
    ) -> SearchResult:
        """Find the nearest vectors of each query.

        Parameters
        ----------
        queries : array_like, shape (n, dim) or (dim,)
            Finite numbers; one vector counts as n = 1.
        k : int, default 10
            How many; may exceed ``len(index)``, but n·k must stay within 2**28.
        where : array_like of int, array_like of bool or Filter, optional
            Which vectors may be found: their ids (unknown ones match nothing, repeated ones count
            once), or a truth value for each of `ids`, or what `filter` returned.

        Returns
        -------
        SearchResult
            Exact up to float32 rounding of distances; as many hits a query as there are vectors
            to be found, and at most k.

        Raises
        ------
        InvalidArgumentError
            Wrong shape, NaN or infinity, k out of range, a mask of the wrong length.
        InvalidTypeError
            Not numeric.
        """
        found = self._core.query(queries, k) if where is None else None
        if found is None:
            rows = as_rows(queries, "queries")
            k = check_int(k, "k", low=1, high=MAX_K)
            among = None if where is None else as_where(where)
            found = self._core.search(rows, k, among)
        return tuple.__new__(SearchResult, found)

    def range_search(
        self,
        queries: npt.ArrayLike,
        radius: float,
        *,
        where: Where | None = None,
        max_results: int | None = None,
    ) -> RangeResult:
        """Find all vectors within a radius of each query.

        Parameters
        ----------
        queries : array_like, shape (n, dim) or (dim,)
            Finite numbers; one vector counts as n = 1.
        radius : float
            Largest distance, in the index's metric: *squared* Euclidean under l2, ``1 - cos``
            under cosine (neither below 0), negated inner product under ip (any sign).
        where : array_like of int, array_like of bool or Filter, optional
            Which vectors may be found, as in `search`.
        max_results : int, optional
            Most results of the call, all queries together; by default and at most 2**28.

        Returns
        -------
        RangeResult
            Sorted by distance, then id, query by query.

        Raises
        ------
        InvalidArgumentError
            Wrong shape, NaN or infinity, a negative radius under l2 or cosine, more results than
            `max_results`.
        InvalidTypeError
            Not numeric.

        Examples
        --------
        >>> from ruvector.index import FlatIndex
        >>> index = FlatIndex(1, metric="l2")
        >>> index.add([[0], [1], [2], [3]])
        array([0, 1, 2, 3])
        >>> indptr, ids, distances = index.range_search([[0.9], [9]], radius=1.5)
        >>> indptr, ids, distances.round(2)
        (array([0, 3, 3]), array([1, 0, 2]), array([0.01, 0.81, 1.21], dtype=float32))
        """
        rows = as_rows(queries, "queries")
        reach, limit = self._radius(radius), as_limit(max_results)
        among = None if where is None else as_where(where)
        return RangeResult(*self._core.range_search(rows, reach, among, limit))

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, mmap: bool = False, verify: bool = False
    ) -> "FlatIndex":
        """Read an index that `save` wrote.

        Parameters
        ----------
        path : path_like
            Where from.
        mmap : bool, default False
            Leave the vectors in the file, as `HNSW.load` explains.
        verify : bool, default False
            With `mmap`, also read the whole file and check it as without.

        Raises
        ------
        CorruptFileError
            Damaged, or not a file of this class.
        UnsupportedVersionError
            Written by a newer version of ruvector.
        OSError
            It cannot be read; ``filename`` and ``errno`` are set.

        See Also
        --------
        HNSW.load : gives an example.
        """
        mapped, verified = check_bool(mmap, "mmap"), check_bool(verify, "verify")
        return cls._wrap(_core.Flat.load(as_path(path), mapped, verified))

    def __setstate__(self, state: bytes) -> None:
        self._core = _core.Flat.from_bytes(state)

    def __repr__(self) -> str:
        return f"FlatIndex(dim={self.dim}, metric={self.metric!r}): {len(self)} vectors"
