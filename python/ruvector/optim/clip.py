"""Gradient clipping."""

from typing import Any, NamedTuple

import numpy as np

from ruvector import _core
from ruvector.arrays import check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.optim.parameters import Array, Arrays, check_finite, named

__all__ = ["ClippedGradients", "clip_by_norm", "clip_by_value"]


class ClippedGradients(NamedTuple):
    """Clipped gradients by name, and the joint Euclidean norm before clipping."""

    gradients: dict[str, Array]
    norm: float


def _checked(gradients: Arrays) -> dict[str, Array]:
    found: dict[str, Any] = named(gradients, "gradients")
    checked = {}
    for name, value in found.items():
        array = np.asarray(value)
        if array.dtype not in (np.float32, np.float64):
            raise InvalidTypeError(
                f"gradients[{name!r}] has dtype {array.dtype} but must be float32 or float64"
            )
        checked[name] = np.ascontiguousarray(array).reshape(array.shape)
        check_finite(name, checked[name].reshape(-1), array.shape)
    return checked


def _joint_norm(gradients: dict[str, Array]) -> float:
    return float(np.sqrt(sum(_core.squared_norm(g.reshape(-1)) for g in gradients.values())))


def clip_by_norm(gradients: Arrays, max_norm: float) -> ClippedGradients:
    """Scale all gradients by one factor so that their joint norm is at most `max_norm`.

    Parameters
    ----------
    gradients : mapping of str to ndarray, list of ndarray, or ndarray
        float32 or float64, finite; not written to.
    max_norm : float
        Largest Euclidean norm over all values together, greater than 0.

    Returns
    -------
    ClippedGradients
        Gradients by name, as `Optimizer.step` accepts them, and the norm before. Within the
        bound they are the given arrays themselves, not copies.

    Raises
    ------
    InvalidArgumentError
        NaN or infinity, named by gradient and place; `max_norm` not positive.
    InvalidTypeError
        Another dtype.

    Notes
    -----
    ``torch.nn.utils.clip_grad_norm_`` adds 1e-6 to the norm it divides by; this does not.

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural networks.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.optim import clip_by_norm
    >>> clipped = clip_by_norm({"a": np.array([3.0]), "b": np.array([4.0])}, 1.0)
    >>> clipped.norm, clipped.gradients["a"].round(3)
    (5.0, array([0.6]))
    """
    bound = check_real(max_norm, "max_norm", low=0.0, open_low=True)
    checked = _checked(gradients)
    norm = _joint_norm(checked)
    if not np.isfinite(norm):
        raise InvalidArgumentError(
            "gradients have finite values but a norm beyond float64; scale the loss down"
        )
    if norm <= bound:
        return ClippedGradients(checked, norm)
    factor = bound / norm
    return ClippedGradients({name: g * g.dtype.type(factor) for name, g in checked.items()}, norm)


def clip_by_value(gradients: Arrays, max_value: float) -> ClippedGradients:
    """Limit every value to `-max_value` … `max_value`.

    Parameters
    ----------
    gradients : mapping of str to ndarray, list of ndarray, or ndarray
        float32 or float64, finite; not written to.
    max_value : float
        Greater than 0.

    Returns
    -------
    ClippedGradients
        Fresh gradients by name, and the joint Euclidean norm before.

    Raises
    ------
    InvalidArgumentError
        NaN or infinity, named by gradient and place; `max_value` not positive.
    InvalidTypeError
        Another dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.optim import clip_by_value
    >>> clip_by_value([np.array([-3.0, 0.5])], 1.0).gradients["0"]
    array([-1. ,  0.5])
    """
    bound = check_real(max_value, "max_value", low=0.0, open_low=True)
    checked = _checked(gradients)
    clipped = {name: np.clip(g, -bound, bound) for name, g in checked.items()}
    return ClippedGradients(clipped, _joint_norm(checked))
