"""What is particular to the losses over pairs, triplets, neighbours, hops and logits."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import CASES, FORMS, samples
from ruvector import _core
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.losses import (
    DistillationLoss,
    InfoNCELoss,
    LinkPredictionLoss,
    LocalContrastiveLoss,
    MultiHopContrastiveLoss,
    NeighborContrastiveLoss,
    TripletLoss,
)
from ruvector.sparse import CSR

NAMES = [
    "distillation",
    "link_prediction",
    "local_contrastive",
    "multi_hop",
    "neighbor_contrastive",
    "triplet",
]
DISTANCES = ["euclidean", "squared", "cosine"]
RNG = np.random.default_rng(11)


def _normal(*shape):
    return RNG.standard_normal(shape)


def _slope_matches(function, array, gradient, rng, step=1e-6):
    """Compare a gradient with a central difference in a random direction."""
    direction = rng.standard_normal(array.shape)
    direction[~array.any(axis=-1)] = 0  # where a row is zero a cosine is smooth for 1e-8 only
    direction /= max(np.linalg.norm(direction), 1e-300)
    up, down = (float(np.sum(function(array + sign * step * direction))) for sign in (1, -1))
    want = float(np.sum(gradient * direction))
    tolerance = 1e-5 * max(1.0, np.abs(gradient[array.any(axis=-1)]).max(initial=0.0))
    assert abs((up - down) / (2 * step) - want) < tolerance + 1e-15 * abs(up) / step


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


def _many(name, rng, rows=400, cols=24):
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


def _id(loss):
    return f"{loss.name}-{getattr(loss, 'positives', getattr(loss, 'distance', ''))}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", VARIANTS, ids=_id)
def test_results_do_not_depend_on_the_number_of_threads(loss, dtype):
    arrays, keywords = _many(loss.name, np.random.default_rng(0))
    arrays = [array.astype(dtype) for array in arrays]
    before = _core.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            _core.set_num_threads(threads)
            result = loss.value_and_grad(*arrays, **keywords)
            found.append([result.value, *(gradient.tobytes() for gradient in result.gradients)])
    finally:
        _core.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("loss", VARIANTS, ids=_id)
def test_gradients_of_many_rows_equal_differences(loss):
    rng = np.random.default_rng(1)
    arrays, keywords = _many(loss.name, rng)
    loss = loss.replace(reduction="sum")
    gradients = loss.value_and_grad(*arrays, **keywords).gradients
    for k, gradient in enumerate(gradients):
        assert np.isfinite(gradient).all()

        def value(moved, k=k):
            return loss(*arrays[:k], moved, *arrays[k + 1 :], **keywords)

        _slope_matches(value, arrays[k], gradient, rng)


@pytest.mark.parametrize("loss", VARIANTS, ids=_id)
def test_float32_follows_float64(loss):
    arrays, keywords = _many(loss.name, np.random.default_rng(2))
    # A cosine with a zero row has a gradient of the other's size over 1e-8.
    arrays = [np.where(array.any(axis=-1, keepdims=True), array, 1.0) for array in arrays]
    single = [array.astype(np.float32) for array in arrays]
    got = loss.value_and_grad(*single, **keywords)
    want = loss.value_and_grad(*(array.astype(np.float64) for array in single), **keywords)
    np.testing.assert_allclose(got.value, want.value, rtol=2e-6)
    for a, b in zip(got.gradients, want.gradients, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 300), st.integers(1, 70), st.integers(0, 400)),
    st.sampled_from(
        [
            LinkPredictionLoss(),
            LinkPredictionLoss("cosine", 4.0, bias=0.5),
            LocalContrastiveLoss(margin=4.0),
        ]
    ),
    st.sampled_from(["mean", "sum", "none"]),
)
def test_pair_losses_of_any_shape_equal_numpy_and_differences(seed, shape, loss, reduction):
    rows, cols, edges = shape
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, cols))
    x[rng.integers(0, rows, rows // 8)] = 0
    src, dst = rng.integers(0, rows, (2, edges))
    labels = rng.random(edges) < 0.5
    loss = loss.replace(reduction=reduction)
    got = loss.value_and_grad(x, src, dst, labels)
    a, b = x[src], x[dst]
    if loss.name == "local_contrastive":
        d = np.linalg.norm(a - b, axis=1)
        items = np.where(labels, d**2, np.maximum(0, loss.margin - d) ** 2)
    else:
        s = np.sum(a * b, axis=1)
        if loss.similarity == "cosine":
            s /= np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-8)
        logits = loss.scale * s + loss.bias
        items = np.logaddexp(0, logits) - labels * logits
    want = {"mean": items.sum() / max(edges, 1), "sum": items.sum(), "none": items}[reduction]
    np.testing.assert_allclose(got.value, want, rtol=1e-11, atol=1e-11)
    if loss.name != "local_contrastive" or x.any(axis=1).all():
        _slope_matches(
            lambda moved: loss(moved, src, dst, labels), x, got.gradients.embeddings, rng
        )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 300), st.integers(1, 70)),
    st.sampled_from(DISTANCES),
    st.sampled_from([0.0, 0.3, 2.0]),
    st.sampled_from(["mean", "sum", "none"]),
)
def test_triplets_of_any_shape_equal_numpy_and_differences(
    seed, shape, distance, margin, reduction
):
    rows, cols = shape
    rng = np.random.default_rng(seed)
    triple = list(rng.standard_normal((3, rows, cols)))
    triple[rng.integers(3)][rng.integers(rows)] = 0
    loss = TripletLoss(margin, reduction, distance=distance)
    got = loss.value_and_grad(*triple)

    def delta(a, b):
        if distance == "cosine":
            norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            return 1 - np.sum(a * b, axis=1) / np.maximum(norms, 1e-8)
        squared = np.sum((a - b) ** 2, axis=1)
        return squared if distance == "squared" else np.sqrt(squared)

    items = np.maximum(0, delta(triple[0], triple[1]) - delta(triple[0], triple[2]) + margin)
    want = {"mean": items.mean(), "sum": items.sum(), "none": items}[reduction]
    np.testing.assert_allclose(got.value, want, rtol=1e-11, atol=1e-13)
    assert got.active == np.count_nonzero(np.atleast_1d(items) > 1e-12)
    if np.abs(items[items > 0]).min(initial=1.0) > 1e-5:
        for k, gradient in enumerate(got.gradients):
            _slope_matches(
                lambda moved, k=k: loss(*triple[:k], moved, *triple[k + 1 :]),
                triple[k],
                gradient,
                rng,
            )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 300),
    st.integers(1, 70),
    st.sampled_from([0.3, 1.0, 8.0]),
    st.sampled_from(["mean", "sum", "none"]),
)
def test_distillation_of_any_shape_equals_numpy_and_differences(
    seed, rows, cols, temperature, reduction
):
    rng = np.random.default_rng(seed)
    student, teacher = rng.standard_normal((2, rows, cols))

    def log_softmax(x):
        x = x / temperature
        return x - np.logaddexp.reduce(x, axis=1, keepdims=True)

    p, q = log_softmax(teacher), log_softmax(student)
    items = temperature**2 * np.sum(np.exp(p) * (p - q), axis=1)
    want = {"mean": items.mean(), "sum": items.sum(), "none": items}[reduction]
    loss = DistillationLoss(temperature, reduction)
    got = loss.value_and_grad(student, teacher)
    np.testing.assert_allclose(got.value, want, rtol=1e-11, atol=1e-12)
    _slope_matches(lambda moved: loss(moved, teacher), student, got.gradients.student_logits, rng)
    shift = rng.standard_normal((rows, 1))
    np.testing.assert_allclose(loss(student + shift, teacher - shift), want, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 280), st.integers(1, 40), st.integers(1, 5)),
    st.sampled_from(FORMS),
    st.sampled_from(["mean", "sum", "none"]),
    st.sampled_from([None, "own", "shared"]),
)
def test_hops_are_the_weighted_sum_of_their_infonce(seed, shape, form, reduction, negatives):
    rows, cols, width = shape
    rng = np.random.default_rng(seed)
    anchors, positives = rng.standard_normal((rows, cols)), rng.standard_normal((rows, width, cols))
    anchors[rng.integers(rows)] = 0
    given_negatives = {
        None: None,
        "own": rng.standard_normal((rows, 3, cols)),
        "shared": rng.standard_normal((270, cols)),
    }[negatives]
    weights = (1.0, 0.25, 0.5)
    hops = rng.integers(0, 4, (rows, width))
    loss = MultiHopContrastiveLoss(weights, 0.3, reduction, positives=form)
    got = loss.value_and_grad(anchors, positives, given_negatives, hops=hops)
    count = max(int((hops > 0).any(axis=1).sum()), 1)
    assert got.active == int((hops > 0).any(axis=1).sum())
    share = 1 / count if reduction == "mean" else 1.0
    single = InfoNCELoss(0.3, "none", positives=form)
    value = np.zeros(rows)
    parts = [np.zeros_like(a) for a in (anchors, positives, given_negatives) if a is not None]
    for number, weight in enumerate(weights, 1):
        of_hop = single.value_and_grad(
            anchors, positives, given_negatives, positive_mask=hops == number
        )
        value += weight * of_hop.value
        present = (g for g in of_hop.gradients if g is not None)
        for k, gradient in enumerate(present):
            parts[k] += share * weight * gradient
    want = value if reduction == "none" else share * value.sum()
    np.testing.assert_allclose(got.value, want, rtol=1e-12, atol=1e-13)
    for part, gradient in zip(parts, (g for g in got.gradients if g is not None), strict=True):
        np.testing.assert_allclose(gradient, part, rtol=1e-11, atol=1e-12 * np.abs(part).max())
    assert (got.gradients.negatives is None) == (negatives is None)


def _explicit(loss, table, graph, nodes):
    """The loss where every other node is a negative, by InfoNCE anchor by anchor."""
    values, gradient, active = np.zeros(len(nodes)), np.zeros_like(table), 0
    infonce = InfoNCELoss(loss.temperature, "sum", positives=loss.positives)
    for i, node in enumerate(nodes):
        near = graph.neighbors(node)
        far = np.setdiff1d(np.arange(len(table)), np.append(near, node))
        if len(near):
            result = infonce.value_and_grad_indexed(table, [node], near[None], far[None])
            values[i] = result.value
            gradient += result.gradients.embeddings
            active += 1
    return values, gradient, active


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 40),
    st.integers(1, 12),
    st.integers(0, 60),
    st.sampled_from(FORMS),
)
def test_neighbours_against_all_others_are_explicit_infonce(seed, rows, cols, edges, form):
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((rows, cols))
    table[rng.integers(rows)] = 0
    graph = Graph.from_edges(rng.integers(0, rows, (edges, 2)), num_nodes=rows)
    nodes = rng.integers(0, rows, 30)
    loss = NeighborContrastiveLoss(0.4, "none", num_negatives=rows, positives=form)
    values, gradient, active = _explicit(loss, table, graph, nodes)
    got = loss.value_and_grad(table, graph, nodes=nodes)
    np.testing.assert_allclose(got.value, values, rtol=1e-12, atol=1e-13)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(got.gradients.embeddings, gradient, atol=1e-12 * scale + 1e-13)
    assert got.active == active
    mean = loss.replace(reduction="mean").value_and_grad(table, graph, nodes=nodes)
    np.testing.assert_allclose(mean.value, values.sum() / max(active, 1), rtol=1e-12)
    np.testing.assert_allclose(
        mean.gradients.embeddings, gradient / max(active, 1), atol=1e-12 * scale + 1e-13
    )


def test_drawn_negatives_are_others_without_repeats_and_follow_seed_and_node():
    rng = np.random.default_rng(4)
    table = rng.standard_normal((60, 8))
    graph = Graph.from_edges(rng.integers(0, 60, (200, 2)), num_nodes=60)
    node = 7
    near = set(graph.neighbors(node).tolist())
    seen = set()
    for seed in range(40):
        loss = NeighborContrastiveLoss(0.5, num_negatives=5, seed=seed)
        gradient = loss.value_and_grad(table, graph, nodes=[node]).gradients.embeddings
        touched = set(np.flatnonzero(gradient.any(axis=1)).tolist())
        drawn = touched - near - {node}
        assert near | {node} <= touched
        assert len(drawn) == 5
        infonce = InfoNCELoss(0.5).value_and_grad_indexed(
            table, [node], [sorted(near)], [sorted(drawn)]
        )
        np.testing.assert_allclose(infonce.gradients.embeddings, gradient, atol=1e-13)
        again = loss.replace(reduction="none")(table, graph, nodes=[3, node, node])
        np.testing.assert_allclose(again[1:], infonce.value, rtol=1e-13)
        seen |= drawn
    assert len(seen) > 30


def test_loops_repeats_and_values_of_a_matrix_do_not_matter():
    table = _normal(4, 5)
    graph = Graph.from_edges([[0, 1], [1, 2]], num_nodes=4)
    matrix = CSR([0, 2, 4, 5, 5], [0, 1, 0, 2, 1], np.float32([9, 2, 3, 4, 5]), (4, 4))
    loss = NeighborContrastiveLoss(0.3, "none", num_negatives=2)
    assert np.array_equal(loss(table, graph), loss(table, matrix))


@pytest.mark.parametrize("name", NAMES)
def test_permuting_a_batch_permutes_its_items_and_keeps_the_gradient(name):
    rng = np.random.default_rng(6)
    arrays, keywords = _many(name, rng, rows=50)
    loss = next(v for v in VARIANTS if v.name == name).replace(reduction="none")
    if name in ("link_prediction", "local_contrastive"):
        order = rng.permutation(len(keywords["src"]))
        moved = {key: value[order] for key, value in keywords.items()}
        kept, back = arrays, slice(None)
    elif name == "neighbor_contrastive":
        order, kept, back = rng.permutation(50), arrays, slice(None)
        moved = keywords | {"nodes": order}
    else:
        order = back = rng.permutation(50)
        shared = name == "multi_hop"
        kept = [array if shared and k == 2 else array[order] for k, array in enumerate(arrays)]
        moved = {key: value[order] for key, value in keywords.items()}
    plain = loss.value_and_grad(*arrays, **keywords)
    permuted = loss.value_and_grad(*kept, **moved)
    np.testing.assert_allclose(permuted.value, plain.value[order], rtol=1e-12, atol=1e-12)
    for k, (a, b) in enumerate(zip(permuted.gradients, plain.gradients, strict=True)):
        same = b if name == "multi_hop" and k == 2 else b[back]
        np.testing.assert_allclose(a, same, atol=1e-12 * np.abs(b).max())


@pytest.mark.parametrize(
    "loss",
    [v for v in VARIANTS if v.name in ("multi_hop", "neighbor_contrastive")]
    + [LinkPredictionLoss("cosine", 5.0), TripletLoss(3.0, distance="cosine")],
    ids=_id,
)
def test_gradients_of_cosines_stand_upright_on_their_rows(loss):
    arrays, keywords = _many(loss.name, np.random.default_rng(8))
    arrays = [np.where(array.any(axis=-1, keepdims=True), array, 1.0) for array in arrays]
    for array, gradient in zip(
        arrays, loss.value_and_grad(*arrays, **keywords).gradients, strict=True
    ):
        along = np.sum(array * gradient, axis=-1)
        assert np.abs(along).max() < 1e-12 * max(1.0, np.abs(gradient).max())
        assert gradient.any()


def test_a_zero_row_has_the_floored_gradient_of_a_cosine():
    table = _normal(5, 6)
    table[1] = 0
    src, dst = np.array([1, 0, 1, 3]), np.array([0, 2, 1, 1])
    loss = LinkPredictionLoss("cosine", 2.0)
    gradient = loss.value_and_grad(table, src, dst, [1, 0, 1, 0]).gradients.embeddings
    direction = np.zeros_like(table)
    direction[1] = _normal(6)
    step = 1e-12
    up, down = (loss(table + s * step * direction, src, dst, [1, 0, 1, 0]) for s in (1, -1))
    want = np.sum(gradient * direction)
    np.testing.assert_allclose((up - down) / (2 * step), want, rtol=1e-4)


def test_rows_of_a_table_give_the_scattered_gradient():
    table = _normal(7, 5)
    anchors, positives, negatives = RNG.integers(0, 7, (3, 20))
    calls = [
        (loss, (anchors, positives, negatives), {})
        for loss in (TripletLoss(distance=distance) for distance in DISTANCES)
    ]
    hops = RNG.integers(0, 3, (20, 3))
    several = RNG.integers(0, 7, (20, 3))
    calls += [
        (MultiHopContrastiveLoss(), (anchors, several, more), {"hops": hops})
        for more in (negatives, several)
    ]
    for loss, indices, keywords in calls:
        plain = loss.value_and_grad(*(table[index] for index in indices), **keywords)
        want = np.zeros_like(table)
        for index, gradient in zip(indices, plain.gradients, strict=True):
            np.add.at(want, index, gradient)
        out = np.full_like(table, np.nan)
        got = loss.value_and_grad_indexed(table, *indices, **keywords, out=out)
        assert got.value == plain.value
        assert got.active == plain.active
        assert got.gradients.embeddings is out
        np.testing.assert_allclose(out, want, rtol=1e-12, atol=1e-13)
        with pytest.raises(InvalidArgumentError, match="7 at position 0"):
            loss.value_and_grad_indexed(table, [7, *anchors[1:]], *indices[1:], **keywords)


def test_equal_rows_and_extreme_lengths_stay_finite():
    for dtype in (np.float32, np.float64):
        for scale in (0.0, 1e-40, 1e-30, 1e-15, 1.0, 1e15, 1e30):
            x = (scale * np.array([[1.0, 2.0], [1.0, 2.0], [3.0, -1.0]])).astype(dtype)
            src, dst = [0, 0, 1, 2], [1, 2, 2, 2]
            calls = [
                (LinkPredictionLoss(), (x, src, dst, [0, 1, 1, 1])),
                (LinkPredictionLoss("cosine"), (x, src, dst, [0, 1, 0, 1])),
                (LocalContrastiveLoss(), (x, src, dst, [False, True, False, False])),
                (NeighborContrastiveLoss(), (x, Graph.from_edges([[0, 1]], num_nodes=3))),
                *((TripletLoss(distance=d), (x, x[::-1], x[[1, 0, 2]])) for d in DISTANCES),
                (DistillationLoss(), (x, x[::-1])),
            ]
            for loss, arrays in calls:
                value, gradients = loss.value_and_grad(*arrays)
                assert np.isfinite(value), (loss, scale)
                assert all(np.isfinite(g).all() for g in gradients), (loss, scale, dtype)


def test_labels_and_teachers_do_not_widen_the_gradient():
    x = _normal(4, 3).astype(np.float32)
    labels = np.array([0.0, 1.0])
    result = LinkPredictionLoss().value_and_grad(x, [0, 1], [2, 3], labels)
    assert result.gradients.embeddings.dtype == np.float32
    result = DistillationLoss().value_and_grad(x, x[::-1].astype(np.float64))
    assert result.gradients.student_logits.dtype == np.float32


def test_whole_labels_are_the_same_as_bools_ints_and_floats():
    x = _normal(4, 3)
    loss = LinkPredictionLoss()
    values = {
        loss(x, [0, 1], [2, 3], labels)
        for labels in ([True, False], [1, 0], [1.0, 0.0], np.array([1, 0], np.int8))
    }
    assert len(values) == 1


def test_active_counts_what_costs_something():
    x = np.array([[0.0], [0.5], [9.0]])
    pairs = ([0, 0, 0, 1], [1, 2, 0, 1], [False, False, False, True])
    assert LocalContrastiveLoss(margin=1.0).value_and_grad(x, *pairs).active == 2
    loss = TripletLoss(margin=1.0)
    assert loss.value_and_grad(x[[0, 0]], x[[1, 1]], x[[2, 1]]).active == 1


@pytest.mark.parametrize("name", NAMES)
def test_golden_cases_were_found(name):
    assert len(CASES[name].golden) >= 2
