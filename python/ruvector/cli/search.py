"""Find the nodes nearest to a node or a vector."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int
from ruvector.cli._hits import render_hits
from ruvector.errors import InvalidArgumentError
from ruvector.graph_files import read_array
from ruvector.model import Model

__all__ = ["configure", "render", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="folder that `ruvector train` wrote")
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("--node", type=int, metavar="ID", help="a node's number")
    query.add_argument(
        "--vector", metavar="FILE", help=".npy of one embedding (d,) or several (n, d)"
    )
    parser.add_argument("-k", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--ef", type=int, help="breadth of the search (default: the index's)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    check_int(args.k, "-k", low=1)
    model = Model.load(args.model)
    if args.node is not None:
        if not 0 <= args.node < model.graph.num_nodes:
            raise InvalidArgumentError(
                f"--node is {args.node} but the model holds nodes 0 to {model.graph.num_nodes - 1}"
            )
        # One more, because a node is its own nearest neighbour.
        result = model.index.search(model.embeddings[[args.node]], args.k + 1, ef=args.ef)
        keep = (result.ids[0] != args.node) & (result.ids[0] >= 0)
        hits = [_hits(model, result.ids[0][keep][: args.k], result.distances[0][keep][: args.k])]
    else:
        result = model.index.search(np.atleast_2d(read_array(args.vector)), args.k, ef=args.ef)
        hits = [
            _hits(model, ids[:count], distances[:count])
            for ids, distances, count in zip(*result, strict=True)
        ]
    return {"metric": model.index.metric, "hits": hits}


def render(result: dict[str, Any]) -> str:
    return render_hits(result["hits"])


def _hits(
    model: Model, ids: npt.NDArray[np.int64], distances: npt.NDArray[np.float32]
) -> list[dict[str, Any]]:
    hits = []
    for node, distance in zip(ids.tolist(), distances.tolist(), strict=True):
        hit: dict[str, Any] = {"node": node, "distance": distance}
        if model.graph.labels is not None:
            hit["label"] = int(model.graph.labels[node])
        if model.graph.node_names is not None:
            hit["name"] = str(model.graph.node_names[node])
        hits.append(hit)
    return hits
