"""What indexes return."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["IndexStats", "SearchResult"]


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
    bytes_vectors, bytes_ids, bytes_links, bytes_upper, bytes_nodes : int
        Memory of the vectors, the ids with their lookup, the level-0 links, the links above, and
        what else is kept for each row.
    """

    rows: int
    tombstones: int
    level_counts: list[int]
    degree_min: int
    degree_mean: float
    degree_max: int
    unreachable: int
    bytes_vectors: int
    bytes_ids: int
    bytes_links: int
    bytes_upper: int
    bytes_nodes: int
