"""Negatives from a pool of vectors."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast, overload

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import (
    as_floats,
    as_ids,
    as_labels,
    check_choice,
    check_int,
    check_real,
    check_skip,
)
from ruvector.errors import InvalidArgumentError
from ruvector.mining.exclude import as_lists
from ruvector.mining.through_index import (
    FoundNegatives,
    Question,
    SearchIndex,
    nearest_through,
    takes_ef,
)

__all__ = ["HardNegativeMiner", "MinedNegatives"]

Strategy = Literal["hardest", "semi_hard", "mixed", "random", "distance_weighted"]

_MOST = 1 << 20


class MinedNegatives(NamedTuple):
    """What a miner chose.

    Attributes
    ----------
    indices : (A, k) int64
        Pool rows, distinct in a row; -1 fills where there are fewer.
    similarities : (A, k) float32
        Cosine or inner product with the anchor; -inf fills.
    counts : (A,) int64
        How many were found.
    """

    indices: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]


class HardNegativeMiner:
    """Chooses up to `k` negatives for each anchor from a pool, exactly.

    Never chosen: the anchor itself, its positives, rows of its class, rows that `exclude` names.
    What is left is eligible; of that, the `skip` most similar rows are passed over (the band):
    where classes cluster, the very hardest are mostly unlabelled positives.

    Parameters
    ----------
    strategy : str
        ``"hardest"``: the most similar first. ``"semi_hard"``: less similar than the anchor's
        positive (with several, than each of them), closest first; places that too few of them
        leave open go to the hardest others. ``"mixed"``: `hard_share` of the places to the
        hardest, the others to random rows, in this order. ``"random"``: uniform.
        ``"distance_weighted"``: without replacement, with probability ∝ exp(`alpha` · similarity).
        The default is ``"random"``: what beats it on one data set loses on another, as
        docs/mining.md shows.
    k : int
        Negatives an anchor.
    skip : int or float
        An int is a number of rows, a float below 1 a share of the anchor's eligible rows, rounded
        down.
    hard_share : float
        For ``"mixed"``: ``round(hard_share · k)`` places are hard.
    alpha : float
        For ``"distance_weighted"``: 0 is uniform, larger is harder; negative prefers the far.
    margin : float, optional
        For ``"semi_hard"``: take only those less than this below the positive's similarity.
    metric : {"cosine", "dot"}
        What similarity is. A row of zeros has cosine 0 to everything.
    seed : int
        Same seed and input, same result, for any number of threads. Vary it between calls to get
        other random rows.

    Raises
    ------
    InvalidArgumentError
        A setting out of range.

    Notes
    -----
    One product of anchors and pool, ``2 · A · N · d`` operations, in tiles: memory beside the
    result is about 64 × 1024 similarities a thread and ``k + skip`` rows an anchor.
    ``"random"`` without `skip` needs no product. For ``"hardest"`` and ``"mixed"`` in float32, with
    at least 128 anchors and 8192 pool rows, the product is of bytes where the processor has AVX-512
    VNNI; only the rows that the rounding cannot rule out are then measured, so the answer is
    the same bit by bit, and up to 5 MiB more are held.

    Through an index (``pool=index``) an anchor costs a search, which finds most of the hardest;
    `recall` tells how many of a sample.

    References
    ----------
    Schroff, Kalenichenko and Philbin (2015), FaceNet (semi-hard).
    Kool, van Hoof and Welling (2019), Stochastic beams and where to find them (Gumbel-top-k).

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.mining import HardNegativeMiner
    >>> vectors = np.array([[1.0, 0.0], [0.9, 0.2], [0.6, 0.8], [0.0, 1.0]])
    >>> miner = HardNegativeMiner("hardest", k=2)
    >>> miner.mine(vectors, labels=[0, 0, 1, 1]).indices
    array([[2, 3],
           [2, 3],
           [1, 0],
           [1, 0]])
    """

    def __init__(
        self,
        strategy: Strategy = "random",
        *,
        k: int,
        skip: float = 0,
        hard_share: float = 0.5,
        alpha: float = 10.0,
        margin: float | None = None,
        metric: Literal["cosine", "dot"] = "cosine",
        seed: int = 0,
    ) -> None:
        self.strategy = check_choice(strategy, "strategy", choices=_core.mining_strategies())
        self.k = check_int(k, "k", low=1, high=_MOST)
        self._skip = check_skip(skip)
        self.skip = self._skip[1] if isinstance(skip, (float, np.floating)) else self._skip[0]
        self.hard_share = check_real(hard_share, "hard_share", low=0.0, high=1.0)
        self.alpha = check_real(alpha, "alpha", low=-1e6, high=1e6)
        self.margin = (
            None if margin is None else check_real(margin, "margin", low=0.0, open_low=True)
        )
        self.metric = check_choice(metric, "metric", choices=("cosine", "dot"))
        self.seed = check_int(seed, "seed", low=0, high=2**64 - 1)

    def __repr__(self) -> str:
        return (
            f"HardNegativeMiner({self.strategy!r}, k={self.k}, skip={self.skip!r}, "
            f"hard_share={self.hard_share:g}, alpha={self.alpha:g}, margin={self.margin}, "
            f"metric={self.metric!r}, seed={self.seed})"
        )

    @overload
    def mine(
        self,
        anchors: npt.ArrayLike,
        pool: npt.ArrayLike | None = None,
        *,
        positives: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        pool_labels: npt.ArrayLike | None = None,
        exclude: Sequence[npt.ArrayLike] | None = None,
    ) -> MinedNegatives: ...

    @overload
    def mine(
        self,
        anchors: npt.ArrayLike,
        pool: SearchIndex,
        *,
        positives: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        pool_labels: npt.ArrayLike | None = None,
        exclude: Sequence[npt.ArrayLike] | None = None,
        ef: int | None = None,
        sample: int = 0,
    ) -> FoundNegatives: ...

    def mine(
        self,
        anchors: npt.ArrayLike,
        pool: npt.ArrayLike | SearchIndex | None = None,
        *,
        positives: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        pool_labels: npt.ArrayLike | None = None,
        exclude: Sequence[npt.ArrayLike] | None = None,
        ef: int | None = None,
        sample: int = 0,
    ) -> MinedNegatives | FoundNegatives:
        """Choose negatives.

        Parameters
        ----------
        anchors : (A, d) array
            float32 or float64, finite.
        pool : (N, d) array or index, optional
            Candidates, cast to the anchors' dtype. Without it the anchors are each other's
            candidates. An `HNSW` or `FlatIndex` is searched; rows are then ids, and it must have
            the miner's metric (``"ip"`` for ``"dot"``). That is for ``"hardest"`` with a number of
            rows to `skip`.
        positives : (A,) or (A, P) integers, or (A, d) floats, optional
            Integers are pool rows, never chosen, -1 for none; floats are the positives' vectors.
            ``"semi_hard"`` needs one of the two.
        labels : (A,) integers, optional
            Classes of the anchors; -1 for none.
        pool_labels : (N,) integers, optional
            Classes of the pool; must come with `labels` if there is a pool. Of an index: those of
            ``index.ids``.
        exclude : (indptr, indices), optional
            CSR lists of forbidden pool rows: those of anchor ``i`` are
            ``indices[indptr[i]:indptr[i + 1]]``. A graph's CSR forbids neighbours.
        ef : int, optional
            For an index: how widely it searches; by default as its `search` does. An exact index,
            whose `search` has no `ef`, is not told.
        sample : int
            For an index: how many anchors are also compared with all rows, to tell the recall; 1
            for an exact index.

        Returns
        -------
        MinedNegatives
            Fresh arrays.
        FoundNegatives
            From an index.

        Raises
        ------
        InvalidArgumentError
            Wrong shapes, rows outside the pool, NaN or infinity, semi-hard without positives.
        InvalidTypeError
            Not numbers.
        """
        rows = as_floats(anchors, "anchors")
        if rows.shape[1] == 0:
            raise InvalidArgumentError(f"anchors has shape {rows.shape} but needs a column")
        if hasattr(pool, "search"):
            index = cast(SearchIndex, pool)
            question = _question(
                index, rows, positives, labels, pool_labels=pool_labels, exclude=exclude
            )
            return self._through(index, question, ef, sample)
        if ef is not None or sample != 0:
            raise InvalidArgumentError("ef and sample are for a pool that is an index")
        given = (
            None
            if pool is None
            else as_floats(pool, "pool", dtype=rows.dtype, columns=rows.shape[1])
        )
        size = len(rows) if given is None else len(given)
        positive_rows, positive_vectors = _positives(positives, rows)
        if self.strategy == "semi_hard" and positives is None:
            raise InvalidArgumentError(
                "positives is missing but semi_hard compares with them; "
                "give pool rows or vectors, or choose another strategy"
            )
        classes = _classes(labels, pool_labels, len(rows), size, own_pool=given is None)
        lists = None if exclude is None else as_lists(exclude, anchors=len(rows), pool=size)
        mined = _core.mine_negatives(
            (rows, given, positive_vectors),
            (positive_rows, classes, lists),
            (
                self.strategy,
                self.k,
                *self._skip,
                self.hard_share,
                self.alpha,
                float("inf") if self.margin is None else self.margin,
            ),
            self.metric == "cosine",
            self.seed,
        )
        return MinedNegatives(*mined)

    def _through(
        self, index: SearchIndex, question: Question, ef: int | None, sample: int
    ) -> FoundNegatives:
        sample = check_int(sample, "sample", low=0)
        if self.strategy != "hardest" or isinstance(self.skip, float):
            raise InvalidArgumentError(
                f"strategy is {self.strategy!r} with skip {self.skip!r} but through an index there "
                "is 'hardest' with a number of rows to skip; give the vectors as pool instead"
            )
        metric = {"cosine": "cosine", "dot": "ip"}[self.metric]
        if index.metric != metric:
            raise InvalidArgumentError(
                f"pool is an index with metric {index.metric!r} but metric {self.metric!r} needs "
                f"one with {metric!r}"
            )
        if index.dim != question.anchors.shape[1]:
            raise InvalidArgumentError(
                f"anchors has shape {question.anchors.shape} but the index holds {index.dim} "
                "dimensions"
            )
        k, skip = self.k, self._skip[0]
        ids, far = nearest_through(index, question, k=k, skip=skip, ef=ef)
        recall = None
        if sample and len(ids) and not takes_ef(index):
            recall = 1.0
        elif sample and len(ids):
            rng = np.random.default_rng(self.seed)
            chosen = np.sort(rng.permutation(len(ids))[:sample])
            some = question.of(chosen)
            # As wide as the index is, a search compares all rows.
            exact, _ = nearest_through(index, some, k=k, skip=skip, ef=max(1, len(index.ids)))
            wanted = exact >= 0
            hits = ((exact[:, :, None] == ids[chosen][:, None, :]).any(2) & wanted).sum()
            recall = float(hits / wanted.sum()) if wanted.any() else 1.0
        near = 1 - far if self.metric == "cosine" else -far
        counts = np.count_nonzero(ids >= 0, axis=1).astype(np.int64)
        return FoundNegatives(ids, near.astype(np.float32), counts, recall)


def _question(
    index: SearchIndex,
    rows: npt.NDArray[Any],
    positives: npt.ArrayLike | None,
    labels: npt.ArrayLike | None,
    *,
    pool_labels: npt.ArrayLike | None,
    exclude: Sequence[npt.ArrayLike] | None,
) -> Question:
    """What is asked of an index: its positives and `exclude` as one list of ids an anchor."""
    named, vectors = _positives(positives, rows)
    if vectors is not None:
        raise InvalidArgumentError("positives must be ids where the pool is an index")
    classes = _classes(labels, pool_labels, len(rows), len(index.ids), own_pool=False)
    own = np.empty((len(rows), 0), np.int64) if named is None else named
    if len(own) != len(rows):
        raise InvalidArgumentError(
            f"positives has {len(own)} rows but there are {len(rows)} anchors"
        )
    indptr, indices = np.zeros(len(rows) + 1, np.int64), own[:0].ravel()
    if exclude is not None:
        indptr, indices = as_lists(exclude, anchors=len(rows), pool=None)
    anchors = np.concatenate(
        [
            np.repeat(np.arange(len(rows)), np.diff(indptr)),
            np.arange(own.size) // max(own.shape[1], 1),
        ]
    )
    forbidden = np.concatenate([indices, own.ravel()])
    anchors, forbidden = anchors[forbidden >= 0], forbidden[forbidden >= 0]
    order = np.argsort(anchors, kind="stable")
    start = np.searchsorted(anchors[order], np.arange(len(rows) + 1))
    known, of_pool = classes or (None, None)
    return Question(rows, start.astype(np.int64), forbidden[order], known, of_pool)


def _positives(
    positives: npt.ArrayLike | None, anchors: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[Any] | None]:
    if positives is None:
        return None, None
    array = np.asarray(positives)
    # An empty list of rows is a float array to NumPy.
    if array.dtype.kind == "f" and (array.ndim != 1 or array.size):
        columns = anchors.shape[1]
        return None, as_floats(array, "positives", dtype=anchors.dtype, columns=columns)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    return as_ids(array, "positives", ndim=2), None


def _classes(
    labels: npt.ArrayLike | None,
    pool_labels: npt.ArrayLike | None,
    anchors: int,
    pool: int,
    *,
    own_pool: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    if labels is None:
        if pool_labels is not None:
            raise InvalidArgumentError("pool_labels needs labels, the anchors' classes")
        return None
    own = as_labels(labels, "labels", count=anchors)
    if own_pool:
        if pool_labels is not None:
            raise InvalidArgumentError("pool_labels needs a pool; without one give labels alone")
        return own, own
    if pool_labels is None:
        raise InvalidArgumentError("labels with a pool needs pool_labels, the pool's classes")
    return own, as_labels(pool_labels, "pool_labels", count=pool)
