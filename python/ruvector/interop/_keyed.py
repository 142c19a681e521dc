"""Records under string keys with vectors in an index: what stores of documents have in common."""

from __future__ import annotations

import json
import os
import pickle
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, check_int
from ruvector.errors import CorruptFileError, InvalidArgumentError, InvalidTypeError
from ruvector.index import HNSW

__all__ = ["Found", "KeyedIndex", "matching"]

_FILE = "store.json"
_GONE = object()

#: What reading a damaged store.json runs into, and an index that it names and that is not there.
_DAMAGE = (
    AttributeError,
    FileNotFoundError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


class Found(NamedTuple):
    """A hit.

    Attributes
    ----------
    key : str
    record : Any
        As it was put.
    distance : float
        By the index's metric; smaller is nearer.
    """

    key: str
    record: Any
    distance: float


class KeyedIndex:
    """Records by key, each with a vector or without one.

    The index is made with the first vectors, whose length it takes. Threads may use one object:
    changes wait for each other, searches see what is there. Copies and pickles hold what was there
    between two changes.

    Parameters
    ----------
    metric : {"cosine", "l2", "ip"}
    **options
        Of :class:`ruvector.HNSW`.

    Examples
    --------
    >>> from ruvector.interop._keyed import KeyedIndex
    >>> store = KeyedIndex(metric="l2")
    >>> store.put(["a", "b"], [[0.0, 0.0], [3.0, 4.0]], [{"n": 1}, {"n": 2}])
    >>> store.search([0.0, 1.0], 1)
    [Found(key='a', record={'n': 1}, distance=1.0)]
    """

    def __init__(self, *, metric: str = "cosine", **options: Any) -> None:
        self.options = {"metric": metric, **options}
        HNSW(1, **self.options)  # what is wrong with the options is told now
        self.index: HNSW | None = None
        self.records: dict[str, Any] = {}
        self._rows: dict[str, int] = {}
        self._keys: dict[int, str] = {}
        self._next = 0
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            # Copies of all that changes, since who asks reads them when the lock is free again.
            state = {
                name: dict(value) if isinstance(value, dict) else value
                for name, value in self.__dict__.items()
            }
            state["index"] = pickle.dumps(self.index)
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "index": pickle.loads(state["index"])}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self.records)

    def __contains__(self, key: object) -> bool:
        return key in self.records

    def put(self, keys: Sequence[str], vectors: Any, records: Sequence[Any]) -> None:
        """Store records, replacing those of the same keys; all of them or, on an error, none.

        Parameters
        ----------
        keys : sequence of str
            Of a key that is there twice the last record counts.
        vectors : (n, d) array, or sequence of n rows of which some may be None
        records : sequence
            Anything; plain JSON values where the store is to be saved.
        """
        if not len(keys) == len(vectors) == len(records):
            raise InvalidArgumentError(
                f"there are {len(keys)} keys, {len(vectors)} vectors and {len(records)} records"
            )
        for key in keys:
            if not isinstance(key, str):
                raise InvalidTypeError(f"a key is {key!r} but must be a string")
        last = {key: place for place, key in enumerate(keys)}
        with_vector = [key for key, place in last.items() if vectors[place] is not None]
        with self._lock:
            rows: dict[str, int] = {}
            if with_vector:
                given = as_floats([vectors[last[key]] for key in with_vector], "vectors")
                for key in with_vector:
                    rows[key] = self._rows.get(key, self._next + len(rows))
                index = HNSW(given.shape[1], **self.options) if self.index is None else self.index
                index.add(given, ids=np.array(list(rows.values()), np.int64), replace=True)
                self.index = index
                self._next = max(self._next, max(rows.values()) + 1)
            bare = [key for key in last if key not in rows and key in self._rows]
            self._forget(bare)
            self._rows |= rows
            self._keys |= {row: key for key, row in rows.items()}
            self.records |= {key: records[place] for key, place in last.items()}

    def drop(self, keys: Sequence[str]) -> list[str]:
        """Remove records; return the keys of those that were there."""
        with self._lock:
            there = [key for key in dict.fromkeys(keys) if key in self.records]
            self._forget([key for key in there if key in self._rows])
            for key in there:
                del self.records[key]
            return there

    def _forget(self, keys: Sequence[str]) -> None:
        if keys and self.index is not None:
            rows = [self._rows[key] for key in keys]
            self.index.remove(rows)
            for key, row in zip(keys, rows, strict=True):
                del self._rows[key], self._keys[row]

    def search(
        self, vector: Any, k: int, *, where: Callable[[str, Any], bool] | None = None
    ) -> list[Found]:
        """Return up to `k` nearest records that have vectors, the nearest first.

        Parameters
        ----------
        vector : (d,) array_like
        k : int
            At least 1.
        where : callable, optional
            Called with key and record of each; those it is true for may be found.
        """
        count = check_int(k, "k", low=1)
        with self._lock:
            index = self.index
            rows: npt.NDArray[np.int64] | None = None
            if index is None or not len(index):
                return []
            if where is not None:
                kept = [row for key, row in self._rows.items() if where(key, self.records[key])]
                rows = np.array(kept, np.int64)
        # Beside changes: what is removed meanwhile has no key any more.
        found = index.search(
            as_floats(vector, "vector", ndim=1)[None], min(count, len(index)), where=rows
        )
        hits = []
        for row, distance in zip(found.ids[0].tolist(), found.distances[0].tolist(), strict=True):
            key = self._keys.get(row)
            if key is not None and (record := self.records.get(key, _GONE)) is not _GONE:
                hits.append(Found(key, record, distance))
        return hits

    def vectors(self, keys: Sequence[str]) -> list[npt.NDArray[np.float32] | None]:
        """Return each key's vector as it was put, None where it has none."""
        with self._lock:
            there = [self._rows[key] for key in keys if key in self._rows]
            kept = iter(self.index.get(there) if self.index is not None and there else ())
            return [next(kept) if key in self._rows else None for key in keys]

    def differing(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return, of those options of an index that are others here, what they are here."""
        index = HNSW(1, **self.options) if self.index is None else self.index
        own = {name: getattr(index, name) for name in options}
        return {name: value for name, value in own.items() if value != options[name]}

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write everything to a folder; what was saved there before stays until all is written.

        Raises
        ------
        InvalidTypeError
            A record that JSON cannot hold, or would give back with other keys.
        """
        root = Path(folder)
        with self._lock:
            name = f"index-{secrets.token_hex(4)}.ruvector"
            content = {
                "format": "ruvector store",
                "format_version": 1,
                "options": self.options,
                "index": None if self.index is None else name,
                "rows": self._rows,
                "records": self.records,
            }
            try:
                text = json.dumps(content)
                _check_keys(self.records)
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidTypeError(
                    f"a record cannot be written as JSON ({error}); keep to numbers, strings, "
                    "lists and mappings with keys that are strings in metadata"
                ) from None
            root.mkdir(parents=True, exist_ok=True)
            if self.index is not None:
                self.index.save(root / name)
            beside = root / f".{_FILE}"
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(root / _FILE)
            for other in root.glob("index-*.ruvector"):
                if other.name != name:
                    other.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> KeyedIndex:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            There is nothing.
        CorruptFileError
            A file is damaged or something else.
        """
        path = Path(folder) / _FILE
        written = path.read_bytes()
        try:
            content = json.loads(written.decode("utf-8"))
            if content["format"] != "ruvector store" or content["format_version"] != 1:
                raise ValueError(f"its format is {content['format']!r}")
            made = cls(**content["options"])
            made.records = dict(content["records"])
            made._rows = {str(key): int(row) for key, row in content["rows"].items()}
            name = content["index"]
            if name is not None:
                if Path(name).name != name:
                    raise ValueError(f"it names {name!r} as its index")
                made.index = HNSW.load(path.parent / name)
            if others := made.differing(made.options):
                raise ValueError(f"its options are not its index's, which are {others}")
            stored = [] if made.index is None else sorted(made.index.ids.tolist())
            if stored != sorted(made._rows.values()) or not set(made._rows) <= set(made.records):
                raise ValueError("its index holds other vectors")
        except _DAMAGE as error:
            raise CorruptFileError(f"{path} is no whole store ({error})") from None
        made._keys = {row: key for key, row in made._rows.items()}
        made._next = max(made._keys, default=-1) + 1
        return made


def _check_keys(value: Any) -> None:
    """Raise TypeError where a mapping in plain JSON values has a key that is no string.

    JSON would make a string of it, and one of the two where that string is a key as well.
    """
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            for key in one:
                if not isinstance(key, str):
                    raise TypeError(f"its key {key!r} is no string")
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)


def matching(wanted: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """Return whether metadata have each of the wanted values."""
    return lambda metadata: all(
        key in metadata and metadata[key] == value for key, value in wanted.items()
    )
