"""Negatives from a pool of vectors."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

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
)
from ruvector.errors import InvalidArgumentError, InvalidTypeError

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
    ``"random"`` without `skip` needs no product.

    References
    ----------
    Schroff, Kalenichenko and Philbin (2015), FaceNet (semi-hard).
    Kool, van Hoof and Welling (2019), Stochastic beams and where to find them (Gumbel-top-k).

    Examples
    --------
    >>> import numpy as np
    >>> vectors = np.eye(4, dtype=np.float32) + 0.1
    >>> miner = HardNegativeMiner("hardest", k=2)
    >>> miner.mine(vectors, labels=[0, 0, 1, 1]).indices
    array([[2, 3],
           [2, 3],
           [0, 1],
           [0, 1]])
    """

    def __init__(
        self,
        strategy: Strategy = "mixed",
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
        self.skip: int | float
        if isinstance(skip, (float, np.floating)):
            self.skip = check_real(skip, "skip", low=0.0)
            if self.skip >= 1.0:
                raise InvalidArgumentError(
                    f"skip is {self.skip:g} but as a float it is a share below 1; "
                    "give an int to skip a number of rows"
                )
        else:
            self.skip = check_int(skip, "skip", low=0, high=2**32)
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

    def mine(
        self,
        anchors: npt.ArrayLike,
        pool: npt.ArrayLike | None = None,
        *,
        positives: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        pool_labels: npt.ArrayLike | None = None,
        exclude: Sequence[npt.ArrayLike] | None = None,
    ) -> MinedNegatives:
        """Choose negatives.

        Parameters
        ----------
        anchors : (A, d) array
            float32 or float64, finite.
        pool : (N, d) array, optional
            Candidates, cast to the anchors' dtype. Without it the anchors are each other's
            candidates.
        positives : (A,) or (A, P) integers, or (A, d) floats, optional
            Integers are pool rows, never chosen, -1 for none; floats are the positives' vectors.
            ``"semi_hard"`` needs one of the two.
        labels : (A,) integers, optional
            Classes of the anchors; -1 for none.
        pool_labels : (N,) integers, optional
            Classes of the pool; must come with `labels` if there is a pool.
        exclude : (indptr, indices), optional
            CSR lists of forbidden pool rows: those of anchor ``i`` are
            ``indices[indptr[i]:indptr[i + 1]]``. A graph's CSR forbids neighbours.

        Returns
        -------
        MinedNegatives
            Fresh arrays.

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
        share = self.skip if isinstance(self.skip, float) else 0.0
        mined = _core.mine_negatives(
            (rows, given, positive_vectors),
            (positive_rows, classes, _lists(exclude)),
            (
                self.strategy,
                self.k,
                0 if isinstance(self.skip, float) else self.skip,
                share,
                self.hard_share,
                self.alpha,
                float("inf") if self.margin is None else self.margin,
            ),
            self.metric == "cosine",
            self.seed,
        )
        return MinedNegatives(*mined)


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


def _lists(
    exclude: Sequence[npt.ArrayLike] | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    if exclude is None:
        return None
    if not isinstance(exclude, (tuple, list)) or len(exclude) != 2:
        raise InvalidTypeError(
            f"exclude is a {type(exclude).__name__} but must be the pair (indptr, indices)"
        )
    return as_ids(exclude[0], "exclude[0]"), as_ids(exclude[1], "exclude[1]")
