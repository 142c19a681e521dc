"""What a graph of vectors can be asked beside which are nearest."""

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_int, check_real
from ruvector.index.base import MAX_K, as_limit, as_rows
from ruvector.index.changes import ChangingIndex
from ruvector.index.results import IndexStats, RangeResult, SearchStats, TuneResult
from ruvector.index.tune import Searchable, choose_ef
from ruvector.index.where import Where, as_where
from ruvector.sparse import CSR

__all__ = ["GraphIndex"]

_MAX_EF = 2**31 - 1


class GraphIndex(ChangingIndex[_core.Hnsw]):
    """What walks over a graph find within a radius, which breadth they need and what they cost."""

    __slots__ = ("_ef",)
    _ef: int

    @property
    def ef(self) -> int | None:
        """What searches use that name no `ef`; None, the default, stands for 64.

        May be set, to what `tune` found for example. Copies and pickles keep it, files do not.
        """
        return getattr(self, "_ef", None)

    @ef.setter
    def ef(self, value: int | None) -> None:
        if value is not None:
            self._ef = check_int(value, "ef", low=1, high=_MAX_EF)
        elif hasattr(self, "_ef"):
            del self._ef

    def _pool(self, ef: object) -> int | None:
        return self.ef if ef is None else check_int(ef, "ef", low=1, high=_MAX_EF)

    def range_search(
        self,
        queries: npt.ArrayLike,
        radius: float,
        *,
        ef: int | None = None,
        where: Where | None = None,
        max_results: int | None = None,
    ) -> RangeResult:
        """Find nearly all vectors within a radius of each query.

        Parameters
        ----------
        queries : array_like, shape (n, dim) or (dim,)
            Finite numbers; one vector counts as n = 1.
        radius : float
            Largest distance, in the index's metric: *squared* Euclidean under l2, ``1 - cos``
            under cosine (neither below 0), negated inner product under ip (any sign).
        ef : int, optional
            Vectors nearest the query that the walk goes on from even where they lie outside the
            radius; by default `ef` of the index, else 64. More find more of what lies apart from
            the rest. With ``len(index)`` or more the search is exact.
        where : array_like of int, array_like of bool or Filter, optional
            Which vectors may be found, as in `search`.
        max_results : int, optional
            Most results of the call, all queries together; by default and at most 2**28.

        Returns
        -------
        RangeResult
            Sorted by distance, then id, query by query; every distance is within the radius.

        Raises
        ------
        InvalidArgumentError
            Wrong shape, NaN or infinity, a negative radius under l2 or cosine, more results than
            `max_results`.
        InvalidTypeError
            Not numeric.

        Notes
        -----
        Walks like `search`, then from every vector within the radius to its links, so the cost
        grows with the number of results. Vectors within the radius that only vectors far outside
        it link to are missed.

        Examples
        --------
        >>> from ruvector.index import HNSW
        >>> index = HNSW(1, metric="l2")
        >>> index.add([[0], [1], [2], [3]])
        array([0, 1, 2, 3])
        >>> indptr, ids, distances = index.range_search([[0.9], [9]], radius=1.5)
        >>> indptr, ids, distances.round(2)
        (array([0, 3, 3]), array([1, 0, 2]), array([0.01, 0.81, 1.21], dtype=float32))
        """
        rows = as_rows(queries, "queries")
        reach, limit = self._radius(radius), as_limit(max_results)
        among = None if where is None else as_where(where)
        pool = self._pool(ef)
        return RangeResult(*self._core.range_search(rows, reach, pool, among, limit))

    def tune(
        self: Searchable,
        queries: npt.ArrayLike,
        k: int = 10,
        *,
        target_recall: float = 0.95,
        max_ef: int = 4096,
        where: Where | None = None,
    ) -> TuneResult:
        """Find the smallest `ef` that finds enough of the nearest.

        Parameters
        ----------
        queries : array_like, shape (n, dim) or (dim,)
            A sample like the queries to come, not stored vectors; some hundred tell the recall to
            about a hundredth.
        k : int, default 10
            How many are to be found.
        target_recall : float, default 0.95
            Share of the k nearest to be found, above 0 and at most 1. Vectors as near as the k-th
            count as found.
        max_ef : int, default 4096
            The largest to try.
        where : array_like of int, array_like of bool or Filter, optional
            Which vectors may be found, as in `search`.

        Returns
        -------
        TuneResult
            `reached` is False, and a warning is logged, where no `ef` up to `max_ef` suffices.

        Raises
        ------
        InvalidArgumentError
            No queries, an empty index, nothing in `where`, a number out of range.

        Notes
        -----
        One exact search, then a search for each of about ``2 * log2(ef)`` values: doubling, then
        bisection, which takes recall to grow with `ef`. Nothing is changed: to make the result
        the default, assign it to `ef`.

        Examples
        --------
        >>> import numpy as np
        >>> from ruvector.index import HNSW
        >>> rng = np.random.default_rng(0)
        >>> index = HNSW(16)
        >>> ids = index.add(rng.standard_normal((2000, 16)))
        >>> tuned = index.tune(rng.standard_normal((100, 16)), target_recall=0.9)
        >>> tuned.reached, tuned.recall >= 0.9
        (True, True)
        >>> index.ef = tuned.ef
        """
        return choose_ef(
            self,
            as_rows(queries, "queries"),
            check_int(k, "k", low=1, high=MAX_K),
            target_recall=check_real(
                target_recall, "target_recall", low=0.0, high=1.0, open_low=True
            ),
            max_ef=check_int(max_ef, "max_ef", low=1, high=_MAX_EF),
            where=where,
        )

    def search_stats(
        self,
        queries: npt.ArrayLike,
        k: int = 10,
        *,
        ef: int | None = None,
        where: Where | None = None,
    ) -> SearchStats:
        """Search as `search` does and return what each query cost instead of what it found.

        Parameters
        ----------
        queries : array_like, shape (n, dim) or (dim,)
            Finite numbers; one vector counts as n = 1.
        k, ef, where
            As in `search`.

        Returns
        -------
        SearchStats
            Hops, distances, and how many of these were taken once more in full precision.

        Examples
        --------
        >>> import numpy as np
        >>> from ruvector.index import HNSW
        >>> index = HNSW(8)
        >>> ids = index.add(np.random.default_rng(0).standard_normal((1000, 8)))
        >>> stats = index.search_stats(np.ones((4, 8)), ef=32)
        >>> bool(((stats.hops >= 32) & (stats.distances < 1000)).all())
        True
        """
        rows = as_rows(queries, "queries")
        k = check_int(k, "k", low=1, high=MAX_K)
        among = None if where is None else as_where(where)
        hops, distances, remeasured = self._core.effort(rows, k, self._pool(ef), among)
        hops_mean, distances_mean = (
            float(counts.mean()) if len(counts) else float("nan") for counts in (hops, distances)
        )
        return SearchStats(hops_mean, distances_mean, hops, distances, remeasured)

    def layer(self, level: int = 0) -> CSR:
        """Return the links of one level as a sparse matrix.

        Parameters
        ----------
        level : int, default 0
            0 for the level of all vectors, up to ``len(stats().level_counts) - 1``.

        Returns
        -------
        CSR, shape (len(index), len(index)), float32
            Row ``i`` has a 1 in column ``j`` where the vector at position ``i`` of `ids` links to
            that at position ``j``. Links go one way: the matrix is not symmetric. Vectors that
            are not on the level have empty rows and columns.

        Raises
        ------
        InvalidArgumentError
            A level that the index has not.

        Examples
        --------
        >>> from ruvector.index import HNSW
        >>> index = HNSW(1, metric="l2")
        >>> ids = index.add([[0], [1], [2]])
        >>> index.layer(0).to_dense()
        array([[0., 1., 1.],
               [1., 0., 1.],
               [1., 1., 0.]], dtype=float32)
        """
        indptr, indices = self._core.layer(check_int(level, "level", low=0, high=_MAX_EF))
        links = np.ones(len(indices), np.float32)
        return CSR._of(indptr, indices, links, (len(self), len(self)))

    def stats(self) -> IndexStats:
        """Return degrees, levels, reachability and memory; looks at every link once."""
        return IndexStats(**self._core.stats())
