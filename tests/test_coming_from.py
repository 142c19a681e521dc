"""What the pages for newcomers from other libraries say, against those libraries."""

import numpy as np
import pytest
from ruvector import HNSW, FlatIndex
from ruvector.losses import InBatchInfoNCELoss, InfoNCELoss, TripletLoss
from ruvector.mining import TripletMiner

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((300, 8)).astype(np.float32)
QUERIES = RNG.standard_normal((5, 8)).astype(np.float32)


def ours(metric):
    index = HNSW(8, metric=metric)
    index.add(VECTORS)
    return index.search(QUERIES, k=4, ef=300)


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_distances_of_hnswlib(metric):
    hnswlib = pytest.importorskip("hnswlib", reason="no hnswlib: make test-frameworks")
    index = hnswlib.Index(metric, 8)
    index.init_index(300, M=16, ef_construction=200)
    index.add_items(VECTORS, np.arange(300))
    index.set_ef(300)
    labels, distances = index.knn_query(QUERIES, k=4)
    found = ours(metric)
    np.testing.assert_array_equal(found.ids, labels.astype(np.int64))
    # -ip here, 1 - ip there; the others are the same numbers.
    shift = 1.0 if metric == "ip" else 0.0
    np.testing.assert_allclose(found.distances + shift, distances, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("metric", "sign"), [("l2", 1), ("ip", -1)])
def test_results_of_faiss(metric, sign):
    faiss = pytest.importorskip("faiss", reason="no faiss: make test-frameworks")
    index = {"l2": faiss.IndexFlatL2, "ip": faiss.IndexFlatIP}[metric](8)
    index.add(VECTORS)
    distances, ids = index.search(QUERIES, 4)
    found = ours(metric)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_allclose(sign * found.distances, distances, rtol=1e-4, atol=1e-5)
    if metric == "l2":
        exact = FlatIndex(8, metric="l2")
        exact.add(VECTORS)
        limits, _, near = index.range_search(QUERIES, 6.0)
        mine = exact.range_search(QUERIES, radius=6.0)
        np.testing.assert_array_equal(mine[0], limits.astype(np.int64))
        assert set(mine[1].tolist()) == set(near.tolist())


@pytest.fixture
def pml():
    torch = pytest.importorskip("torch", reason="no PyTorch: make test-torch")
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning import losses, miners, reducers  # noqa: PLC0415  (optional)

    return torch, losses, miners, reducers


def test_contrasts_of_pytorch_metric_learning(pml):
    torch, losses, _, _ = pml
    a, b = RNG.standard_normal((2, 8, 4))
    views, labels = torch.tensor(np.concatenate([a, b])), torch.arange(8).repeat(2)
    there = losses.NTXentLoss(temperature=0.5)(views, labels).item()
    assert InBatchInfoNCELoss(0.5, mode="ntxent")(a, b) == pytest.approx(there, rel=1e-12)

    z, classes = np.concatenate([a, b]), np.arange(16) % 4
    same = classes[:, None] == classes
    np.fill_diagonal(same, False)
    positives = np.stack([np.flatnonzero(row) for row in same])
    negatives = np.stack([np.flatnonzero(classes != c) for c in classes])
    value, _ = InfoNCELoss(0.5, positives="mean_shared").value_and_grad_indexed(
        z, np.arange(16), positives, negatives
    )
    there = losses.SupConLoss(temperature=0.5)(torch.tensor(z), torch.tensor(classes)).item()
    assert value == pytest.approx(there, rel=1e-12)


def test_triplets_of_pytorch_metric_learning(pml):
    torch, losses, miners, reducers = pml
    z = RNG.standard_normal((24, 4))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    labels = np.arange(24) % 4
    mined = TripletMiner("batch_hard").mine(z, labels)
    there = miners.BatchHardMiner()(torch.tensor(z), torch.tensor(labels))
    want = sorted(zip(*(part.tolist() for part in there), strict=True))
    got = zip(mined.anchors, mined.positives, mined.negatives, strict=True)
    assert sorted(tuple(map(int, triplet)) for triplet in got) == want
    rows = [torch.tensor(part) for part in mined[:3]]
    # There over those that cost something, unless told to be over all.
    loss = losses.TripletMarginLoss(margin=0.2, reducer=reducers.MeanReducer())
    value = loss(torch.tensor(z), torch.tensor(labels), rows).item()
    mine, _ = TripletLoss(margin=0.2).value_and_grad_indexed(z, *mined[:3])
    assert mine == pytest.approx(value, rel=1e-9)
