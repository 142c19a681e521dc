"""An anchor nearer to its positive than to its negative."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy.typing as npt

from ruvector.losses._base import Array, IndexedGradients, Loss, LossResult, Reduction, Value

__all__ = ["TripletGradients", "TripletLoss"]


class TripletGradients(NamedTuple):
    """Gradients of :class:`TripletLoss`, each of its input's shape and dtype."""

    anchors: Array
    positives: Array
    negatives: Array


@dataclass(frozen=True)
class TripletLoss(Loss):
    """Triplet loss: a positive nearer to its anchor than a negative, by a margin.

    Per triplet ``max(0, δ(a, p) - δ(a, n) + margin)``.

    Parameters
    ----------
    margin : float, default 0.2
        At least 0, in the units of δ.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the triplets' values become the result. The mean is over all triplets, those that cost
        nothing included. With ``"none"`` the value is an array and the gradients are those of its
        sum.
    distance : {"euclidean", "squared", "cosine"}, default "euclidean"
        What δ is. Values and gradients differ much.

        - ``"euclidean"``: ``|a - b|`` [2]_; equal vectors get gradient 0 from it.
        - ``"squared"``: ``|a - b|²`` [1]_.
        - ``"cosine"``: ``1 - a·b / max(|a||b|, 1e-8)``.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is O(B·d), without temporaries. At the margin itself the gradient is 0. Results do not
    depend on the number of threads.

    References
    ----------
    .. [1] Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition
       and Clustering", CVPR 2015. arXiv:1503.03832
    .. [2] Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person
       Re-Identification", 2017. arXiv:1703.07737

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import TripletLoss
    >>> table = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 5.5]])
    >>> loss = TripletLoss(margin=1.0)
    >>> loss(table[:1], table[1:2], table[2:])
    0.5
    >>> value, gradients = loss.value_and_grad_indexed(table, [0], [1], [2])
    >>> gradients.embeddings.round(3).tolist()
    [[-0.6, 0.2], [0.6, 0.8], [0.0, -1.0]]
    """

    name: ClassVar[str] = "triplet"

    margin: float = 0.2
    reduction: Reduction = "mean"
    _: KW_ONLY
    distance: Literal["euclidean", "squared", "cosine"] = "euclidean"

    def __call__(
        self, anchors: npt.ArrayLike, positives: npt.ArrayLike, negatives: npt.ArrayLike
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        anchors, positives, negatives : array_like of float, shape (B, d)
            Triplets, row by row.

        Returns
        -------
        float, or ndarray of float64 with shape (B,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(anchors, positives, negatives)

    def value_and_grad(
        self,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[TripletGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients of all embeddings.

        Parameters
        ----------
        anchors, positives, negatives
            As for calling the loss.
        out : sequence of ndarray, optional
            Three arrays to write the gradients to, of the inputs' shape and common dtype. After an
            exception their content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of triplets whose loss is not 0 as ``active``.
        """
        return self._value_and_grad(TripletGradients, out, anchors, positives, negatives)

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike,
        *,
        out: Array | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss on rows of one table and the table's gradient.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            The table.
        anchors, positives, negatives : array_like of int, shape (B,)
            Rows of the table, such as those that a miner returns. A row may appear any number of
            times in any role; its gradients add up, always in the same order.
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, d).

        Notes
        -----
        The rows are gathered first, so memory is that of the arrays in :meth:`value_and_grad`.
        """
        return self._value_and_grad_indexed(embeddings, out, anchors, positives, negatives)
