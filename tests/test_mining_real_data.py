"""Every strategy on Cora and Fashion-MNIST against all similarities in float64."""

import numpy as np
import pytest
from ruvector import _core as core
from ruvector.graph import Graph
from ruvector.mining import HardNegativeMiner

ANCHORS, K = 200, 8


def cora(data_file):
    graph = Graph.load_npz(data_file("cora.npz"))
    # Dense and shorter: bags of words through a random map.
    rng = np.random.default_rng(0)
    rows = np.zeros((graph.num_nodes, 64), np.float32)
    table = rng.normal(size=(graph.features.shape[1], 64))
    for node in range(graph.num_nodes):
        part = slice(graph.features.indptr[node], graph.features.indptr[node + 1])
        rows[node] = graph.features.data[part] @ table[graph.features.indices[part]]
    adjacency = graph.adjacency()
    end = adjacency.indptr[ANCHORS]
    return rows, graph.labels, (adjacency.indptr[: ANCHORS + 1], adjacency.indices[:end])


def fashion_mnist(data_file):
    # As many rows as make miners look at bytes first.
    with np.load(data_file("fashion_mnist.npz")) as data:
        rows = data["x_train"][:9000].reshape(9000, -1).astype(np.float32)
        return rows, data["y_train"][:9000].astype(np.int64), (np.zeros(ANCHORS + 1, int), [])


@pytest.mark.parametrize("data", [cora, fashion_mnist])
@pytest.mark.parametrize("strategy", core.mining_strategies())
@pytest.mark.parametrize("skip", [0, 20])
def test_agrees_with_all_similarities(data, strategy, skip, data_file):
    rows, labels, exclude = data(data_file)
    positives = np.array([np.flatnonzero(labels == label)[-1] for label in labels[:ANCHORS]])
    miner = HardNegativeMiner(strategy, k=K, skip=skip, seed=3)
    mined = miner.mine(
        rows[:ANCHORS],
        rows,
        positives=positives,
        labels=labels[:ANCHORS],
        pool_labels=labels,
        exclude=exclude,
    )
    wide = rows.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    near = wide[:ANCHORS] @ wide.T
    upper = near[np.arange(ANCHORS), positives]
    near[labels[:ANCHORS, None] == labels] = -np.inf
    indptr, indices = exclude
    near[np.repeat(np.arange(ANCHORS), np.diff(indptr)), indices] = -np.inf
    assert (mined.counts == K).all()
    got = np.take_along_axis(near, mined.indices, 1)
    np.testing.assert_allclose(mined.similarities, got, atol=1e-5)
    assert all(len(np.unique(row)) == K for row in mined.indices)
    ordered = -np.sort(-near, axis=1)
    band = ordered[:, skip]
    assert (got <= band[:, None] + 1e-6).all()
    if strategy == "hardest":
        np.testing.assert_allclose(got, ordered[:, skip : skip + K], atol=1e-6)
    elif strategy == "mixed":
        np.testing.assert_allclose(got[:, : K // 2], ordered[:, skip : skip + K // 2], atol=1e-6)
    elif strategy == "semi_hard":
        for row, limit, found in zip(ordered[:, skip:], upper, got, strict=True):
            below = row < limit
            expected = np.concatenate([row[below & (row > -np.inf)], row[~below]])[:K]
            # Where the positive lies within rounding of a negative either may come first.
            if np.abs(row[: 5 * K] - limit).min() > 1e-5:
                np.testing.assert_allclose(found, expected, atol=1e-6)


def test_bytes_change_nothing(data_file, each_thread_count):
    rows, labels, _ = fashion_mnist(data_file)
    centred = rows - rows.mean(0)
    for metric in ("cosine", "dot"):
        miner = HardNegativeMiner("hardest", k=K, metric=metric)

        def mine(start, end, miner=miner):
            own = labels[start:end]
            return miner.mine(centred[start:end], centred, labels=own, pool_labels=labels)

        # Fewer than 128 anchors are compared by the product at once.
        parts = [mine(start, start + 100) for start in (0, 100)]
        for _ in each_thread_count():
            together = mine(0, 200)
            for whole, part in zip(together, zip(*parts, strict=True), strict=True):
                np.testing.assert_array_equal(whole, np.concatenate(part))
