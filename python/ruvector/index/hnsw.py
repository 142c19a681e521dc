"""Approximate search by walking a layered graph."""

import os

import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_choice, check_int
from ruvector.index.base import MAX_DIM, MAX_K, METRICS, as_path, as_rows
from ruvector.index.changes import ChangingIndex
from ruvector.index.results import IndexStats, SearchResult

__all__ = ["HNSW"]

_UINT64_MAX = 2**64 - 1
_MAX_EF = 2**31 - 1


class HNSW(ChangingIndex[_core.Hnsw]):
    """Finds most of the nearest vectors by visiting few: a hierarchical navigable small world.

    Parameters
    ----------
    dim : int
        Values a vector, 1 to 2**20.
    metric : {"cosine", "l2", "ip"}, default "cosine"
        Distance: ``1 - cos`` (1 where a vector is zero), *squared* Euclidean, or negated inner
        product. Smaller is nearer.
    m : int, default 16
        Most links of a vector on each level, 2 to 128, usefully 4 and more; on level 0 twice as
        many. More find more and cost memory (8·m bytes a vector) and time.
    ef_construction : int, default 200
        Candidates among which links are chosen, 1 to 2**20, usually 100 to 500. More make a
        better graph and building slower.
    seed : int, default 0
        Decides the levels, 0 to 2**64 - 1. Same data, order, calls and seed give the same graph
        for any number of threads.

    Raises
    ------
    InvalidArgumentError
        A parameter out of range.

    Notes
    -----
    Several threads may search at once; changes wait for them and they for a change. Every stored
    vector can be reached from every other one over level-0 links: they contain a spanning tree
    that pruning never touches and that is mended when vectors go.

    Removed vectors are never found again, but walks pass through them until there are more than
    1/64 of all (64 at least, 1,024 at most). Then the vectors linked to them choose other links
    and the last ones take their places, so memory does not grow under constant change.

    References
    ----------
    Malkov and Yashunin (2018), "Efficient and robust approximate nearest neighbor search using
    Hierarchical Navigable Small World graphs", https://arxiv.org/abs/1603.09320. Parallel
    building: Manohar et al. (2024), "ParlayANN", https://arxiv.org/abs/2305.04359. Repair after
    removals: Singh et al. (2021), "FreshDiskANN", https://arxiv.org/abs/2105.09613.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.index import HNSW
    >>> vectors = np.random.default_rng(0).standard_normal((1000, 32), dtype=np.float32)
    >>> index = HNSW(32)
    >>> ids = index.add(vectors)
    >>> result = index.search(vectors[:3], k=5)
    >>> result.ids[:, 0]
    array([0, 1, 2])
    """

    __slots__ = ()

    def __init__(
        self,
        dim: int,
        *,
        metric: str = "cosine",
        m: int = 16,
        ef_construction: int = 200,
        seed: int = 0,
    ) -> None:
        self._core = _core.Hnsw(
            check_int(dim, "dim", low=1, high=MAX_DIM),
            check_choice(metric, "metric", choices=METRICS),
            check_int(m, "m", low=2, high=128),
            check_int(ef_construction, "ef_construction", low=1, high=2**20),
            check_int(seed, "seed", low=0, high=_UINT64_MAX),
        )

    @property
    def m(self) -> int:
        """Most links of a vector on each level; on level 0 twice as many."""
        return self._core.m

    @property
    def ef_construction(self) -> int:
        """Candidates among which links are chosen."""
        return self._core.ef_construction

    @property
    def seed(self) -> int:
        """What decides the levels."""
        return self._core.seed

    def search(self, queries: npt.ArrayLike, k: int = 10, *, ef: int | None = None) -> SearchResult:
        """Find the nearest vectors of each query.

        Parameters
        ----------
        queries : array_like, shape (n, dim) or (dim,)
            Finite numbers; one vector counts as n = 1.
        k : int, default 10
            How many; may exceed ``len(index)``, but n·k must stay within 2**28.
        ef : int, optional
            Vectors kept in view during the walk: more find more of the nearest and take longer.
            Raised to k; by default the larger of k and 64. With `ef` of ``len(index)`` or more
            the search is exact.

        Returns
        -------
        SearchResult
            min(k, ``len(index)``) hits a query.

        Raises
        ------
        InvalidArgumentError
            Wrong shape, NaN or infinity, k or ef out of range.
        InvalidTypeError
            Not numeric.
        """
        rows = as_rows(queries, "queries")
        k = check_int(k, "k", low=1, high=MAX_K)
        if ef is not None:
            ef = check_int(ef, "ef", low=1, high=_MAX_EF)
        return SearchResult(*self._core.search(rows, k, ef))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "HNSW":
        """Read an index that `save` wrote; the graph is read, not built.

        Raises
        ------
        CorruptFileError
            Damaged, or not a file of this class.
        UnsupportedVersionError
            Written by a newer version of ruvector.
        OSError
            It cannot be read.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> from ruvector.index import HNSW
        >>> index = HNSW(2)
        >>> index.add([[1, 0], [0, 1]])
        array([0, 1])
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = pathlib.Path(directory) / "index.ruv"
        ...     index.save(path)
        ...     HNSW.load(path)
        HNSW(dim=2, metric='cosine', m=16, ef_construction=200, seed=0): 2 vectors
        """
        return cls._wrap(_core.Hnsw.load(as_path(path)))

    def stats(self) -> IndexStats:
        """Return degrees, levels, reachability and memory; looks at every link once."""
        return IndexStats(**self._core.stats())

    def check(self) -> None:
        """Look for broken invariants.

        Links lead to other rows of the level, once each; the entry point is on the top level;
        every vector can be reached from it; ids are unique; vectors are finite, and of length 1
        under cosine.

        Raises
        ------
        CorruptFileError
            With a description of the first one found: a bug, or memory that was overwritten.
        """
        self._core.check()

    def __setstate__(self, state: bytes) -> None:
        self._core = _core.Hnsw.from_bytes(state)

    def __repr__(self) -> str:
        return (
            f"HNSW(dim={self.dim}, metric={self.metric!r}, m={self.m}, "
            f"ef_construction={self.ef_construction}, seed={self.seed}): {len(self)} vectors"
        )
