"""A NumPy generator's state as plain JSON values."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from ruvector.errors import InvalidArgumentError

__all__: list[str] = []


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
