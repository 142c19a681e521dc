"""What public functions accept as arrays, and what they say when it will not do.

Everything that enters the package passes here once: the right dtype and memory order goes
through without a copy, other numbers are cast once, anything else raises and says what was got,
what was expected and what to do.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__ = [
    "MaybeNone",
    "as_floats",
    "as_ids",
    "as_labels",
    "as_numbers",
    "check_bool",
    "check_choice",
    "check_int",
    "check_real",
    "check_skip",
]

# None is there only where an argument was left out or a file held nothing, which whoever left it in
# knows: checkers of types are to ask for no proof.
MaybeNone: TypeAlias = Any

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def as_numbers(value: object, name: str) -> npt.NDArray[Any]:
    """Return `value` as an array of whatever numbers it holds."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidArgumentError(
            f"{name} cannot be read as an array ({error}); its rows must have equal lengths"
        ) from None
    if array.dtype.kind not in "fiub":
        raise InvalidTypeError(
            f"{name} has dtype {array.dtype} but must be numeric; convert it to float32"
        )
    # numpy.frombuffer and fields of packed records begin anywhere; the core reads whole words.
    return array if array.flags.aligned else array.copy()


def as_floats(
    value: object,
    name: str,
    *,
    ndim: int | Sequence[int] = 2,
    dtype: npt.DTypeLike | None = None,
    columns: int | None = None,
) -> npt.NDArray[Any]:
    """Return `value` as a C-contiguous float array.

    Parameters
    ----------
    value : array_like
        Numbers. float32 and float64 stay what they are unless `dtype` is given; other numbers
        become float32.
    name : str
        What messages call it.
    ndim : int or sequence of int
        Allowed numbers of dimensions.
    dtype : dtype, optional
        float32 or float64.
    columns : int, optional
        Required length of the last axis.

    Raises
    ------
    InvalidTypeError
        Not numeric.
    InvalidArgumentError
        Wrong shape. NaN and infinity are looked for by the kernels, which name the row.
    """
    array = as_numbers(value, name)
    _check_ndim(array, name, ndim)
    if columns is not None and array.shape[-1] != columns:
        raise InvalidArgumentError(f"{name} has shape {array.shape} but needs {columns} columns")
    if dtype is None:
        dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.float32
    if array.dtype == dtype:
        return np.ascontiguousarray(array).reshape(array.shape)
    # What does not fit becomes infinite and is refused with its row.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=dtype).reshape(array.shape)


def as_ids(value: object, name: str, *, ndim: int | Sequence[int] = 1) -> npt.NDArray[np.int64]:
    """Return `value` as C-contiguous int64, refusing what does not fit exactly.

    Raises
    ------
    InvalidTypeError
        Not integers (an empty list passes).
    InvalidArgumentError
        Wrong number of dimensions, or beyond int64.
    """
    array = as_numbers(value, name)
    if array.size and array.dtype.kind not in "iu":
        raise InvalidTypeError(f"{name} has dtype {array.dtype} but must hold integers")
    _check_ndim(array, name, ndim)
    if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise InvalidArgumentError(f"{name} holds {int(array.max())}, which does not fit int64")
    return np.ascontiguousarray(array, dtype=np.int64)


def _check_ndim(array: npt.NDArray[Any], name: str, ndim: int | Sequence[int]) -> None:
    allowed = (ndim,) if isinstance(ndim, int) else tuple(ndim)
    if array.ndim not in allowed:
        expected = " or ".join(str(n) for n in allowed)
        raise InvalidArgumentError(
            f"{name} has shape {array.shape} but must have {expected} dimension(s)"
        )


def as_labels(value: object, name: str, *, count: int) -> npt.NDArray[np.int64]:
    """Return one integer label an item; -1 stands for none."""
    labels = as_ids(value, name)
    if len(labels) != count:
        raise InvalidArgumentError(f"{name} has {len(labels)} entries but there are {count} items")
    return labels


def check_bool(value: object, name: str) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidTypeError(f"{name} is {value!r} but must be True or False")
    return bool(value)


def check_int(value: object, name: str, *, low: int, high: int | None = None) -> int:
    """Return `value` as an int between `low` and `high`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InvalidTypeError(f"{name} is {value!r} but must be an integer")
    number = int(value)
    if number < low or (high is not None and number > high):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise InvalidArgumentError(f"{name} is {number} but must be {bounds}")
    return number


def check_real(
    value: object, name: str, *, low: float, high: float = float("inf"), open_low: bool = False
) -> float:
    """Return `value` as a finite float between `low` and `high`; `open_low` excludes `low`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InvalidTypeError(f"{name} is {value!r} but must be a number")
    number = float(value)
    inside = low < number if open_low else low <= number
    if not (inside and number <= high and np.isfinite(number)):
        above = f"greater than {low:g}" if open_low else f"at least {low:g}"
        below = "" if high == float("inf") else f" and at most {high:g}"
        raise InvalidArgumentError(f"{name} is {number:g} but must be finite, {above}{below}")
    return number


def check_choice(value: object, name: str, *, choices: Sequence[str]) -> str:
    """Return `value` if it is one of `choices`."""
    if isinstance(value, str) and value in choices:
        return value
    listed = ", ".join(repr(choice) for choice in choices)
    raise InvalidArgumentError(f"{name} is {value!r} but must be one of {listed}")


def check_skip(value: object) -> tuple[int, float]:
    """Return how many of the most similar `skip` passes over, and which share; one of them is 0."""
    if not isinstance(value, (float, np.floating)):
        return check_int(value, "skip", low=0, high=2**32), 0.0
    share = check_real(value, "skip", low=0.0)
    if share >= 1.0:
        raise InvalidArgumentError(
            f"skip is {share:g} but as a float it is a share below 1; give an int to skip a number"
        )
    return 0, share
