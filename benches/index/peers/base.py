"""What the bench asks of a library."""

from abc import ABC, abstractmethod
from pathlib import Path


class UnsupportedError(Exception):
    """The library cannot do this; says why."""


class Peer(ABC):
    """An index over rows numbered from 0, M=16 and ef_construction=200 where it has them."""

    m = 16
    ef_construction = 200
    distribution = ""  # the name pip knows, for its version
    least = 10  # smallest value of the knob: what makes a search wider and slower
    most = 4096
    batches = True  # searches several queries in one call
    shapes = (None,)  # a second setting of a search, of which the fastest counts
    shape = None

    @abstractmethod
    def build(self, vectors, metric, threads):
        """Index the vectors."""

    @abstractmethod
    def search(self, queries, k, knob, threads):
        """Return the numbers of the rows, (n, k)."""

    def one(self, queries, k, knob):
        """Search each query in a call of its own."""
        for query in queries:
            self.search(query[None], k, knob, 1)

    def save(self, path: Path):
        raise UnsupportedError("has no way to save")

    @classmethod
    def load(cls, path: Path, vectors, metric):
        """Return a saved index; the vectors are for libraries that do not save theirs."""
        raise UnsupportedError("has no way to load")

    @classmethod
    def open_mapped(cls, path: Path, vectors, metric):
        raise UnsupportedError("cannot search in a mapped file")

    def filtered(self, queries, k, knob, mask):
        """Return the nearest rows among those of the mask; one thread."""
        raise UnsupportedError("has no filter in Python")
