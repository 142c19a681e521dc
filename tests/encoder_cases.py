"""A small graph, and the encoders and objectives that the tests of encoders go through."""

import numpy as np
from ruvector import (
    Concat,
    EdgeContrast,
    Graph,
    SmoothedLinear,
    ViewCorrelation,
    losses,
)
from ruvector.encoders import GCN, MLP, GraphSAGE, KNNSmoothed, Linear, RuvectorEncoder
from ruvector.objectives import (
    DeepGraphInfomax,
    NodeClassification,
    Reconstruction,
)
from ruvector.optim import Adam
from ruvector.smoothing import as_features
from ruvector.sparse import CSR


def make_graph(nodes=14, edges=26, features=9, seed=0):
    """A weighted graph with two nodes that have no neighbours, and sparse features."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, nodes - 2, (edges, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    weights = rng.uniform(0.5, 2, len(pairs))
    x = rng.random((nodes, features)) * (rng.random((nodes, features)) < 0.6)
    x[:, 0] += 0.1
    return Graph.from_edges(pairs, nodes, weights=weights), x.astype(np.float32)


GRAPH, FEATURES = make_graph()
LABELS = np.arange(14) % 3
ENCODERS = {
    "gcn": GCN(dims=(6, 4)),
    "gcn-wide": GCN(dims=(4, 8), activation="prelu", activate_last=True, norm="layer"),
    "sage": GraphSAGE(dims=(6, 4), activation="elu"),
    "sage-max": GraphSAGE(dims=(5, 7), aggregator="max", normalize=True),
    "mlp": MLP(dims=(6, 4), activation="tanh"),
    "linear": Linear(dim=4),
    "ruvector": RuvectorEncoder(dims=(4,), heads=2),
    "ruvector-deep": RuvectorEncoder(dims=(6, 4), heads=2),
    "knn": KNNSmoothed(GCN(dims=(6, 4)), neighbors=2),
    "concat": Concat((GCN(dims=(4,)), SmoothedLinear(dim=4, powers=1)), (1.0, 2.0)),
}
OBJECTIVES = {
    "classes": NodeClassification(LABELS),
    "head": NodeClassification(LABELS, np.arange(14) % 2 == 0, head=True, batch_size=3),
    "infomax": DeepGraphInfomax(),
    "edges": Reconstruction(),
    "features": Reconstruction(
        losses.EdgeReconstructionLoss(2.0, "sum"),
        losses.FeatureReconstructionLoss("binary"),
        feature_weight=0.3,
        feature_rows=8,
    ),
    "contrast": EdgeContrast(batch_size=20, folds=2),
    "views": ViewCorrelation(),
}


def doubles(arrays):
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def features_as(form):
    return CSR.from_dense(FEATURES) if form == "sparse" else FEATURES


def start(encoder, form="sparse", seed=3):
    """Features, weights that are nowhere zero, and which of them are trained."""
    matrix = as_features(GRAPH, features_as(form))
    weights = encoder.initialize(GRAPH, matrix, seed=seed)
    rng = np.random.default_rng(seed)
    for name in encoder.trainable:
        weights[name] = (weights[name] + 0.2 * rng.standard_normal(weights[name].shape)).astype(
            np.float32
        )
    return matrix, weights


def check_differences(value, arrays, gradients, step=1e-6):
    """Compare gradients of scalar `value(arrays)` with central differences.

    Each array moves along one random direction: a wrong gradient agrees with chance 0.
    """
    rng = np.random.default_rng(7)
    for name, array in arrays.items():
        direction = rng.standard_normal(array.shape)
        ends = [value({**arrays, name: array + sign * step * direction}) for sign in (1, -1)]
        want = (ends[0] - ends[1]) / (2 * step)
        got = np.sum(gradients[name] * direction)
        size = np.sqrt(np.sum(gradients[name] ** 2))
        assert abs(got - want) < 1e-5 * size + 1e-8 * (1 + abs(ends[0])), name


def fast(weights):
    return Adam(weights, lr=0.01)
