"""Which vectors a search may return."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ruvector._core import Filter as CoreFilter
from ruvector.arrays import as_ids, as_numbers
from ruvector.errors import InvalidArgumentError

__all__ = ["Filter", "Where", "as_where"]


class Filter:
    """Ids to search among, looked up once for many searches; `index.filter` makes one.

    Worth it from some hundred ids on: looking up an id takes 30 to 70 ns, looking whether a filter
    still fits 1 ns an id. It fits any index at any time: what was looked up is compared with the
    index before each search and looked up again if vectors have been added, removed or moved.

    Notes
    -----
    Holds ids, not positions: vectors added later under an id of the filter belong to it.
    """

    __slots__ = ("_core",)

    def __init__(self, core: CoreFilter) -> None:
        self._core = core

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """A fresh array of the ids, rising, each once; those that are not stored match nothing."""
        return self._core.ids()

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        return f"Filter({len(self)} ids)"


Where: TypeAlias = npt.ArrayLike | Filter


def as_where(value: object) -> CoreFilter | npt.NDArray[np.int64] | npt.NDArray[np.bool_]:
    """Return ids as int64, a mask as bool, a filter as what it wraps."""
    if isinstance(value, Filter):
        return value._core
    array = as_numbers(value, "where")
    if array.dtype != np.bool_:
        return as_ids(value, "where")
    if array.ndim != 1:
        raise InvalidArgumentError(f"where has shape {array.shape} but must have 1 dimension(s)")
    return np.ascontiguousarray(array)
