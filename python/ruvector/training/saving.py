"""A loop's state as plain values and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ruvector.errors import InvalidArgumentError
from ruvector.training.identity import first_difference
from ruvector.training.records import EpochRecord

if TYPE_CHECKING:
    from ruvector.training.loop import Loop

__all__ = ["saved", "take_over"]

Arrays = dict[str, npt.NDArray[Any]]


def saved(loop: Loop) -> tuple[dict[str, Any], Arrays]:
    """Return what a bit-equal continuation of `loop` needs.

    In the middle of an epoch that is also how the epoch began: its steps are drawn again.
    """
    optimizer = loop.optimizer.state_dict()
    objective = dict(loop.before) if loop.done else loop.objective.state_dict()
    stopper = {} if loop.stopper is None else loop.stopper.state_dict()
    groups = {
        "weights": loop.weights,
        "before": loop.before_weights if loop.done else {},
        "optimizer": optimizer.pop("arrays"),
        "objective": objective.pop("arrays"),
        "best": stopper.pop("arrays", {}),
    }
    state = {
        "training": loop.identity,
        "epoch": loop.epoch,
        "done": loop.done,
        "seconds": loop.seconds,
        "sums": loop.totals.sums,
        "history": [record.as_dict() for record in loop.history],
        "optimizer": optimizer,
        "objective": objective,
        "weigher": loop.weigher.state_dict(),
        "curriculum": None if loop.curriculum is None else loop.curriculum.state_dict(),
        "stopper": stopper,
    }
    arrays = {
        f"{group}/{name}": array
        for group, members in groups.items()
        for name, array in members.items()
    }
    return state, arrays


def take_over(loop: Loop, state: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Put a fresh `loop` where another one was saved.

    Raises
    ------
    InvalidArgumentError
        The other one was of another training.
    KeyError, TypeError, ValueError
        Something is missing or does not fit.
    """
    difference = first_difference(state["training"], loop.identity)
    if difference is not None:
        key, found, value = difference
        raise InvalidArgumentError(
            f"the checkpoint is of another training: its {key} is {found!r} but here it is "
            f"{value!r}; name another folder, or fit without resume"
        )

    def group(name: str) -> Arrays:
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): array
            for key, array in arrays.items()
            if key.startswith(prefix)
        }

    weights = group("weights")
    if set(weights) != set(loop.weights):
        raise ValueError(f"it has the weights {sorted(weights)}")
    for name, array in weights.items():
        np.copyto(loop.weights[name], array, casting="no")
    loop.optimizer.load_state_dict({**state["optimizer"], "arrays": group("optimizer")})
    loop.before, loop.before_weights = dict(state["objective"]), group("before")
    loop.before["arrays"] = group("objective")
    loop.objective.load_state_dict(loop.before)
    loop.weigher.load_state_dict(state["weigher"])
    if loop.curriculum is not None:
        loop.curriculum.load_state_dict(state["curriculum"])
    if loop.stopper is not None and state["stopper"]:
        loop.stopper.load_state_dict({**state["stopper"], "arrays": group("best")})
    loop.epoch, loop.done = int(state["epoch"]), int(state["done"])
    loop.seconds = float(state["seconds"])
    loop.totals.sums = {name: tuple(sums) for name, sums in state["sums"].items()}
    loop.history = [EpochRecord(**record) for record in state["history"]]
