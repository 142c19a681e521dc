"""Numbers that change while training goes on: a temperature, a learning rate, a loss's weight.

A schedule is a frozen dataclass that is called with a position, in epochs, and returns a number.
It knows nothing of what it is used for.
"""

from ruvector.schedules.base import Schedule
from ruvector.schedules.curves import (
    Constant,
    Cosine,
    Decay,
    Exponential,
    Linear,
    Step,
    as_schedule,
)
from ruvector.schedules.parts import Piecewise, WarmUp

__all__ = [
    "Constant",
    "Cosine",
    "Decay",
    "Exponential",
    "Linear",
    "Piecewise",
    "Schedule",
    "Step",
    "WarmUp",
    "as_schedule",
]
