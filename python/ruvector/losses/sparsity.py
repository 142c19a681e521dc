"""Few entries that differ from 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy.typing as npt

from ruvector.losses._base import Array, IndexedGradients, Loss, LossResult, Reduction, Value

__all__ = ["SparsityGradients", "SparsityLoss"]


class SparsityGradients(NamedTuple):
    """Gradient of :class:`SparsityLoss`, of its input's shape and dtype."""

    embeddings: Array


@dataclass(frozen=True)
class SparsityLoss(Loss):
    """The L1 norm of each row [1]_, or a form of it that is smooth at 0 [2]_.

    - ``"l1"``: ``Σ_j |z_ij|`` a row, with derivative 0 at 0;
    - ``"huber"``: ``z²/(2·delta)`` up to ``|z| = delta``, then ``|z| - delta/2``. Its slope is that
      of L1 beyond `delta`, and it tends to L1 as `delta` falls: Huber's function divided by
      `delta`.

    Parameters
    ----------
    form : {"l1", "huber"}, default "l1"
        Which of these.
    delta : float, default 1.0
        Where the parabola ends; above 0. Nothing in ``"l1"``.
    reduction : {"mean", "sum", "none"}, default "mean"
        Over the rows.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    O(n·d), one sweep; rows are summed in float64. Results do not depend on the number of threads.

    References
    ----------
    .. [1] Tibshirani, "Regression Shrinkage and Selection via the Lasso", Journal of the Royal
       Statistical Society B 58, 1996.
    .. [2] Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35,
       1964.

    Examples
    --------
    >>> from ruvector.losses import SparsityLoss
    >>> SparsityLoss()([[1.0, -2.0], [0.0, 0.5]])
    1.75
    >>> SparsityLoss("huber", 1.0)([[1.0, -2.0], [0.0, 0.5]])
    1.0625
    """

    name: ClassVar[str] = "sparsity"

    form: Literal["l1", "huber"] = "l1"
    delta: float = 1.0
    reduction: Reduction = "mean"

    def __call__(self, embeddings: npt.ArrayLike) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)

        Returns
        -------
        float, or ndarray of float64 with shape (n,)

        Raises
        ------
        InvalidArgumentError
            Another number of dimensions, no columns, NaN or infinity.
        InvalidTypeError
            An array of a wrong dtype.
        """
        return self._value(embeddings)

    def value_and_grad(
        self, embeddings: npt.ArrayLike, *, out: Sequence[Array | None] | None = None
    ) -> LossResult[SparsityGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradient.

        Parameters
        ----------
        embeddings
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the embeddings' shape and dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of rows as ``active``.
        """
        return self._value_and_grad(SparsityGradients, out, embeddings)

    def value_and_grad_indexed(
        self, embeddings: npt.ArrayLike, rows: npt.ArrayLike, *, out: Array | None = None
    ) -> LossResult[IndexedGradients]:
        """Return the loss on rows of one table and the table's gradient.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            The table.
        rows : array_like of int, shape (B,)
            Rows of the table, any number of times.
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, d).
        """
        return self._value_and_grad_indexed(embeddings, out, rows)
