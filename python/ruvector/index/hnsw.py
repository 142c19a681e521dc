"""Approximate search by walking a layered graph."""

import os
from typing import Any

import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_bool, check_choice, check_int
from ruvector.index.base import MAX_DIM, MAX_K, METRICS, STORAGES, as_path, as_rows
from ruvector.index.graph import GraphIndex
from ruvector.index.hnswlib_file import read_hnswlib
from ruvector.index.results import SearchResult
from ruvector.index.where import Where, as_where

__all__ = ["HNSW"]

_UINT64_MAX = 2**64 - 1


class HNSW(GraphIndex):
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
    storage : {"float32", "float16", "int8"}, default "float32"
        What is kept of a vector. "float16" keeps ``2·dim + 8`` bytes: 11 bits of each value, and 0
        for what is smaller than 1e-8 of the vector's largest value. "int8" keeps ``dim + 8`` bytes,
        or one more: each value is rounded to one of 256 that lie at equal distances from the
        vector's smallest to its largest.

    Raises
    ------
    InvalidArgumentError
        A parameter out of range.

    Notes
    -----
    With another `storage` than "float32" the index knows the rounded vectors alone: `get` returns
    them, and distances are those of the query, which is not rounded, from them. The smaller
    storages take time to unpack vectors where they are compared in full.

    Threads may share an index. Searches go on while another thread changes it, and each query sees
    all of a change or nothing; changes wait for each other. They also wait for the searches that
    are under way, so of more than 1,024 queries in one call without `where` the later may see a
    change that the earlier did not. A child forked meanwhile can use the index
    unless a change was under way: then it gets `BrokenIndexError` and must load it again. Every
    stored vector can be reached from every other one over level-0 links: they contain a spanning
    tree that pruning never touches and that is mended when vectors go.

    Removed vectors are never found again, but walks pass through them until there are more than
    1/64 of all (64 at least, 1,024 at most). Then the vectors linked to them choose other links
    and the last ones take their places, so memory does not grow under constant change.

    From 4,096 vectors on each is also kept as bytes, in the way of [1]_. A sample decides how:
    after a projection onto the directions of most variance, as in [2]_, in the fewest of 64 to 512
    bytes by which 96 % of the ten nearest are found; otherwise in ``dim + 8`` bytes, rounded up to
    a multiple of 64; not at all where those would find less than 85 %, nor beyond 2**14
    dimensions. With a smaller `storage` they are projected, or take 128 bytes at most, or are
    left out. Additions that make the vectors four times as many decide anew. Building and
    searches go by these bytes, and what a search ends with, the `ef` nearest and eight more, is
    compared again with the vectors kept; a `range_search` compares whatever may be within its
    radius. `ef` is at least k + 2 then, but for searches with `where`. Distances returned are
    always those of the vectors kept, and results are in their order.

    References
    ----------
    .. [1] Aguerrebere et al. (2023), "Similarity search in the blink of an eye with compressed
       indices", https://arxiv.org/abs/2304.04759.
    .. [2] Tepper et al. (2023), "LeanVec: Searching vectors faster by making them fit",
       https://arxiv.org/abs/2312.16335.

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
        storage: str = "float32",
    ) -> None:
        self._core = _core.Hnsw(
            check_int(dim, "dim", low=1, high=MAX_DIM),
            check_choice(metric, "metric", choices=METRICS),
            check_int(m, "m", low=2, high=128),
            check_int(ef_construction, "ef_construction", low=1, high=2**20),
            check_int(seed, "seed", low=0, high=_UINT64_MAX),
            check_choice(storage, "storage", choices=STORAGES),
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

    @property
    def storage(self) -> str:
        """What is kept of a vector."""
        return self._core.storage

    def search(
        self,
        queries: npt.ArrayLike,
        k: int = 10,
        *,
        ef: int | None = None,
        where: Where | None = None,
    ) -> SearchResult:
        """Find the nearest vectors of each query.

        Parameters
        ----------
        queries : array_like, shape (n, dim) or (dim,)
            Finite numbers; one vector counts as n = 1.
        k : int, default 10
            How many; may exceed ``len(index)``, but n·k must stay within 2**28.
        ef : int, optional
            Vectors kept in view during the walk: more find more of the nearest and take longer.
            Raised to k; by default `ef` of the index, else 64. With `ef` of ``len(index)`` or more
            the search is exact.
        where : array_like of int, array_like of bool or Filter, optional
            Which vectors may be found: their ids (unknown ones match nothing, repeated ones count
            once), or a truth value for each of `ids`, or what `filter` returned.

        Returns
        -------
        SearchResult
            min(k, n) hits a query, n being ``len(index)`` or the number of vectors in `where`.

        Raises
        ------
        InvalidArgumentError
            Wrong shape, NaN or infinity, k or ef out of range, a mask of the wrong length.
        InvalidTypeError
            Not numeric.

        Notes
        -----
        With `where` the walk goes over the vectors it names alone, looking through the others to
        their links [1]_, and keeps `ef` of them in view. All of them are compared where that takes
        less: up to some hundred times `ef` vectors, more the shorter they are, and four times as
        many for a query around which there are few of them. The result is exact where they take at
        most 1 MiB in float32 (rows of 16 values each), or have no bytes. Else their bytes
        are compared, and those in float32 that may be among the nearest although their bytes are
        off by four times what is usual around the query: all 9,000 queries of a test among 600 to
        20,000 vectors of Fashion-MNIST, GloVe and clusters found exactly the nearest.

        Where many vectors lie close together and nearer to most queries than those queries' other
        neighbours (a dense cluster at the centre of Gaussian data), walks may end among them and
        miss some of the others: more so for small `m` and `ef_construction`. A larger `ef` helps.

        References
        ----------
        .. [1] Patel et al. (2024), "ACORN: Performant and Predicate-Agnostic Search Over Vector
           Embeddings and Structured Data", https://arxiv.org/abs/2403.04871.

        Examples
        --------
        >>> import numpy as np
        >>> from ruvector.index import HNSW
        >>> index = HNSW(1, metric="l2")
        >>> ids = index.add(np.arange(100.0)[:, None])
        >>> index.search([[7.2]], k=3, where=ids % 10 == 0).ids
        array([[10,  0, 20]])
        """
        ef = self.ef if ef is None else ef
        found = self._core.query(queries, k, ef) if where is None else None
        if found is None:
            rows = as_rows(queries, "queries")
            k = check_int(k, "k", low=1, high=MAX_K)
            among = None if where is None else as_where(where)
            found = self._core.search(rows, k, self._pool(ef), among)
        return tuple.__new__(SearchResult, found)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, mmap: bool = False, verify: bool = False
    ) -> "HNSW":
        """Read an index that `save` wrote; the graph is read, not built.

        Parameters
        ----------
        path : path_like
            Where from.
        mmap : bool, default False
            Leave vectors, their bytes for walks and links in the file, to be read where they lie:
            opening takes milliseconds, processes share the memory, and the index cannot be
            changed. The file must not be changed in place meanwhile (`save` replaces it, which
            is safe except on Windows, where a mapped file cannot be replaced): if another
            program cuts it short, reading the lost part kills the process with SIGBUS.
        verify : bool, default False
            With `mmap`, also read the whole file and check it as without. Otherwise its header,
            ids and levels are checked and links only for leading to stored vectors; `check` does
            the rest at any time. Without `mmap` everything is always checked.

        Returns
        -------
        HNSW
            Copies and pickles of a mapped index are in memory and can be changed.

        Raises
        ------
        CorruptFileError
            Damaged, or not a file of this class.
        UnsupportedVersionError
            Written by a newer version of ruvector.
        OSError
            It cannot be read; ``filename`` and ``errno`` are set.

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
        mapped, verified = check_bool(mmap, "mmap"), check_bool(verify, "verify")
        return cls._wrap(_core.Hnsw.load(as_path(path), mapped, verified))

    @classmethod
    def from_hnswlib(
        cls,
        path: str | os.PathLike[str],
        dim: int,
        metric: str,
        *,
        m: int | None = None,
        ef_construction: int | None = None,
        seed: int = 0,
        storage: str = "float32",
    ) -> "HNSW":
        """Build an index from a file that hnswlib's ``save_index`` wrote.

        The graph is built anew, which costs what `add` costs: hnswlib's lets vectors become
        unreachable, ours does not.

        Parameters
        ----------
        path : path_like
            The file, of hnswlib 0.8 on a 64-bit little-endian machine.
        dim : int
            Values a vector.
        metric : {"cosine", "l2", "ip"}
            hnswlib's ``space``, which its files do not hold. Under "cosine" hnswlib stored vectors
            of length 1, so that is what `get` returns.
        m : int, optional
            By default the file's ``M``, at most 128.
        ef_construction : int, optional
            By default the file's.
        seed : int, default 0
            Decides the levels.
        storage : {"float32", "float16", "int8"}, default "float32"
            What is kept of a vector.

        Returns
        -------
        HNSW
            With hnswlib's labels as ids, in the order of insertion; elements marked as deleted
            are left out.

        Raises
        ------
        CorruptFileError
            Not a file of hnswlib, damaged, of other dimensions, or with labels from 2**63 on.
        InvalidArgumentError
            A parameter out of range, NaN or infinity in the file's vectors.
        OSError
            It cannot be read.

        Examples
        --------
        >>> from ruvector import HNSW
        >>> import hnswlib, numpy as np  # doctest: +SKIP
        >>> theirs = hnswlib.Index("l2", 2)  # doctest: +SKIP
        >>> theirs.init_index(10)  # doctest: +SKIP
        >>> theirs.add_items(np.eye(2), [7, 9])  # doctest: +SKIP
        >>> theirs.save_index("theirs.bin")  # doctest: +SKIP
        >>> HNSW.from_hnswlib("theirs.bin", 2, "l2").ids  # doctest: +SKIP
        array([7, 9])
        """
        dim = check_int(dim, "dim", low=1, high=MAX_DIM)
        check_choice(metric, "metric", choices=METRICS)
        held = read_hnswlib(as_path(path), dim)
        index = cls(
            dim,
            metric=metric,
            m=min(max(held.m, 2), 128) if m is None else m,
            ef_construction=min(max(held.ef_construction, 1), 2**20)
            if ef_construction is None
            else ef_construction,
            seed=seed,
            storage=storage,
        )
        index.add(held.vectors, ids=held.ids)
        return index

    def __copy__(self) -> "HNSW":
        copy = super().__copy__()
        copy.ef = self.ef
        return copy

    def __getstate__(self) -> Any:
        state = self._core.to_bytes()
        return state if self.ef is None else (state, self.ef)

    def __setstate__(self, state: Any) -> None:
        core, ef = state if isinstance(state, tuple) else (state, None)
        self._core = _core.Hnsw.from_bytes(core)
        self.ef = ef

    def __repr__(self) -> str:
        storage = "" if self.storage == "float32" else f", storage={self.storage!r}"
        return (
            f"HNSW(dim={self.dim}, metric={self.metric!r}, m={self.m}, "
            f"ef_construction={self.ef_construction}, seed={self.seed}{storage}): "
            f"{len(self)} vectors"
        )
