"""Index files named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.errors import CorruptFileError, InvalidArgumentError
from ruvector.index import HNSW, FlatIndex

__all__ = ["describe", "hits_of", "load_index", "stored_vector"]

Index = HNSW | FlatIndex


def load_index(path: str) -> Index:
    """Read an index of either class."""
    try:
        return HNSW.load(path)
    except CorruptFileError as error:
        try:
            return FlatIndex.load(path)
        except CorruptFileError:
            raise error from None


def describe(index: Index, path: str) -> dict[str, Any]:
    """What an index is made of; sizes in bytes."""
    facts: dict[str, Any] = {
        "index": type(index).__name__,
        "metric": index.metric,
        "dim": index.dim,
        "vectors": len(index),
        "file_bytes": Path(path).stat().st_size,
    }
    if isinstance(index, HNSW):
        statistics = index.stats()._asdict()
        levels = statistics.pop("level_counts")
        del statistics["rows"]
        facts.update(m=index.m, ef_construction=index.ef_construction, seed=index.seed)
        facts.update(storage=index.storage)
        facts.update(levels=len(levels), **statistics)
    return facts


def stored_vector(index: Index, id_: int) -> npt.NDArray[np.float32]:
    """The vector with an id, as a matrix of one row."""
    if id_ not in index:
        raise InvalidArgumentError(f"--id is {id_} but the index holds no such id")
    return index.get([id_])


def hits_of(ids: npt.NDArray[np.int64], distances: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
    """The hits of one query that are there."""
    return [
        {"id": id_, "distance": distance}
        for id_, distance in zip(ids.tolist(), distances.tolist(), strict=True)
        if id_ >= 0
    ]
