"""Losses over pairs, triplets, neighbours, hops and logits beside NumPy and differences."""

import numpy as np
import pytest
from edge_cases import DISTANCES, VARIANTS, case_id, many, slope_matches
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import FORMS
from ruvector import _core
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

RNG = np.random.default_rng(11)


def _normal(*shape):
    return RNG.standard_normal(shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", VARIANTS, ids=case_id)
def test_results_do_not_depend_on_the_number_of_threads(loss, dtype):
    arrays, keywords = many(loss.name, np.random.default_rng(0))
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


@pytest.mark.parametrize("loss", VARIANTS, ids=case_id)
def test_gradients_of_many_rows_equal_differences(loss):
    rng = np.random.default_rng(1)
    arrays, keywords = many(loss.name, rng)
    loss = loss.replace(reduction="sum")
    gradients = loss.value_and_grad(*arrays, **keywords).gradients
    for k, gradient in enumerate(gradients):
        assert np.isfinite(gradient).all()

        def value(moved, k=k):
            return loss(*arrays[:k], moved, *arrays[k + 1 :], **keywords)

        slope_matches(value, arrays[k], gradient, rng)


@pytest.mark.parametrize("loss", VARIANTS, ids=case_id)
def test_float32_follows_float64(loss):
    arrays, keywords = many(loss.name, np.random.default_rng(2))
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
        slope_matches(lambda moved: loss(moved, src, dst, labels), x, got.gradients.embeddings, rng)


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
            slope_matches(
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
    slope_matches(lambda moved: loss(moved, teacher), student, got.gradients.student_logits, rng)
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
        # One column leaves nothing but rounding of terms as large as 1 / temperature.
        atol = 1e-12 * max(1.0, np.abs(part).max())
        np.testing.assert_allclose(gradient, part, rtol=1e-11, atol=atol)
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
