"""What holds for losses over pairs, triplets, neighbours, hops and logits at any input."""

import numpy as np
import pytest
from edge_cases import DISTANCES, NAMES, VARIANTS, case_id, many
from loss_cases import CASES
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.losses import (
    DistillationLoss,
    LinkPredictionLoss,
    LocalContrastiveLoss,
    MultiHopContrastiveLoss,
    NeighborContrastiveLoss,
    TripletLoss,
)

RNG = np.random.default_rng(11)


def _normal(*shape):
    return RNG.standard_normal(shape)


@pytest.mark.parametrize("name", NAMES)
def test_permuting_a_batch_permutes_its_items_and_keeps_the_gradient(name):
    rng = np.random.default_rng(6)
    arrays, keywords = many(name, rng, rows=50)
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
    ids=case_id,
)
def test_gradients_of_cosines_stand_upright_on_their_rows(loss):
    arrays, keywords = many(loss.name, np.random.default_rng(8))
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
