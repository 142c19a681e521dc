"""What must be the same for a training to go on: its settings, and checksums of its data."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ruvector.mining import HardNegativeMiner
from ruvector.sampling import LayerSampler, NeighborSampler
from ruvector.sparse import CSR

if TYPE_CHECKING:
    from ruvector.training.loop import Loop

__all__ = ["described", "first_difference", "identity_of"]

#: What is no dataclass but whose public attributes are settings.
_WITH_SETTINGS = (HardNegativeMiner, LayerSampler, NeighborSampler)

# Arrays of so many values are told as they are.
_FEW = 8


def identity_of(loop: Loop) -> dict[str, Any]:
    """Return plain values that differ from those of another training."""
    plan = loop.plan
    identity = {
        "encoder": plan.encoder.config(),
        "objective": type(plan.objective).__name__,
        "objective's settings": described(plan.objective),
        "weighting": type(plan.weighting).__name__,
        "curriculum": None if plan.curriculum is None else plan.curriculum.to_dict(),
        "seed": plan.seed,
        "steps_per_epoch": loop.objective.steps_per_epoch,
        "data": _checksum(
            (loop.graph.num_nodes, loop.features.shape),
            [loop.graph.edges, loop.graph.weights, *_arrays(loop.features)],
        ),
    }
    # As it comes back from the file, where tuples are lists.
    return dict(json.loads(json.dumps(identity)))


def described(value: object) -> Any:
    """Return what tells settings apart, as plain JSON values.

    Dataclasses, mappings and sequences are described by their members, arrays by a checksum and
    functions by their names. Of other objects only the class is told: what is in them may change
    while they are used.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    members = _members(value)
    if members is not None:
        return {name: described(member) for name, member in members.items()}
    if isinstance(value, (list, tuple, range)) or hasattr(value, "__array__"):
        return _described_array(value)
    return str(getattr(value, "__qualname__", type(value).__name__))


def _members(value: object) -> dict[str, Any] | None:
    if isinstance(value, Mapping):
        return {str(key): member for key, member in value.items()}
    if isinstance(value, CSR):
        names = ["shape", "indptr", "indices", "data"]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
    elif isinstance(value, _WITH_SETTINGS):
        names = [name for name in vars(value) if not name.startswith("_")]
    else:
        return None
    return {"class": type(value).__name__, **{name: getattr(value, name) for name in names}}


def first_difference(found: Any, wanted: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Return where two identities differ first, and both values there."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in (*wanted, *(key for key in found if key not in wanted)):
            path = f"{name} {key!r}" if name else str(key)
            difference = first_difference(found.get(key), wanted.get(key), path)
            if difference is not None:
                return difference
        return None
    return None if found == wanted else (name, found, wanted)


def _described_array(value: Any) -> Any:
    """Lists of labels and arrays of any width are alike if they hold the same numbers."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        return [described(member) for member in value]
    if array.dtype.kind in "iu":
        array = array.astype(np.int64)
    elif array.dtype.kind == "f":
        array = array.astype(np.float64)
    elif array.dtype.kind != "b":
        return [described(member) for member in value]
    if array.size <= _FEW:
        return array.tolist()
    shape = "x".join(map(str, array.shape))
    return f"{shape} values with checksum {_checksum(array.shape, [array]):08x}"


def _arrays(features: Any) -> list[Any]:
    if isinstance(features, CSR):
        return [features.indptr, features.indices, features.data]
    return [features]


def _checksum(shape: object, arrays: Iterable[Any]) -> int:
    crc = zlib.crc32(str(shape).encode())
    for array in arrays:
        if array is not None:
            crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
    return crc
