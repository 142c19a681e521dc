"""Named arrays in one file of the safetensors layout, which any other reader of it understands.

Eight bytes with the header's length, the header as JSON, then the raw little-endian values.
The layout is that of https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.errors import CorruptFileError, InvalidArgumentError, InvalidTypeError

__all__ = ["load_safetensors", "load_safetensors_metadata", "save_safetensors"]

_DTYPES = {
    "BOOL": "|b1", "F16": "<f2", "F32": "<f4", "F64": "<f8", "I8": "|i1", "I16": "<i2",
    "I32": "<i4", "I64": "<i8", "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}

#: No header of a file worth reading is longer; the reference reader has the same bound.
_MAX_HEADER = 100_000_000


def save_safetensors(
    arrays: Mapping[str, npt.NDArray[Any]],
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write `arrays` to `path`, replacing a file that is there.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Booleans, integers or floats of any shape.
    path : path-like
        Where to.
    metadata : mapping of str to str, optional
        Words kept in the header.

    Raises
    ------
    InvalidTypeError
        An array of a dtype that the layout has no name for.
    InvalidArgumentError
        A name that the layout keeps for itself.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    blocks = []
    offset = 0
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if name == "__metadata__":
            raise InvalidArgumentError("an array may not be called '__metadata__' in this layout")
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        if little.dtype not in _NAMES:
            raise InvalidTypeError(f"array {name!r} has dtype {array.dtype}; use numbers or bool")
        header[name] = {
            "dtype": _NAMES[little.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + little.nbytes],
        }
        offset += little.nbytes
        blocks.append(little)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # aligns the values
    with Path(path).open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for block in blocks:
            file.write(block.tobytes())
        file.flush()
        os.fsync(file.fileno())


def load_safetensors(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays that `path` holds.

    Raises
    ------
    CorruptFileError
        The file is truncated, damaged or not of this layout. Nothing larger than the file itself
        is ever allocated.
    """
    data = Path(path).read_bytes()
    try:
        return _parse(data)
    except _DAMAGE as error:
        raise _corrupt(path, error) from None


def load_safetensors_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the words that the header of `path` keeps, without the arrays.

    Raises
    ------
    CorruptFileError
        The file is truncated, damaged or not of this layout.
    """
    size = Path(path).stat().st_size
    try:
        with Path(path).open("rb") as file:
            start = file.read(8)
            length = _header_length(start, size)
            words = json.loads(file.read(length)).get("__metadata__", {})
        if not all(isinstance(word, str) for pair in words.items() for word in pair):
            raise ValueError("its metadata are no words")
        return dict(words)
    except _DAMAGE as error:
        raise _corrupt(path, error) from None


_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


def _corrupt(path: str | os.PathLike[str], error: Exception) -> CorruptFileError:
    return CorruptFileError(
        f"{os.fspath(path)} is not a whole safetensors file ({error}); "
        "restore it from a copy or train again"
    )


def _header_length(start: bytes, size: int) -> int:
    length = int.from_bytes(start[:8], "little")
    if size < 8 or length > min(size - 8, _MAX_HEADER):
        raise ValueError(f"{size} bytes cannot hold the header")
    return length


def _parse(data: bytes) -> dict[str, npt.NDArray[Any]]:
    length = _header_length(data, len(data))
    header = json.loads(data[8 : 8 + length])
    values = memoryview(data)[8 + length :]
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        shape = entry["shape"]
        if not all(type(n) is int for n in [*shape, start, end]):
            raise ValueError(f"the entry of {name!r} has sizes that are no integers")
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        inside = 0 <= start <= end <= len(values) and all(n >= 0 for n in shape)
        if not inside or math.prod(shape) * dtype.itemsize != end - start:
            raise ValueError(f"the entry of {name!r} does not fit the file")
        arrays[name] = np.frombuffer(values[start:end], dtype=dtype).reshape(shape).copy()
    return arrays
