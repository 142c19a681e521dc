"""Index files named on the command line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.errors import CorruptFileError, InvalidArgumentError
from ruvector.index import HNSW, FlatIndex

__all__ = ["describe", "hits_of", "load_index", "recall_curve", "stored_vector"]

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


def recall_curve(
    index: HNSW, queries: npt.NDArray[Any], *, k: int, target: float
) -> list[dict[str, Any]]:
    """Recall and speed for growing `ef`, up to the first that reaches `target`."""
    exact = FlatIndex(index.dim, metric=index.metric)
    exact.add(index.get(index.ids))
    k = min(k, len(index))
    # A hit at the distance of the last true neighbour is one, whichever of several it is.
    last = exact.search(queries, k).distances[:, -1:]
    last += 1e-6 * np.abs(last) + np.float32(1e-7)
    curve: list[dict[str, Any]] = []
    ef = k
    while True:
        start = time.perf_counter()
        found = index.search(queries, k, ef=ef)
        seconds = time.perf_counter() - start
        recall = float((found.distances <= last).mean())
        curve.append({"ef": ef, "recall": recall, "queries_per_second": len(queries) / seconds})
        if recall >= target or ef >= len(index):
            return curve
        ef = min(len(index), max(ef + 1, int(ef * 1.3)))
