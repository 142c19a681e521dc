"""Named arrays: what optimisers and clipping accept as parameters and gradients."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_numbers
from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__: list[str] = []

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array] | Sequence[Array] | Array


def named(arrays: Arrays, what: str) -> dict[str, Any]:
    """Return `arrays` by name; a list's names are its positions, a single array's is "0"."""
    if isinstance(arrays, Mapping):
        wrong = [name for name in arrays if not isinstance(name, str)]
        if wrong:
            raise InvalidTypeError(f"{what} has the key {wrong[0]!r} but names must be strings")
        return dict(arrays)
    if isinstance(arrays, (list, tuple)):
        return {str(i): array for i, array in enumerate(arrays)}
    if isinstance(arrays, (np.ndarray, np.generic)):
        return {"0": arrays}
    raise InvalidTypeError(
        f"{what} is a {type(arrays).__name__} but must be a mapping of names to arrays, "
        "a list of arrays or an array"
    )


def writable(params: Arrays) -> dict[str, Array]:
    """Return parameters that can be updated in place, refusing all others."""
    found = named(params, "params")
    if not found:
        raise InvalidArgumentError("params holds no arrays; give at least one to optimise")
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise InvalidTypeError(
                f"params[{name!r}] is a {type(array).__name__} but must be a NumPy array, "
                "because it is updated in place"
            )
        if not array.dtype.isnative or array.dtype not in (np.float32, np.float64):
            raise InvalidTypeError(
                f"params[{name!r}] has dtype {array.dtype} but must be float32 or float64"
            )
        if not array.flags.c_contiguous:
            raise InvalidArgumentError(
                f"params[{name!r}] is not C-contiguous and cannot be updated in place; "
                "use numpy.ascontiguousarray and keep its result"
            )
        if not (array.flags.writeable and array.flags.aligned):
            raise InvalidArgumentError(
                f"params[{name!r}] is read-only or unaligned and cannot be updated in place; "
                "use its copy()"
            )
    _refuse_overlap(found)
    return found


def _refuse_overlap(params: Mapping[str, Array]) -> None:
    # Contiguous arrays overlap exactly where their ranges of bytes do.
    spans = sorted(
        (array.ctypes.data, array.ctypes.data + array.nbytes, name)
        for name, array in params.items()
        if array.size
    )
    for (_, end, name), (start, _, other) in pairwise(spans):
        if start < end:
            raise InvalidArgumentError(
                f"params[{name!r}] and params[{other!r}] share memory; give each array once"
            )


def zeros_beside(param: Array, *, line: int = 64) -> Array:
    """Return as many zeros as `param` has values, flat.

    They begin as many bytes into a cache line as `param` does, so that a step can read and write
    whole lines of both.
    """
    raw = np.zeros(param.nbytes + line, np.uint8)
    start = (param.ctypes.data - raw.ctypes.data) % line
    zeros: Array = raw[start : start + param.nbytes].view(param.dtype)
    return zeros


def same_names(found: Mapping[str, object], params: Mapping[str, Array]) -> None:
    """Raise unless there is a gradient of every parameter and no other."""
    unknown = [name for name in found if name not in params]
    if unknown:
        raise InvalidArgumentError(
            f"gradients has {unknown[0]!r}, which is none of the parameters: {_listed(params)}"
        )
    missing = [name for name in params if name not in found]
    if missing:
        raise InvalidArgumentError(
            f"gradients lacks {missing[0]!r}; give every parameter's gradient at every step "
            "(zeros where a loss does not depend on it)"
        )


def matching(
    gradients: Arrays, params: Mapping[str, Array], *, finite: bool = True
) -> dict[str, Array]:
    """Return one flat gradient a parameter, in the order of the parameters; checked if `finite`."""
    found = named(gradients, "gradients")
    same_names(found, params)
    flat = {}
    for name, param in params.items():
        gradient = as_numbers(found[name], f"gradients[{name!r}]")
        if gradient.dtype != param.dtype:
            raise InvalidTypeError(
                f"gradients[{name!r}] has dtype {gradient.dtype} "
                f"but the parameter is {param.dtype}; cast it with astype"
            )
        if gradient.shape != param.shape:
            raise InvalidArgumentError(
                f"gradients[{name!r}] has shape {gradient.shape} "
                f"but the parameter has {param.shape}"
            )
        flat[name] = np.ascontiguousarray(gradient).reshape(-1)
        if np.may_share_memory(flat[name], param):
            flat[name] = flat[name].copy()
    if finite:
        for name, gradient in flat.items():
            check_finite(name, gradient, params[name].shape)
    return flat


def check_finite(name: str, flat: Array, shape: tuple[int, ...]) -> None:
    """Raise with the place of the first NaN or infinity."""
    at = _core.first_not_finite(flat)
    if at is not None:
        place = tuple(int(i) for i in np.unravel_index(at, shape))
        raise InvalidArgumentError(
            f"gradients[{name!r}] is {flat[at]} at {place}; nothing was changed"
        )


def _listed(params: Mapping[str, Array], most: int = 10) -> str:
    names = [repr(name) for name in params]
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
