"""Where a training is among its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ruvector.arrays import check_int
from ruvector.curriculum.presets import default_stages, linear_stages
from ruvector.curriculum.stage import Stage
from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["Curriculum"]


class Curriculum:
    """Stages one after another; the last one stays.

    Parameters
    ----------
    stages : sequence of Stage
        At least one. All but the last have a duration.

    Raises
    ------
    InvalidArgumentError
        No stages, two of one name, or one before the last that never ends.

    References
    ----------
    Bengio, Louradour, Collobert and Weston (2009), "Curriculum Learning", ICML.

    Examples
    --------
    >>> from ruvector.curriculum import Curriculum, Stage
    >>> curriculum = Curriculum([Stage("warm", epochs=2, temperature=0.5), Stage("cold")])
    >>> [curriculum.step() for _ in range(3)]
    [False, True, False]
    >>> curriculum.stage.name
    'cold'
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        if isinstance(stages, str) or not isinstance(stages, Sequence):
            raise InvalidTypeError(f"stages is {stages!r} but must be a list of stages")
        for stage in stages:
            if not isinstance(stage, Stage):
                raise InvalidTypeError(f"stages holds {stage!r}, which is no Stage")
        if not stages:
            raise InvalidArgumentError("stages is empty; give at least one")
        names = [stage.name for stage in stages]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InvalidArgumentError(f"stages has two named {twice[0]!r}")
        for stage in stages[:-1]:
            if stage.epochs is None and stage.samples is None:
                raise InvalidArgumentError(
                    f"stage {stage.name!r} never ends, but others follow; give epochs or samples"
                )
        self._stages = tuple(stages)
        self._at = self._epochs = self._samples = 0

    @classmethod
    def default(cls) -> Curriculum:
        """Easy, Medium, Hard; see :func:`default_stages`."""
        return cls(default_stages())

    @classmethod
    def linear(cls, count: int, *, epochs: int, **ends: Any) -> Curriculum:
        """Return equal steps from first to last values; see :func:`linear_stages`."""
        return cls(linear_stages(count, epochs=epochs, **ends))

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self._stages

    @property
    def stage(self) -> Stage:
        """The present stage."""
        return self._stages[self._at]

    @property
    def index(self) -> int:
        """The present stage's place, from 0."""
        return self._at

    def step(self, *, epochs: int = 1, samples: int = 0) -> bool:
        """Go on by so many epochs and samples; tell whether a new stage began.

        A stage that ends hands nothing on: the next counts from 0. One call ends at most one
        stage.
        """
        more_epochs = check_int(epochs, "epochs", low=0)
        more_samples = check_int(samples, "samples", low=0)
        self._epochs += more_epochs
        self._samples += more_samples
        last = self._at == len(self._stages) - 1
        if last or not self.stage.over(self._epochs, self._samples):
            return False
        self._at += 1
        self._epochs = self._samples = 0
        return True

    def include(self, difficulty: float) -> bool:
        """Whether the present stage takes an item of this difficulty, 0 to 1."""
        return self.stage.include(difficulty)

    def reset(self) -> None:
        """Go back to the start."""
        self._at = self._epochs = self._samples = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the stages as plain JSON values, without the present state."""
        return {"stages": [stage.to_dict() for stage in self._stages]}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Curriculum:
        """Return the curriculum whose :meth:`to_dict` is given, at its start."""
        if not isinstance(given, Mapping) or set(given) != {"stages"}:
            raise InvalidArgumentError("a curriculum is a mapping with 'stages' alone")
        if isinstance(given["stages"], (str, Mapping)) or not isinstance(given["stages"], Sequence):
            raise InvalidTypeError(f"stages is {given['stages']!r} but must be a list")
        return cls([Stage.from_dict(stage) for stage in given["stages"]])

    def state_dict(self) -> dict[str, int]:
        """Return where the training is, as plain numbers."""
        return {"stage": self._at, "epochs": self._epochs, "samples": self._samples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned.

        Raises
        ------
        InvalidArgumentError
            A stage that is not there, a negative count or something missing; nothing changes.
        """
        if not isinstance(state, Mapping) or set(state) != {"stage", "epochs", "samples"}:
            raise InvalidArgumentError("state must have 'stage', 'epochs' and 'samples'")
        at = check_int(state["stage"], "stage", low=0, high=len(self._stages) - 1)
        epochs = check_int(state["epochs"], "epochs", low=0)
        samples = check_int(state["samples"], "samples", low=0)
        self._at, self._epochs, self._samples = at, epochs, samples

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Curriculum)
            and self._stages == other._stages
            and self.state_dict() == other.state_dict()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = ", ".join(stage.name for stage in self._stages)
        return f"Curriculum({names}; now {self.stage.name})"
