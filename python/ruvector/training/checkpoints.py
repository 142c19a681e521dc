"""A training's whole state in one file that is replaced in one step."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int
from ruvector.errors import CorruptFileError, UnsupportedVersionError
from ruvector.safetensors import load_safetensors, load_safetensors_metadata, save_safetensors

__all__ = ["Checkpoints"]

FORMAT_VERSION = 1
_NAME = "checkpoint.safetensors"
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often a training saves its state.

    One file, ``checkpoint.safetensors``, holds weights, optimiser, random streams and counters;
    it is written beside the old one and then takes its place, so that a training killed at any
    moment leaves a whole one behind. ``fit(..., resume=True)`` goes on from it and ends with the
    bits of a training that was never stopped; it refuses a checkpoint of another graph, other
    labels or other settings of encoder and objective. Of functions and of objects that are no
    dataclasses it compares only the names.

    Parameters
    ----------
    folder : path-like
        Made if missing. One training at a time.
    epochs : int
        Save after every so many epochs.
    steps : int, optional
        Also in the middle of an epoch, after every so many steps of it. The steps before are drawn
        again when it is resumed, but not computed.
    """

    folder: str | os.PathLike[str]
    epochs: int = 1
    steps: int | None = None

    def __post_init__(self) -> None:
        check_int(self.epochs, "epochs", low=1)
        if self.steps is not None:
            check_int(self.steps, "steps", low=1)

    def due(self, step: int) -> bool:
        """Whether to save after so many steps of an epoch."""
        return self.steps is not None and step % self.steps == 0

    @property
    def path(self) -> Path:
        return Path(self.folder) / _NAME

    def save(self, state: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Replace the checkpoint.

        Raises
        ------
        OSError
            The disk is full or may not be written; the old checkpoint stays.
        """
        text = json.dumps({"version": FORMAT_VERSION, **state})
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        words = {"ruvector": "checkpoint", "state": text, "crc32": str(_checksum(text, whole))}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{_NAME}.new")
        save_safetensors(whole, fresh, metadata=words)
        fresh.replace(self.path)
        _sync_folder(self.path.parent)

    def load(self) -> tuple[dict[str, Any], Arrays] | None:
        """Return state and arrays, or None where there is no checkpoint.

        Raises
        ------
        CorruptFileError
            The file is damaged or no checkpoint.
        UnsupportedVersionError
            A newer version of ruvector wrote it.
        """
        if not self.path.exists():
            return None
        words = load_safetensors_metadata(self.path)
        if words.get("ruvector") != "checkpoint" or "state" not in words:
            raise CorruptFileError(f"{self.path} is no checkpoint of a training")
        arrays = load_safetensors(self.path)
        if words.get("crc32") != str(_checksum(words["state"], arrays)):
            raise CorruptFileError(
                f"{self.path} is damaged: its checksum is wrong; remove it to train afresh"
            )
        state = json.loads(words["state"])
        if state.pop("version") > FORMAT_VERSION:
            raise UnsupportedVersionError(
                f"{self.path} was written by a newer version of ruvector; upgrade to go on"
            )
        return state, arrays


def _checksum(text: str, arrays: Mapping[str, npt.NDArray[Any]]) -> int:
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        crc = zlib.crc32(name.encode(), crc)
        crc = zlib.crc32(arrays[name].tobytes(), crc)
    return crc


def _sync_folder(folder: Path) -> None:
    # The new name itself survives a loss of power; Windows cannot open folders.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
