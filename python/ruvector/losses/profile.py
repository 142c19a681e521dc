"""How a loss changes with its temperature."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, check_choice
from ruvector.errors import InvalidTypeError
from ruvector.losses._base import Loss

__all__ = ["TemperatureProfile", "temperature_profile"]


class TemperatureProfile(NamedTuple):
    """One entry a temperature, each float64 of shape (n,)."""

    temperatures: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    gradient_norms: npt.NDArray[np.float64]


def temperature_profile(
    loss: Loss, *inputs: npt.ArrayLike | None, temperatures: npt.ArrayLike, **keywords: Any
) -> TemperatureProfile:
    """Evaluate a loss at several temperatures.

    Parameters
    ----------
    loss : Loss
        Any loss with a ``temperature``; its own is not used. Its reduction must be ``"mean"`` or
        ``"sum"``.
    *inputs : array_like
        What the loss is called with.
    temperatures : array_like of float, shape (n,)
        Each above 0.
    **keywords
        Keyword arguments for the loss.

    Returns
    -------
    TemperatureProfile
        The value and the Euclidean norm of all gradients together at each temperature.

    Raises
    ------
    InvalidTypeError
        A loss without a temperature.
    InvalidArgumentError
        A temperature that is not above 0, or what the loss itself refuses.

    Notes
    -----
    Costs one ``value_and_grad`` a temperature.

    References
    ----------
    Wang and Liu, "Understanding the Behaviour of Contrastive Loss", 2021. arXiv:2012.09740

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import InfoNCELoss, temperature_profile
    >>> x = np.eye(4)
    >>> profile = temperature_profile(InfoNCELoss(), x, x + 0.1, x[::-1], temperatures=[0.1, 1.0])
    >>> bool(profile.values[0] < profile.values[1])
    True
    """
    if not hasattr(loss, "temperature"):
        raise InvalidTypeError(f"loss is {type(loss).__name__}, which has no temperature")
    check_choice(loss.reduction, "loss.reduction", choices=("mean", "sum"))
    points = as_floats(temperatures, "temperatures", ndim=1, dtype=np.float64)
    losses: list[Any] = [loss.replace(temperature=float(point)) for point in points]
    values, norms = np.empty(len(points)), np.empty(len(points))
    for i, changed in enumerate(losses):
        values[i], gradients = changed.value_and_grad(*inputs, **keywords)
        parts = [np.linalg.norm(part.ravel()) for part in gradients if part is not None]
        norms[i] = np.linalg.norm(np.array(parts, np.float64))
    return TemperatureProfile(points, values, norms)
