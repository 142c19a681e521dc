"""InfoNCE with explicit negatives."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy.typing as npt

from ruvector.arrays import MaybeNone
from ruvector.losses._base import Array, IndexedGradients, Loss, LossResult, Reduction, Value

__all__ = ["InfoNCEGradients", "InfoNCELoss"]


class InfoNCEGradients(NamedTuple):
    """Gradients of :class:`InfoNCELoss`, each of its input's shape and dtype."""

    anchors: Array
    positives: Array
    negatives: Array | MaybeNone


@dataclass(frozen=True)
class InfoNCELoss(Loss):
    """InfoNCE: tell an anchor's positive from its negatives by cosine.

    For one anchor with a positive of logit s⁺ and negatives of logits s₁..s_K, where a logit is
    the cosine ``a·b / max(|a||b|, 1e-8)`` divided by the temperature,

    .. math:: \\ell = \\mathrm{lse}(s^+, s_1, \\dots, s_K) - s^+ .

    Parameters
    ----------
    temperature : float, default 0.07
        Divides the cosines; above 0. Values and gradients are finite far below 0.005.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the anchors' values become the result. The mean is over anchors with at least one
        positive; an anchor without any contributes 0. With ``"none"`` the value is an array and
        the gradients are those of its sum.
    positives : {"mean_own", "mean_shared", "log_of_sum"}, default "mean_own"
        What several positives P of one anchor with negatives N mean; with one positive the three
        agree.

        - ``"mean_own"``: mean over p of ``lse(s_p, N) - s_p``. The other positives stay out of the
          denominator, as when each pair is a case of [1]_.
        - ``"mean_shared"``: mean over p of ``lse(P ∪ N) - s_p``, SupCon "out" [2]_.
        - ``"log_of_sum"``: ``lse(P ∪ N) - lse(P)``, MIL-NCE [3]_.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is O(B·(P+K)·d). Each anchor's negatives are read twice while they are in cache and no
    temporary of their size exists. Shared negatives are handled in tiles, as three matrix
    products.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018. arXiv:1807.03748
    .. [2] Khosla et al., "Supervised Contrastive Learning", 2020. arXiv:2004.11362
    .. [3] Miech et al., "End-to-End Learning of Visual Representations from Uncurated
       Instructional Videos", 2020. arXiv:1912.06430

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import InfoNCELoss
    >>> anchors = np.eye(2)
    >>> negatives = np.array([[0.0, 1.0], [1.0, 0.0]]).reshape(2, 1, 2)
    >>> loss = InfoNCELoss(temperature=0.5)
    >>> round(loss(anchors, anchors, negatives), 4)
    0.1269
    >>> value, gradients = loss.value_and_grad(anchors, anchors, negatives)
    >>> gradients.negatives.shape
    (2, 1, 2)
    """

    name: ClassVar[str] = "infonce"

    temperature: float = 0.07
    reduction: Reduction = "mean"
    _: KW_ONLY
    positives: Literal["mean_own", "mean_shared", "log_of_sum"] = "mean_own"

    def __call__(
        self,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike | None = None,
        *,
        positive_mask: npt.ArrayLike | None = None,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        anchors : array_like of float, shape (B, d)
            Need not be normalised.
        positives : array_like of float, shape (B, d) or (B, P, d)
            One or P positives an anchor.
        negatives : array_like of float, shape (B, K, d) or (M, d), optional
            Own negatives of each anchor, or one set shared by all.
        positive_mask : array_like of bool, shape (B, P), optional
            Which positives exist; the others take no part and get gradient 0.

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
        return self._value(anchors, positives, negatives, positive_mask)

    def value_and_grad(
        self,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike | None = None,
        *,
        positive_mask: npt.ArrayLike | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[InfoNCEGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients of all embeddings.

        Parameters
        ----------
        anchors, positives, negatives, positive_mask
            As for calling the loss.
        out : sequence of ndarray, optional
            Three arrays to write the gradients to, for anchors, positives and negatives (None
            where those are None), of the inputs' shapes and common dtype. Saves the allocation in
            a training loop. After an exception their content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of anchors that have a positive as ``active``.
        """
        return self._value_and_grad(
            InfoNCEGradients, out, anchors, positives, negatives, positive_mask
        )

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike | None = None,
        *,
        positive_mask: npt.ArrayLike | None = None,
        out: Array | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss on rows of one table and the table's gradient.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            The table.
        anchors : array_like of int, shape (B,)
            Rows of the table. A row may appear any number of times in any role; its gradients
            add up, always in the same order.
        positives : array_like of int, shape (B,) or (B, P)
        negatives : array_like of int, shape (B, K) or (M,), optional
        positive_mask : array_like of bool, shape (B, P), optional
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, d).

        Notes
        -----
        Rows are read where they lie: beyond the gradient this takes some 12 bytes a negative (24 in
        float64), 16 a row of the table and a row an anchor. Shared negatives are copied first.
        """
        return self._value_and_grad_indexed(
            embeddings, out, anchors, positives, negatives, positive_mask
        )
