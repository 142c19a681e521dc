"""Reconstruction, task, geometric and decorrelation losses: sizes, extremes and bad input."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import samples
from ruvector import _core, losses
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from task_loss_cases import CASES

RNG = np.random.default_rng(0)
Z = RNG.standard_normal((700, 12))
SRC, DST = RNG.integers(0, 700, (2, 2000))
OTHER = {"negative_src": DST[::-1].copy(), "negative_dst": SRC}
LARGE = {
    "adjacency_reconstruction": ((Z,), {"src": SRC, "dst": DST}),
    "edge_reconstruction": ((Z,), {"src": SRC, "dst": DST} | OTHER),
    "feature_reconstruction": (
        (np.tile(Z, (3, 1)), Z[:12], Z[0]),
        {"target": np.abs(np.tile(Z, (3, 1))) / 9},
    ),
    "deep_graph_infomax": ((Z, Z[::-1], Z[:12], None), {}),
    "node_classification": ((Z,), {"labels": SRC[:700] % 13 - 1}),
    "graph_classification": (
        (Z, Z[:12, :5], Z[0, :5]),
        {"graphs": SRC[:700] % 40, "labels": DST[:40] % 5},
    ),
    "edge_bce": ((Z.ravel(),), {"labels": (Z.ravel() > 0).astype(float)}),
    "distance_preservation": ((Z,), {"src": SRC, "dst": DST, "distances": np.ones(2000)}),
    "angle_preservation": (
        (Z,),
        {"vertex": SRC, "first": DST, "second": (SRC + 1) % 700, "cosines": np.zeros(2000)},
    ),
    "curvature": ((Z,), {"src": SRC, "dst": DST, "curvature": np.sin(SRC)}),
    "barlow_twins": ((Z, Z[::-1] + Z), {}),
    "vicreg": ((Z, Z[::-1] + Z), {}),
}


def _loss(name):
    return next(samples(name, 1)).loss.replace(reduction="mean")


def _cast(arrays, dtype):
    return [None if a is None else np.ascontiguousarray(a, dtype) for a in arrays]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_results_are_the_same_bits_for_any_number_of_threads(each_thread_count, name, dtype):
    inputs, keywords = LARGE[name]
    found = []
    for _ in each_thread_count():
        value, gradients = _loss(name).value_and_grad(*_cast(inputs, dtype), **keywords)
        arrays = [g.tobytes() for g in gradients if g is not None]
        found.append([np.float64(value).tobytes(), *arrays])
    assert found[0] == found[1]


@pytest.mark.parametrize("name", CASES)
def test_many_rows_have_the_value_and_slopes_of_the_definition(name):
    inputs, keywords = LARGE[name]
    loss = _loss(name)
    result = loss.value_and_grad(*inputs, **keywords)
    fields = dict(zip(result.gradients._fields, inputs, strict=True))
    given = dict.fromkeys(("class_weights", "mask", "lengths"))
    wanted = {
        "node_classification": ("labels", "class_weights", "mask"),
        "graph_classification": ("graphs", "labels", "class_weights"),
        "edge_bce": ("labels", "mask"),
        "curvature": ("src", "dst", "curvature", "lengths"),
    }.get(name, tuple(keywords))
    every = {key: (given | keywords)[key] for key in wanted}
    want = CASES[name].reference(loss, fields, every)
    np.testing.assert_allclose(result.value, want, rtol=1e-11)
    single, _ = loss.value_and_grad(*_cast(inputs, np.float32), **keywords)
    np.testing.assert_allclose(single, want, rtol=1e-5)
    for at, (array, gradient) in enumerate(zip(inputs, result.gradients, strict=True)):
        if array is None:
            continue
        direction = np.random.default_rng(at).standard_normal(array.shape)
        direction /= np.linalg.norm(direction)
        ends = [
            loss(*inputs[:at], array + step * direction, *inputs[at + 1 :], **keywords)
            for step in (1e-5, -1e-5)
        ]
        slope = np.sum(gradient * direction)
        assert abs((ends[0] - ends[1]) / 2e-5 - slope) < 1e-7 * max(1, abs(result.value))


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("barlow_twins", "vicreg")])
def test_the_mean_is_the_sum_over_the_number(name):
    inputs, keywords = LARGE[name]
    mean, by_mean = _loss(name).value_and_grad(*inputs, **keywords)
    result = _loss(name).replace(reduction="sum").value_and_grad(*inputs, **keywords)
    np.testing.assert_allclose(mean * result.active, result.value, rtol=1e-12)
    for a, b in zip(by_mean, result.gradients, strict=True):
        if a is not None:
            np.testing.assert_allclose(a * result.active, b, rtol=1e-9, atol=1e-10)


EMPTY = np.zeros((0, 3))
NO_IDS = np.zeros(0, np.int64)
NOTHING = {
    "adjacency_reconstruction": ((EMPTY,), {"src": [], "dst": []}),
    "edge_reconstruction": (
        (np.ones((4, 3)),),
        {"src": [], "dst": [], "negative_src": [], "negative_dst": []},
    ),
    "feature_reconstruction": ((EMPTY, np.ones((3, 2)), None), {"target": np.zeros((0, 2))}),
    "deep_graph_infomax": ((EMPTY, EMPTY, np.eye(3), None), {}),
    "node_classification": ((EMPTY,), {"labels": NO_IDS}),
    "graph_classification": ((EMPTY, None, None), {"graphs": NO_IDS, "labels": NO_IDS}),
    "edge_bce": ((np.zeros(0),), {"labels": np.zeros(0)}),
    "distance_preservation": ((np.ones((4, 3)),), {"src": [], "dst": [], "distances": []}),
    "angle_preservation": (
        (np.ones((4, 3)),),
        {"vertex": [], "first": [], "second": [], "cosines": []},
    ),
    "curvature": ((np.ones((4, 3)),), {"src": [], "dst": [], "curvature": []}),
    "barlow_twins": ((EMPTY, EMPTY), {}),
    "vicreg": ((EMPTY, EMPTY), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_an_empty_batch_costs_nothing_and_has_no_active_items(name):
    inputs, keywords = NOTHING[name]
    result = _loss(name).value_and_grad(*inputs, **keywords)
    assert result.value == 0
    assert result.active == 0
    assert all(not g.any() for g in result.gradients if g is not None)


@pytest.mark.parametrize("name", CASES)
def test_nan_and_wrong_kinds_are_refused(name):
    inputs, keywords = LARGE[name]
    loss = _loss(name)
    for at, array in enumerate(inputs):
        if array is None:
            continue
        spoiled = array.copy()
        spoiled.flat[-1] = np.nan
        for bad, error in ((spoiled, InvalidArgumentError), ("text", InvalidTypeError)):
            arguments = [*inputs[:at], bad, *inputs[at + 1 :]]
            with pytest.raises(error):
                loss.value_and_grad(*arguments, **keywords)
    for key, array in keywords.items():
        with pytest.raises(InvalidTypeError, match=key):
            loss(*inputs, **(keywords | {key: "text"}))
        with pytest.raises(InvalidArgumentError):
            loss(*inputs, **(keywords | {key: array[:-1]}))
        if np.asarray(array).dtype.kind == "f":
            spoiled = array.copy()
            spoiled.flat[-1] = np.inf
            with pytest.raises(InvalidArgumentError):
                loss(*inputs, **(keywords | {key: spoiled}))
        elif key != "labels":
            with pytest.raises(InvalidArgumentError, match=key):
                loss(*inputs, **(keywords | {key: np.full_like(array, -1)}))
            with pytest.raises(InvalidArgumentError, match=key):
                loss(*inputs, **(keywords | {key: np.full_like(array, 700)}))


X = np.ones((3, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.AdjacencyReconstructionLoss()(X[:, :0], [], []), "column"),
        (lambda: losses.FeatureReconstructionLoss()(X, np.ones((3, 2)), None, X), "4 rows"),
        (lambda: losses.FeatureReconstructionLoss()(X, np.eye(4), [1], X), "bias"),
        (lambda: losses.FeatureReconstructionLoss()(X, np.eye(4), None, [0, 1, 2]), "categorical"),
        (lambda: losses.FeatureReconstructionLoss("binary")(X, np.eye(4), None, 2 * X), "between"),
        (
            lambda: losses.FeatureReconstructionLoss("categorical")(X, np.eye(4), None, [0, 4, 1]),
            "class 4",
        ),
        (lambda: losses.FeatureReconstructionLoss("categorical")(X, np.eye(4), None, -X), "row 0"),
        (lambda: losses.DeepGraphInfomaxLoss()(X, X[:, :3], np.eye(4)), "corrupted"),
        (lambda: losses.DeepGraphInfomaxLoss()(X, X, np.ones((4, 3))), "weight"),
        (lambda: losses.DeepGraphInfomaxLoss()(X, X, np.eye(4), [1.0, 2.0]), "weight"),
        (lambda: losses.NodeClassificationLoss()(X, [0, 1, 4]), "0 to 3 or -1"),
        (lambda: losses.NodeClassificationLoss()(X, [0, 1, -2]), "-2"),
        (lambda: losses.NodeClassificationLoss()(X, [0, 1, 2], class_weights=[1.0]), "4 classes"),
        (
            lambda: losses.NodeClassificationLoss()(X, [0, 1, 2], class_weights=[1.0, 1, -1, 1]),
            "class 2",
        ),
        (lambda: losses.NodeClassificationLoss()(X, [0, 1, 2], mask=[True]), "mask"),
        (lambda: losses.GraphClassificationLoss()(X, graphs=[0, 1, 2], labels=[0, 1]), "2 graphs"),
        (
            lambda: losses.GraphClassificationLoss()(X, None, [1.0], graphs=[0, 0, 0], labels=[0]),
            "needs a weight",
        ),
        (lambda: losses.EdgeBCELoss()([0.0], [1.5]), "between 0 and 1"),
        (lambda: losses.DistancePreservationLoss()(X, [0], [1], [-1.0]), "at least 0"),
        (lambda: losses.DistancePreservationLoss("inverse")(X, [0], [1], [0.0]), "above 0"),
        (lambda: losses.AnglePreservationLoss()(X, [0], [1], [2], [1.5]), "between -1 and 1"),
        (lambda: losses.CurvatureLoss()(X, [0], [1], [1.0], lengths=[-1.0]), "at least 0"),
        (lambda: losses.BarlowTwinsLoss()(X, X[:2]), "second"),
        (lambda: losses.VICRegLoss()(X, X[:, :2]), "second"),
        (lambda: losses.AdjacencyReconstructionLoss(pos_weight=0), "pos_weight"),
        (lambda: losses.AdjacencyReconstructionLoss(reduction="none"), "reduction"),
        (lambda: losses.CurvatureLoss(scale=0), "scale"),
    ],
)
def test_what_does_not_fit_is_told(call, message):
    with pytest.raises(InvalidArgumentError, match=message):
        call()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 9),
    st.floats(0.1, 5),
    st.integers(0, 2**32 - 1),
)
def test_listing_all_pairs_is_the_whole_adjacency(rows, cols, pos_weight, seed):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, cols))
    z[rng.random(rows) < 0.2] = 0
    first, second = np.triu_indices(rows, 1)
    linked = rng.random(len(first)) < 0.1
    edges, others = (first[linked], second[linked]), (first[~linked], second[~linked])
    dense = losses.AdjacencyReconstructionLoss(pos_weight).value_and_grad(z, *edges)
    listed = losses.EdgeReconstructionLoss(pos_weight).value_and_grad(z, *edges, *others)
    assert dense.active == listed.active == len(first)
    np.testing.assert_allclose(dense.value, listed.value, rtol=1e-11, atol=1e-300)
    size = np.abs(listed.gradients.embeddings).max(initial=0)
    np.testing.assert_allclose(*dense.gradients, *listed.gradients, rtol=1e-9, atol=1e-12 * size)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.integers(0, 2**32 - 1))
def test_renaming_rows_permutes_their_gradients(rows, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    z, place = rng.standard_normal((rows, 4)), np.argsort(order)
    src, dst = rng.integers(0, rows, (2, 3 * rows))
    for loss, more in [
        (losses.AdjacencyReconstructionLoss(), ()),
        (losses.DistancePreservationLoss(), (np.ones(3 * rows),)),
        (losses.CurvatureLoss(), (rng.standard_normal(3 * rows),)),
    ]:
        plain = loss.value_and_grad(z, src, dst, *more)
        moved = loss.value_and_grad(z[order], place[src], place[dst], *more)
        np.testing.assert_allclose(plain.value, moved.value, rtol=1e-12)
        want = plain.gradients.embeddings[order]
        np.testing.assert_allclose(moved.gradients.embeddings, want, rtol=1e-9, atol=1e-12)


def test_edges_of_both_directions_repeats_and_loops_count_once():
    loss, z = losses.AdjacencyReconstructionLoss(2.0), Z[:9]
    assert loss(z, [0, 3], [1, 5]) == loss(z, [1, 0, 5, 4, 3], [0, 1, 3, 4, 5])


def test_all_pairs_need_no_matrix_of_pairs():
    if sys.platform != "linux":
        pytest.skip("peak memory is in kilobytes on Linux only")
    rows = 6000
    code = f"""
import resource, numpy as np
from ruvector import losses
z = np.random.default_rng(0).standard_normal(({rows}, 4)).astype(np.float32)
loss = losses.AdjacencyReconstructionLoss()
loss.value_and_grad(z[:300], [0], [1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
loss.value_and_grad(z, [0], [1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(grown.stdout) * 1024 < rows * rows * 4 / 10


def test_extreme_logits_keep_their_gradient():
    z = np.array([[1e2, 0.0], [1e2, 0.0], [-1e2, 0.0]])
    value, gradients = losses.EdgeReconstructionLoss(reduction="sum").value_and_grad(
        z, [0], [2], [0], [1]
    )
    assert value == 2e4
    np.testing.assert_array_equal(gradients.embeddings[:, 0], [200.0, 100.0, -100.0])
    value, (slope,) = losses.EdgeBCELoss().value_and_grad([-1e4], [1])
    assert (value, slope[0]) == (1e4, -1.0)
    logits = np.array([[1e4, 0.0]], np.float32)
    value, (slope,) = losses.NodeClassificationLoss().value_and_grad(logits, [1])
    assert value == 1e4
    assert slope.tolist() == [[1.0, -1.0]]


def test_coinciding_points_have_no_direction():
    z = np.ones((3, 2))
    for loss, rest in [
        (losses.DistancePreservationLoss(), ([0, 1], [1, 1], [2.0, 3.0])),
        (losses.CurvatureLoss(), ([0, 1], [1, 1], [0.0, -3.0])),
        (losses.AnglePreservationLoss(), ([0], [1], [2], [0.5])),
    ]:
        value, (gradient,) = loss.value_and_grad(z, *rest)
        assert value > 0
        assert not gradient.any()


def test_angles_do_not_change_with_place_turn_and_size():
    rng = np.random.default_rng(3)
    z = rng.standard_normal((20, 5))
    turn, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    triples = rng.permuted(np.tile(np.arange(20), (3, 1)), axis=1)
    cosines = rng.uniform(-1, 1, 20)
    loss = losses.AnglePreservationLoss()
    np.testing.assert_allclose(
        loss(3 * z @ turn + 1, *triples, cosines), loss(z, *triples, cosines), rtol=1e-10
    )


def test_what_is_masked_or_unlabelled_gets_no_gradient():
    logits = Z[:6, :3]
    labels, mask = np.array([0, 1, -1, 2, 0, 1]), np.array([1, 0, 1, 1, 0, 1], bool)
    result = losses.NodeClassificationLoss().value_and_grad(logits, labels, mask=mask)
    counts = mask & (labels >= 0)
    assert result.active == counts.sum()
    assert not result.gradients.logits[~counts].any()
    assert result.gradients.logits[counts].any(axis=1).all()
    alone = losses.NodeClassificationLoss()(logits[counts], labels[counts])
    np.testing.assert_allclose(result.value, alone, rtol=1e-14)


def test_a_list_of_weights_leaves_single_precision_alone():
    logits = np.eye(3, dtype=np.float32)
    result = losses.NodeClassificationLoss().value_and_grad(
        logits, [0, 1, 2], class_weights=[1.0, 2.0, 3.0], out=[np.empty_like(logits)]
    )
    assert result.gradients.logits.dtype == np.float32


def test_moving_a_view_changes_no_correlation_so_gradients_sum_to_zero():
    x = np.random.default_rng(0).standard_normal((2000, 4))
    loss = losses.BarlowTwinsLoss()
    value, gradients = loss.value_and_grad(x, x[::-1])
    np.testing.assert_allclose(loss(3 * x + 1, x[::-1] - 2), value, rtol=1e-11)
    for gradient in gradients:
        np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("cls", [losses.BarlowTwinsLoss, losses.VICRegLoss])
def test_views_by_rows_of_a_table_give_the_scattered_gradient(cls):
    first, second = SRC[:300], DST[:300]
    plain = cls().value_and_grad(Z[first], Z[second])
    want = np.zeros_like(Z)
    np.add.at(want, first, plain.gradients.first)
    np.add.at(want, second, plain.gradients.second)
    value, gradients = cls().value_and_grad_indexed(Z, first, second)
    assert value == plain.value
    np.testing.assert_allclose(gradients.embeddings, want, rtol=1e-12, atol=1e-14)
    with pytest.raises(InvalidArgumentError, match="700 at position 1"):
        cls().value_and_grad_indexed(Z, [0, 700], [0, 1])


_LEVEL_SCRIPT = """
import sys, numpy as np
sys.path.insert(0, sys.argv[1])
from test_task_losses import LARGE, _cast, _loss
for name, (inputs, keywords) in LARGE.items():
    want_value, want = _loss(name).value_and_grad(*inputs, **keywords)
    value, got = _loss(name).value_and_grad(*_cast(inputs, np.float32), **keywords)
    np.testing.assert_allclose(value, want_value, rtol=2e-5, err_msg=name)
    for a, b in zip(got, want, strict=True):
        if b is not None:
            atol = 2e-5 * np.abs(b).max()
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol, err_msg=name)
"""


@pytest.mark.parametrize("level", _core.simd_levels())
def test_every_simd_level_agrees_in_both_precisions(level):
    environment = os.environ | {"RUVECTOR_SIMD": level}
    here = os.path.dirname(__file__)  # noqa: PTH120
    subprocess.run([sys.executable, "-c", _LEVEL_SCRIPT, here], env=environment, check=True)
