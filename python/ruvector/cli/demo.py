"""The whole job on a graph that every Python carries: its own standard library."""

from __future__ import annotations

import argparse
from typing import Any

from ruvector.cli._table import table
from ruvector.demo.run import QUERIES, run_demo

__all__ = ["configure", "render", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--query", metavar="WORDS", action="append",
        help="what to look for, in words; may be given several times",
    )  # fmt: skip
    parser.add_argument("-k", type=int, default=5, help="answers to a query (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def run(args: argparse.Namespace) -> dict[str, Any]:
    result = run_demo(args.query or QUERIES, k=args.k, seed=args.seed, progress=not args.quiet)
    return result._asdict()


def render(result: dict[str, Any]) -> str:
    size = f"{result['nodes']} definitions, {result['edges']} references between them"
    seconds = table([(phase, value) for phase, value in result["seconds"].items()],
                    header=("phase", "seconds"))  # fmt: skip
    quality = result["quality"]
    figures = table(
        [(figure, *(quality[name][figure] for name in quality)) for figure in quality["raw"]],
        header=("figure", *quality),
    )
    held_out = f"link prediction on {result['held_out']} references that training never saw"
    index = (
        f"HNSW: recall@10 {result['index_recall_at_10']:.4f} against exact search, "
        f"{result['queries_per_second']:,.0f} queries a second"
    )
    answers = [
        f"“{query}”\n" + table([(f"  {name}", distance) for name, distance in found])
        for query, found in result["answers"].items()
    ]
    return "\n\n".join([size, seconds, f"{held_out}\n{figures}", index, *answers])
