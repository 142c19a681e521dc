"""The plots of a page, as SVG that stands in it."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector import plots
from ruvector.evaluation import recall_curve
from ruvector.index import HNSW
from ruvector.model import Model
from ruvector.sampling import random_negative_edges
from ruvector.similarity import cosine
from ruvector.tracking import LossTracker

__all__ = ["Figure", "figures_of"]

#: Pairs of each kind whose similarities are drawn, and points of a map.
MOST_PAIRS, MOST_POINTS = 20_000, 5_000
#: Nodes left out of an index to ask it for.
QUERIES = 500


class Figure(NamedTuple):
    """A picture with what it shows."""

    title: str
    svg: str
    caption: str


def figures_of(model: Model, trackers: Mapping[str, LossTracker]) -> list[Figure]:
    """Draw everything that the model allows; `trackers` are trainings by name."""
    figures: list[Figure] = []

    def add(title: str, draw: Callable[[], Any], caption: str) -> None:
        figures.append(Figure(title, _svg(draw(), title, f"f{len(figures)}"), caption))

    for name, tracker in trackers.items():
        if any(figure.startswith("loss/") for figure in tracker.names):
            title = f"Losses of {name}" if name else "Losses"
            add(title, partial(plots.losses, tracker), "Means over each epoch's steps.")
    graph, embeddings = model.graph, model.embeddings
    rows = _sample(graph.num_nodes, MOST_POINTS)
    if embeddings.shape[1] >= 2:
        labels = None if graph.labels is None else graph.labels[rows]
        add(
            "Map of the embeddings",
            lambda: plots.embedding_map(embeddings[rows], labels),
            f"{len(rows):,} of {graph.num_nodes:,} nodes along the two directions in which they "
            "vary most.",
        )
    near, far, caption = _pairs(model)
    if len(near) and len(far):
        add(
            "Similarity of pairs",
            lambda: plots.similarity_distributions(
                cosine(*_ends(embeddings, near)), cosine(*_ends(embeddings, far))
            ),
            caption,
        )
    curve, rest = _recall(model.index)
    if curve:
        add(
            "Recall against speed",
            lambda: plots.recall_speed({"HNSW": curve}),
            f"For rising ef, from {curve[0]['ef']} to {curve[-1]['ef']}. The queries are "
            f"{QUERIES:,} nodes or a fifth of them, whichever is less; the index, of the model's "
            f"parameters, holds the other {rest:,}. Speed is that of the machine and the moment.",
        )
    add("Degrees", lambda: plots.degree_histogram(graph), "Neighbours in the graph.")
    add(
        "Hops",
        lambda: plots.hop_histogram(graph),
        "Shortest paths in the graph, between sampled nodes and all others.",
    )
    return figures


def _sample(count: int, most: int) -> npt.NDArray[np.int64]:
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


def _ends(
    embeddings: npt.NDArray[np.float32], pairs: npt.NDArray[np.int64]
) -> Sequence[npt.NDArray[np.float32]]:
    return embeddings[pairs[:, 0]], embeddings[pairs[:, 1]]


def _pairs(model: Model) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], str]:
    if model.split is not None and len(model.split.test):
        return (
            model.split.test, model.split.test_negatives,
            "Positives are edges that were held out, negatives as many pairs that are no edges.",
        )  # fmt: skip
    near = model.graph.edges[_sample(model.graph.num_edges, MOST_PAIRS)]
    far = random_negative_edges(model.graph, len(near)).edges
    return near, far, "Positives are edges that training saw, negatives random pairs that are none."


def _recall(index: HNSW) -> tuple[list[dict[str, Any]], int]:
    """Recall of an index like the model's for vectors that it does not hold."""
    ids = index.ids
    out = min(QUERIES, len(ids) // 5)
    if out == 0:
        return [], 0
    asked = np.isin(np.arange(len(ids)), _sample(len(ids), out))
    vectors = index.get(ids)
    other = HNSW(
        index.dim, metric=index.metric, m=index.m, ef_construction=index.ef_construction,
        seed=index.seed, storage=index.storage,
    )  # fmt: skip
    other.add(vectors[~asked])
    return recall_curve(other, vectors[asked]), len(other)


def _svg(axes: Any, title: str, prefix: str) -> str:
    """The figure as an element of HTML, whose ids no other figure of the page has."""
    import matplotlib as mpl  # noqa: PLC0415  (optional)

    buffer = io.StringIO()
    # Words stay words, which readers can search, copy and have read to them.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ruvector"}):
        axes.figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = svg.replace("url(#", f"url(#{prefix}-").replace('href="#', f'href="#{prefix}-')
    label = html.escape(title, quote=True)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
