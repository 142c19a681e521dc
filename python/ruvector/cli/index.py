"""Index vectors of a .npy file, search them, tell how good and how large the index is."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ruvector.arrays import check_int, check_real
from ruvector.cli._hits import render_hits
from ruvector.cli._indexes import describe, hits_of, load_index, stored_vector
from ruvector.cli._table import table
from ruvector.errors import InvalidArgumentError
from ruvector.evaluation import recall_curve
from ruvector.graph_files import read_array
from ruvector.index import HNSW, FlatIndex
from ruvector.index.base import METRICS, STORAGES

__all__ = ["configure", "render", "run"]

Result = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    common = argparse.ArgumentParser(add_help=False)
    # Without a default, so that `ruvector index --json info` is not taken back.
    for flags in (("--json",), ("-q", "--quiet")):
        common.add_argument(
            *flags, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    for name, (arguments, work) in VERBS.items():
        summary = (work.__doc__ or "").strip().splitlines()[0]
        arguments(verbs.add_parser(name, help=summary, description=summary, parents=[common]))


def run(args: argparse.Namespace) -> Result:
    return VERBS[args.verb][1](args)


def render(result: Result) -> str:
    if "hits" in result:
        return render_hits(result["hits"])
    if "curve" in result:
        rows = [(p["ef"], p["recall"], round(p["queries_per_second"])) for p in result["curve"]]
        return table(rows, header=("ef", "recall", "queries/s"))
    return table([(name, str(value)) for name, value in result.items()])


def _build_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vectors", metavar="VECTORS", help=".npy of shape (n, dim)")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="file for the index")
    parser.add_argument("--ids", metavar="FILE", help=".npy of n integers (default: 0, 1, 2, …)")
    parser.add_argument("--metric", choices=METRICS, default="cosine", help="default: cosine")
    parser.add_argument("--exact", action="store_true", help="a FlatIndex instead of an HNSW")
    parser.add_argument("--m", type=int, default=16, help="links of a vector (default: 16)")
    parser.add_argument(
        "--ef-construction", type=int, default=200, help="candidates for links (default: 200)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--storage", choices=STORAGES, default="float32", help="what is kept (default: float32)"
    )


def _build(args: argparse.Namespace) -> Result:
    """Index vectors and write the index to a file."""
    vectors = read_array(args.vectors)
    if vectors.ndim != 2:
        raise InvalidArgumentError(
            f"{args.vectors} has shape {vectors.shape} but must have 2 dimensions"
        )
    ids = None if args.ids is None else read_array(args.ids)
    index: HNSW | FlatIndex
    if args.exact:
        index = FlatIndex(vectors.shape[1], metric=args.metric)
    else:
        index = HNSW(
            vectors.shape[1],
            metric=args.metric,
            m=args.m,
            ef_construction=args.ef_construction,
            seed=args.seed,
            storage=args.storage,
        )
    start = time.perf_counter()
    index.add(vectors, ids)
    seconds = time.perf_counter() - start
    index.save(args.output)
    return {"file": args.output, "seconds": round(seconds, 3), **describe(index, args.output)}


def _search_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="INDEX", help="file that `ruvector index build` wrote")
    query = parser.add_mutually_exclusive_group(required=True)
    query.add_argument("--vector", metavar="FILE", help=".npy of shape (dim,) or (n, dim)")
    query.add_argument("--id", type=int, help="look for others like this stored vector")
    parser.add_argument("-k", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--ef", type=int, help="breadth of the search (default: the index's)")
    parser.add_argument(
        "-o", "--output", metavar="FILE",
        help="write ids, distances and counts to this .npz instead of printing them",
    )  # fmt: skip


def _search(args: argparse.Namespace) -> Result:
    """Find the nearest vectors."""
    k = check_int(args.k, "-k", low=1)
    index = load_index(args.index)
    alone = args.id is not None
    queries = stored_vector(index, args.id) if alone else read_array(args.vector)
    options = {}
    if args.ef is not None:
        if isinstance(index, FlatIndex):
            raise InvalidArgumentError(f"--ef goes with an HNSW; {args.index} is searched exactly")
        options["ef"] = args.ef
    ids, distances, counts = index.search(queries, k + alone, **options)
    if alone:
        # Itself, or the last where there were enough duplicates.
        drop = np.append(np.flatnonzero(ids[0] == args.id), ids.shape[1] - 1)[0]
        ids, distances = np.delete(ids, drop, axis=1), np.delete(distances, drop, axis=1)
        counts = (ids >= 0).sum(axis=1)
    if args.output is not None:
        with Path(args.output).open("wb") as file:
            np.savez(file, ids=ids, distances=distances, counts=counts)
        return {"file": args.output, "metric": index.metric, "queries": len(ids), "k": k}
    hits = [hits_of(*row) for row in zip(ids, distances, strict=True)]
    return {"metric": index.metric, "hits": hits}


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="INDEX", help="file that `ruvector index build` wrote")
    parser.add_argument("--check", action="store_true", help="also look for broken invariants")


def _info(args: argparse.Namespace) -> Result:
    """Tell what an index is made of."""
    index = load_index(args.index)
    if args.check and isinstance(index, HNSW):
        index.check()
    return describe(index, args.index)


def _tune_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="INDEX", help="file that `ruvector index build` wrote")
    parser.add_argument(
        "--queries", metavar="FILE", required=True,
        help=".npy of shape (n, dim), some hundred that users ask, none of them indexed: what is "
        "indexed is linked to its neighbours and finds them too easily",
    )  # fmt: skip
    parser.add_argument("--target", type=float, default=0.95, help="recall (default: 0.95)")
    parser.add_argument("-k", type=int, default=10, help="hits a query (default: 10)")


def _tune(args: argparse.Namespace) -> Result:
    """Tell the ef that reaches a recall, measured against exact search."""
    k = check_int(args.k, "-k", low=1)
    target = check_real(args.target, "--target", low=0, high=1, open_low=True)
    index = load_index(args.index)
    if isinstance(index, FlatIndex):
        raise InvalidArgumentError(f"{args.index} is searched exactly; there is nothing to tune")
    queries = np.atleast_2d(read_array(args.queries))
    if not len(index) or not len(queries):
        raise InvalidArgumentError(
            f"the index holds {len(index)} vectors and there are {len(queries)} queries; tuning "
            f"needs both"
        )
    curve = recall_curve(index, queries, k=k, target=target)
    return {"k": k, "target": target, "ef": curve[-1]["ef"], "curve": curve}


VERBS: dict[
    str,
    tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], Result]],
] = {
    "build": (_build_arguments, _build),
    "search": (_search_arguments, _search),
    "info": (_info_arguments, _info),
    "tune": (_tune_arguments, _tune),
}
