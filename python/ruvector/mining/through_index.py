"""The hardest negatives through an index, which finds most of them in a fraction of the time."""

import inspect
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ruvector.arrays import MaybeNone

__all__ = ["FoundNegatives", "SearchIndex", "nearest_through", "takes_ef"]

Ids = npt.NDArray[np.int64]

# A class of at most so many rows is fetched and dropped instead of filtered.
_FEW = 64


class SearchIndex(Protocol):
    """What mining needs of an index; `FlatIndex` and `HNSW` have it.

    One whose `search` also takes ``ef``, how widely it searches, is approximate: it finds all where
    `ef` is its number of rows. One whose `search` does not is exact.
    """

    @property
    def metric(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def ids(self) -> Ids: ...

    def search(self, queries: Any, k: int, *, where: Any = None) -> Any: ...


def takes_ef(index: SearchIndex) -> bool:
    """Return whether the index is approximate, so that a search can be told how wide to be."""
    parameters = inspect.signature(index.search).parameters.values()
    return any(p.name == "ef" or p.kind is p.VAR_KEYWORD for p in parameters)


class FoundNegatives(NamedTuple):
    """What a miner found through an index.

    Attributes
    ----------
    indices : (A, k) int64
        Ids of the index, distinct in a row; -1 fills where there are fewer.
    similarities : (A, k) float32
        Cosine or inner product with the anchor; -inf fills.
    counts : (A,) int64
        How many were found.
    recall : float or None
        Of a sample of anchors, the share of the exact negatives that were found; None where none
        were sampled.
    """

    indices: Ids
    similarities: npt.NDArray[np.float32]
    counts: Ids
    recall: float | MaybeNone


class Question(NamedTuple):
    """Anchors and who may not be theirs."""

    anchors: npt.NDArray[Any]
    # Ids not to be returned: of anchor i those from start[i] to start[i + 1].
    start: Ids
    forbidden: Ids
    # Classes of the anchors and of the index's rows, -1 for none.
    labels: Ids | None
    pool_labels: Ids | None

    def of(self, chosen: Ids) -> "Question":
        """Return the question of some anchors."""
        counts = np.diff(self.start)[chosen]
        start = np.concatenate([[0], np.cumsum(counts)])
        places = np.repeat(self.start[chosen] - start[:-1], counts) + np.arange(start[-1])
        labels = None if self.labels is None else self.labels[chosen]
        return Question(
            self.anchors[chosen], start, self.forbidden[places], labels, self.pool_labels
        )


def _search(
    index: SearchIndex,
    rows: npt.NDArray[Any],
    wanted: int,
    options: dict[str, Any],
    where: Any = None,
) -> tuple[Ids, npt.NDArray[np.float32]]:
    found = index.search(rows, wanted, where=where, **options)
    return found.ids, found.distances


def _keep(
    ids: Ids, distances: npt.NDArray[np.float32], bad: npt.NDArray[np.bool_], skip: int, k: int
) -> tuple[Ids, npt.NDArray[np.float32]]:
    """The first `k` after `skip` of what is not bad, in order."""
    order = np.argsort(bad, axis=1, kind="stable")[:, skip : skip + k]
    bad = np.take_along_axis(bad, order, 1)
    ids = np.where(bad, -1, np.take_along_axis(ids, order, 1))
    far = np.where(bad, np.inf, np.take_along_axis(distances, order, 1))
    short = k - ids.shape[1]
    if short > 0:
        ids = np.pad(ids, ((0, 0), (0, short)), constant_values=-1)
        far = np.pad(far, ((0, 0), (0, short)), constant_values=np.inf)
    return ids, far.astype(np.float32)


def _is_forbidden(question: Question, members: Ids, ids: Ids) -> npt.NDArray[np.bool_]:
    """Which of the found ids are on their anchor's list."""
    counts = np.diff(question.start)[members]
    bad = ids < 0
    if not counts.any():
        return bad
    starts = np.repeat(question.start[members], counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    listed = question.forbidden[starts + within]
    # Pairs of anchor and id by their ranks, which cannot overflow.
    known, listed = np.unique(listed, return_inverse=True)
    rank = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    is_known = known[rank] == ids
    keys = np.repeat(np.arange(len(members)), counts) * len(known) + listed
    own = np.arange(len(members))[:, None] * len(known) + rank
    return np.asarray(bad | (is_known & np.isin(own, keys)))


def nearest_through(
    index: SearchIndex, question: Question, *, k: int, skip: int, ef: int | None
) -> tuple[Ids, npt.NDArray[np.float32]]:
    """Ids and distances of the `k` nearest that each anchor may have, after `skip` of them.

    Anchors of a class with many rows search among the rows of other classes. Those of a class with
    few fetch as many rows more, and their class is dropped from what is found.
    """
    anchors, labels = question.anchors, question.labels
    options = {"ef": ef} if ef is not None and takes_ef(index) else {}
    ids = np.full((len(anchors), k), -1, np.int64)
    distances = np.full((len(anchors), k), np.inf, np.float32)
    stored = index.ids
    none = np.zeros(len(anchors), np.int64)
    own = none - 1 if labels is None else labels
    # Rows of the index by class: those of an anchor's class are a range of `by_class`.
    pool_labels = np.empty(0, np.int64) if question.pool_labels is None else question.pool_labels
    by_class = np.argsort(_short(pool_labels), kind="stable")
    first, last = (
        np.searchsorted(pool_labels, own, side=side, sorter=by_class) for side in ("left", "right")
    )
    sizes = np.where(own >= 0, last - first, 0)
    listed = np.diff(question.start)
    small = sizes <= _FEW
    extra = np.where(small, sizes, 0) + listed
    # Few different numbers of rows to fetch.
    steps = np.where(extra > 0, 1 << np.ceil(np.log2(np.maximum(extra, 1))).astype(np.int64), 0)
    groups = [np.flatnonzero(small & (steps == step)) for step in np.unique(steps[small])]
    groups.append(np.flatnonzero(~small))
    by_id = np.argsort(stored, kind="stable") if (sizes[small] > 0).any() else none
    for members in filter(len, groups):
        wanted = min(k + skip + int(extra[members].max()), len(stored))
        if wanted == 0:
            continue
        found = np.full((len(members), wanted), -1, np.int64)
        far = np.full((len(members), wanted), np.inf, np.float32)
        if small[members[0]]:
            found[:], far[:] = _search(index, anchors[members], wanted, options)
        else:
            allowed = np.ones(len(stored), bool)
            for places in _by_value(own[members]):
                some = members[places]
                mine = by_class[first[some[0]] : last[some[0]]]
                allowed[mine] = False
                found[places], far[places] = _search(index, anchors[some], wanted, options, allowed)
                allowed[mine] = True
        bad = _is_forbidden(question, members, found)
        if small[members[0]] and (sizes[members] > 0).any():
            place = np.searchsorted(stored, found, sorter=by_id)
            label = own[members][:, None]
            row = by_id[np.minimum(place, len(stored) - 1)]
            bad |= (pool_labels[row] == label) & (label >= 0)
        ids[members], distances[members] = _keep(found, far, bad, skip, k)
    return ids, distances


def _short(values: Ids) -> npt.NDArray[np.integer[Any]]:
    """The same values as 16 bits if these hold them, which sort in a tenth of the time."""
    limits = np.iinfo(np.int16)
    if len(values) and limits.min <= values.min() and values.max() <= limits.max:
        return values.astype(np.int16)
    return values


def _by_value(values: Ids) -> list[Ids]:
    """The places of each value."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)
