"""What indexes return."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["IndexStats", "RangeResult", "SearchResult", "SearchStats", "TuneResult", "TuneStep"]


class SearchResult(NamedTuple):
    """The nearest rows of each of n queries, nearest first, ties by id.

    Attributes
    ----------
    ids : ndarray of int64, shape (n, k)
        User ids; -1 where a query has fewer than k hits.
    distances : ndarray of float32, shape (n, k)
        In the index's metric: ``1 - cos``, squared Euclidean, or negated inner product; infinity
        where there is no hit.
    counts : ndarray of int64, shape (n,)
        Hits of each query.
    """

    ids: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]


class RangeResult(NamedTuple):
    """All rows within a radius of each of n queries, query after query.

    Query ``i`` has ``ids[indptr[i]:indptr[i + 1]]`` at the distances of the same places, nearest
    first, ties by id.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n + 1,)
        Where each query's rows begin, and where the last one's end.
    ids : ndarray of int64, shape (indptr[-1],)
        User ids.
    distances : ndarray of float32, shape (indptr[-1],)
        In the index's metric: ``1 - cos``, squared Euclidean, or negated inner product.
    """

    indptr: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]


class SearchStats(NamedTuple):
    """What each of n queries cost.

    Attributes
    ----------
    hops_mean, distances_mean : float
        Means of the arrays; NaN without queries.
    hops : ndarray of int64, shape (n,)
        Rows whose links were looked at, on all levels; 0 where all rows were compared instead.
    distances : ndarray of int64, shape (n,)
        Distances computed: by codes where the index has them (`HNSW.memory_usage`), otherwise
        from the vectors.
    remeasured : ndarray of int64, shape (n,)
        Distances from the vectors that were computed beside these because codes came before: one
        for each vector in view when a walk ends. 0 where the index has no codes. Where all rows
        were compared instead, by their codes, those measured once more are not counted.
    """

    hops_mean: float
    distances_mean: float
    hops: npt.NDArray[np.int64]
    distances: npt.NDArray[np.int64]
    remeasured: npt.NDArray[np.int64]


class TuneStep(NamedTuple):
    """One `ef` that `tune` tried.

    Attributes
    ----------
    ef : int
        Vectors kept in view during the walk.
    recall : float
        Share of the true nearest that was found.
    queries_per_second : float
        Of the sample, by the clock on the wall.
    """

    ef: int
    recall: float
    queries_per_second: float


class TuneResult(NamedTuple):
    """What `tune` chose, and from what.

    Attributes
    ----------
    ef : int
        The smallest one tried that reached the target, or else the one of highest recall.
    recall : float
        Its recall on the sample.
    reached : bool
        Whether that is at least the target.
    table : list of TuneStep
        All that was tried, by rising ef.
    """

    ef: int
    recall: float
    reached: bool
    table: list[TuneStep]


class IndexStats(NamedTuple):
    """What a graph index looks like inside.

    Attributes
    ----------
    rows : int
        Stored rows.
    tombstones : int
        Removed rows that are still walked; `HNSW.compact` sweeps them out.
    level_counts : list of int
        Rows by the highest level they are on.
    degree_min, degree_mean, degree_max : int, float, int
        Links a row on level 0.
    unreachable : int
        Rows that no path of level-0 links leads to from the entry point; always 0 unless the
        index is damaged.
    bytes_vectors, bytes_codes, bytes_ids, bytes_links, bytes_upper, bytes_nodes : int
        Memory of the vectors, their codes (0 without), the ids with their lookup, the level-0
        links, the links above, and what else is kept for each row. `HNSW.memory_usage` tells all.
    """

    rows: int
    tombstones: int
    level_counts: list[int]
    degree_min: int
    degree_mean: float
    degree_max: int
    unreachable: int
    bytes_vectors: int
    bytes_codes: int
    bytes_ids: int
    bytes_links: int
    bytes_upper: int
    bytes_nodes: int
