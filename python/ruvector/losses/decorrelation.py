"""Decorrelation of two views beside CCA-SSG: Barlow Twins and VICReg."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy.typing as npt

from ruvector.losses._base import Array, IndexedGradients, Loss, LossResult, Reduction, Value

__all__ = ["BarlowTwinsGradients", "BarlowTwinsLoss", "VICRegGradients", "VICRegLoss"]


class BarlowTwinsGradients(NamedTuple):
    """Gradients of :class:`BarlowTwinsLoss`, each of its input's shape and dtype."""

    first: Array
    second: Array


@dataclass(frozen=True)
class BarlowTwinsLoss(Loss):
    """Barlow Twins: columns of two views correlate each with its twin alone [1]_.

    With C the correlations ``Z1ᵀZ2 / n`` of the views' columns, standardised over their n rows
    (mean 0, biased variance 1), ``Σ_i (1 - C_ii)² + redundancy Σ_{i≠j} C_ij²``. A column that is
    constant becomes 0 and gets no gradient.

    Parameters
    ----------
    redundancy : float, default 5e-3
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
    .. [1] Zbontar, Jing, Misra, LeCun and Deny, "Barlow Twins: Self-Supervised Learning via
       Redundancy Reduction", ICML 2021. arXiv:2103.03230

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import BarlowTwinsLoss
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    >>> round(BarlowTwinsLoss()(x, x[:, ::-1]), 4)
    2.01
    """

    name: ClassVar[str] = "barlow_twins"

    redundancy: float = 5e-3
    reduction: Reduction = "mean"

    def __call__(
        self,
        first: npt.ArrayLike,
        second: npt.ArrayLike,
    ) -> Value:
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
            Shapes that do not fit together, values out of range, NaN or infinity.
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
    ) -> LossResult[BarlowTwinsGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        first, second
            As for calling the loss.
        out : sequence of ndarray, optional
            Two arrays to write the gradients to, of the inputs' shape and common dtype. After
            an exception their content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of rows as ``active``.
        """
        return self._value_and_grad(BarlowTwinsGradients, out, first, second)

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
            Rows of the table. A row may appear any number of times; its gradients add up, always
            in the same order.
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, d).
        """
        return self._value_and_grad_indexed(embeddings, out, first, second)


class VICRegGradients(NamedTuple):
    """Gradients of :class:`VICRegLoss`, each of its input's shape and dtype."""

    first: Array
    second: Array


@dataclass(frozen=True)
class VICRegLoss(Loss):
    """VICReg: views agree, columns keep their spread and do not covary [1]_.

    ``invariance · mean (Z1 - Z2)²`` over all n·d entries, plus for each view Z
    ``variance · mean_j max(0, deviation - √(Var(z_j) + 1e-4))`` and
    ``covariance / d · Σ_{i≠j} Cov(z_i, z_j)²`` over its columns, with n - 1 under variances and
    covariances. These are the terms of the paper's algorithm 1 and weights.

    Parameters
    ----------
    invariance : float, default 25.0
        Weight of the first term; at least 0.
    variance : float, default 25.0
        Weight of the second; at least 0.
    covariance : float, default 1.0
        Weight of the third; at least 0.
    deviation : float, default 1.0
        Standard deviation that columns should not fall below; above 0.
    reduction : {"mean"}, default "mean"
        The loss is defined over all rows together.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    Time is n·d², memory d² and one view again; nothing grows as n². A single row counts as columns
    without spread; no rows have loss 0. Results do not depend on the number of threads.

    References
    ----------
    .. [1] Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization for
       Self-Supervised Learning", ICLR 2022. arXiv:2105.04906

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import VICRegLoss
    >>> x = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [0.0, 0.0]])
    >>> VICRegLoss()(x, x)
    0.0
    >>> VICRegLoss()(x, x + 1.0)
    25.0
    """

    name: ClassVar[str] = "vicreg"

    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0
    deviation: float = 1.0
    reduction: Reduction = "mean"

    def __call__(
        self,
        first: npt.ArrayLike,
        second: npt.ArrayLike,
    ) -> Value:
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
            Shapes that do not fit together, values out of range, NaN or infinity.
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
    ) -> LossResult[VICRegGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradients.

        Parameters
        ----------
        first, second
            As for calling the loss.
        out : sequence of ndarray, optional
            Two arrays to write the gradients to, of the inputs' shape and common dtype. After
            an exception their content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of rows as ``active``.
        """
        return self._value_and_grad(VICRegGradients, out, first, second)

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
            Rows of the table. A row may appear any number of times; its gradients add up, always
            in the same order.
        out : ndarray, optional
            Array of the table's shape and dtype that is overwritten with the gradient.

        Returns
        -------
        LossResult
            Its gradients have the one field ``embeddings``, shape (n, d).
        """
        return self._value_and_grad_indexed(embeddings, out, first, second)
