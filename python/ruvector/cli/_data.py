"""Graphs named on the command line."""

from __future__ import annotations

from pathlib import Path

from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph

__all__ = ["load_graph"]


def load_graph(path: str, *, features: str | None = None) -> Graph:
    """Read a graph by its file's ending; `features` belongs to an edge list."""
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        if features is not None:
            raise InvalidArgumentError(f"--features goes with an edge list; {path} holds its own")
        return Graph.load_npz(path)
    if suffix in (".csv", ".tsv"):
        return Graph.load_edges(path, features=features)
    raise InvalidArgumentError(f"{path} must end in .npz, .csv or .tsv")
