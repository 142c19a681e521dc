"""The recommended way to embed a graph, in one call."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_choice, check_int
from ruvector.encoders import Encoder, KNNSmoothed, SmoothedLinear
from ruvector.errors import InvalidTypeError
from ruvector.graph import Graph
from ruvector.graph_batch import GraphBatch
from ruvector.index import HNSW
from ruvector.model import Model
from ruvector.objectives import EdgeContrast
from ruvector.smoothing import smooth
from ruvector.splits import split_edges
from ruvector.trainer import Trainer
from ruvector.walk_pairs import WalkPairs

__all__ = ["TASKS", "embed", "fit_recipe", "train_model"]

#: Tasks of the nodes of one graph, for which there is something to train.
TASKS = ("node", "link")

#: Edges that a training looks at: in one pass at least, and in five at most.
EDGES_SEEN = 150_000

#: Steps of full size that bring classes out; more of them fit single edges.
NODE_STEPS = 50


def embed(
    graph: Graph | GraphBatch | Sequence[Graph],
    features: object | None = None,
    *,
    task: str = "node",
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Embed every node of a graph, or every graph of several, by the recommended recipe.

    Parameters
    ----------
    graph : Graph, GraphBatch or sequence of Graph
        One graph with n nodes for the tasks of nodes, two or more graphs for ``"graph"``.
    features : array_like of shape (n, f), CSR or SciPy sparse matrix, optional
        Without features a graph's structure alone is embedded. For ``"graph"`` those of all nodes,
        one graph after the other, or a list of one array for each graph; the graphs' own features
        by default.
    task : {"node", "link", "graph"}
        ``"node"`` for telling nodes apart (classify, cluster, find alike), ``"link"`` for telling
        which pairs share an edge: compare rows by cosine. ``"graph"`` for telling whole graphs
        apart.
    seed : int
        The same seed gives the same embeddings, bit for bit, for any number of threads.

    Returns
    -------
    ndarray of shape (n, d) or, for ``"graph"``, (number of graphs, d), float32
        d is at most 256. Rows of link embeddings have length 1.

    Raises
    ------
    InvalidArgumentError
        `features` has not n rows or holds NaN or infinity; the graph has no edges (for nodes and
        links); fewer than two graphs.
    InvalidTypeError
        `graph` is not of the kind that the task takes.

    Notes
    -----
    Links: a linear map on smoothed features, trained by in-batch InfoNCE over edges that are left
    out of the smoothing, corrected for how often a node is a negative (:class:`EdgeContrast`).
    Nodes: such a map, where nodes of few edges are averaged over near ones
    (:class:`ruvector.encoders.KNNSmoothed`). Graphs: untrained counts of what lies at the ends of
    walks (:class:`ruvector.walk_pairs.WalkPairs`, which can also embed graphs that come later).
    Time grows linearly with edges and with the features' values; up to 16,384 nodes the nearest
    are found among all pairs.

    Examples
    --------
    >>> import numpy as np
    >>> import ruvector
    >>> graph = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 0]])
    >>> ruvector.embed(graph, np.eye(4), task="link").shape
    (4, 4)
    >>> path = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3]])
    >>> ruvector.embed([graph, path], task="graph").shape
    (2, 1)
    """
    check_choice(task, "task", choices=(*TASKS, "graph"))
    if task == "graph":
        if isinstance(graph, Graph):
            raise InvalidTypeError(
                "graph is one Graph but task 'graph' takes a GraphBatch or a list of graphs; for "
                "the nodes of one graph use task='node' or 'link'"
            )
        return WalkPairs(seed=seed).fit_embed(graph, features)
    if isinstance(graph, GraphBatch):
        graph = graph.graph
    if not isinstance(graph, Graph):
        raise InvalidTypeError(
            f"graph is a {type(graph).__name__} but task {task!r} takes a Graph; several graphs "
            "are embedded by task='graph'"
        )
    return fit_recipe(graph, features, task=task, seed=seed).embed()


def fit_recipe(
    graph: Graph,
    features: object | None = None,
    *,
    task: str = "node",
    seed: int = 0,
    progress: bool = False,
) -> Trainer:
    """Return the trainer that :func:`embed` computes embeddings with, fitted."""
    check_choice(task, "task", choices=TASKS)
    seed = check_int(seed, "seed", low=0)
    passes = min(max(round(EDGES_SEEN / max(graph.num_edges, 1)), 1), 5)

    objective = EdgeContrast(correct_sampling=True)
    encoder: Encoder = SmoothedLinear(exponent=0.5)
    lr = 1e-3
    if task == "node":
        encoder = KNNSmoothed(SmoothedLinear(exponent=1.0, magnitude=0.75))
        steps = passes * graph.num_edges / objective.batch_size
        lr *= min(1.0, NODE_STEPS / max(steps, 1.0))
    trainer = Trainer(encoder, objective, epochs=passes, lr=lr, seed=seed, progress=progress)
    return trainer.fit(graph, features)


def train_model(
    graph: Graph, *, task: str = "node", seed: int = 0, progress: bool = False
) -> Model:
    """Train the recipe of `task` on a graph with its own features and index the embeddings.

    For ``"link"``, 5 % of the edges are held out for validation and 10 % for testing before
    anything looks at the graph, and the model keeps which.

    Returns
    -------
    Model
        With the costs of raw features, smoothing and training in its details, and the epochs of
        the training. Memory is the peak of the process up to then, in the order raw, smooth,
        trained.
    """
    split = split_edges(graph, seed=seed) if task == "link" else None
    visible = graph if split is None else split.train_graph
    costs: dict[str, dict[str, float]] = {"raw": _costs(0.0)}
    started = time.perf_counter()
    smooth(visible, graph.features, seed=seed)
    costs["smooth"] = _costs(time.perf_counter() - started)
    started = time.perf_counter()
    trainer = fit_recipe(visible, graph.features, task=task, seed=seed, progress=progress)
    embeddings = trainer.embed()
    costs["trained"] = _costs(time.perf_counter() - started)
    started = time.perf_counter()
    index = HNSW(embeddings.shape[1], seed=seed)
    index.add(embeddings)
    details: dict[str, Any] = {
        "task": task,
        "seed": seed,
        "costs": costs,
        "index_seconds": time.perf_counter() - started,
        "histories": {task: [record.as_dict() for record in trainer.history]},
    }
    return Model(trainer.encoder, trainer.weights, graph, embeddings, index, split, details)


def _costs(seconds: float) -> dict[str, float]:
    costs = {"train_seconds": seconds}
    try:
        import resource  # noqa: PLC0415  (not on Windows)
    except ImportError:
        return costs
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1024**2 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return {**costs, "peak_rss_mib": peak / unit}
