"""Pairs of the same class, and nothing else of the labels, teach a short code of digits."""

import numpy as np
import pytest
from ruvector import EdgeContrast, FlatIndex, Graph, Linear, Trainer
from ruvector.losses import InBatchInfoNCELoss

DIM, TRAIN = 16, 1200


def _digits():
    x, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return (x[order] / 16).astype(np.float32), y[order]


def _pairs(labels, rng, each=4):
    """For every row some others of its class, every pair once."""
    same = [np.flatnonzero(labels == label) for label in range(10)]
    pairs = [(row, other) for row, y in enumerate(labels) for other in rng.choice(same[y], each)]
    pairs = np.sort(np.array(pairs), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _precision(codes, labels):
    """Share of the ten nearest known rows that are of the class of a row held out."""
    index = FlatIndex(codes.shape[1], metric="cosine")
    index.add(codes[:TRAIN])
    ids = index.search(codes[TRAIN:], k=10).ids
    return (labels[ids] == labels[TRAIN:, None]).mean()


def test_contrast_of_pairs_beats_principal_components():
    x, y = _digits()
    centred = x - x[:TRAIN].mean(axis=0)
    components = np.linalg.svd(centred[:TRAIN], full_matrices=False)[2][:DIM]
    plain = _precision(centred @ components.T, y)
    objective = EdgeContrast(InBatchInfoNCELoss(0.2, mode="oneway"), batch_size=256, folds=1)
    reached = []
    for seed in range(3):
        pairs = Graph.from_edges(_pairs(y[:TRAIN], np.random.default_rng(seed)), TRAIN)
        trainer = Trainer(encoder=Linear(DIM), objective=objective, epochs=20, seed=seed)
        trainer.fit(pairs, centred[:TRAIN])
        nobody = Graph.from_edges(np.empty((0, 2), np.int64), len(x))
        reached.append(_precision(trainer.embed(nobody, centred), y))
    assert np.mean(reached) - np.std(reached) > plain
