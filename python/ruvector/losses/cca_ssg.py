"""Correlation between two views without negatives."""

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

__all__ = ["CCASSGGradients", "CCASSGLoss"]


class CCASSGGradients(NamedTuple):
    """Gradients of :class:`CCASSGLoss`, each of its input's shape and dtype."""

    first: Array
    second: Array


@dataclass(frozen=True)
class CCASSGLoss(Loss):
    """CCA-SSG: two views agree, and each view's columns are uncorrelated [1]_.

    With ``Z1`` and ``Z2`` the views with columns standardised over their n rows (mean 0, biased
    variance 1), ``-Σ Z1∘Z2 / n + decorrelation (‖Z1ᵀZ1/n - I‖² + ‖Z2ᵀZ2/n - I‖²)``. A column that
    is constant becomes 0 and gets no gradient.

    Parameters
    ----------
    decorrelation : float, default 1e-3
        Weight of the second term; at least 0.
    reduction : {"mean"}, default "mean"
        The loss is defined over all rows together.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is n·d², memory d² and the two views again; nothing grows as n². No rows have loss 0.
    Results do not depend on the number of threads.

    References
    ----------
    .. [1] Zhang, Wu, Yan, Wipf and Yu, "From Canonical Correlation Analysis to Self-supervised
       Graph Neural Networks", NeurIPS 2021. arXiv:2106.12484

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import CCASSGLoss
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    >>> round(CCASSGLoss()(x, x), 4)
    -2.0
    """

    name: ClassVar[str] = "cca_ssg"

    decorrelation: float = 1e-3
    reduction: Reduction = "mean"

    def __call__(self, first: npt.ArrayLike, second: npt.ArrayLike) -> Value:
        """Return the loss.

        Parameters
        ----------
        first, second : array_like of float, shape (n, d)
            The views, row by row.

        Returns
        -------
        float

        Raises
        ------
        InvalidArgumentError
            Shapes that do not fit together, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(first, second)

    def value_and_grad(
        self,
        first: npt.ArrayLike,
        second: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[CCASSGGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients of both views.

        Parameters
        ----------
        first, second
            As for calling the loss.
        out : sequence of ndarray, optional
            Two arrays to write the gradients to, of the inputs' shape and common dtype. After an
            exception their content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of rows as ``active``.
        """
        return self._value_and_grad(CCASSGGradients, out, first, second)

    def value_and_grad_indexed(
        self,
        embeddings: npt.ArrayLike,
        first: npt.ArrayLike,
        second: npt.ArrayLike,
        *,
        out: Array | None = None,
    ) -> LossResult[IndexedGradients]:
        """Return the loss on rows of one table and the table's gradient.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            The table.
        first, second : array_like of int, shape (B,)
            Rows of the table, any number of times; their gradients add up.
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, d).
        """
        return self._value_and_grad_indexed(embeddings, out, first, second)
