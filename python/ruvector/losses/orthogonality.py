"""Rows or columns that are orthonormal."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ruvector.losses._base import Reduction
from ruvector.losses.rows import RowLoss

__all__ = ["OrthogonalityLoss"]


@dataclass(frozen=True)
class OrthogonalityLoss(RowLoss):
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
