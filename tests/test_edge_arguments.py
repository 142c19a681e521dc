"""How losses over pairs, triplets, neighbours, hops and logits are called, and what they refuse."""

import copy
import pickle

import numpy as np
import pytest
from edge_cases import NAMES
from loss_cases import samples
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.losses import (
    DistillationLoss,
    LinkPredictionLoss,
    LocalContrastiveLoss,
    MultiHopContrastiveLoss,
    NeighborContrastiveLoss,
    TripletLoss,
)
from ruvector.sparse import CSR

RNG = np.random.default_rng(11)


def _normal(*shape):
    return RNG.standard_normal(shape)


@pytest.mark.parametrize("name", NAMES)
def test_reductions_agree(name):
    for loss, inputs, keywords in samples(name, 60):
        arrays = list(inputs.values())
        none, total, mean = (
            loss.replace(reduction=r).value_and_grad(*arrays, **keywords)
            for r in ("none", "sum", "mean")
        )
        # What a mean divides by; these two leave out items that have no positive.
        out = name in ("multi_hop", "neighbor_contrastive")
        count = max(mean.active if out else none.value.size, 1)
        np.testing.assert_allclose(none.value.sum(), total.value, rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(mean.value * count, total.value, rtol=1e-13, atol=1e-300)
        for a, b, c in zip(none.gradients, total.gradients, mean.gradients, strict=True):
            if a is not None:
                assert np.array_equal(a, b)
                # One column leaves nothing of a cosine's gradient but rounding.
                slope = getattr(loss, "scale", 1 / getattr(loss, "temperature", 1.0))
                atol = 1e-13 * len(b) * max(slope, np.abs(b).max(initial=0))
                np.testing.assert_allclose(c * count, b, rtol=1e-12, atol=atol)


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_values(name):
    for loss, _, _ in samples(name, 10):
        assert pickle.loads(pickle.dumps(loss)) == loss
        assert hash(copy.deepcopy(loss)) == hash(loss)
        assert eval(repr(loss), {type(loss).__name__: type(loss)}) == loss


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LocalContrastiveLoss(0.0), InvalidArgumentError, "margin"),
        (lambda: LocalContrastiveLoss(float("nan")), InvalidArgumentError, "margin"),
        (lambda: LocalContrastiveLoss("wide"), InvalidTypeError, "margin"),
        (lambda: TripletLoss(-0.1), InvalidArgumentError, "margin"),
        (lambda: TripletLoss(distance="l2"), InvalidArgumentError, "distance"),
        (lambda: LinkPredictionLoss("angle"), InvalidArgumentError, "similarity"),
        (lambda: LinkPredictionLoss(scale=0.0), InvalidArgumentError, "scale"),
        (lambda: LinkPredictionLoss(bias=float("inf")), InvalidArgumentError, "bias"),
        (lambda: DistillationLoss(0.0), InvalidArgumentError, "temperature"),
        (lambda: DistillationLoss(reduction="batchmean"), InvalidArgumentError, "reduction"),
        (lambda: NeighborContrastiveLoss(num_negatives=-1), InvalidArgumentError, "num_neg"),
        (lambda: NeighborContrastiveLoss(num_negatives=1.5), InvalidTypeError, "num_negatives"),
        (lambda: NeighborContrastiveLoss(seed=-1), InvalidArgumentError, "seed"),
        (lambda: NeighborContrastiveLoss(positives="all"), InvalidArgumentError, "positives"),
        (lambda: MultiHopContrastiveLoss(()), InvalidArgumentError, "hop_weights is empty"),
        (lambda: MultiHopContrastiveLoss((1.0, -1.0)), InvalidArgumentError, "hop_weights"),
        (lambda: MultiHopContrastiveLoss(1.0), InvalidTypeError, "hop_weights"),
        (lambda: MultiHopContrastiveLoss(("a",)), InvalidTypeError, "hop_weights"),
    ],
)
def test_bad_options_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


X = np.ones((4, 3))
NAN = np.where(np.eye(4, 3, -2), np.nan, 1)  # in row 2
GRAPH = Graph.from_edges([[0, 1], [1, 2], [2, 3]])
GOOD = {
    "distillation": {"student_logits": X, "teacher_logits": X},
    "link_prediction": {"embeddings": X, "src": [0, 1], "dst": [2, 3], "labels": [0, 1]},
    "local_contrastive": {"embeddings": X, "src": [0, 1], "dst": [2, 3], "similar": [True, False]},
    "multi_hop": {
        "anchors": X,
        "positives": np.ones((4, 2, 3)),
        "negatives": X,
        "hops": np.ones((4, 2), int),
    },
    "neighbor_contrastive": {"embeddings": X, "graph": GRAPH},
    "triplet": {"anchors": X, "positives": X, "negatives": X},
}
BAD = [
    ("distillation", {"student_logits": NAN}, InvalidArgumentError, "student_logits.*row 2"),
    ("distillation", {"teacher_logits": -np.inf * X}, InvalidArgumentError, "teacher_log.*row 0"),
    ("distillation", {"teacher_logits": X[:, :2]}, InvalidArgumentError, "teacher_logits has sh"),
    ("distillation", {"teacher_logits": X[:2]}, InvalidArgumentError, "teacher_logits has shape"),
    ("distillation", {"student_logits": X[0]}, InvalidArgumentError, "student_logits has shape"),
    (
        "distillation",
        {"student_logits": X[:, :0], "teacher_logits": X[:, :0]},
        InvalidArgumentError,
        "column",
    ),
    *(
        (name, changes, error, message)
        for name in ("link_prediction", "local_contrastive")
        for changes, error, message in [
            ({"embeddings": NAN}, InvalidArgumentError, "embeddings.*row 2"),
            ({"embeddings": "text"}, InvalidTypeError, "embeddings"),
            ({"embeddings": X[0]}, InvalidArgumentError, "embeddings has shape"),
            ({"embeddings": X[:, :0]}, InvalidArgumentError, "column"),
            ({"src": [0, 4]}, InvalidArgumentError, "src holds 4 at position 1"),
            ({"dst": [-1, 0]}, InvalidArgumentError, "dst holds -1 at position 0"),
            ({"src": [0.0, 1.0]}, InvalidTypeError, "src"),
            ({"src": [[0, 1]]}, InvalidArgumentError, "src has shape"),
            ({"dst": [1]}, InvalidArgumentError, "dst has shape"),
        ]
    ),
    ("link_prediction", {"labels": [0, 2]}, InvalidArgumentError, "labels holds 2 at position 1"),
    ("link_prediction", {"labels": [0, np.nan]}, InvalidArgumentError, "labels"),
    ("link_prediction", {"labels": [1]}, InvalidArgumentError, "labels has shape"),
    ("link_prediction", {"labels": ["a", "b"]}, InvalidTypeError, "labels"),
    ("local_contrastive", {"similar": [0, 1]}, InvalidTypeError, "similar"),
    ("local_contrastive", {"similar": [True]}, InvalidArgumentError, "similar has shape"),
    ("multi_hop", {"anchors": NAN}, InvalidArgumentError, "anchors.*row 2"),
    ("multi_hop", {"positives": X}, InvalidArgumentError, "positives has shape"),
    ("multi_hop", {"positives": np.ones((4, 2, 5))}, InvalidArgumentError, "positives has shape"),
    ("multi_hop", {"negatives": np.ones((3, 1, 3))}, InvalidArgumentError, "negatives has shape"),
    ("multi_hop", {"hops": np.ones((4, 3), int)}, InvalidArgumentError, "hops has shape"),
    ("multi_hop", {"hops": np.full((4, 2), 3)}, InvalidArgumentError, "hops holds 3"),
    ("multi_hop", {"hops": np.ones((4, 2))}, InvalidTypeError, "hops"),
    ("neighbor_contrastive", {"embeddings": NAN}, InvalidArgumentError, "embeddings.*row 2"),
    ("neighbor_contrastive", {"embeddings": X[:3]}, InvalidArgumentError, "indptr has 5 entries"),
    ("neighbor_contrastive", {"graph": [[0, 1]]}, InvalidTypeError, "graph is list"),
    ("neighbor_contrastive", {"nodes": [4]}, InvalidArgumentError, "nodes holds 4"),
    ("neighbor_contrastive", {"nodes": [0.5]}, InvalidTypeError, "nodes"),
    (
        "neighbor_contrastive",
        {"graph": CSR([0, 1, 1, 1, 1], [6], None, (4, 7))},
        InvalidArgumentError,
        "must be square",
    ),
    ("triplet", {"anchors": NAN}, InvalidArgumentError, "anchors.*row 2"),
    ("triplet", {"positives": X[:3]}, InvalidArgumentError, "positives has shape"),
    ("triplet", {"negatives": X[:, :2]}, InvalidArgumentError, "negatives has shape"),
    ("triplet", {"negatives": None}, InvalidTypeError, "negatives"),
    (
        "triplet",
        {"anchors": X[:, :0], "positives": X[:, :0], "negatives": X[:, :0]},
        InvalidArgumentError,
        "column",
    ),
]


@pytest.mark.parametrize(("name", "changes", "error", "message"), BAD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bad_inputs_are_refused(name, changes, error, message, dtype):
    loss = next(iter(samples(name, 1))).loss

    def cast(value):
        return value.astype(dtype) if getattr(value, "dtype", None) == np.float64 else value

    good = {key: cast(value) for key, value in GOOD[name].items()}
    loss.value_and_grad(**good)
    # Hops are cast to no other kind: their dtype is what is tested.
    bad = good | {k: v if k == "hops" else cast(v) for k, v in changes.items()}
    with pytest.raises(error, match=message):
        loss(**bad)
    with pytest.raises(error, match=message):
        loss.value_and_grad(**bad)


def test_an_empty_batch_is_zero():
    none, table = np.empty(0, int), _normal(4, 3)
    results = [
        LinkPredictionLoss().value_and_grad(table, none, none, np.empty(0)),
        LinkPredictionLoss("cosine").value_and_grad(table, none, none, np.empty(0)),
        LocalContrastiveLoss().value_and_grad(table, none, none, np.empty(0, bool)),
        NeighborContrastiveLoss().value_and_grad(table, GRAPH, nodes=none),
        NeighborContrastiveLoss().value_and_grad(table, Graph.from_edges([], num_nodes=4)),
        TripletLoss().value_and_grad(*np.empty((3, 0, 4))),
        DistillationLoss().value_and_grad(*np.empty((2, 0, 4))),
        MultiHopContrastiveLoss().value_and_grad(
            np.empty((0, 3)), np.empty((0, 2, 3)), table, hops=np.empty((0, 2), int)
        ),
    ]
    for result in results:
        assert result.value == 0.0
        assert result.active == 0
        assert not any(gradient.any() for gradient in result.gradients)
