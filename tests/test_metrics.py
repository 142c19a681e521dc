"""Metrics against slow definitions and, where it is installed, scikit-learn."""

import numpy as np
import pytest
from ruvector import metrics
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.metrics import (
    average_precision,
    mean_reciprocal_rank,
    neighbour_accuracy,
    recall_at_k,
    roc_auc,
)


def cases():
    rng = np.random.default_rng(0)
    for n, levels in [(2, 1), (5, 2), (60, 4), (60, 1000), (300, 7)]:
        for _ in range(5):
            labels = rng.integers(0, 2, n)
            labels[:2] = [0, 1]
            yield rng.permutation(labels), rng.integers(0, levels, n) / 3.0


def slow_auc(labels, scores):
    pairs = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p in scores[labels == 1]
        for n in scores[labels == 0]
    ]
    return np.mean(pairs)


def slow_precision(labels, scores):
    # At each positive, the share of positives among all that score as high.
    return np.mean([labels[scores >= s].mean() for s in scores[labels == 1]])


@pytest.mark.parametrize(("labels", "scores"), list(cases()))
def test_ranking_metrics_agree_with_their_definitions(labels, scores):
    assert roc_auc(labels, scores) == pytest.approx(slow_auc(labels, scores), abs=1e-12)
    expected = slow_precision(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)
    assert roc_auc(labels.astype(bool), scores) == roc_auc(labels, scores)


def test_ranking_metrics_agree_with_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    for labels, scores in cases():
        auc, precision = roc_auc(labels, scores), average_precision(labels, scores)
        assert auc == pytest.approx(sklearn.roc_auc_score(labels, scores), abs=1e-12)
        expected = sklearn.average_precision_score(labels, scores)
        assert precision == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", [roc_auc, average_precision])
def test_ranking_metrics_refuse_bad_input(metric):
    with pytest.raises(InvalidArgumentError, match="holds 2"):
        metric([0, 1, 2], [0.1, 0.2, 0.3])
    with pytest.raises(InvalidArgumentError, match="nan at 1"):
        metric([0, 1], [0.1, np.nan])
    with pytest.raises(InvalidArgumentError, match="labels has"):
        metric([0, 1, 1], [0.1, 0.2])
    with pytest.raises(InvalidArgumentError, match="labels has"):
        metric([False, True, True], [0.1, 0.2])
    with pytest.raises(InvalidArgumentError, match="labels has"):
        metric([0, 0], [0.1, 0.2])
    with pytest.raises(InvalidArgumentError, match="labels has"):
        metric([], [])
    with pytest.raises(InvalidTypeError, match="scores"):
        metric([0, 1], ["a", "b"])


def test_auc_needs_both_classes():
    with pytest.raises(InvalidArgumentError, match="needs both"):
        roc_auc([1, 1], [0.1, 0.2])
    assert average_precision([1, 1], [0.1, 0.2]) == 1.0


def test_recall_and_reciprocal_rank_agree_with_loops(monkeypatch):
    monkeypatch.setattr(metrics, "_BLOCK", 500)
    rng = np.random.default_rng(1)
    found = np.stack([rng.permutation(30)[:8] for _ in range(50)])
    true = np.stack([rng.permutation(30)[:5] for _ in range(50)])
    found[rng.random(found.shape) < 0.2] = -1
    true[rng.random(true.shape) < 0.2] = -1
    true[7] = -1
    wanted = [set(row) - {-1} for row in true]
    hits = [len(set(f) & w) for f, w in zip(found, wanted, strict=True)]
    assert recall_at_k(found, true) == pytest.approx(sum(hits) / sum(map(len, wanted)))
    ranks = [
        next((1 / (1 + i) for i, x in enumerate(f) if x in w), 0.0)
        for f, w in zip(found, wanted, strict=True)
        if w
    ]
    assert len(ranks) < 50
    assert mean_reciprocal_rank(found, true) == pytest.approx(np.mean(ranks))


def test_recall_counts_an_id_once_and_takes_single_rows():
    assert recall_at_k([1, 1, 1], [1, 2]) == 0.5
    assert recall_at_k([-1, -1], [-1, 2]) == 0.0
    assert recall_at_k(np.empty((2, 0), int), [[1], [2]]) == 0.0
    assert mean_reciprocal_rank(np.empty((2, 0), int), [1, 2]) == 0.0


@pytest.mark.parametrize("metric", [recall_at_k, mean_reciprocal_rank])
def test_retrieval_metrics_refuse_bad_input(metric):
    with pytest.raises(InvalidArgumentError, match="rows"):
        metric([[1, 2]], [[1], [2]])
    with pytest.raises(InvalidArgumentError, match="no id"):
        metric([[1, 2]], [[-1]])
    with pytest.raises(InvalidTypeError, match="found_ids"):
        metric([[1.5, 2]], [[1]])
    with pytest.raises(InvalidTypeError, match="true_ids"):
        metric([[1, 2]], [["a"]])


@pytest.mark.parametrize("block", [1, 700, 1 << 22])
def test_neighbour_accuracy_agrees_with_a_loop(monkeypatch, block):
    monkeypatch.setattr(metrics, "_BLOCK", block)
    rng = np.random.default_rng(2)
    embeddings, labels = rng.normal(size=(90, 6)), rng.integers(-1, 3, 90)
    embeddings += labels[:, np.newaxis]
    known = np.flatnonzero(labels != -1)
    shares = []
    for i in known:
        others = known[known != i]
        cosines = (embeddings[others] @ embeddings[i]) / np.linalg.norm(embeddings[others], axis=1)
        nearest = others[np.argsort(-cosines)[:7]]
        shares.append((labels[nearest] == labels[i]).mean())
    assert neighbour_accuracy(embeddings, labels, k=7) == pytest.approx(np.mean(shares))


def test_neighbour_accuracy_of_drawn_rows_looks_for_neighbours_among_all():
    rng = np.random.default_rng(3)
    embeddings, labels = rng.normal(size=(80, 5)), rng.integers(-1, 2, 80)
    known = np.flatnonzero(labels != -1)
    cosines = embeddings[known] / np.linalg.norm(embeddings[known], axis=1, keepdims=True)
    cosines = cosines @ cosines.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = known[np.argsort(-cosines, axis=1)[:, :3]]
    shares = (labels[nearest] == labels[known][:, np.newaxis]).mean(axis=1)
    drawn = np.random.default_rng(5).choice(len(known), 20, replace=False)
    got = neighbour_accuracy(embeddings, labels, k=3, max_rows=20, seed=5)
    assert got == pytest.approx(shares[drawn].mean())
    for enough in (len(known), 1000, None):
        got = neighbour_accuracy(embeddings, labels, k=3, max_rows=enough, seed=5)
        assert got == pytest.approx(shares.mean())
    with pytest.raises(InvalidArgumentError, match="max_rows"):
        neighbour_accuracy(embeddings, labels, max_rows=0)


def test_neighbour_accuracy_with_few_rows_and_zero_rows():
    assert neighbour_accuracy(np.zeros((3, 2)), [1, 1, -1], k=50) == 1.0
    assert neighbour_accuracy(np.eye(3), [0, 1, 2], k=2) == 0.0


def test_neighbour_accuracy_needs_a_column():
    with pytest.raises(InvalidArgumentError, match="embeddings has shape"):
        neighbour_accuracy(np.empty((3, 0)), [0, 1, 1], k=1)


def test_neighbour_accuracy_of_copies_never_counts_a_row_as_its_own_neighbour():
    # More copies than neighbours: the search for a row's neighbours may leave out the row itself.
    assert neighbour_accuracy(np.ones((40, 3)), [7] * 40, k=3) == 1.0
    assert neighbour_accuracy(np.ones((2, 3)), [0, 1], k=3) == 0.0
    embeddings = np.repeat(np.eye(4), 30, axis=0)
    labels = np.arange(120)
    assert neighbour_accuracy(embeddings, labels, k=5) == 0.0


def test_neighbour_accuracy_refuses_bad_input():
    bad = np.ones((3, 2))
    bad[2, 1] = np.nan
    with pytest.raises(InvalidArgumentError, match="row 2"):
        neighbour_accuracy(bad, [-1, 0, 0])
    assert neighbour_accuracy(bad, [0, 0, -1]) == 1.0
    with pytest.raises(InvalidArgumentError, match="1 labelled"):
        neighbour_accuracy(np.ones((3, 2)), [0, -1, -1])
    with pytest.raises(InvalidArgumentError, match="labels has 2"):
        neighbour_accuracy(np.ones((3, 2)), [0, 1])
    with pytest.raises(InvalidArgumentError, match="k is 0"):
        neighbour_accuracy(np.ones((3, 2)), [0, 1, 1], k=0)
