"""What the mathematics of every loss promises, whatever its formula."""

import numpy as np
import pytest
from loss_cases import CASES, samples
from ruvector import losses
from ruvector.graph import Graph
from ruvector.losses._base import SPECS

NAMES = list(CASES)
# Inputs whose first axis are the items of a batch, of every loss whose items are no edges.
ITEMS = {
    "infonce": ("anchors", "positives", "positive_mask"),
    "inbatch_infonce": ("anchors", "positives", "ids", "sampling_probabilities"),
    "cca_ssg": ("first", "second"),
    "ewc": ("theta", "theta_star", "fisher"),
    "norm": ("embeddings",),
    "orthogonality": ("embeddings",),
    "sparsity": ("embeddings",),
    "distillation": ("student_logits", "teacher_logits"),
    "multi_hop": ("anchors", "positives", "hops"),
    "triplet": ("anchors", "positives", "negatives"),
    "barlow_twins": ("first", "second"),
    "graph_classification": ("embeddings", "graphs"),
    "node_classification": ("logits", "labels", "mask"),
    "edge_bce": ("logits", "labels", "mask"),
    "feature_reconstruction": ("embeddings", "target"),
    "deep_graph_infomax": ("states",),
    "vicreg": ("first", "second"),
}
COSINE = [
    losses.InfoNCELoss(0.2),
    losses.InBatchInfoNCELoss(0.2, mode="oneway"),
    losses.InBatchInfoNCELoss(0.2, mode="symmetric"),
    losses.InBatchInfoNCELoss(0.2, mode="ntxent"),
    losses.MultiHopContrastiveLoss((1.0, 0.3), 0.2),
    losses.TripletLoss(2.0, distance="cosine"),
    losses.LinkPredictionLoss("cosine", 5.0),
    losses.NeighborContrastiveLoss(0.2, num_negatives=3),
]


def test_every_loss_has_its_items_named():
    tables = {name for name in NAMES if SPECS[name].by_number == "table"}
    assert set(ITEMS) | tables == set(losses.names())
    assert not set(ITEMS) & tables


@pytest.mark.parametrize("name", ITEMS)
def test_permuting_the_items_permutes_their_gradients(name):
    rng = np.random.default_rng(0)
    tried = 0
    for loss, inputs, keywords in samples(name, 40):
        arrays = {key: a for key, a in inputs.items() if a is not None}
        sizes = [a.size for a in arrays.values()]
        if not min(sizes):
            continue
        fields = list(ITEMS[name])
        if "negatives" in arrays and arrays["negatives"].ndim == 3:
            fields.append("negatives")
        order = rng.permutation(len(next(iter(arrays.values()))))

        def moved(given, fields=fields, order=order):
            # Probabilities go on with those of further negatives.
            return {
                key: np.concatenate([value[order], value[len(order) :]])
                if key in fields and value is not None
                else value
                for key, value in given.items()
            }

        want = loss.value_and_grad(**inputs, **keywords)
        got = loss.value_and_grad(**moved(inputs), **moved(keywords))
        np.testing.assert_allclose(np.sum(got.value), np.sum(want.value), rtol=1e-9, atol=1e-12)
        assert got.active == want.active
        gradients = moved(want.gradients._asdict())
        scale = max(np.abs(g).max() for g in gradients.values() if g is not None)
        for key, gradient in got.gradients._asdict().items():
            if gradient is not None:
                np.testing.assert_allclose(
                    gradient, gradients[key], rtol=1e-8, atol=1e-10 * max(scale, 1.0)
                )
        tried += 1
    assert tried > 10


def call_of(loss, rng, dtype):
    """Return inputs of a loss of cosines by name, those with a gradient and the rest."""
    normal = rng.standard_normal
    if isinstance(loss, losses.LinkPredictionLoss):
        src, dst = rng.integers(0, 8, (2, 30))
        rest = {"src": src, "dst": dst, "labels": rng.random(30)}
        return {"embeddings": normal((8, 5)).astype(dtype)}, rest
    if isinstance(loss, losses.NeighborContrastiveLoss):
        graph = Graph.from_edges(rng.integers(0, 8, (12, 2)), num_nodes=8)
        return {"embeddings": normal((8, 5)).astype(dtype)}, {"graph": graph}
    rest = {}
    shapes = {"anchors": (6, 5), "positives": (6, 5), "negatives": (6, 5)}
    if isinstance(loss, losses.MultiHopContrastiveLoss):
        shapes["positives"] = (6, 3, 5)
        rest["hops"] = rng.integers(0, 3, (6, 3))
    return {key: normal(shape).astype(dtype) for key, shape in shapes.items()}, rest


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", COSINE, ids=str)
def test_gradients_of_cosines_stand_upright_on_their_rows(loss, dtype):
    rng = np.random.default_rng(5)
    for scale in (1.0, 1e-3, 1e3):
        inputs, rest = call_of(loss, rng, dtype)
        inputs = {key: array * dtype(scale) for key, array in inputs.items()}
        gradients = loss.value_and_grad(**inputs, **rest).gradients._asdict()
        for key, array in inputs.items():
            along = np.abs(np.sum(array * gradients[key], axis=-1, dtype=np.float64))
            lengths = np.linalg.norm(array, axis=-1) * np.linalg.norm(gradients[key], axis=-1)
            assert (along <= (2e-5 if dtype == np.float32 else 1e-12) * (lengths + 1)).all()
        assert any(np.abs(gradients[key]).max() > 0 for key in inputs)


@pytest.mark.parametrize(
    "loss",
    [
        *(losses.InfoNCELoss(0.01, positives=p) for p in ("mean_own", "mean_shared", "log_of_sum")),
        *(losses.InBatchInfoNCELoss(0.01, mode=m) for m in ("oneway", "symmetric", "ntxent")),
        losses.MultiHopContrastiveLoss((1.0, 0.5), 0.01),
        losses.NeighborContrastiveLoss(0.01, num_negatives=99),
    ],
    ids=str,
)
def test_similarities_of_one_at_a_temperature_of_a_hundredth(loss):
    """Positives opposite, negatives beside: values around 200, and the gradient of float64."""
    rng = np.random.default_rng(2)
    axis = np.zeros(16)
    axis[0] = 1.0
    near = lambda sign, count: sign * axis + 1e-3 * rng.standard_normal((count, 16))  # noqa: E731
    inputs = {"anchors": near(1, 4), "positives": near(-1, 4), "negatives": near(1, 5)}
    rest = {}
    if isinstance(loss, losses.MultiHopContrastiveLoss):
        inputs["positives"] = np.stack([near(-1, 2) for _ in range(4)])
        rest["hops"] = np.array([[1, 2]] * 4)
    if isinstance(loss, losses.NeighborContrastiveLoss):
        inputs = {"embeddings": np.concatenate([near(1, 3), near(-1, 3)])}
        rest["graph"] = Graph.from_edges([[0, 3], [1, 4], [2, 5]], num_nodes=6)
    value, gradients = loss.value_and_grad(**inputs, **rest)
    assert 90 < value < 400
    single = {key: array.astype(np.float32) for key, array in inputs.items()}
    value_of_single, of_single = loss.value_and_grad(**single, **rest)
    np.testing.assert_allclose(value_of_single, value, rtol=1e-5)
    for key, gradient in gradients._asdict().items():
        scale = np.abs(gradient).max()
        assert scale > 1e-3
        np.testing.assert_allclose(getattr(of_single, key), gradient, atol=2e-2 * scale)
