"""Weights known beforehand: the usual ones, named curves, the way from one set to another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ruvector.arrays import check_real
from ruvector.errors import InvalidArgumentError
from ruvector.schedules import Decay, Linear, Piecewise, Schedule

__all__ = ["DEFAULT_WEIGHTS", "named_curves", "warm_up_weights"]

#: What losses usually count for.
DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "infonce": 1.0,
        "local": 0.1,
        "spectral": 0.01,
        "reconstruction": 0.1,
        "task": 1.0,
        "contrastive": 0.1,
        "ewc": 1.0,
    }
)


def named_curves() -> dict[str, Schedule]:
    """Return a curve for each loss that usually has one.

    ``reconstruction`` fades as exp(-epoch / 50), ``contrastive`` grows from 0.1 to 1 over 10
    epochs, ``task`` stays at 0.1 for 50 epochs and grows to 1 over another 50.

    Examples
    --------
    >>> from ruvector.weighting import named_curves
    >>> curves = named_curves()
    >>> {name: round(curve(75, total=200), 3) for name, curve in curves.items()}
    {'reconstruction': 0.223, 'contrastive': 1.0, 'task': 0.55}
    """
    return {
        "reconstruction": Decay(50.0),
        "contrastive": Linear(0.1, 1.0, duration=10),
        "task": Piecewise([(50, 0.1), (100, 1.0)]),
    }


def warm_up_weights(
    first: Mapping[str, float], last: Mapping[str, float], *, epochs: float
) -> dict[str, Schedule]:
    """Return the curves that lead in straight lines from one set of weights to another.

    Parameters
    ----------
    first, last : mapping of str to float
        Of the same losses; `first` holds at epoch 0.
    epochs : float
        Duration; 0 is at `last` at once.

    Raises
    ------
    InvalidArgumentError
        The two do not name the same losses, or a weight below 0.

    Examples
    --------
    >>> from ruvector.weighting import warm_up_weights
    >>> curves = warm_up_weights({"task": 0.0}, {"task": 1.0}, epochs=4)
    >>> curves["task"](1, total=20)
    0.25
    """
    if set(first) != set(last):
        other = sorted(set(first) ^ set(last))[0]
        raise InvalidArgumentError(f"{other!r} is in one of first and last, but must be in both")
    return {
        name: Linear(
            check_real(first[name], f"first[{name!r}]", low=0.0),
            check_real(last[name], f"last[{name!r}]", low=0.0),
            duration=epochs,
        )
        for name in first
    }
