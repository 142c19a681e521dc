"""Graphs in files: NumPy archives and lists of edges."""

import logging
import zipfile
import zlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.errors import CorruptFileError, RuvectorError
from ruvector.graph import Graph
from ruvector.sparse import CSR

__all__ = ["read_array", "read_edges", "read_npz", "write_npz"]

_log = logging.getLogger(__name__)

_SPARSE = ("feat_indptr", "feat_indices", "feat_data", "feat_shape")
_PLAIN = ("weights", "labels", "train_mask", "val_mask", "test_mask")


def _fields(path: Path) -> dict[str, npt.NDArray[Any]]:
    # Given a path, NumPy leaves the file open after some failures.
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (ValueError, TypeError, KeyError, EOFError, AttributeError, OSError) as error:
            problem: Exception = error
        except (zipfile.BadZipFile, zlib.error, RuntimeError, OverflowError, MemoryError) as error:
            problem = error
    raise CorruptFileError(
        f"{path} is not a graph file, or a damaged one ({problem}); write one with Graph.save_npz"
    )


def read_npz(path: str | PathLike[str]) -> Graph:
    """Read what `Graph.load_npz` describes."""
    path = Path(path)
    found = _fields(path)
    if "edges" not in found:
        raise CorruptFileError(
            f"{path} has no field 'edges' but {sorted(found)}; see Graph.load_npz for the fields"
        )
    sparse = [name for name in _SPARSE if name in found]
    if sparse and len(sparse) < len(_SPARSE):
        missing = sorted(set(_SPARSE) - set(sparse))
        raise CorruptFileError(f"{path} has sparse features without {', '.join(missing)}")
    try:
        arguments: dict[str, Any] = {name: found[name] for name in _PLAIN if name in found}
        if sparse:
            indptr, indices, data, shape = (found[name] for name in _SPARSE)
            arguments["features"] = CSR(indptr, indices, data, (int(shape[0]), int(shape[1])))
        elif "features" in found:
            arguments["features"] = found["features"]
        if "node_names" in found:
            arguments["node_names"] = found["node_names"].tolist()
        return Graph(num_nodes=_num_nodes(found, arguments), edges=found["edges"], **arguments)
    except (RuvectorError, ValueError, TypeError, IndexError) as error:
        raise CorruptFileError(f"{path} does not hold a graph: {error}") from error


def _num_nodes(found: dict[str, npt.NDArray[Any]], arguments: dict[str, Any]) -> int:
    if "num_nodes" in found:
        return int(found["num_nodes"])
    if "features" in arguments:
        return int(arguments["features"].shape[0])
    for name in _PLAIN[1:]:
        if name in found:
            return int(found[name].shape[-1])
    return int(found["edges"].max()) + 1


def write_npz(graph: Graph, path: str | PathLike[str]) -> None:
    """Write what `Graph.save_npz` describes."""
    path = Path(path)
    content: dict[str, Any] = {
        "num_nodes": np.int64(graph.num_nodes),
        "edges": graph.edges.astype(np.int32),
    }
    for name in _PLAIN:
        if getattr(graph, name) is not None:
            content[name] = getattr(graph, name)
    if isinstance(graph.features, CSR):
        values = graph.features
        parts = (values.indptr, values.indices, values.data, np.array(values.shape))
        content.update(zip(_SPARSE, parts, strict=True))
    elif graph.features is not None:
        content["features"] = graph.features
    if graph.node_names is not None:
        if len({type(name) for name in graph.node_names} | {str, int}) == 2:
            content["node_names"] = np.array(graph.node_names)
        else:
            _log.warning("node_names are left out: not all are strings or all integers")
    # In the same folder, so that the last step is one rename.
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, **content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_edges(
    path: str | PathLike[str],
    *,
    num_nodes: int | None,
    features: str | PathLike[str] | None,
) -> Graph:
    """Read what `Graph.load_edges` describes."""
    path = Path(path)
    rows = list(_rows(path))
    pairs = np.array([row[:2] for row in rows], np.int64).reshape(-1, 2)
    weights = [row[2] for row in rows] if rows and len(rows[0]) == 3 else None
    values = None if features is None else read_array(features)
    return Graph.from_edges(pairs, num_nodes, weights=weights, features=values)


def read_array(path: str | PathLike[str]) -> npt.NDArray[Any]:
    """Read the array that ``numpy.save`` wrote.

    Raises
    ------
    CorruptFileError
        The file is damaged, of another kind, or holds objects.
    """
    # Given a path, NumPy leaves the file open after some failures.
    with Path(path).open("rb") as file:
        try:
            array = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise CorruptFileError(f"{path} is not a .npy file of numbers: {error}") from None
        if not isinstance(array, np.ndarray):
            raise CorruptFileError(f"{path} holds several arrays; save one with numpy.save")
        return array


def _rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Yield (source, target) or (source, target, weight) of each line."""
    separator = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    width = 0
    first = True
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            cells = text.split(separator)
            header = first and not any(_is_number(cell) for cell in cells[:2])
            first = False
            if header and len(cells) in (2, 3):
                continue
            try:
                source, target, *rest = cells
                row = (int(source), int(target), *map(float, rest))
                np.array(row[:2], np.int64)  # ids beyond it do not fit
            except (ValueError, OverflowError):
                row = ()
            if len(row) not in (2, 3) or (width and len(row) != width):
                expected = f"{width} columns" if width else "two ids and perhaps a weight"
                name = "a tab" if separator == "\t" else "a comma"
                raise CorruptFileError(
                    f"{path}, line {number}: {text[:80]!r} but expected {expected}, integer ids "
                    f"separated by {name}"
                )
            width = len(row)
            yield row


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
