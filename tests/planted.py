"""A small graph of planted groups, and two small encoders for it."""

import numpy as np
from ruvector import Graph, PropagatedLinear, SmoothedLinear

SMALL = SmoothedLinear(dim=6, powers=2, exponent=0.5)
WIDE = PropagatedLinear(dim=5, powers=2)


def planted(groups=3, size=20, inside=0.3, between=0.02, seed=0):
    """A graph of groups whose nodes share edges more often, and noisy features of the group."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    same = group[:, None] == group
    drawn = rng.random(same.shape) < np.where(same, inside, between)
    edges = np.argwhere(np.triu(drawn, 1))
    features = np.eye(groups)[group] @ rng.standard_normal((groups, 10))
    features += rng.standard_normal(features.shape)
    return Graph.from_edges(edges, len(group)), features.astype(np.float32)


GRAPH, FEATURES = planted()
