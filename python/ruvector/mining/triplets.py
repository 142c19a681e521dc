"""Triplets within a batch, by labels."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, as_labels, check_choice, check_real, check_skip
from ruvector.errors import InvalidArgumentError
from ruvector.mining.exclude import as_lists

__all__ = ["MinedTriplets", "TripletMiner"]

TripletStrategy = Literal["batch_hard", "semi_hard", "all_semi_hard"]


class MinedTriplets(NamedTuple):
    """What a triplet miner chose, ordered by anchor, then positive, then negative.

    Attributes
    ----------
    anchors, positives, negatives : (T,) int64
        Rows of the embeddings, as ``TripletLoss.value_and_grad_indexed`` takes them.
    positive_distances, negative_distances : (T,) float32
        From the anchor, as the miner's `distance` has it.
    without_positive : int
        Rows that are no anchor because no other row has their label.
    without_negative : int
        Rows that are no anchor because all rows have their label, or what is left of them is
        excluded or in the band.
    unmatched : int
        Pairs of an anchor and a positive without a semi-hard negative.
    """

    anchors: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]
    negatives: npt.NDArray[np.int64]
    positive_distances: npt.NDArray[np.float32]
    negative_distances: npt.NDArray[np.float32]
    without_positive: int
    without_negative: int
    unmatched: int


class TripletMiner:
    """Chooses triplets among the rows of a batch, exactly, without a matrix of all distances.

    A positive is another row of the anchor's label, a negative a row of another one. A row of
    label -1 is of no class: never an anchor or a positive, but everybody's negative.

    Parameters
    ----------
    strategy : str
        ``"batch_hard"``: for each anchor its farthest positive and its nearest negative [2]_.
        ``"semi_hard"``: for each anchor and each of its positives the nearest negative that is
        farther than the positive [1]_; a pair without one gives no triplet.
        ``"all_semi_hard"``: for each such pair every negative that is farther, which with `margin`
        are the triplets that pytorch-metric-learning calls semi-hard. Mind how many these are.
    distance : {"euclidean", "squared", "cosine"}
        As in :class:`~ruvector.losses.TripletLoss`: ``|a - b|``, ``|a - b|²`` or one less the
        cosine. A row of zeros has cosine distance 1 to everything.
    margin : float, optional
        For the semi-hard strategies: negatives must be farther than the positive by less than
        this, in units of `distance`. Without it there is no limit.
    skip : int or float
        The band: so many of an anchor's nearest negatives are passed over, or, as a float below 1,
        this share of its negatives, rounded down. Where labels miss some positives, the nearest are
        mostly these.

    Raises
    ------
    InvalidArgumentError
        A setting out of range.

    Notes
    -----
    ``"batch_hard"``, and ``"semi_hard"`` with classes of at most 33 rows, take half the product of
    all pairs, ``N² · d`` operations (twice that for Euclidean distances), because a distance serves
    both of its rows; memory is a copy of the rows, some values a row and pair, and 200 KiB a
    thread. ``"semi_hard"`` with larger classes, ``"all_semi_hard"``, and all with `skip` or
    `exclude` take the whole product and 56 rows of ``N`` distances a thread. Ties go to the smaller
    label, label -1 last, then to the lower row. The same for any number of threads.

    References
    ----------
    .. [1] Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition
       and Clustering", CVPR 2015. arXiv:1503.03832
    .. [2] Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person
       Re-Identification", 2017. arXiv:1703.07737

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.mining import TripletMiner
    >>> rows = np.array([[0.0], [1.0], [5.0], [3.0], [-2.0]], np.float32)
    >>> labels = [0, 0, 0, 1, 1]
    >>> mined = TripletMiner("batch_hard").mine(rows, labels)
    >>> [array.tolist() for array in mined[:3]]
    [[0, 1, 2, 3, 4], [2, 2, 0, 4, 3], [4, 3, 3, 1, 0]]
    >>> mined = TripletMiner("semi_hard").mine(rows, labels)
    >>> [array.tolist() for array in mined[:3]]
    [[0, 1, 2, 2, 4], [1, 0, 0, 1, 3], [4, 3, 4, 4, 2]]
    >>> mined.unmatched
    3
    """

    def __init__(
        self,
        strategy: TripletStrategy = "semi_hard",
        *,
        distance: Literal["euclidean", "squared", "cosine"] = "euclidean",
        margin: float | None = None,
        skip: float = 0,
    ) -> None:
        self.strategy = check_choice(strategy, "strategy", choices=_core.triplet_strategies())
        self.distance = check_choice(
            distance, "distance", choices=("euclidean", "squared", "cosine")
        )
        self.margin = (
            None if margin is None else check_real(margin, "margin", low=0.0, open_low=True)
        )
        self._skip = check_skip(skip)
        self.skip = self._skip[1] or self._skip[0]

    def __repr__(self) -> str:
        return (
            f"TripletMiner({self.strategy!r}, distance={self.distance!r}, margin={self.margin}, "
            f"skip={self.skip!r})"
        )

    def mine(
        self,
        embeddings: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        exclude: Sequence[npt.ArrayLike] | None = None,
    ) -> MinedTriplets:
        """Choose triplets.

        Parameters
        ----------
        embeddings : (N, d) array
            float32 or float64, finite.
        labels : (N,) integers
            Classes; -1 for none.
        exclude : (indptr, indices), optional
            CSR lists of rows that are no negatives: those of row ``i`` are
            ``indices[indptr[i]:indptr[i + 1]]``, as :func:`ruvector.sampling.hops` gives them.

        Returns
        -------
        MinedTriplets
            Fresh arrays, and how many rows or pairs have no triplet and why.

        Raises
        ------
        InvalidArgumentError
            Wrong shapes, NaN or infinity, rows so long that their squared distances overflow.
        InvalidTypeError
            Not numbers.
        """
        rows = as_floats(embeddings, "embeddings")
        if rows.shape[1] == 0:
            raise InvalidArgumentError(f"embeddings has shape {rows.shape} but needs a column")
        classes = as_labels(labels, "labels", count=len(rows))
        margin = float("inf") if self.margin is None else self.margin
        count = len(rows)
        lists = None if exclude is None else as_lists(exclude, anchors=count, pool=count)
        indices, distances, counts = _core.mine_triplets(
            rows, classes, lists, (self.strategy, self.distance, margin, *self._skip)
        )
        return MinedTriplets(
            indices[0], indices[1], indices[2], distances[0], distances[1], *counts
        )
