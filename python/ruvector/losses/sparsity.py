"""Few entries that differ from 0."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ruvector.losses._base import Reduction
from ruvector.losses.rows import RowLoss

__all__ = ["SparsityLoss"]


@dataclass(frozen=True)
class SparsityLoss(RowLoss):
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
