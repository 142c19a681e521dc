"""A student's logits follow a teacher's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy.typing as npt

from ruvector.losses._base import (
    Array,
    IndexedGradients,
    Loss,
    LossResult,
    Reduction,
    Value,
)

__all__ = ["DistillationGradients", "DistillationLoss"]


class DistillationGradients(NamedTuple):
    """Gradient of :class:`DistillationLoss`, of its input's shape and dtype."""

    student_logits: Array


@dataclass(frozen=True)
class DistillationLoss(Loss):
    """Distillation: the divergence of the student's distribution from the teacher's [1]_.

    Per row, with temperature τ, ``τ² · KL(softmax(teacher / τ) ‖ softmax(student / τ))``, summed
    over classes. The factor τ² keeps the gradient's size where τ changes. Only the student gets a
    gradient.

    Parameters
    ----------
    temperature : float, default 2.0
        Divides both rows of logits; above 0. A higher one shows more of what the teacher thinks
        of the unlikely classes.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the rows' values become the result. With ``"none"`` the value is an array and the
        gradients are those of its sum.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is O(B·C); rows are handled in float64, whatever the inputs are. Results do not depend on
    the number of threads.

    Search results of two indexes must first be brought to the same ids, column by column; logits
    of distances are their negatives.

    References
    ----------
    .. [1] Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
       arXiv:1503.02531

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import DistillationLoss
    >>> teacher = np.log([[0.8, 0.2]])
    >>> student = np.log([[0.5, 0.5]])
    >>> round(DistillationLoss(temperature=1.0)(student, teacher), 4)
    0.1927
    >>> value, gradients = DistillationLoss(1.0).value_and_grad(student, teacher)
    >>> gradients.student_logits.round(3).tolist()
    [[-0.3, 0.3]]
    """

    name: ClassVar[str] = "distillation"

    temperature: float = 2.0
    reduction: Reduction = "mean"

    def __call__(self, student_logits: npt.ArrayLike, teacher_logits: npt.ArrayLike) -> Value:
        """Return the loss.

        Parameters
        ----------
        student_logits, teacher_logits : array_like of float, shape (B, C)
            Unnormalised; finite. The teacher's are cast to the student's dtype.

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
        return self._value(student_logits, teacher_logits)

    def value_and_grad(
        self,
        student_logits: npt.ArrayLike,
        teacher_logits: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[DistillationGradients]:
        """Return the loss, bit for bit as calling gives it, and the student's gradient.

        Parameters
        ----------
        student_logits, teacher_logits
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the student's shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of rows as ``active``.
        """
        return self._value_and_grad(DistillationGradients, out, student_logits, teacher_logits)

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        rows: npt.ArrayLike,
        teacher_logits: npt.ArrayLike,
        *,
        out: Array | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss on rows of one table of the student's logits and the table's gradient.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, c)
            The table.
        rows : array_like of int, shape (B,)
            Rows of the table, any number of times; their gradients add up.
        teacher_logits : array_like of float, shape (B, c)
            One row for each of `rows`.
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, c).
        """
        return self._value_and_grad_indexed(embeddings, out, rows, teacher_logits)
