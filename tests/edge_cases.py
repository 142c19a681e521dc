"""Losses over pairs, triplets, neighbours, hops and logits, with calls of many rows."""

import numpy as np
from loss_cases import FORMS
from ruvector.graph import Graph
from ruvector.losses import (
    DistillationLoss,
    LinkPredictionLoss,
    LocalContrastiveLoss,
    MultiHopContrastiveLoss,
    NeighborContrastiveLoss,
    TripletLoss,
)

NAMES = [
    "distillation",
    "link_prediction",
    "local_contrastive",
    "multi_hop",
    "neighbor_contrastive",
    "triplet",
]
DISTANCES = ["euclidean", "squared", "cosine"]


def slope_matches(function, array, gradient, rng, step=1e-6):
    """Compare a gradient with a central difference in a random direction."""
    direction = rng.standard_normal(array.shape)
    direction[~array.any(axis=-1)] = 0  # where a row is zero a cosine is smooth for 1e-8 only
    direction /= max(np.linalg.norm(direction), 1e-300)
    up, down = (float(np.sum(function(array + sign * step * direction))) for sign in (1, -1))
    want = float(np.sum(gradient * direction))
    tolerance = 1e-5 * max(1.0, np.abs(gradient[array.any(axis=-1)]).max(initial=0.0))
    assert abs((up - down) / (2 * step) - want) < tolerance + 1e-15 * abs(up) / step


def many(name, rng, rows=400, cols=24):
    """Return a call with more rows than any piece that work is cut into, zero rows among them."""
    x = rng.standard_normal((rows, cols))
    x[[3, rows - 43]] = 0
    src, dst = rng.integers(0, rows, (2, 3000))
    src[:900] = 5  # a row that very many pairs share
    hops = rng.integers(0, 3, (rows, 4))
    return {
        "distillation": ([x], {"teacher_logits": 2 * x[::-1]}),
        "link_prediction": ([x], {"src": src, "dst": dst, "labels": src % 2}),
        "local_contrastive": ([x], {"src": src, "dst": dst, "similar": src % 3 == 0}),
        "multi_hop": (
            [x, rng.standard_normal((rows, 4, cols)), x[: rows // 2]],
            {"hops": hops},
        ),
        "neighbor_contrastive": (
            [x],
            {"graph": Graph.from_edges(np.stack([src, dst], 1), num_nodes=rows)},
        ),
        "triplet": ([x, np.roll(x, 1, axis=0), x[::-1]], {}),
    }[name]


VARIANTS = [
    DistillationLoss(),
    LinkPredictionLoss(scale=0.2),
    LinkPredictionLoss("cosine", 5.0, bias=-1.0),
    LocalContrastiveLoss(margin=7.0),
    *(MultiHopContrastiveLoss(temperature=0.2, positives=form) for form in FORMS),
    *(NeighborContrastiveLoss(temperature=0.2, positives=form, seed=3) for form in FORMS),
    *(TripletLoss(distance=distance, margin=1.0) for distance in DISTANCES),
]


def case_id(loss):
    return f"{loss.name}-{getattr(loss, 'positives', getattr(loss, 'distance', ''))}"
