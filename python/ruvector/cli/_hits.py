"""Hits of a search, as the command line prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ruvector.cli._table import table

__all__ = ["render_hits"]


def render_hits(queries: Sequence[Sequence[dict[str, Any]]]) -> str:
    """Return a table for each query, the nearest first."""
    blocks = []
    for hits in queries:
        rows = [(rank + 1, *hit.values()) for rank, hit in enumerate(hits)]
        blocks.append(table(rows, header=("rank", *hits[0]) if hits else ("rank",)))
    return "\n\n".join(blocks)
