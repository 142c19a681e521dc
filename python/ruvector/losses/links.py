"""Losses of node pairs in one table: link prediction and local contrast."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import numpy.typing as npt

from ruvector.losses._base import Array, IndexedGradients, Loss, LossResult, Reduction, Value

__all__ = ["LinkPredictionLoss", "LocalContrastiveLoss"]


@dataclass(frozen=True)
class LinkPredictionLoss(Loss):
    """Link prediction: binary cross-entropy of whether two nodes are linked [1]_.

    A pair of nodes with similarity s, their dot product or cosine, and label y has the logit
    ``x = scale · s + bias`` and the loss ``y · softplus(-x) + (1 - y) · softplus(x)``, which
    neither saturates nor overflows.

    Parameters
    ----------
    similarity : {"dot", "cosine"}, default "dot"
        What is compared. The cosine is ``a·b / max(|a||b|, 1e-8)``.
    scale : float, default 1.0
        Multiplies the similarity; above 0. Cosines lie within ±1: at scale 1 their loss cannot
        fall below 0.31 a pair, so take 5 or more.
    bias : float, default 0.0
        Added to the logit. A negative one fits many unlinked pairs.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the pairs' values become the result. With ``"none"`` the value is an array and the
        gradients are those of its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is O((n + E)·d). Rows are read in place: beyond the gradient, memory is a few numbers a
    pair and a row, never E·d. A row that is in many pairs adds its gradients up in the order of
    the pairs; results do not depend on the number of threads.

    References
    ----------
    .. [1] Kipf and Welling, "Variational Graph Auto-Encoders", 2016. arXiv:1611.07308

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import LinkPredictionLoss
    >>> embeddings = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> loss = LinkPredictionLoss(similarity="cosine", scale=5.0)
    >>> np.round(loss.replace(reduction="none")(embeddings, [0, 0], [1, 2], [1, 0]), 4)
    array([0.0067, 0.6931])
    >>> value, gradients = loss.value_and_grad(embeddings, [0, 0], [1, 2], [1, 0])
    >>> gradients.embeddings.shape
    (3, 2)
    """

    name: ClassVar[str] = "link_prediction"

    similarity: Literal["dot", "cosine"] = "dot"
    scale: float = 1.0
    reduction: Reduction = "mean"
    _: KW_ONLY
    bias: float = 0.0

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        labels: npt.ArrayLike,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            One row a node.
        src, dst : array_like of int, shape (E,)
            The pairs, as rows of `embeddings`; any row any number of times.
        labels : array_like of float, int or bool, shape (E,)
            1 for linked, 0 for not, or a probability between. Cast to the embeddings' dtype.

        Returns
        -------
        float, or ndarray of float64 with shape (E,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, rows or labels out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(embeddings, src, dst, labels)

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradient of all rows.

        Parameters
        ----------
        embeddings, src, dst, labels
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the embeddings' shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of pairs as ``active``. Rows that are in no pair
            have gradient 0.
        """
        return self._value_and_grad(IndexedGradients, out, embeddings, src, dst, labels)


@dataclass(frozen=True)
class LocalContrastiveLoss(Loss):
    """Local contrast: similar nodes near each other, others a margin apart [1]_.

    A pair of nodes at Euclidean distance d costs ``d²`` if they are similar and
    ``max(0, margin - d)²`` if not. (The paper has a factor ½ before both.) Similar pairs alone
    would draw everything into one point.

    Parameters
    ----------
    margin : float, default 1.0
        Distance from which dissimilar nodes are far enough; above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the pairs' values become the result. With ``"none"`` the value is an array and the
        gradients are those of its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Every listed pair counts: one in both directions counts twice, and a dissimilar loop costs
    margin². Dissimilar nodes at the same place have no direction to part in and get gradient 0
    from their pair.

    Time is O((n + E)·d). Rows are read in place: beyond the gradient, memory is a few numbers a
    pair and a row, never E·d. A row that is in many pairs adds its gradients up in the order of
    the pairs; results do not depend on the number of threads.

    References
    ----------
    .. [1] Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
       CVPR 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import LocalContrastiveLoss
    >>> embeddings = np.array([[0.0, 0.0], [0.3, 0.4], [0.0, 0.6]])
    >>> loss = LocalContrastiveLoss(margin=1.0)
    >>> np.round(loss.replace(reduction="none")(embeddings, [0, 0], [1, 2], [True, False]), 4)
    array([0.25, 0.16])
    >>> value, gradients = loss.value_and_grad(embeddings, [0, 0], [1, 2], [True, False])
    >>> gradients.embeddings.shape
    (3, 2)
    """

    name: ClassVar[str] = "local_contrastive"

    margin: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        similar: npt.ArrayLike,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            One row a node.
        src, dst : array_like of int, shape (E,)
            The pairs, as rows of `embeddings`; any row any number of times.
        similar : array_like of bool, shape (E,)
            Which pairs belong together.

        Returns
        -------
        float, or ndarray of float64 with shape (E,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, rows out of range, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(embeddings, src, dst, similar)

    def value_and_grad(
        self,
        embeddings: npt.ArrayLike,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        similar: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradient of all rows.

        Parameters
        ----------
        embeddings, src, dst, similar
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the embeddings' shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of pairs whose loss is not 0 as ``active``. Rows
            that are in no pair have gradient 0.
        """
        return self._value_and_grad(IndexedGradients, out, embeddings, src, dst, similar)
