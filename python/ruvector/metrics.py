"""How good scores, rankings and embeddings are."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_ids, as_labels, check_int
from ruvector.errors import InvalidArgumentError
from ruvector.index import FlatIndex

__all__ = [
    "average_precision",
    "mean_reciprocal_rank",
    "neighbour_accuracy",
    "recall_at_k",
    "roc_auc",
]

# Values of a block of similarities or comparisons: 32 MiB of float64.
_BLOCK = 1 << 22


def _binary(
    labels: npt.ArrayLike, scores: npt.ArrayLike
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
    array = as_floats(scores, "scores", ndim=1, dtype=np.float64)
    flags = as_labels(labels, "labels", count=len(array)) if not _is_bool(labels) else None
    if flags is None:
        truth = np.asarray(labels)
        if truth.shape != array.shape:
            raise InvalidArgumentError(
                f"labels has shape {truth.shape} but scores has {array.shape}"
            )
    else:
        wrong = flags[(flags != 0) & (flags != 1)]
        if wrong.size:
            raise InvalidArgumentError(f"labels holds {wrong[0]} but must be 0 or 1")
        truth = flags == 1
    if not np.isfinite(array).all():
        at = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InvalidArgumentError(f"scores is {array[at]} at {at} but must be finite")
    return truth, array


def _is_bool(labels: npt.ArrayLike) -> bool:
    return np.asarray(labels).dtype == np.bool_


def _cumulative(
    truth: npt.NDArray[np.bool_], scores: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positives and items above each distinct score, highest first; equal scores count at once."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return np.cumsum(truth[order], dtype=np.int64)[last], last + 1


def roc_auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Chance that a positive scores above a negative, a tie counting one half.

    Parameters
    ----------
    labels : (n,) bool or integers 0 and 1
        Which items are positive.
    scores : (n,) array
        Larger means more likely positive; finite.

    Returns
    -------
    float
        In 0 to 1; one half for scores that tell nothing.

    Raises
    ------
    InvalidArgumentError
        Other labels, other lengths, NaN, or only one of the two classes.

    Notes
    -----
    O(n log n). The area under the receiver operating characteristic.

    References
    ----------
    Fawcett (2006), An introduction to ROC analysis.

    Examples
    --------
    >>> from ruvector.metrics import roc_auc
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    truth, values = _binary(labels, scores)
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        raise InvalidArgumentError(
            f"labels has {positives} positives and {negatives} negatives but needs both"
        )
    hits, items = _cumulative(truth, values)
    misses = items - hits
    # Trapezoids: those of equal scores are halves.
    widths = np.diff(misses, prepend=0).astype(np.float64)
    heights = hits + np.concatenate([[0], hits[:-1]])
    return float((widths * heights).sum() / (2.0 * positives * negatives))


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Mean of the precision at each positive's rank, items of equal score ranked together.

    ``Σ (Rₙ - Rₙ₋₁) Pₙ`` over the distinct scores from high to low, without interpolation, as in
    scikit-learn.

    Parameters
    ----------
    labels : (n,) bool or integers 0 and 1
        Which items are positive.
    scores : (n,) array
        Larger means more likely positive; finite.

    Returns
    -------
    float
        In 0 to 1; about the share of positives for scores that tell nothing.

    Raises
    ------
    InvalidArgumentError
        Other labels, other lengths, NaN, or no positive.

    Notes
    -----
    O(n log n).

    References
    ----------
    Davis and Goadrich (2006), The relationship between precision-recall and ROC curves.

    Examples
    --------
    >>> from ruvector.metrics import average_precision
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    truth, values = _binary(labels, scores)
    positives = int(truth.sum())
    if positives == 0:
        raise InvalidArgumentError("labels has no positive")
    hits, items = _cumulative(truth, values)
    return float((np.diff(hits, prepend=0) * (hits / items)).sum() / positives)


def _id_rows(ids: npt.ArrayLike, name: str) -> npt.NDArray[np.int64]:
    array = np.asarray(ids)
    return as_ids(array[np.newaxis] if array.ndim == 1 else array, name, ndim=2)


def _found_and_true(
    found_ids: npt.ArrayLike, true_ids: npt.ArrayLike
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    found, true = _id_rows(found_ids, "found_ids"), _id_rows(true_ids, "true_ids")
    if len(found) != len(true):
        raise InvalidArgumentError(f"found_ids has {len(found)} rows but true_ids has {len(true)}")
    if not (true != -1).any():
        raise InvalidArgumentError("true_ids holds no id; there is nothing to be found")
    return found, true


def recall_at_k(found_ids: npt.ArrayLike, true_ids: npt.ArrayLike) -> float:
    """Share of the true ids that were found, over all queries together.

    Parameters
    ----------
    found_ids : (n, k) or (k,) integers
        What a search returned; -1 fills.
    true_ids : (n, m) or (m,) integers
        What an exact search returns, distinct in a row; -1 fills.

    Returns
    -------
    float
        In 0 to 1.

    Raises
    ------
    InvalidArgumentError
        Another number of rows, or no true id.
    InvalidTypeError
        Not integers.

    Notes
    -----
    O(n · k · m), in blocks. An id found twice counts once.

    Examples
    --------
    >>> from ruvector.metrics import recall_at_k
    >>> recall_at_k([[1, 2, 3], [7, 8, -1]], [[3, 2, 9], [7, 8, 5]])
    0.6666666666666666
    """
    found, true = _found_and_true(found_ids, true_ids)
    rows = max(1, _BLOCK // max(1, found.shape[1] * true.shape[1]))
    hits = 0
    for start in range(0, len(true), rows):
        wanted = true[start : start + rows]
        equal = wanted[:, :, np.newaxis] == found[start : start + rows, np.newaxis]
        hits += int((equal.any(axis=2) & (wanted != -1)).sum())
    return hits / int((true != -1).sum())


def mean_reciprocal_rank(found_ids: npt.ArrayLike, true_ids: npt.ArrayLike) -> float:
    """Mean over queries of 1 over the rank of the first true id, 0 where none was found.

    Parameters
    ----------
    found_ids : (n, k) integers
        Results in order, best first; -1 fills.
    true_ids : (n,) or (n, m) integers
        What should be found; -1 fills. Queries without any true id are left out.

    Returns
    -------
    float
        In 0 to 1.

    Raises
    ------
    InvalidArgumentError
        Another number of rows, or no true id.
    InvalidTypeError
        Not integers.

    Notes
    -----
    O(n · k · m), in blocks.

    References
    ----------
    Voorhees (1999), The TREC-8 question answering track report.

    Examples
    --------
    >>> from ruvector.metrics import mean_reciprocal_rank
    >>> mean_reciprocal_rank([[4, 2], [1, 3], [5, 6]], [4, 3, 9])
    0.5
    """
    wanted = np.asarray(true_ids)
    found, true = _found_and_true(
        as_ids(found_ids, "found_ids", ndim=2),
        wanted[:, np.newaxis] if wanted.ndim == 1 else wanted,
    )
    asked = (true != -1).any(axis=1)
    rows = max(1, _BLOCK // max(1, found.shape[1] * true.shape[1]))
    total = 0.0
    for start in range(0, len(true), rows):
        results = found[start : start + rows]
        equal = results[:, :, np.newaxis] == true[start : start + rows, np.newaxis]
        hit = equal.any(axis=2) & (results != -1)
        if hit.shape[1]:
            total += float((hit.any(axis=1) / (1 + hit.argmax(axis=1))).sum())
    return total / int(asked.sum())


def neighbour_accuracy(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    k: int = 10,
    max_rows: int | None = None,
    seed: int = 0,
) -> float:
    """Mean share of a labelled row's `k` nearest labelled others that carry its label.

    Parameters
    ----------
    embeddings : (n, d) array
        Finite; compared by cosine, in which a row of zeros has similarity 0 to everything.
    labels : (n,) integers
        Classes; rows with -1 are left out, also as neighbours.
    k : int
        Neighbours of a row; all others where there are fewer.
    max_rows : int, optional
        Where there are more labelled rows, take the mean over so many of them, drawn without
        replacement; their neighbours are still looked for among all. The default takes every row.
    seed : int
        Of that draw.

    Returns
    -------
    float
        In 0 to 1; about Σ pᵢ² over the classes' shares for embeddings that tell nothing.

    Raises
    ------
    InvalidArgumentError
        Wrong shapes, NaN or infinity, fewer than two labelled rows.
    InvalidTypeError
        Not numbers.

    Notes
    -----
    Exact search in float32: O(n d min(n, max_rows)) operations on all threads; no n × n matrix is
    made. A mean over `max_rows` rows has a standard error of at most ``0.5 / √max_rows``.

    Examples
    --------
    >>> from ruvector.metrics import neighbour_accuracy
    >>> neighbour_accuracy([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], [0, 0, 1, 1], k=1)
    1.0
    """
    vectors = as_floats(embeddings, "embeddings")
    classes = as_labels(labels, "labels", count=len(vectors))
    k = check_int(k, "k", low=1)
    most = None if max_rows is None else check_int(max_rows, "max_rows", low=1)
    seed = check_int(seed, "seed", low=0)
    if vectors.shape[1] == 0:
        raise InvalidArgumentError(f"embeddings has shape {vectors.shape} but needs a column")
    keep = classes != -1
    vectors, classes = vectors[keep], classes[keep]
    count = len(vectors)
    if count < 2:
        raise InvalidArgumentError(f"labels names {count} labelled rows but two are needed")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(keep)[np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0]])
        raise InvalidArgumentError(f"embeddings has NaN or infinity in row {row}")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = (vectors / np.where(norms > 0, norms, 1.0)).astype(np.float32)
    k = min(k, count - 1)
    index = FlatIndex(unit.shape[1], metric="ip")
    index.add(unit)
    asked = np.arange(count)
    if most is not None and most < count:
        asked = np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    same = 0
    rows = max(1, _BLOCK // (k + 1))
    for start in range(0, len(asked), rows):
        own = asked[start : start + rows, np.newaxis]
        found = index.search(unit[own[:, 0]], k + 1).ids
        # Among more than k rows as similar a row itself may be missing: then the last one goes.
        last = found == found[:, -1:]
        is_own = found == own
        others = found[~np.where(is_own.any(axis=1, keepdims=True), is_own, last)].reshape(-1, k)
        same += int((classes[others] == classes[own]).sum())
    return same / (len(asked) * k)
