"""What a model is made of."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from ruvector.cli._table import table
from ruvector.model import Model

__all__ = ["configure", "render", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="folder that `ruvector train` wrote")


def run(args: argparse.Namespace) -> dict[str, Any]:
    model = Model.load(args.model)
    statistics = model.index.stats()
    return {
        "nodes": model.graph.num_nodes,
        "edges": model.graph.num_edges,
        "dimensions": model.embeddings.shape[1],
        "encoder": model.encoder.config(),
        "parameters": int(sum(array.size for array in model.weights.values())),
        "index": {
            "metric": model.index.metric,
            "m": model.index.m,
            "ef_construction": model.index.ef_construction,
            "vectors": len(model.index),
            "levels": len(statistics.level_counts),
        },
        **model.details,
    }


def render(result: dict[str, Any]) -> str:
    return table(list(_rows(result, "")))


def _rows(values: dict[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _rows(value, f"{before}{key}.")
        else:
            yield before + key, _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, list) and any(isinstance(entry, (dict, list)) for entry in value):
        return f"{len(value)} entries, which --json shows"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
