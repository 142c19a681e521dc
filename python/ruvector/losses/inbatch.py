"""InfoNCE with the other rows of the batch as negatives."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy.typing as npt

from ruvector.arrays import MaybeNone
from ruvector.errors import InvalidTypeError
from ruvector.losses._base import Array, IndexedGradients, Loss, LossResult, Reduction, Value

__all__ = ["InBatchGradients", "InBatchInfoNCELoss"]

Pairs: TypeAlias = tuple[npt.ArrayLike, npt.ArrayLike]


class InBatchGradients(NamedTuple):
    """Gradients of :class:`InBatchInfoNCELoss`, each of its input's shape and dtype."""

    anchors: Array
    positives: Array
    negatives: Array | MaybeNone


@dataclass(frozen=True)
class InBatchInfoNCELoss(Loss):
    """In-batch InfoNCE: each pair's negatives are the other pairs of the batch.

    With logits ``s_ij = cos(x_i, y_j) / temperature`` between anchors x and positives y:

    - ``"oneway"``: ``lse_j s_ij - s_ii`` for each anchor [1]_.
    - ``"symmetric"``: the mean of that and the same with x and y exchanged, CLIP [2]_.
    - ``"ntxent"``: the 2B rows of x and y all against all but themselves, each with its partner
      as positive, SimCLR [3]_; a pair's value is the mean of its two rows'.

    Parameters
    ----------
    temperature : float, default 0.07
        Divides the cosines; above 0.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the pairs' values become the result. With ``"none"`` the value is an array and the
        gradients are those of its sum.
    mode : {"symmetric", "oneway", "ntxent"}, default "symmetric"
        Which of the three.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Memory is O(B·d): the B × B logits exist only in tiles. With gradients, time is that of three
    B × B × d matrix products for ``"oneway"``, four for ``"symmetric"`` (six below a temperature of
    0.026 in float32 and 0.0032 in float64) and twelve for ``"ntxent"``.
    Results do not depend on the number of threads.

    References
    ----------
    .. [1] van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive
       Coding", 2018. arXiv:1807.03748
    .. [2] Radford et al., "Learning Transferable Visual Models From Natural Language
       Supervision", 2021. arXiv:2103.00020
    .. [3] Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations",
       2020. arXiv:2002.05709
    .. [4] Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
       Recommendations", RecSys 2019. doi:10.1145/3298689.3346996

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import InBatchInfoNCELoss
    >>> x = np.eye(3)
    >>> round(InBatchInfoNCELoss(temperature=0.5)(x, x), 4)
    0.2395
    >>> value, gradients = InBatchInfoNCELoss(mode="ntxent").value_and_grad(x, x)
    >>> gradients.positives.shape
    (3, 3)
    """

    name: ClassVar[str] = "inbatch_infonce"

    temperature: float = 0.07
    reduction: Reduction = "mean"
    _: KW_ONLY
    mode: Literal["symmetric", "oneway", "ntxent"] = "symmetric"

    def __call__(
        self,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike | None = None,
        *,
        ids: npt.ArrayLike | None = None,
        exclude: Pairs | None = None,
        sampling_probabilities: npt.ArrayLike | None = None,
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        anchors, positives : array_like of float, shape (B, d)
            Pairs, row by row. Need not be normalised.
        negatives : array_like of float, shape (M, d), optional
            Further negatives of every anchor. In ``"symmetric"`` they join the direction from
            anchors to positives only; in ``"ntxent"`` they join all 2B rows.
        ids : array_like of int, shape (B,), optional
            What each pair shows. Pairs of equal id are left out of each other's negatives, so
            that duplicates are no false negatives.
        exclude : (indptr, indices), optional
            CSR lists of false negatives: the positives ``indices[indptr[i]:indptr[i + 1]]``, as
            row numbers of the batch, are no negatives of anchor i, nor anchor i of them. In
            ``"ntxent"`` neither row of the one pair is a negative of the other's rows.
        sampling_probabilities : array_like of float, shape (B + M,), optional
            How likely each positive, and then each further negative, was to be drawn; above 0 in
            the embeddings' dtype, and only the ratios count. Their logarithms are subtracted from
            the logits [4]_: what is drawn often is a negative often, and would be pushed away for
            that alone. For ``"oneway"``.

        Returns
        -------
        float, or ndarray of float64 with shape (B,)

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, NaN or infinity; probabilities that are not above 0,
            or in a mode other than ``"oneway"``.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        rest = _rest(ids, exclude, sampling_probabilities)
        return self._value(anchors, positives, negatives, *rest)

    def value_and_grad(
        self,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike | None = None,
        *,
        ids: npt.ArrayLike | None = None,
        exclude: Pairs | None = None,
        sampling_probabilities: npt.ArrayLike | None = None,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[InBatchGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients of all embeddings.

        Parameters
        ----------
        anchors, positives, negatives, ids, exclude, sampling_probabilities
            As for calling the loss.
        out : sequence of ndarray, optional
            Three arrays to write the gradients to, for anchors, positives and negatives (None
            where those are None), of the inputs' shapes and common dtype. After an exception their
            content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of pairs as ``active``.
        """
        rest = _rest(ids, exclude, sampling_probabilities)
        return self._value_and_grad(InBatchGradients, out, anchors, positives, negatives, *rest)

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        anchors: npt.ArrayLike,
        positives: npt.ArrayLike,
        negatives: npt.ArrayLike | None = None,
        *,
        ids: npt.ArrayLike | None = None,
        exclude: Pairs | None = None,
        sampling_probabilities: npt.ArrayLike | None = None,
        out: Array | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss on rows of one table and the table's gradient.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            The table.
        anchors, positives : array_like of int, shape (B,)
            Rows of the table. A row may appear any number of times in any role; its gradients
            add up, always in the same order.
        negatives : array_like of int, shape (M,), optional
        ids : array_like of int, shape (B,), optional
        exclude : (indptr, indices), optional
        sampling_probabilities : array_like of float, shape (B + M,), optional
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, d).
        """
        rest = _rest(ids, exclude, sampling_probabilities)
        return self._value_and_grad_indexed(embeddings, out, anchors, positives, negatives, *rest)


def _rest(
    ids: npt.ArrayLike | None,
    exclude: Pairs | None,
    sampling_probabilities: npt.ArrayLike | None,
) -> tuple[npt.ArrayLike | None, ...]:
    """Return the inputs without gradient as the core lists them."""
    if exclude is None:
        return ids, None, None, sampling_probabilities
    try:
        indptr, indices = exclude
    except (TypeError, ValueError):
        raise InvalidTypeError("exclude must be a pair of arrays, indptr and indices") from None
    return ids, indptr, indices, sampling_probabilities
