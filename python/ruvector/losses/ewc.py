"""The quadratic penalty of elastic weight consolidation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy.typing as npt

from ruvector.losses._base import Array, Loss, LossResult, Reduction, Value

__all__ = ["EWCGradients", "EWCLoss"]


class EWCGradients(NamedTuple):
    """Gradient of :class:`EWCLoss`, of its input's shape and dtype."""

    theta: Array


@dataclass(frozen=True)
class EWCLoss(Loss):
    """Elastic weight consolidation: ``(strength/2) Σ F (θ - θ*)²`` [1]_.

    Parameters stay near the values θ* they had after an earlier task, each as firmly as the
    diagonal F of the Fisher information says. :class:`ruvector.losses.EWC` keeps θ* and F for
    several tasks and named parameters.

    Parameters
    ----------
    strength : float, default 1.0
        λ; at least 0. Where F is a mean over samples, their number makes the penalty that of the
        earlier task's whole data.
    reduction : {"sum"}, default "sum"
        Over the parameters.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    One sweep; the total is summed in float64. Plain gradient steps are stable while
    ``learning rate · strength · max F < 2``. Results do not depend on the number of threads.

    References
    ----------
    .. [1] Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 114,
       2017. arXiv:1612.00796

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import EWCLoss
    >>> value, gradients = EWCLoss(strength=2.0).value_and_grad(
    ...     np.array([1.0, 2.0]), np.array([0.0, 0.0]), np.array([3.0, 0.5])
    ... )
    >>> value, gradients.theta.tolist()
    (5.0, [6.0, 2.0])
    """

    name: ClassVar[str] = "ewc"

    strength: float = 1.0
    reduction: Reduction = "sum"

    def __call__(
        self, theta: npt.ArrayLike, theta_star: npt.ArrayLike, fisher: npt.ArrayLike
    ) -> Value:
        """Return the loss.

        Parameters
        ----------
        theta : array_like of float, of one to four dimensions
            The parameters.
        theta_star : array_like of float, same shape
            What they were.
        fisher : array_like of float, same shape
            Their importance, at least 0.

        Returns
        -------
        float

        Raises
        ------
        InvalidArgumentError
            Shapes that differ, a negative importance, NaN or infinity.
        InvalidTypeError
            Arrays of a wrong dtype.
        """
        return self._value(theta, theta_star, fisher)

    def value_and_grad(
        self,
        theta: npt.ArrayLike,
        theta_star: npt.ArrayLike,
        fisher: npt.ArrayLike,
        *,
        out: Sequence[Array | None] | None = None,
    ) -> LossResult[EWCGradients]:
        """Return the loss, bit for bit as calling gives it, and the gradient to `theta`.

        Parameters
        ----------
        theta, theta_star, fisher
            As for calling the loss.
        out : sequence of ndarray, optional
            One array to write the gradient to, of the inputs' shape and common dtype. After an
            exception its content is undefined.

        Returns
        -------
        LossResult
            ``value, gradients``, with the number of parameters as ``active``.
        """
        return self._value_and_grad(EWCGradients, out, theta, theta_star, fisher)
