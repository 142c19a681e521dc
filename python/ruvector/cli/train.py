"""Train embeddings of a graph's nodes, index them, save both."""

from __future__ import annotations

import argparse
from typing import Any

from ruvector.cli._data import load_graph
from ruvector.cli._table import table
from ruvector.model import check_target
from ruvector.recipes import TASKS, train_model

__all__ = ["configure", "render", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "graph", metavar="GRAPH",
        help=".npz in ruvector's fields, or an edge list .csv or .tsv (source, target[, weight])",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for the model")
    parser.add_argument("--features", metavar="FILE", help=".npy of node features of an edge list")
    parser.add_argument(
        "--task", choices=TASKS, default="node",
        help="what the embeddings are for: telling nodes apart, or predicting links, which holds "
        "out 5 %% and 10 %% of the edges (default: node)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def run(args: argparse.Namespace) -> dict[str, Any]:
    check_target(args.output)
    graph = load_graph(args.graph, features=args.features)
    model = train_model(graph, task=args.task, seed=args.seed, progress=not args.quiet)
    model.save(args.output)
    return {
        "model": args.output,
        "nodes": graph.num_nodes,
        "edges": graph.num_edges,
        "dimensions": model.embeddings.shape[1],
        "task": args.task,
        "seed": args.seed,
        **model.details["costs"]["trained"],
        "index_seconds": model.details["index_seconds"],
    }


def render(result: dict[str, Any]) -> str:
    return table(list(result.items()))
