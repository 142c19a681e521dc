"""The installed Python's standard library as a graph, built once and kept on disk.

The cache is an ``.npz`` without pickles: arrays, and the strings as bytes of one JSON text.
Whatever goes wrong with it costs a rebuild and a log line, never an error.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import logging
import os
import platform
import sys
import sysconfig
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .stdlib import read_library, source_files
from .words import Csr, count_words, hash_rows, hash_text

__all__ = ["StdlibGraph", "load_stdlib"]

_log = logging.getLogger(__name__)

# Raised by any change to what the sources are read into, so that old files are not read again.
_FORMAT = 1

_ARRAYS = ("edges", "membership", "indptr", "indices", "data", "idf")


@dataclass(frozen=True, eq=False, repr=False)
class StdlibGraph:
    """Public definitions of the standard library and who refers to whom.

    Attributes
    ----------
    names : list of str
        Dotted name of each node, ascending: ``"datetime.datetime.strptime"``.
    kinds : list of str
        "module", "class", "function" or "method".
    edges : ndarray of int32, shape (edges, 2)
        Undirected edges, each once, the smaller node first, no loops.
    membership : ndarray of bool, shape (edges,)
        Whether an edge ties a definition to the class, module or package it stands in (it may be a
        reference too); the others are references only.
    features : Csr
        Words of name and code, see `ruvector.demo.words`; float32 rows of length one. Nothing of
        the docstrings is in them.
    docs : list of str
        First paragraph of the docstring on one line, "" where there is none: held out, to be found
        by the features or by what is trained on them.
    idf : ndarray of float32, shape (columns,)
        Weights of the columns, which turn a query into a row of the same space.
    aliases : dict of str to int
        Other public names of nodes, ``"json.JSONEncoder"`` or ``"os.path"``; `find` knows them.

    Examples
    --------
    >>> from ruvector.demo import load_stdlib
    >>> graph = load_stdlib()
    >>> graph.names[graph.find("os.path.join")]  # doctest: +SKIP
    'posixpath.join'
    """

    names: list[str]
    kinds: list[str]
    edges: npt.NDArray[np.int32]
    membership: npt.NDArray[np.bool_]
    features: Csr
    docs: list[str]
    idf: npt.NDArray[np.float32]
    aliases: dict[str, int]

    def __repr__(self) -> str:
        return f"StdlibGraph({len(self.names)} nodes, {len(self.edges)} edges)"

    def find(self, name: str) -> int:
        """Return the node of a public name, be it the defining or a re-exported one.

        Parameters
        ----------
        name : str
            Dotted name, such as ``"json.JSONEncoder.encode"``.

        Returns
        -------
        int
            Node number.

        Raises
        ------
        KeyError
            If no node has the name: it is private, or not defined in Python source.
        """
        parts = name.split(".")
        # The longest alias first; what follows it is a member of the node it stands for.
        for end in range(len(parts), 0, -1):
            node = self.aliases.get(".".join(parts[:end]))
            if node is not None:
                name = ".".join([self.names[node], *parts[end:]])
                break
        node = bisect.bisect_left(self.names, name)
        if node == len(self.names) or self.names[node] != name:
            raise KeyError(name)
        return node

    def query_features(self, text: str) -> npt.NDArray[np.float32]:
        """Turn a query in words into a row of the features' space.

        Parameters
        ----------
        text : str
            ``"parse a date from a string"``, a docstring, or an identifier.

        Returns
        -------
        ndarray of float32, shape (columns,)
            A row of length one, or zeros if no word of the query stands in the library.
        """
        return hash_text(text, idf=self.idf)


def load_stdlib(
    *, cache: bool = True, progress: Callable[[int, int], None] | None = None
) -> StdlibGraph:
    """Read the standard library of the running Python into a graph.

    The sources are parsed, never run. The first call takes some seconds; the result is kept in the
    user's cache directory and read from there until the Python or its sources change.

    Parameters
    ----------
    cache : bool
        Whether to read and write the cache.
    progress : callable, optional
        Called with the steps done and their total while the graph is being built.

    Returns
    -------
    StdlibGraph
        The same graph for the same sources, bit for bit.

    Raises
    ------
    FileNotFoundError
        If the Python comes without the sources of its library.
    """
    root = Path(sysconfig.get_path("stdlib"))
    if not source_files(root):
        raise FileNotFoundError(f"no Python sources under {root}: the demo graph is made of them")
    if not cache:
        return _build(root, progress)
    try:
        path = _cache_path()
    except RuntimeError as error:  # no home
        _log.warning("no place for a cache: %s", error)
        return _build(root, progress)
    key = _key(root)
    graph = _read(path, key)
    if graph is None:
        graph = _build(root, progress)
        _write(path, key, graph)
    return graph


def _build(root: Path, progress: Callable[[int, int], None] | None = None) -> StdlibGraph:
    library = read_library(root, progress=progress)
    documents = [count_words(*node) for node in zip(library.names, library.code, strict=True)]
    features, idf = hash_rows(documents)
    return StdlibGraph(
        library.names,
        library.kinds,
        library.edges,
        library.membership,
        features,
        library.docs,
        idf,
        library.aliases,
    )


def _cache_path() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    if not given and os.name == "nt":
        given = os.environ.get("LOCALAPPDATA")
    folder = Path(given) if given else Path.home() / ".cache"
    return folder / "ruvector" / f"stdlib-{platform.python_version()}-{_FORMAT}.npz"


def _key(root: Path) -> str:
    """Digest of the Python and of the sizes and times of its sources."""
    digest = hashlib.blake2b(digest_size=16)
    implementation = sys.implementation.name
    digest.update(repr((_FORMAT, implementation, sys.version, str(root))).encode())
    for path in source_files(root):
        status = path.stat()
        entry = (path.relative_to(root).as_posix(), status.st_size, status.st_mtime_ns)
        digest.update(repr(entry).encode())
    return digest.hexdigest()


def _read(path: Path, key: str) -> StdlibGraph | None:
    """Return the graph kept under a key, None if there is none that can be used."""
    try:
        # Opened here, since NumPy leaves the handle of half a zip open, and Windows then refuses to
        # replace the file.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            text: dict[str, Any] = json.loads(file["text"].tobytes())
            arrays = [file[name] for name in _ARRAYS]
        if text["key"] != key:
            _log.info("%s was made from other sources and is made anew", path)
            return None
        edges, membership, indptr, indices, data, idf = arrays
        names = text["names"]
        features = Csr(indptr, indices, data, (len(names), len(idf)))
        aliases = text["aliases"]
        return StdlibGraph(
            names, text["kinds"], edges, membership, features, text["docs"], idf, aliases
        )
    except FileNotFoundError:
        return None
    # What truncated, foreign or overwritten files have been seen to raise in NumPy, zip and JSON.
    except (
        OSError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,  # of zip: encrypted, or a compression that it does not know
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        _log.warning("%s cannot be read and is made anew: %s", path, error)
        return None


def _write(path: Path, key: str, graph: StdlibGraph) -> None:
    """Keep a graph; written aside and moved, so that no reader sees half a file."""
    text = json.dumps(
        {
            "key": key,
            "names": graph.names,
            "kinds": graph.kinds,
            "docs": graph.docs,
            "aliases": graph.aliases,
        }
    )
    features = graph.features
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".part", prefix=path.stem, dir=path.parent)
        aside = Path(name)
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(
                file,
                text=np.frombuffer(text.encode(), np.uint8),
                edges=graph.edges,
                membership=graph.membership,
                indptr=features.indptr,
                indices=features.indices,
                data=features.data,
                idf=graph.idf,
            )
        aside.replace(path)
    except OSError as error:
        _log.warning("%s cannot be written: %s", path, error)
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)
