"""One stage of a curriculum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ruvector.arrays import check_int, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["Stage"]


@dataclass(frozen=True)
class Stage:
    """What a training does for a while. What is None is left to the objective.

    Parameters
    ----------
    name : str
        Not empty.
    epochs, samples : int, optional
        How long it lasts, in one of the two; neither for a stage that never ends.
    temperature : float, optional
        Greater than 0.
    num_negatives : int, optional
        Mined negatives of an anchor, at least 1.
    num_neighbors : int, optional
        Neighbours sampled of a node, at least 1.
    loss_weights : mapping of str to float
        By the names of the losses; none leaves all weights as they are.
    threshold : float, optional
        Items harder than this are left out, 0 to 1.

    Raises
    ------
    InvalidArgumentError
        A value out of range, or both `epochs` and `samples`.

    Examples
    --------
    >>> from ruvector.curriculum import Stage
    >>> stage = Stage("Easy", epochs=10, temperature=0.5, threshold=0.3)
    >>> stage.include(0.2), stage.include(0.4)
    (True, False)
    """

    name: str
    epochs: int | None = None
    samples: int | None = None
    temperature: float | None = None
    num_negatives: int | None = None
    num_neighbors: int | None = None
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InvalidTypeError(f"name is {self.name!r} but must be a string")
        if not self.name:
            raise InvalidArgumentError("name is empty; name the stage")
        if self.epochs is not None and self.samples is not None:
            raise InvalidArgumentError(
                f"stage {self.name!r} lasts {self.epochs} epochs and {self.samples} samples; "
                "give one of them"
            )
        for count in ("epochs", "samples", "num_negatives", "num_neighbors"):
            if getattr(self, count) is not None:
                self._set(count, check_int(getattr(self, count), count, low=1))
        if self.temperature is not None:
            checked = check_real(self.temperature, "temperature", low=0.0, open_low=True)
            self._set("temperature", checked)
        if self.threshold is not None:
            self._set("threshold", check_real(self.threshold, "threshold", low=0.0, high=1.0))
        if not isinstance(self.loss_weights, Mapping):
            raise InvalidTypeError(f"loss_weights is {self.loss_weights!r} but must be a mapping")
        weights = {
            key: check_real(weight, f"loss_weights[{key!r}]", low=0.0)
            for key, weight in self.loss_weights.items()
        }
        self._set("loss_weights", weights)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def include(self, difficulty: float) -> bool:
        """Whether an item of this difficulty, 0 to 1, takes part: not above the threshold."""
        hard = check_real(difficulty, "difficulty", low=0.0, high=1.0)
        return self.threshold is None or hard <= self.threshold

    def over(self, epochs: int, samples: int) -> bool:
        """Whether so many epochs and samples are this stage's duration."""
        return (self.epochs is not None and epochs >= self.epochs) or (
            self.samples is not None and samples >= self.samples
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Stage:
        """Return the stage whose :meth:`to_dict` is given.

        Raises
        ------
        InvalidArgumentError
            A setting that stages do not have, or the name missing.
        """
        if not isinstance(given, Mapping):
            raise InvalidTypeError(f"stage is {given!r} but must be a mapping")
        unknown = set(given) - {entry.name for entry in fields(cls)}
        if unknown:
            raise InvalidArgumentError(f"a stage has no {sorted(unknown)[0]!r}")
        if "name" not in given:
            raise InvalidArgumentError("a stage lacks its name")
        return cls(**given)
