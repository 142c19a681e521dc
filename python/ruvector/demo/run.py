"""The main job on the standard library's graph: train, compare, index, answer questions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np

from ruvector.demo.cache import load_stdlib
from ruvector.encoders import SmoothedLinear
from ruvector.evaluation import index_recall, link_scores
from ruvector.graph import Graph
from ruvector.index import HNSW
from ruvector.mining import HardNegativeMiner
from ruvector.objectives import EdgeContrast
from ruvector.progress import progress_bar
from ruvector.smoothing import smooth
from ruvector.sparse import CSR
from ruvector.splits import split_edges
from ruvector.trainer import Trainer

__all__ = ["QUERIES", "DemoResult", "run_demo"]

QUERIES = (
    "parse a date from a string",
    "send an email message over smtp",
    "compress bytes to a gzip file",
)

EPOCHS = 5


class DemoResult(NamedTuple):
    """What the demo found.

    Attributes
    ----------
    nodes, edges, held_out : int
        Sizes; `held_out` edges were kept for the test.
    seconds : dict of str to float
        Wall time by phase.
    quality : dict of str to dict of str to float
        Figures by embedding: ``"raw"``, ``"smooth"`` and ``"trained"``.
    index_recall_at_10, queries_per_second : float
        Of the HNSW index, searched in one batch on all threads.
    answers : dict of str to list of (name, distance)
        Nearest definitions by question.
    """

    nodes: int
    edges: int
    held_out: int
    seconds: dict[str, float]
    quality: dict[str, dict[str, float]]
    index_recall_at_10: float
    queries_per_second: float
    answers: dict[str, list[tuple[str, float]]]


def run_demo(
    queries: Sequence[str] = QUERIES, *, k: int = 5, seed: int = 0, progress: bool = False
) -> DemoResult:
    """Run the whole job and answer `queries`, sentences in words, with `k` names each."""
    seconds: dict[str, float] = {}
    with _timed(seconds, "read the library"), _reading(progress) as reading:
        library = load_stdlib(progress=reading)
        graph = Graph.from_edges(library.edges, num_nodes=len(library.names))
        features = CSR(*library.features)
        split = split_edges(graph, seed=seed)
    with _timed(seconds, "smooth"):
        smoothed = smooth(split.train_graph, features, seed=seed)
    with _timed(seconds, "train"):
        objective = EdgeContrast(miner=HardNegativeMiner("hardest", k=32, skip=0.05, seed=seed))
        trainer = Trainer(
            SmoothedLinear(), objective, epochs=EPOCHS, seed=seed, progress=progress
        ).fit(split.train_graph, features)
    with _timed(seconds, "embed"):
        embeddings = trainer.embed()
    with _timed(seconds, "index"):
        index = HNSW(embeddings.shape[1], seed=seed)
        index.add(embeddings)
    with _timed(seconds, "search"):
        index.search(embeddings, 10)
    rate = len(embeddings) / seconds["search"]
    with _timed(seconds, "evaluate"):
        quality: dict[str, dict[str, float]] = {
            name: dict(zip(("link_auc", "link_ap"), link_scores(matrix, split), strict=True))
            for name, matrix in (("raw", features), ("smooth", smoothed), ("trained", embeddings))
        }
        recall = index_recall(embeddings, index=index, seed=seed)
    answers = {}
    for query in queries:
        # A question is a node that nothing refers to yet.
        alone = Graph.from_edges(np.empty((0, 2), np.int64), num_nodes=1)
        vector = trainer.embed(alone, library.query_features(query)[None])
        found = index.search(vector, k)
        names = [library.names[i] for i in found.ids[0].tolist()]
        answers[query] = list(zip(names, found.distances[0].tolist(), strict=True))
    return DemoResult(
        nodes=graph.num_nodes,
        edges=graph.num_edges,
        held_out=len(split.test),
        seconds=seconds,
        quality=quality,
        index_recall_at_10=recall,
        queries_per_second=rate,
        answers=answers,
    )


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[phase] = time.perf_counter() - started


@contextmanager
def _reading(progress: bool) -> Iterator[Any]:
    """A progress callback for the reader, which alone knows how many files there are."""
    with ExitStack() as stack:
        advance, done = None, 0

        def tell(count: int, total: int) -> None:
            nonlocal advance, done
            if advance is None:
                bar = progress_bar("read the library", total, show=progress)
                advance = stack.enter_context(bar)
            advance(count - done)
            done = count

        yield tell
