"""What a graph is made of, checked and brought into one form."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_ids
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.sparse import CSR

__all__ = [
    "canonical",
    "check_range",
    "edge_array",
    "edge_weights",
    "frozen",
    "node_features",
    "node_mask",
]


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a read-only copy."""
    copy: npt.NDArray[Any] = array.copy()
    copy.flags.writeable = False
    return copy


def edge_array(edges: object) -> npt.NDArray[np.int64]:
    """Return `edges` as int64 of shape (E, 2); an empty list passes."""
    array = np.asarray(edges) if isinstance(edges, (list, tuple)) and not edges else edges
    if isinstance(array, np.ndarray) and array.shape == (0,):
        return np.empty((0, 2), np.int64)
    pairs = as_ids(array, "edges", ndim=2)
    if pairs.shape[1] != 2:
        hint = "; transpose it" if pairs.shape[0] == 2 else ""
        raise InvalidArgumentError(f"edges has shape {pairs.shape} but must be (E, 2){hint}")
    return pairs


def check_range(ids: npt.NDArray[np.int64], count: int, name: str = "edges") -> None:
    """Refuse ids outside ``0 .. count - 1``."""
    if not ids.size:
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= count:
        raise InvalidArgumentError(
            f"{name} holds node {low if low < 0 else high} but there are {count} nodes, "
            f"0 to {count - 1}"
        )


def edge_weights(weights: object, count: int) -> npt.NDArray[np.float32]:
    """Return finite positive float32 weights, one for each edge."""
    array = as_floats(weights, "weights", ndim=1, dtype=np.float32)
    if len(array) != count:
        raise InvalidArgumentError(f"weights has {len(array)} entries but there are {count} edges")
    wrong = ~(np.isfinite(array) & (array > 0))
    if wrong.any():
        entry = int(np.argmax(wrong))
        raise InvalidArgumentError(
            f"weights is {array[entry]:g} at entry {entry} but must be finite and positive; "
            "leave out edges that do not count"
        )
    return array


def node_features(features: Any, count: int | None) -> CSR | npt.NDArray[Any]:
    """Return sparse or dense features, one row a node unless `count` is None."""
    result: CSR | npt.NDArray[Any]
    if isinstance(features, CSR):
        result = features
    elif callable(getattr(features, "tocsr", None)):
        result = CSR.from_scipy(features)
    else:
        dense = as_floats(features, "features")
        finite = np.isfinite(dense).all(axis=1)
        if not finite.all():
            raise InvalidArgumentError(
                f"features has NaN or infinity in row {int(np.argmin(finite))}; "
                "remove or replace it"
            )
        result = frozen(dense)
    if count is not None and result.shape[0] != count:
        raise InvalidArgumentError(
            f"features has shape {result.shape} but there are {count} nodes; "
            "it needs a row for each"
        )
    return result


def node_mask(mask: object, name: str, count: int) -> npt.NDArray[np.bool_]:
    """Return one boolean mask or several, read-only."""
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        raise InvalidTypeError(f"{name} has dtype {array.dtype} but must be bool")
    if array.ndim not in (1, 2) or array.shape[-1] != count:
        raise InvalidArgumentError(
            f"{name} has shape {array.shape} but must be ({count},) or (splits, {count})"
        )
    return frozen(array)


def canonical(
    pairs: npt.NDArray[np.int64], weights: npt.NDArray[np.float32] | None, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32] | None, int]:
    """Return sorted unique edges, the largest weight of each, and the number of loops dropped."""
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    proper = low != high
    keys = (low * count + high)[proper]
    loops = len(pairs) - len(keys)
    kept = None
    if weights is None:
        unique = np.unique(keys)
    else:
        unique, places = np.unique(keys, return_inverse=True)
        kept = np.zeros(len(unique), np.float32)
        np.maximum.at(kept, places, weights[proper])
    return np.stack([unique // count, unique % count], axis=1), kept, loops
