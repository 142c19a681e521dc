"""Choosing ef from sample queries."""

import logging
import time
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ruvector.errors import InvalidArgumentError
from ruvector.index.results import SearchResult, TuneResult, TuneStep
from ruvector.index.where import Where

__all__ = ["Searchable", "choose_ef"]

_log = logging.getLogger(__name__)


class Searchable(Protocol):
    """What tuning needs of an index."""

    def __len__(self) -> int: ...

    def search(
        self,
        queries: npt.ArrayLike,
        k: int = 10,
        *,
        ef: int | None = None,
        where: Where | None = None,
    ) -> SearchResult:
        """Find the nearest vectors of each query."""
        ...


def choose_ef(
    index: Searchable,
    queries: npt.NDArray[np.float32],
    k: int,
    *,
    target_recall: float,
    max_ef: int,
    where: Any,
) -> TuneResult:
    """Double ef until the target is reached, then halve the interval down to one value."""
    rows = len(index)
    if rows == 0 or len(queries) == 0:
        what = "the index is empty" if rows == 0 else "queries is empty"
        raise InvalidArgumentError(f"{what} but tuning needs vectors to find and queries for them")
    # A pool of every row is filled by comparing with every row.
    truth = index.search(queries, k, ef=rows, where=where)
    if not truth.counts.any():
        raise InvalidArgumentError("where matches no vector but tuning needs vectors to find")
    steps: dict[int, TuneStep] = {}

    def reaches(ef: int) -> bool:
        start = time.perf_counter()
        found = index.search(queries, k, ef=ef, where=where)
        seconds = max(time.perf_counter() - start, 1e-9)
        steps[ef] = TuneStep(ef, _recall(found, truth), len(queries) / seconds)
        return steps[ef].recall >= target_recall

    # Below k the search raises it; from rows on nothing changes.
    low, high = min(k, rows, max_ef), min(rows, max_ef)
    failed, ef = low - 1, low
    while not reaches(ef) and ef < high:
        failed, ef = ef, min(2 * ef, high)
    while steps[ef].recall >= target_recall and ef - failed > 1:
        middle = (failed + ef) // 2
        if reaches(middle):
            ef = middle
        else:
            failed = middle
    table = sorted(steps.values())
    reached = steps[ef].recall >= target_recall
    if not reached:
        ef = max(table, key=lambda step: step.recall).ef
        _log.warning(
            "recall %g is not reached: the highest is %g at ef=%d; raise max_ef (%d), or build "
            "with more m or ef_construction",
            target_recall,
            steps[ef].recall,
            ef,
            max_ef,
        )
    return TuneResult(ef, steps[ef].recall, reached, table)


def _recall(found: SearchResult, truth: SearchResult) -> float:
    """Return the share of the true hits that was found; one as near as the furthest counts."""
    last = np.maximum(truth.counts - 1, 0)[:, None]
    bound = np.take_along_axis(truth.distances, last, axis=1)
    # Other ways to the same distance may round differently.
    near = found.distances <= bound + 1e-5 * np.abs(bound)
    hits = np.minimum((near & (found.ids >= 0)).sum(axis=1), truth.counts)
    return float(hits.sum() / truth.counts.sum())
