"""Write one page of HTML about a model: figures, plots, nearest neighbours to click through."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ruvector.arrays import check_int
from ruvector.cli._table import table
from ruvector.errors import InvalidArgumentError
from ruvector.model import Model
from ruvector.report import write_report
from ruvector.tracking import LossTracker

__all__ = ["configure", "render", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="folder that `ruvector train` wrote")
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="report.html", help="default: report.html"
    )
    parser.add_argument("--title", metavar="WORDS", help="default: the folder's name")
    parser.add_argument(
        "--losses", metavar="FILE", help=".csv that LossTracker.to_csv wrote, to draw the losses"
    )
    parser.add_argument(
        "--nodes", type=int, default=20_000,
        help="most nodes to click through, those with most neighbours first (default: 20000)",
    )  # fmt: skip
    parser.add_argument("-k", type=int, default=10, help="nearest nodes of each (default: 10)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    check_int(args.nodes, "--nodes", low=1)
    check_int(args.k, "-k", low=1)
    path = Path(args.output)
    if path.is_dir():
        raise InvalidArgumentError(f"{path} is a folder; name a file for the page")
    try:
        import matplotlib as _  # noqa: F401, PLC0415  (optional)
    except ModuleNotFoundError:
        raise InvalidArgumentError(
            "a report needs matplotlib; install it with: pip install matplotlib"
        ) from None
    losses = None if args.losses is None else LossTracker.from_csv(args.losses)
    model = Model.load(args.model)
    title = args.title or Path(args.model).resolve().name
    write_report(model, path, title=title, losses=losses, nodes=args.nodes, k=args.k)
    return {
        "report": args.output,
        "nodes": min(args.nodes, model.graph.num_nodes),
        "bytes": path.stat().st_size,
    }


def render(result: dict[str, Any]) -> str:
    return table(list(result.items()))
