"""Reading what hnswlib saved.

The format has no magic number, version, metric or checksum, so every number is compared with
every other one and with the size of the file before it is used.
"""

import os
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.errors import CorruptFileError

__all__ = ["HnswlibFile", "read_hnswlib"]

# offset of level 0, most elements, elements, bytes an element, offsets of label and vector; top
# level, entry point; links above level 0, on level 0 and asked for; 1 / ln(M), ef_construction
_HEADER = struct.Struct("<6QiI3QdQ")
_LINK = 4
_DELETED = 1


class HnswlibFile(NamedTuple):
    """What a file holds: deleted elements are left out."""

    vectors: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]
    m: int
    ef_construction: int


def read_hnswlib(path: str | os.PathLike[str], dim: int) -> HnswlibFile:
    """Read vectors, labels and parameters of an index of hnswlib 0.8.

    Parameters
    ----------
    path : path_like
        What ``hnswlib.Index.save_index`` wrote on a 64-bit little-endian machine.
    dim : int
        Dimensions of its vectors.

    Returns
    -------
    HnswlibFile
        In the order of insertion.

    Raises
    ------
    CorruptFileError
        Not such a file, damaged, or of other dimensions.
    OSError
        It cannot be read.
    """
    name = os.fspath(path)
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise _refused(name, f"it has {size} bytes, less than a header")
        level0, most, count, stride, label, vector, top, entry, m_upper, m_base, m, _, ef = (
            _HEADER.unpack(header)
        )
        width = label - vector
        if level0 != 0 or vector != _LINK * (m_base + 1) or stride != label + 8 or width <= 0:
            raise _refused(name, "the numbers of its header contradict each other")
        if width != 4 * dim:
            advice = f"; pass dim={width // 4}" if width % 4 == 0 else ""
            raise _refused(
                name, f"its vectors have {width} bytes, which are not {dim} float32 values{advice}"
            )
        if count > most or count * stride > size - _HEADER.size:
            raise _refused(name, f"it claims {count} elements of {stride} bytes in {size} bytes")
        if count and (entry >= count or top < 0):
            raise _refused(name, "its entry point does not exist")
        elements = np.fromfile(file, np.uint8, count * stride).reshape(count, stride)
        _check_upper(file.read(), count, _LINK * (m_upper + 1), name)

    kept = (elements[:, 2] & _DELETED) == 0
    labels = np.ascontiguousarray(elements[kept, label:]).view("<u8").ravel()
    if (labels > np.iinfo(np.int64).max).any():
        raise _refused(name, "a label is beyond int64's largest, 2**63 - 1")
    ids = labels.astype(np.int64)
    if len(np.unique(ids)) < len(ids):
        raise _refused(name, "a label occurs twice")
    vectors = np.ascontiguousarray(elements[kept, vector:label]).view("<f4")
    return HnswlibFile(vectors.reshape(-1, dim).astype(np.float32, copy=False), ids, m, ef)


def _check_upper(lists: bytes, count: int, size: int, name: str) -> None:
    """Walk over the lists above level 0: for each element their bytes, then themselves."""
    at = 0
    for _ in range(count):
        end = at + _LINK
        length = int.from_bytes(lists[at:end], "little")
        if end > len(lists) or length % size > 0:
            break
        at = end + length
    else:
        if at == len(lists):
            return
    raise _refused(name, "its links above level 0 do not end with the file")


def _refused(name: str, problem: str) -> CorruptFileError:
    return CorruptFileError(f"{name} is no index file of hnswlib, or damaged: {problem}")
