"""How good embeddings are: what the command line's ``evaluate`` reports, as numbers by name."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, check_int, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.index import HNSW, FlatIndex
from ruvector.metrics import average_precision, neighbour_accuracy, recall_at_k, roc_auc
from ruvector.probe import linear_probe
from ruvector.sparse import CSR
from ruvector.splits import EdgeSplit

__all__ = ["evaluate_embeddings", "index_recall", "link_scores", "probe_accuracy", "recall_curve"]

logger = logging.getLogger(__name__)

#: An index over raw features is built only up to this many values.
MAX_INDEXED_VALUES = 64_000_000

#: Queries for recall.
MAX_QUERIES = 2000

#: Rows whose neighbours' labels are looked at: the search is exact, so all rows of a large graph
#: would take longer than everything else. The standard error stays below half a point.
MAX_NEIGHBOURHOODS = 10_000

Embeddings = npt.NDArray[Any] | CSR


def evaluate_embeddings(
    embeddings: Embeddings,
    graph: Graph,
    *,
    split: EdgeSplit | None = None,
    index: HNSW | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return every figure that `graph` and `split` allow.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d) or CSR
        One row a node; raw sparse features will do.
    graph : Graph
        Labels and masks are taken from it where it has them.
    split : EdgeSplit, optional
        Held-out edges and as many pairs that are no edges.
    index : HNSW, optional
        Index over the embeddings; without one, one is built.
    seed : int
        Chooses queries, sampled nodes and, where the graph has labels but no masks, five random
        splits.

    Returns
    -------
    dict of str to float
        ``probe_accuracy`` (mean over the graph's splits) and ``probe_accuracy_sd``,
        ``neighbour_accuracy_at_10`` with labels (of 10,000 sampled nodes where there are more);
        ``link_auc`` and ``link_ap`` with held-out edges;
        ``index_recall_at_10`` against exact search. Too few labels for a figure leave it out.
    """
    figures: dict[str, float] = {}
    if graph.labels is not None:
        dense = _dense(embeddings)
        if _can_probe(graph.labels, _splits(graph, graph.labels, seed)):
            figures["probe_accuracy"], figures["probe_accuracy_sd"] = probe_accuracy(
                dense, graph, seed=seed
            )
        if np.count_nonzero(graph.labels != -1) >= 2:
            figures["neighbour_accuracy_at_10"] = neighbour_accuracy(
                dense, graph.labels, k=10, max_rows=MAX_NEIGHBOURHOODS, seed=seed
            )
    if split is not None and len(split.test):
        figures["link_auc"], figures["link_ap"] = link_scores(embeddings, split)
    if np.prod(embeddings.shape) <= MAX_INDEXED_VALUES:
        figures["index_recall_at_10"] = index_recall(_dense(embeddings), index=index, seed=seed)
    return figures


def probe_accuracy(
    embeddings: npt.NDArray[Any], graph: Graph, *, seed: int = 0
) -> tuple[float, float]:
    """Return mean and standard deviation of a linear probe's accuracy over the graph's splits.

    The probe is a logistic regression on the frozen embeddings whose strength of regularisation
    is chosen on the validation nodes. A single stored split has standard deviation 0.

    Raises
    ------
    InvalidArgumentError
        No labels, or a split without two classes to train on and labels to choose and test by.
    """
    if graph.labels is None:
        raise InvalidArgumentError("graph has no labels to probe for")
    splits = _splits(graph, graph.labels, seed)
    if not _can_probe(graph.labels, splits):
        known = graph.labels[graph.labels != -1]
        raise InvalidArgumentError(
            f"graph has {len(known)} labelled nodes of {len(np.unique(known))} classes but every "
            "split needs two classes to train on and labelled nodes to choose and test by; label "
            "more nodes or give the graph other masks"
        )
    scores = [
        linear_probe(embeddings, graph.labels, train, validation, test).accuracy
        for train, validation, test in splits
    ]
    return float(np.mean(scores)), float(np.std(scores))


def link_scores(embeddings: Embeddings, split: EdgeSplit) -> tuple[float, float]:
    """Return ROC-AUC and average precision of the held-out edges.

    A pair's score is the dot product or the cosine of its rows, whichever has the higher AUC on
    the validation edges.
    """
    best = (-1.0, 0.0, 0.0)
    test_truth = _truth(split.test, split.test_negatives)
    for cosine in (True, False):
        score = _PairScore(embeddings, cosine=cosine)
        test = score(split.test, split.test_negatives)
        if len(split.validation):
            chosen_by = roc_auc(
                _truth(split.validation, split.validation_negatives),
                score(split.validation, split.validation_negatives),
            )
        else:
            chosen_by = float(cosine)  # nothing to choose by: cosine
        if chosen_by > best[0]:
            best = (chosen_by, roc_auc(test_truth, test), average_precision(test_truth, test))
    return best[1], best[2]


def index_recall(
    embeddings: npt.NDArray[Any], *, index: HNSW | None = None, k: int = 10, seed: int = 0
) -> float:
    """Return the share of the exact `k` nearest rows that an index finds, for sampled rows."""
    vectors = np.ascontiguousarray(embeddings, dtype=np.float32)
    if index is None:
        index = HNSW(vectors.shape[1])
        index.add(vectors)
    exact = FlatIndex(vectors.shape[1])
    exact.add(vectors)
    rows = _sample(len(vectors), seed)
    found = index.search(vectors[rows], k).ids
    return recall_at_k(found, exact.search(vectors[rows], k).ids)


def recall_curve(
    index: HNSW, queries: npt.NDArray[Any], *, k: int = 10, target: float = 1.0
) -> list[dict[str, Any]]:
    """Return recall and speed for growing `ef`, up to the first that reaches `target`.

    Parameters
    ----------
    index : HNSW
        Not empty.
    queries : ndarray of shape (q, dim)
        Not among the vectors of the index where recall on new ones is asked for.
    k : int
        Neighbours; at most as many as there are vectors.
    target : float
        Share of the exact `k` nearest that ends the curve.

    Returns
    -------
    list of dict
        ``"ef"``, ``"recall"`` and ``"queries_per_second"`` in one batch on all threads. A hit as
        near as the last true neighbour is one, whichever of several it is.

    Raises
    ------
    InvalidTypeError
        No :class:`HNSW`, such as a :class:`FlatIndex`, whose search is exact; queries that are no
        numbers.
    InvalidArgumentError
        An empty index, no queries or of another dimension, `k` below 1, or a `target` outside 0
        to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector import HNSW
    >>> from ruvector.evaluation import recall_curve
    >>> index = HNSW(4, metric="l2")
    >>> _ = index.add(np.random.default_rng(0).standard_normal((50, 4)))
    >>> recall_curve(index, np.eye(4, dtype=np.float32), k=5)[-1]["recall"]
    1.0
    """
    if not isinstance(index, HNSW):
        raise InvalidTypeError(
            f"index is a {type(index).__name__} but must be an HNSW: only there does ef trade "
            "recall for speed"
        )
    queries = as_floats(queries, "queries", dtype=np.float32, columns=index.dim)
    check_real(target, "target", low=0.0, high=1.0)
    if not len(index) or not len(queries):
        raise InvalidArgumentError(
            f"the index holds {len(index)} vectors and there are {len(queries)} queries but a "
            "curve needs both; give at least one of each"
        )
    k = min(check_int(k, "k", low=1), len(index))
    exact = FlatIndex(index.dim, metric=index.metric)
    exact.add(index.get(index.ids))
    last = exact.search(queries, k).distances[:, -1:]
    last += 1e-6 * np.abs(last) + np.float32(1e-7)
    curve: list[dict[str, Any]] = []
    ef = k
    while True:
        start = time.perf_counter()
        found = index.search(queries, k, ef=ef)
        seconds = max(time.perf_counter() - start, 1e-9)
        recall = float((found.distances <= last).mean())
        curve.append({"ef": ef, "recall": recall, "queries_per_second": len(queries) / seconds})
        if recall >= target or ef >= len(index):
            return curve
        ef = min(len(index), max(ef + 1, int(ef * 1.3)))


def _can_probe(
    labels: npt.NDArray[np.int64], splits: list[tuple[npt.NDArray[np.bool_], ...]]
) -> bool:
    known = labels != -1
    return all(
        len(np.unique(labels[train & known])) > 1
        and bool((validation & known).any())
        and bool((test & known).any())
        for train, validation, test in splits
    )


class _PairScore:
    def __init__(self, embeddings: Embeddings, *, cosine: bool) -> None:
        self.embeddings = embeddings
        norms = embeddings.row_norms() if isinstance(embeddings, CSR) else _row_norms(embeddings)
        self.inverse = 1 / np.maximum(norms, 1e-12) if cosine else np.ones(len(norms))

    def __call__(self, *groups: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        pairs = np.concatenate(groups)
        scores = np.empty(len(pairs))
        for start in range(0, len(pairs), 4096):  # bounds what sparse rows take when made dense
            left, right = pairs[start : start + 4096].T
            product = np.einsum("ij,ij->i", self._rows(left), self._rows(right))
            scores[start : start + 4096] = product * self.inverse[left] * self.inverse[right]
        return scores

    def _rows(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        if isinstance(self.embeddings, CSR):
            return self.embeddings.take_rows(rows).to_dense()
        taken: npt.NDArray[Any] = self.embeddings[rows]
        return taken


def _row_norms(dense: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    norms: npt.NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", dense, dense, dtype=np.float64))
    return norms


def _truth(edges: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.arange(len(edges) + len(others)) < len(edges)


def _dense(embeddings: Embeddings) -> npt.NDArray[Any]:
    return embeddings.to_dense() if isinstance(embeddings, CSR) else embeddings


def _sample(count: int, seed: int) -> npt.NDArray[np.int64]:
    if count <= MAX_QUERIES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MAX_QUERIES, replace=False))


def _splits(
    graph: Graph, labels: npt.NDArray[np.int64], seed: int
) -> list[tuple[npt.NDArray[np.bool_], ...]]:
    """The graph's stored splits, or five random ones of 10, 10 and 80 % of the labelled nodes."""
    masks = (graph.train_mask, graph.val_mask, graph.test_mask)
    if all(mask is not None for mask in masks):
        return list(zip(*(np.atleast_2d(mask) for mask in masks if mask is not None), strict=True))
    labelled = np.flatnonzero(labels >= 0)
    splits = []
    for number in range(5):
        order = np.random.default_rng([seed, number]).permutation(labelled)
        tenth = max(len(order) // 10, 1)
        parts = order[:tenth], order[tenth : 2 * tenth], order[2 * tenth :]
        splits.append(tuple(np.isin(np.arange(graph.num_nodes), part) for part in parts))
    return splits
