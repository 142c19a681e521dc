"""Words of identifiers, code and prose, hashed into sparse feature rows.

Code and queries pass through the same `split_words`, so a query typed in words lands in the columns
that the code was counted into. No vocabulary is kept: a word's column is its CRC-32 modulo the
width, which is the same in every process and on every machine (`hash` is salted, so it is not).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "ENCLOSING_WEIGHT",
    "NAME_WEIGHT",
    "WIDTH",
    "Csr",
    "count_words",
    "hash_rows",
    "hash_text",
    "split_words",
    "stem",
]

#: Columns of the feature rows: a power of two, about half the distinct words of the library, so
#: that a column holds some two words, of which usually one is rare.
WIDTH = 4096

#: How much a word of the definition's name, or of the names it stands in, counts against one in
#: its code, of which the median function has ten.
NAME_WEIGHT = 10.0
ENCLOSING_WEIGHT = 3.0

# "parseHTTPDate2" -> parse, HTTP, Date2. Digits stay with the letters before them, for "base64"
# and "md5" say more than their parts.
_PIECE = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+")
_VOWEL = re.compile(r"[aeiouy]")

# Words which prose needs and which identifiers hardly hold, so that their rarity in code would
# make them weigh the most in a query; and the two names every method begins with.
_STOP_WORDS = """
    an and any are as at be been by can do does for from has have if in into is it its may not of
    on or so such than that the their then there these they this to use used using was were when
    where which will with you your self cls
"""
_STOP = frozenset(_STOP_WORDS.split())


class Csr(NamedTuple):
    """Compressed sparse rows.

    Attributes
    ----------
    indptr : ndarray of int64, shape (rows + 1,)
        Row ``i`` holds the entries ``indptr[i]`` to ``indptr[i + 1]``.
    indices : ndarray of int32, shape (entries,)
        Columns, ascending within a row.
    data : ndarray of float32, shape (entries,)
        Values.
    shape : tuple of int
        Rows and columns.
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    data: npt.NDArray[np.float32]
    shape: tuple[int, int]


def stem(word: str) -> str:
    """Take plural, -ing, -ed and a final e off a lower-case word.

    The final e goes because "parse", "parses", "parsed" and "parsing" should meet, and only the
    e tells the first two from the others.

    Examples
    --------
    >>> from ruvector.demo.words import stem
    >>> [stem(w) for w in ("entries", "parsing", "stopped", "string", "class")]
    ['entry', 'pars', 'stop', 'string', 'class']
    """
    if len(word) < 4:
        return word
    if word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith(("sses", "xes", "ches", "shes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix in ("ing", "ed"):
        rest = word[: -len(suffix)]
        if word.endswith(suffix) and len(rest) > 2 and _VOWEL.search(rest):
            # "stopped" and "running" doubled a letter, "passing" and "calling" had it before.
            doubled = rest[-1] == rest[-2] and rest[-1] not in "lsz"
            word = rest[:-1] if doubled else rest
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


@lru_cache(maxsize=1 << 16)
def split_words(text: str) -> tuple[str, ...]:
    """Split an identifier, a dotted name or prose into stemmed lower-case words.

    Parameters
    ----------
    text : str
        Anything; what is neither an ASCII letter nor a digit separates words.

    Returns
    -------
    tuple of str
        Words in order, repeats kept; single letters and stop words are dropped.

    Examples
    --------
    >>> from ruvector.demo.words import split_words
    >>> split_words("email.utils.parsedate_toDatetime")
    ('email', 'util', 'parsedat', 'datetim')
    """
    pieces = (piece.lower() for piece in _PIECE.findall(text))
    return tuple(stem(piece) for piece in pieces if len(piece) > 1 and piece not in _STOP)


def count_words(name: str, code: Mapping[str, int]) -> dict[str, float]:
    """Count the words of a definition, those of its name for more than those of its code.

    Parameters
    ----------
    name : str
        Dotted name. The words after the last dot count `NAME_WEIGHT`, those before it
        `ENCLOSING_WEIGHT`.
    code : mapping from str to int
        How often each identifier or short string stands in the code.

    Returns
    -------
    dict of str to float
        Count of every word.
    """
    counts: dict[str, float] = {}
    enclosing, _, own = name.rpartition(".")
    parts = [(own, NAME_WEIGHT), (enclosing, ENCLOSING_WEIGHT), *code.items()]
    for text, weight in parts:
        for word in split_words(text):
            counts[word] = counts.get(word, 0.0) + weight
    return counts


def hash_rows(
    documents: Sequence[Mapping[str, float]], *, width: int = WIDTH
) -> tuple[Csr, npt.NDArray[np.float32]]:
    """Weigh counted words by tf-idf in hashed columns.

    A count ``n`` enters as ``log(1 + n)``, for a word said ten times does not tell ten times as
    much; a column that ``d`` of ``N`` documents use weighs ``log((N + 1) / (d + 1))``. Rows are
    scaled to length one.

    Parameters
    ----------
    documents : sequence of mapping from str to float
        The (weighted) count of every word in a document.
    width : int
        Number of columns.

    Returns
    -------
    rows : Csr
        One row a document, shape ``(len(documents), width)``.
    idf : ndarray of float32, shape (width,)
        Weight of each column, zero where no document has it.
    """
    counts: list[dict[int, float]] = []
    for document in documents:
        row: dict[int, float] = {}
        # Sorted, so that words which share a column are always added in the same order.
        for word in sorted(document):
            column = _column(word, width)
            row[column] = row.get(column, 0.0) + document[word]
        counts.append(row)
    indptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum([len(row) for row in counts], out=indptr[1:])
    entries = int(indptr[-1])
    indices = np.fromiter((c for row in counts for c in sorted(row)), np.int32, entries)
    values = np.fromiter((row[c] for row in counts for c in sorted(row)), np.float64, entries)

    used = np.bincount(indices, minlength=width)
    idf = np.where(used > 0, np.log((len(counts) + 1) / (used + 1)), 0.0)
    values = np.log1p(values) * idf[indices]
    rows = np.repeat(np.arange(len(counts)), np.diff(indptr))
    length = np.sqrt(np.bincount(rows, weights=values * values, minlength=len(counts)))
    values /= np.where(length > 0, length, 1.0)[rows]
    shape = (len(counts), width)
    return Csr(indptr, indices, values.astype(np.float32), shape), idf.astype(np.float32)


def hash_text(text: str, *, idf: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turn words into a dense row in the columns of `hash_rows`.

    Parameters
    ----------
    text : str
        A query in words, a docstring or an identifier.
    idf : ndarray of float32, shape (width,)
        Column weights that `hash_rows` returned.

    Returns
    -------
    ndarray of float32, shape (width,)
        A row of length one, or zeros if the documents hold none of the words.
    """
    row = np.zeros(len(idf), np.float64)
    for word in split_words(text):
        row[_column(word, len(idf))] += 1.0
    row = np.log1p(row) * idf
    length = float(np.sqrt(row @ row))
    return (row / length if length > 0 else row).astype(np.float32)


@lru_cache(maxsize=1 << 16)
def _column(word: str, width: int) -> int:
    return zlib.crc32(word.encode()) % width
