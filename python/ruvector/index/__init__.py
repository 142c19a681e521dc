"""Indexes that find the nearest of many stored vectors."""

from ruvector.index.flat import FlatIndex
from ruvector.index.hnsw import HNSW
from ruvector.index.results import (
    IndexStats,
    RangeResult,
    SearchResult,
    SearchStats,
    TuneResult,
    TuneStep,
)
from ruvector.index.where import Filter

__all__ = [
    "HNSW",
    "Filter",
    "FlatIndex",
    "IndexStats",
    "RangeResult",
    "SearchResult",
    "SearchStats",
    "TuneResult",
    "TuneStep",
]
