"""Tell how good a model is, beside raw features and smoothing without training."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

from ruvector.cli._data import load_graph
from ruvector.cli._table import table
from ruvector.errors import CorruptFileError
from ruvector.evaluation import evaluate_embeddings
from ruvector.graph import Graph
from ruvector.index import HNSW
from ruvector.model import Model
from ruvector.smoothing import smooth
from ruvector.sparse import CSR

__all__ = ["configure", "render", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="folder that `ruvector train` wrote")
    parser.add_argument(
        "graph", metavar="GRAPH", nargs="?",
        help="embed and evaluate this graph instead of the one the model was trained on",
    )  # fmt: skip
    parser.add_argument("--features", metavar="FILE", help=".npy of node features of an edge list")


def run(args: argparse.Namespace) -> dict[str, Any]:
    model = Model.load(args.model)
    graph, split, embeddings = model.graph, model.split, model.embeddings
    index: HNSW | None = model.index
    details = model.details
    if args.graph is not None:
        other = load_graph(args.graph, features=args.features)
        if not (other.same_structure(graph) and _same_features(other, graph)):
            embeddings = model.encoder.embed(model.weights, other, other.features)
            split, index, details = None, None, {}
        graph = other
    costs = _costs(details, args.model)
    visible = graph if split is None else split.train_graph
    result: dict[str, Any] = {
        **evaluate_embeddings(embeddings, graph, split=split, index=index),
        **costs.get("trained", {}),
    }
    smoothed = smooth(visible, graph.features)
    baselines = {"raw": graph.features, "smooth": smoothed}
    for name, baseline in baselines.items():
        if baseline is not None:
            figures = evaluate_embeddings(baseline, graph, split=split)
            result[name] = {**figures, **costs.get(name, {})}
    return result


def render(result: dict[str, Any]) -> str:
    names = [name for name in ("raw", "smooth") if name in result]
    rows = [
        (key, value, *(result[name].get(key) for name in names))
        for key, value in result.items()
        if not isinstance(value, dict)
    ]
    return table(rows, header=("figure", "trained", *names))


def _same_features(one: Graph, other: Graph) -> bool:
    """Whether the stored embeddings are those of `one`, too; without features of its own it is."""
    a, b = one.features, other.features
    if a is None or b is None:
        return a is None
    if isinstance(a, CSR) and isinstance(b, CSR):
        parts = ("shape", "indptr", "indices", "data")
        return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in parts)
    if isinstance(a, CSR) or isinstance(b, CSR):
        return False
    return np.array_equal(a, b)


def _costs(details: Mapping[str, Any], folder: str) -> dict[str, dict[str, float]]:
    """What `ruvector train` noted of the time and memory that each kind of embeddings took."""
    costs = details.get("costs", {})
    kinds = list(costs.values()) if isinstance(costs, dict) else [None]
    if not all(isinstance(noted, dict) and all(map(_is_number, noted.values())) for noted in kinds):
        raise CorruptFileError(
            f"{folder} has the costs {str(costs)[:80]} in its details but they must be numbers by "
            "name; restore it from a copy or train again"
        )
    return dict(costs)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
