"""What all schedules share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from ruvector.arrays import check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["Schedule"]

_KINDS: dict[str, type[Schedule]] = {}


@dataclass(frozen=True)
class Schedule(ABC):
    """A number that depends on how far training is.

    Called with a position `at`, in epochs and not necessarily whole, and the `total` number of
    epochs; without a `total`, `at` is the progress from 0 to 1. A schedule whose `duration` is
    None ends where training ends. Before its start there is nothing, after its end it keeps its
    last value. The value at 0 is the first one: nothing has advanced yet.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _KINDS[cls.kind] = cls

    def __call__(self, at: float, *, total: float = 1.0) -> float:
        """Return the value at `at`, of a training of `total` epochs.

        Raises
        ------
        InvalidArgumentError
            A position or total below 0, NaN or infinite.
        """
        return self._value(check_real(at, "at", low=0.0), check_real(total, "total", low=0.0))

    @abstractmethod
    def _value(self, at: float, total: float) -> float: ...

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the settings as plain JSON values."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_dict(given: Mapping[str, Any]) -> Schedule:
        """Return the schedule whose :meth:`to_dict` is given.

        Raises
        ------
        InvalidArgumentError
            An unknown kind, or settings that the kind does not have or refuses.
        """
        if not isinstance(given, Mapping):
            raise InvalidTypeError(f"schedule is {given!r} but must be a mapping")
        settings = dict(given)
        kind = settings.pop("kind", None)
        if kind not in _KINDS:
            known = ", ".join(sorted(_KINDS))
            raise InvalidArgumentError(f"schedule is of kind {kind!r} but must be one of {known}")
        cls = _KINDS[kind]
        unknown = set(settings) - {field.name for field in fields(cls)}
        if unknown:
            raise InvalidArgumentError(f"a {kind} schedule has no {sorted(unknown)[0]!r}")
        try:
            return cls(**settings)
        except InvalidTypeError:
            raise
        except TypeError as error:
            raise InvalidArgumentError(f"a {kind} schedule lacks a setting: {error}") from None


def share(at: float, duration: float | None, total: float) -> float:
    """Return how much of `duration` has passed, 0 to 1; of none, all."""
    whole = total if duration is None else duration
    return 1.0 if at >= whole else at / whole


def check_span(schedule: Schedule, *numbers: str) -> None:
    """Make floats of the named settings and of ``duration``, or raise."""
    for name in numbers:
        set_checked(schedule, name, check_real(getattr(schedule, name), name, low=-math.inf))
    duration = getattr(schedule, "duration", None)
    if duration is not None:
        set_checked(schedule, "duration", check_real(duration, "duration", low=0.0))


def set_checked(schedule: Schedule, name: str, value: object) -> None:
    object.__setattr__(schedule, name, value)
