"""Rows or columns that are orthonormal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy.typing as npt

from ruvector.losses._base import Array, IndexedGradients, Loss, LossResult, Reduction, Value

__all__ = ["OrthogonalityGradients", "OrthogonalityLoss"]


class OrthogonalityGradients(NamedTuple):
    """Gradient of :class:`OrthogonalityLoss`, of its input's shape and dtype."""

    embeddings: Array


@dataclass(frozen=True)
class OrthogonalityLoss(Loss):
    """Distance of a Gram matrix from the identity [1]_, in the squared Frobenius norm.

    For Z of n rows and d columns

    - ``"gram_d"``: ``‖ZᵀZ/n - I‖² / d²``, columns uncorrelated and of mean square 1;
    - ``"gram_d_raw"``: ``‖ZᵀZ - I‖² / d²``, columns orthonormal;
    - ``"gram_n"``: ``‖ZZᵀ - I‖² / n²``, rows orthonormal. Its value cannot fall below
      ``(n - d) / n²``, and it pushes neighbours apart like any other rows.

    Parameters
    ----------
    form : {"gram_d", "gram_d_raw", "gram_n"}, default "gram_d"
        Which of these.
    reduction : {"mean"}, default "mean"
        The loss is defined over all rows together.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Since ``‖ZZᵀ - I‖² - ‖ZᵀZ - I‖² = n - d``, every form is computed on the smaller side: time is
    n·d·min(n, d), memory min(n, d)². Products of float32 rows are added in float64 every 4,096
    steps. Without rows the loss is 0. Results do not depend on the number of threads.

    References
    ----------
    .. [1] Brock, Lim, Ritchie and Weston, "Neural Photo Editing with Introspective Adversarial
       Networks", ICLR 2017. arXiv:1609.07093

    Examples
    --------
    >>> from ruvector.losses import OrthogonalityLoss
    >>> OrthogonalityLoss(form="gram_d_raw")([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    0.0
    """

    name: ClassVar[str] = "orthogonality"

    form: Literal["gram_d", "gram_d_raw", "gram_n"] = "gram_d"
    reduction: Reduction = "mean"

    def __call__(self, embeddings: npt.ArrayLike) -> Value:
        """Return the loss.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)

        Returns
        -------
        float

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
    ) -> LossResult[OrthogonalityGradients]:
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
        return self._value_and_grad(OrthogonalityGradients, out, embeddings)

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
