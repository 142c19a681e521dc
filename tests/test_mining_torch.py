"""Triplets of a batch beside those of pytorch-metric-learning itself: `make test-torch`."""

import numpy as np
import pytest
from ruvector.mining import TripletMiner

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")
REASON = "pytorch-metric-learning is not installed: make test-torch"
miners = pytest.importorskip("pytorch_metric_learning.miners", reason=REASON)
peers = pytest.importorskip("pytorch_metric_learning.distances", reason=REASON)

DISTANCES = {
    "euclidean": peers.LpDistance(normalize_embeddings=False),
    "squared": peers.LpDistance(normalize_embeddings=False, power=2),
    "cosine": peers.CosineSimilarity(),
}


def random(_):
    rng = np.random.default_rng(4)
    return rng.normal(size=(90, 8)), rng.integers(0, 12, 90)


def one_class_of_one(_):
    rng = np.random.default_rng(5)
    return rng.normal(size=(40, 3)), np.append(rng.integers(0, 3, 39), 7)


def fashion_mnist(data_file):
    with np.load(data_file("fashion_mnist.npz")) as data:
        rows = data["x_train"][:160].reshape(160, -1) / 255.0
        return rows, data["y_train"][:160].astype(np.int64)


def triplets(found):
    """One row each, ordered by anchor, positive, negative."""
    found = np.stack([np.asarray(part) for part in found[:3]])
    return found.T[np.lexsort(found[::-1])]


@pytest.mark.parametrize("data", [random, one_class_of_one, fashion_mnist])
@pytest.mark.parametrize("distance", list(DISTANCES))
@pytest.mark.parametrize("margin", [0.05, 0.3])
def test_semi_hard_and_batch_hard(data, distance, margin, data_file):
    rows, labels = data(data_file)
    given = torch.from_numpy(rows), torch.from_numpy(labels)
    metric = DISTANCES[distance]
    peer = miners.TripletMarginMiner(margin, type_of_triplets="semihard", distance=metric)
    expected = triplets(peer(*given))
    assert len(expected)
    ours = TripletMiner("all_semi_hard", distance=distance, margin=margin).mine(rows, labels)
    np.testing.assert_array_equal(triplets(ours), expected)
    # Of each pair's negatives the nearest.
    apart = metric(given[0]).numpy() * (-1 if metric.is_inverted else 1)
    far = apart[expected[:, 0], expected[:, 2]]
    order = np.lexsort([far, expected[:, 1], expected[:, 0]])
    _, first = np.unique(expected[order][:, :2], axis=0, return_index=True)
    ours = TripletMiner("semi_hard", distance=distance, margin=margin).mine(rows, labels)
    np.testing.assert_array_equal(triplets(ours), expected[order][first])
    hardest = triplets(miners.BatchHardMiner(distance=metric)(*given))
    ours = TripletMiner("batch_hard", distance=distance).mine(rows, labels)
    np.testing.assert_array_equal(triplets(ours), hardest)
