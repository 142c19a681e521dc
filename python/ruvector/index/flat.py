"""Exact search."""

import os

import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_choice, check_int
from ruvector.index.base import MAX_DIM, MAX_K, METRICS, as_path, as_rows
from ruvector.index.changes import ChangingIndex
from ruvector.index.results import SearchResult

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
    Several threads may search at once; changes wait for them and they for a change. A query costs
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

    def search(self, queries: npt.ArrayLike, k: int = 10) -> SearchResult:
        """Find the nearest vectors of each query.

        Parameters
        ----------
        queries : array_like, shape (n, dim) or (dim,)
            Finite numbers; one vector counts as n = 1.
        k : int, default 10
            How many; may exceed ``len(index)``, but n·k must stay within 2**28.

        Returns
        -------
        SearchResult
            Exact up to float32 rounding of distances.

        Raises
        ------
        InvalidArgumentError
            Wrong shape, NaN or infinity, k out of range.
        InvalidTypeError
            Not numeric.
        """
        rows = as_rows(queries, "queries")
        return SearchResult(*self._core.search(rows, check_int(k, "k", low=1, high=MAX_K)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "FlatIndex":
        """Read an index that `save` wrote.

        Raises
        ------
        CorruptFileError
            Damaged, or not a file of this class.
        UnsupportedVersionError
            Written by a newer version of ruvector.
        OSError
            It cannot be read.

        See Also
        --------
        HNSW.load : gives an example.
        """
        return cls._wrap(_core.Flat.load(as_path(path)))

    def __setstate__(self, state: bytes) -> None:
        self._core = _core.Flat.from_bytes(state)

    def __repr__(self) -> str:
        return f"FlatIndex(dim={self.dim}, metric={self.metric!r}): {len(self)} vectors"
