"""What a miner is, so that users can write their own."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_ids, as_labels
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.mining.exclude import as_lists
from ruvector.mining.hard import MinedNegatives
from ruvector.mining.triplets import MinedTriplets

__all__ = ["FunctionMiner", "Miner", "MiningFunction", "as_miner", "cosines", "pair_cosines"]

MiningFunction = Callable[[npt.NDArray[Any], npt.NDArray[np.int64] | None], Any]


@runtime_checkable
class Miner(Protocol):
    """Anything with a `mine` that takes embeddings and returns negatives by row numbers."""

    def mine(
        self,
        anchors: npt.ArrayLike,
        *,
        labels: npt.ArrayLike | None = None,
        exclude: Sequence[npt.ArrayLike] | None = None,
    ) -> Any: ...


class FunctionMiner:
    """A user's own miner: a Python function of embeddings and labels.

    Parameters
    ----------
    function : callable
        Called with the embeddings (N, d) and the labels (N,) or None. It returns either an integer
        array (N, k), the negatives of each row with -1 where there are fewer, or three integer
        arrays of one length, the rows of triplets.

    Raises
    ------
    InvalidTypeError
        Not callable.

    Notes
    -----
    What comes back is checked: row numbers in range, no row its own negative, no negative twice in
    a row. Rows that `exclude` names are dropped.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.mining import FunctionMiner
    >>> def next_row(embeddings, labels):
    ...     return (np.arange(len(embeddings)) + 1)[:, None] % len(embeddings)
    >>> FunctionMiner(next_row).mine(np.eye(3)).indices.ravel()
    array([1, 2, 0])
    """

    def __init__(self, function: MiningFunction) -> None:
        if not callable(function):
            raise InvalidTypeError(
                f"function is a {type(function).__name__} but must be callable with embeddings "
                "and labels"
            )
        self.function = function

    def __repr__(self) -> str:
        # A function's own repr holds an address, which differs from run to run.
        name = getattr(self.function, "__qualname__", None) or repr(self.function)
        return f"FunctionMiner({name})"

    def mine(
        self,
        anchors: npt.ArrayLike,
        *,
        labels: npt.ArrayLike | None = None,
        exclude: Sequence[npt.ArrayLike] | None = None,
    ) -> MinedNegatives | Any:
        """Call the function and check what it returns.

        Parameters
        ----------
        anchors : (N, d) array
            Embeddings; the function gets them as a float array.
        labels : (N,) integers, optional
            Classes; -1 for none.
        exclude : (indptr, indices), optional
            CSR lists of rows that must not be returned, such as a graph's neighbours.

        Returns
        -------
        MinedNegatives or MinedTriplets
            By what the function returns. Similarities are cosines, distances one less these.

        Raises
        ------
        InvalidArgumentError
            `exclude` has a wrong indptr or a row outside the embeddings. What the function returned
            names a row outside the embeddings, a row itself, or a negative twice; or has a wrong
            shape.
        InvalidTypeError
            It is not integers.
        """
        rows = as_floats(anchors, "anchors")
        classes = None if labels is None else as_labels(labels, "labels", count=len(rows))
        banned = None if exclude is None else _banned(exclude, len(rows))
        answer = self.function(rows, classes)
        if isinstance(answer, tuple):
            return _triplets(answer, rows, banned)
        return _negatives(answer, rows, banned)


def as_miner(miner: Miner | MiningFunction) -> Miner:
    """Return `miner` if it has `mine`, else the function as a :class:`FunctionMiner`."""
    if isinstance(miner, Miner):
        return miner
    return cast(Miner, FunctionMiner(miner))


def _banned(exclude: Sequence[npt.ArrayLike], count: int) -> npt.NDArray[np.int64]:
    """Excluded pairs as sorted keys, ``row · count + other``."""
    indptr, indices = as_lists(exclude, anchors=count, pool=count)
    return np.sort(np.repeat(np.arange(count), np.diff(indptr)) * count + indices)


def cosines(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the cosines of rows that stand at the same places; 0 for a row of zeros.

    Memory beside the result does not grow with the number of rows.
    """
    found = np.empty(len(left), np.float32)
    for part in _blocks(*left.shape):
        found[part] = np.einsum("nd,nd->n", _units(left[part]), _units(right[part]))
    return found


def pair_cosines(
    rows: npt.NDArray[Any], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return the cosines of pairs of rows, given by their numbers in arrays of one shape.

    Each row is normalised once, however many pairs it is in. Beside the result there is one copy
    of the rows in float64.
    """
    units = _units(rows)
    found = np.empty(left.size, np.float32)
    first, second = left.reshape(-1), right.reshape(-1)
    for part in _blocks(left.size, rows.shape[1]):
        found[part] = np.einsum("nd,nd->n", units[first[part]], units[second[part]])
    return found.reshape(left.shape)


def _blocks(count: int, columns: int) -> Iterator[slice]:
    """Pieces of so many rows that a few copies of one stay in a processor's cache."""
    step = max(1, 2**15 // max(1, columns))
    return (slice(start, start + step) for start in range(0, count, step))


def _units(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    # Squares of the largest and smallest values would leave the range.
    largest = np.abs(rows).max(axis=-1, initial=0)[..., None].astype(np.float64)
    units = np.divide(rows, largest, out=np.zeros(rows.shape), where=largest > 0)
    norms = np.linalg.norm(units, axis=-1)[..., None]
    return np.asarray(np.divide(units, norms, out=units, where=norms > 0), np.float64)


def _check_range(array: npt.NDArray[np.int64], count: int, low: int) -> None:
    outside = array[(array < low) | (array >= count)]
    if outside.size:
        raise InvalidArgumentError(
            f"the miner returned row {outside[0]} but there are {count} rows"
        )


def _negatives(
    answer: Any, rows: npt.NDArray[Any], banned: npt.NDArray[np.int64] | None
) -> MinedNegatives:
    found = as_ids(answer, "what the miner returned", ndim=2)
    count = len(rows)
    if len(found) != count:
        raise InvalidArgumentError(
            f"the miner returned shape {found.shape} but needs a row for each of {count} anchors"
        )
    _check_range(found, count, -1)
    own = np.arange(count)[:, None]
    if (found == own).any():
        raise InvalidArgumentError("the miner returned a row as its own negative")
    ordered = np.sort(found, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise InvalidArgumentError("the miner returned a negative twice for one anchor")
    bad = found < 0
    if banned is not None:
        bad |= np.isin(own * count + found, banned)
    order = np.argsort(bad, axis=1, kind="stable")
    bad = np.take_along_axis(bad, order, 1)
    found = np.take_along_axis(found, order, 1)
    similarities = pair_cosines(rows, np.broadcast_to(own, found.shape), np.maximum(found, 0))
    return MinedNegatives(
        np.where(bad, -1, found),
        np.where(bad, np.float32(-np.inf), similarities),
        np.count_nonzero(~bad, axis=1).astype(np.int64),
    )


def _triplets(
    answer: tuple[Any, ...], rows: npt.NDArray[Any], banned: npt.NDArray[np.int64] | None
) -> MinedTriplets:
    if len(answer) != 3:
        raise InvalidArgumentError(
            f"the miner returned {len(answer)} arrays but triplets are three: anchors, positives "
            "and negatives"
        )
    a, p, n = (as_ids(part, "what the miner returned") for part in answer)
    if not len(a) == len(p) == len(n):
        raise InvalidArgumentError(
            f"the miner returned {len(a)} anchors, {len(p)} positives and {len(n)} negatives"
        )
    for part in (a, p, n):
        _check_range(part, len(rows), 0)
    if ((a == n) | (a == p) | (p == n)).any():
        raise InvalidArgumentError("the miner returned a triplet that has a row twice")
    if banned is not None:
        kept = ~np.isin(a * len(rows) + n, banned)
        a, p, n = a[kept], p[kept], n[kept]
    return MinedTriplets(
        a, p, n, 1 - pair_cosines(rows, a, p), 1 - pair_cosines(rows, a, n), 0, 0, 0
    )
