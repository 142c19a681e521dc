"""What runs with a random stream share: its state as plain JSON values, and noise by the step."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from ruvector.encoders import Weights
from ruvector.encoders.layers import Shapes, initial_weights
from ruvector.errors import InvalidArgumentError
from ruvector.objectives.base import Knobs

__all__: list[str] = []


class SeededRun:
    """A run that draws from one stream and has no settings to change while it goes on."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.parameters: Weights = {}

    def noise(self, epoch: int, step: int = 0) -> np.random.Generator:
        """Return the stream of what an encoder drops in a step.

        A step has a stream of its own, since a training that is resumed does not call all steps;
        by a spawn key, since NumPy's ``(seed, 0, 0)`` is the stream of ``seed``.
        """
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(2, epoch, step)))

    def adjust(self, knobs: Knobs) -> set[str]:
        del knobs
        return set()

    def state_dict(self) -> dict[str, Any]:
        return {"random": generator_state(self.rng), "arrays": {}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        load_generator(self.rng, state["random"])


def own_weights(shapes: Shapes, seed: int) -> Weights:
    """Return what an objective's own weights start from.

    Encoders start from the stream of `seed` itself: a head that did too would begin as a copy of
    their first layer where the shapes agree.
    """
    return initial_weights(shapes, np.random.SeedSequence(seed, spawn_key=(1,)))


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """Return a copy of where `rng` is; its integers exceed 64 bits, which Python's JSON keeps."""
    state: dict[str, Any] = copy.deepcopy(dict(rng.bit_generator.state))
    return state


def load_generator(rng: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Put `rng` where :func:`generator_state` found it."""
    try:
        rng.bit_generator.state = dict(state)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgumentError(f"the state of a random stream does not fit: {error}") from None
