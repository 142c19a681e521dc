"""What losses of one array of embeddings share."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy.typing as npt

from ruvector.losses._base import Array, IndexedGradients, Loss, LossResult, Value

__all__ = ["RowGradients"]


class RowGradients(NamedTuple):
    """Gradient of a loss of one array of embeddings, of its shape and dtype."""

    embeddings: Array


class RowLoss(Loss):
    """A loss of one array of embeddings, or of chosen rows of a table."""

    def __call__(self, embeddings: npt.ArrayLike) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)

        Returns
        -------
        float, or ndarray of float64 with shape (n,) where the reduction is ``"none"``

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
    ) -> LossResult[RowGradients]:
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
        return self._value_and_grad(RowGradients, out, embeddings)

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
