"""Laplacian, norm, orthogonality and sparsity against NumPy written from the formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.losses import (
    EWCLoss,
    LaplacianLoss,
    NormLoss,
    OrthogonalityLoss,
    SparsityLoss,
    project_to_sphere,
)

FORMS = ["none", "symmetric", "edge"]


def _edges(nodes, count, seed):
    """Random edges with loops, repeats, and a hub that nearly all others are linked to."""
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, nodes, (2, count))
    hub = np.arange(1, nodes - 1)
    src, dst = np.r_[src, hub], np.r_[dst, np.zeros_like(hub)]
    keep = (src < nodes - 1) & (dst < nodes - 1)  # the last node stays alone
    return src[keep], dst[keep], rng.integers(0, 5, keep.sum()) / 2


def _laplacian(z, src, dst, weights, form):
    """Value and gradient, edge by edge."""
    real = src != dst
    src, dst, weights = src[real], dst[real], weights[real]
    degrees = np.bincount(src, weights, len(z)) + np.bincount(dst, weights, len(z))
    roots = np.zeros(len(z))
    np.divide(1, np.sqrt(degrees), out=roots, where=degrees > 0)
    scale = roots if form == "symmetric" else np.ones(len(z))
    if form == "edge":
        weights = weights * roots[src] * roots[dst]
    scaled = z * scale[:, None]
    difference = scaled[src] - scaled[dst]
    gradient = np.zeros_like(z)
    np.add.at(gradient, src, 2 * weights[:, None] * difference)
    np.add.at(gradient, dst, -2 * weights[:, None] * difference)
    return np.sum(weights[:, None] * difference**2), gradient * scale[:, None]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cols", [1, 3, 17, 33, 128, 200])
def test_laplacian_equals_the_sum_over_edges(cols, weighted, form):
    src, dst, weights = _edges(700, 900, cols)
    z = np.random.default_rng(1).standard_normal((700, cols))
    z[5:8] = 0
    z[9] = z[10]
    given_weights = weights if weighted else None
    value, gradient = _laplacian(z, src, dst, weights if weighted else np.ones(len(src)), form)
    result = LaplacianLoss(form).value_and_grad(z, src, dst, given_weights)
    np.testing.assert_allclose(result.value, value, rtol=1e-12)
    np.testing.assert_allclose(result.gradients.embeddings, gradient, rtol=1e-11, atol=1e-11)
    assert not result.gradients.embeddings[-1].any()
    assert result.active == np.sum(src != dst)
    assert LaplacianLoss(form)(z, src, dst, given_weights) == result.value
    mean = LaplacianLoss(form, "mean").value_and_grad(z, src, dst, given_weights)
    np.testing.assert_allclose(mean.value * result.active, value, rtol=1e-12)
    np.testing.assert_allclose(
        mean.gradients.embeddings * result.active, gradient, rtol=1e-10, atol=1e-10
    )
    single = LaplacianLoss(form).value_and_grad(
        z.astype(np.float32), src, dst, weights.astype(np.float32) if weighted else None
    )
    np.testing.assert_allclose(single.value, value, rtol=1e-5)
    atol = 3e-6 * np.abs(gradient).max()
    np.testing.assert_allclose(single.gradients.embeddings, gradient, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_laplacian_of_a_graph_is_that_of_its_edges(dtype, weighted, form):
    src, dst, weights = _edges(700, 900, 0)
    z = np.random.default_rng(2).standard_normal((700, 40)).astype(dtype)
    graph = Graph.from_edges(
        np.c_[src, dst], len(z), np.where(weights > 0, weights, 0.25) if weighted else None
    )
    loss = LaplacianLoss(form)
    got = loss.value_and_grad(z, graph=graph)
    want = loss.value_and_grad(z, *graph.edges.T, graph.weights)
    assert loss(z, graph=graph) == got.value
    assert got.active == want.active == graph.num_edges
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got.value, want.value, rtol=tolerance)
    atol = tolerance * np.abs(want.gradients.embeddings).max()
    np.testing.assert_allclose(got.gradients.embeddings, want.gradients.embeddings, atol=atol)


def test_laplacian_keeps_its_digits_far_from_the_origin():
    rng = np.random.default_rng(0)
    near = rng.integers(-8, 8, (300, 20)).astype(np.float32) / 8
    src, dst = rng.integers(0, 300, (2, 2000))
    at_origin = LaplacianLoss().value_and_grad(near, src, dst)
    moved = LaplacianLoss().value_and_grad(near + np.float32(65536), src, dst)
    assert moved.value == at_origin.value
    assert np.array_equal(moved.gradients.embeddings, at_origin.gradients.embeddings)


def test_symmetric_laplacian_vanishes_on_the_roots_of_the_degrees():
    src, dst = np.array([0, 0, 0, 1]), np.array([1, 2, 3, 2])
    roots = np.sqrt(np.bincount(np.r_[src, dst])).reshape(-1, 1)
    value, gradients = LaplacianLoss("symmetric").value_and_grad(roots, src, dst)
    np.testing.assert_allclose(value, 0, atol=1e-28)
    np.testing.assert_allclose(gradients.embeddings, 0, atol=1e-14)
    assert LaplacianLoss("edge")(roots, src, dst) > 0.1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_laplacian_gradient_equals_central_differences(data):
    nodes = data.draw(st.integers(1, 300))
    count = data.draw(st.integers(0, 400))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    src, dst = rng.integers(0, nodes, (2, count))
    weights = data.draw(st.sampled_from([None, rng.random(count)]))
    loss = LaplacianLoss(
        data.draw(st.sampled_from(FORMS)), data.draw(st.sampled_from(["mean", "sum"]))
    )
    z = rng.standard_normal((nodes, data.draw(st.integers(1, 20))))
    z[rng.random(nodes) < 0.1] = 0
    _check_slope(loss, z, rng, src, dst, weights)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_gradients_of_rows_equal_central_differences(data):
    rows, cols = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 20))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    z = rng.standard_normal((rows, cols)) + 0.01
    reduction = data.draw(st.sampled_from(["mean", "sum", "none"]))
    losses = [
        NormLoss(data.draw(st.floats(0, 3)), reduction),
        SparsityLoss("l1", reduction=reduction),
        SparsityLoss("huber", data.draw(st.floats(0.05, 3)), reduction),
        OrthogonalityLoss(data.draw(st.sampled_from(["gram_d", "gram_d_raw", "gram_n"]))),
    ]
    zeros = rng.random(rows) < 0.1
    for loss in losses:
        moved = z.copy()
        # At zero rows the norm, and L1 at zeros, have a kink.
        if isinstance(loss, OrthogonalityLoss) or getattr(loss, "form", "") == "huber":
            moved[zeros] = 0
        else:
            moved[np.abs(moved) < 1e-4] = 1e-3
        _check_slope(loss, moved, rng)


def _check_slope(loss, z, rng, *arguments, step=1e-6):
    gradient = loss.value_and_grad(z, *arguments).gradients.embeddings
    direction = rng.standard_normal(z.shape)
    direction /= np.linalg.norm(direction)
    ends = [np.sum(loss(z + sign * step * direction, *arguments)) for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / (2 * step)
    tolerance = 1e-6 * max(1.0, np.abs(gradient).max()) + 1e-15 * abs(ends[0]) / step
    assert abs(slope - np.sum(gradient * direction)) < tolerance, loss


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_regularisers_have_the_same_bits_for_any_number_of_threads(each_thread_count, dtype):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((3000, 130)).astype(dtype)
    src, dst, weights = _edges(3000, 20000, 1)
    graph = Graph.from_edges(np.c_[src, dst], 3000)
    calls = [
        (NormLoss(), {}),
        (SparsityLoss("huber"), {}),
        *[(OrthogonalityLoss(form), {}) for form in ("gram_d", "gram_d_raw", "gram_n")],
        *[
            (LaplacianLoss(form), keywords)
            for form in FORMS
            for keywords in (
                {"src": src, "dst": dst, "weights": weights.astype(dtype)},
                {"graph": graph},
            )
        ],
    ]
    found = []
    for _ in each_thread_count():
        results = [loss.value_and_grad(z, **keywords) for loss, keywords in calls]
        results.append(EWCLoss(3.0).value_and_grad(z, z[::-1].copy(), z**2))
        found.append([(float(r.value), r.gradients[0].tobytes()) for r in results])
    assert found[0] == found[1]


def test_order_of_the_nodes_does_not_matter():
    rng = np.random.default_rng(0)
    src, dst, weights = _edges(300, 500, 2)
    z = rng.standard_normal((300, 9))
    order = rng.permutation(300)
    place = np.argsort(order)
    for form in FORMS:
        plain = LaplacianLoss(form).value_and_grad(z, src, dst, weights)
        moved = LaplacianLoss(form).value_and_grad(z[order], place[src], place[dst], weights)
        np.testing.assert_allclose(moved.value, plain.value, rtol=1e-12)
        want = plain.gradients.embeddings[order]
        np.testing.assert_allclose(moved.gradients.embeddings, want, atol=1e-11)
    for loss in (NormLoss(), SparsityLoss(), OrthogonalityLoss(), OrthogonalityLoss("gram_n")):
        plain, moved = loss.value_and_grad(z), loss.value_and_grad(z[order])
        np.testing.assert_allclose(moved.value, plain.value, rtol=1e-12)
        np.testing.assert_allclose(
            moved.gradients.embeddings, plain.gradients.embeddings[order], atol=1e-12
        )


@pytest.mark.parametrize("shape", [(1, 1), (300, 17), (17, 300), (5000, 3), (1, 40)])
def test_orthogonality_equals_its_definition(shape):
    z = np.random.default_rng(0).standard_normal(shape)
    n, d = shape
    want = {
        "gram_n": np.sum((z @ z.T - np.eye(n)) ** 2) / n**2,
        "gram_d": np.sum((z.T @ z / n - np.eye(d)) ** 2) / d**2,
        "gram_d_raw": np.sum((z.T @ z - np.eye(d)) ** 2) / d**2,
    }
    for form, value in want.items():
        np.testing.assert_allclose(OrthogonalityLoss(form)(z), value, rtol=1e-10)
        np.testing.assert_allclose(OrthogonalityLoss(form)(z.astype(np.float32)), value, rtol=2e-5)


def test_orthonormal_columns_cost_nothing():
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((50, 7)))
    value, gradients = OrthogonalityLoss("gram_d_raw").value_and_grad(q)
    assert value < 1e-28
    np.testing.assert_allclose(gradients.embeddings, 0, atol=1e-14)
    np.testing.assert_allclose(OrthogonalityLoss("gram_n")(q), (50 - 7) / 50**2, rtol=1e-12)


def test_zero_rows_have_a_norm_but_no_gradient():
    z = np.array([[0.0, 0.0], [3.0, 4.0]])
    value, gradients = NormLoss(2.0, "none").value_and_grad(z)
    assert value.tolist() == [4.0, 9.0]
    np.testing.assert_allclose(gradients.embeddings, [[0, 0], [3.6, 4.8]], rtol=1e-15)


def test_norm_of_tiny_and_huge_rows_neither_vanishes_nor_overflows():
    z = np.array([[3e-30, 4e-30], [3e25, 4e25]], np.float32)
    value, gradients = NormLoss(0.0, "none").value_and_grad(z)
    np.testing.assert_allclose(value, [25e-60, 25e50], rtol=1e-6)
    np.testing.assert_allclose(gradients.embeddings, 2 * z, rtol=1e-6)


def test_sparsity_equals_its_formula_and_is_flat_at_zero():
    z = np.random.default_rng(0).standard_normal((40, 9))
    z[3] = 0
    z[4, 2] = 0.5
    assert np.allclose(SparsityLoss(reduction="none")(z), np.abs(z).sum(axis=1))
    for delta in (0.1, 0.5, 2.0):
        want = np.where(np.abs(z) <= delta, z**2 / (2 * delta), np.abs(z) - delta / 2).sum(axis=1)
        loss = SparsityLoss("huber", delta, "none")
        np.testing.assert_allclose(loss(z), want, rtol=1e-12)
        slopes = loss.value_and_grad(z).gradients.embeddings
        np.testing.assert_allclose(slopes, np.clip(z / delta, -1, 1), rtol=1e-12)
    slopes = SparsityLoss(reduction="sum").value_and_grad(z).gradients.embeddings
    assert np.array_equal(slopes, np.sign(z))


@pytest.mark.parametrize("loss", [NormLoss(), SparsityLoss("huber"), OrthogonalityLoss("gram_n")])
def test_rows_of_a_table_add_up(loss):
    table = np.random.default_rng(0).standard_normal((30, 6))
    rows = np.random.default_rng(1).integers(0, 30, 50)
    direct = loss.value_and_grad(table[rows])
    value, gradients = loss.value_and_grad_indexed(table, rows)
    want = np.zeros_like(table)
    np.add.at(want, rows, direct.gradients.embeddings)
    assert value == direct.value
    np.testing.assert_allclose(gradients.embeddings, want, atol=1e-13)


def test_nothing_costs_nothing():
    empty = np.zeros((0, 4))
    for loss in (NormLoss(), SparsityLoss(), OrthogonalityLoss(), OrthogonalityLoss("gram_n")):
        result = loss.value_and_grad(empty)
        assert (result.value, result.active) == (0.0, 0)
        assert result.gradients.embeddings.shape == (0, 4)
    for z in (empty, np.ones((3, 4))):
        for reduction in ("sum", "mean"):
            result = LaplacianLoss(reduction=reduction).value_and_grad(z, [], [])
            assert (result.value, result.active) == (0.0, 0)
            assert not result.gradients.embeddings.any()
    result = EWCLoss().value_and_grad(np.zeros(0), np.zeros(0), np.zeros(0))
    assert (result.value, result.active) == (0.0, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("radius", [1.0, 2.5])
def test_projection_keeps_directions_and_zeros(dtype, radius):
    z = np.random.default_rng(0).standard_normal((300, 33)).astype(dtype)
    z[7] = 0
    z[8] *= 1e-30
    before = z.copy()
    got = project_to_sphere(z, radius=radius)
    assert np.array_equal(z, before)
    assert got.dtype == dtype
    wide = z.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    want = radius * np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    np.testing.assert_allclose(got, want, rtol=5e-7 if dtype == np.float32 else 1e-14)
    other = np.full_like(z, np.nan)
    assert project_to_sphere(z, radius=radius, out=other) is other
    assert np.array_equal(other, got)
    assert project_to_sphere(z, radius=radius, out=z) is z
    assert np.array_equal(z, got)


def test_projection_refuses_what_does_not_fit():
    z = np.ones((4, 3))
    bad = z.copy()
    bad[2, 1] = np.inf
    kept = bad.copy()
    with pytest.raises(InvalidArgumentError, match="row 2"):
        project_to_sphere(bad, out=bad)
    assert np.array_equal(bad, kept)
    for radius in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InvalidArgumentError, match="radius"):
            project_to_sphere(z, radius=radius)
    with pytest.raises(InvalidArgumentError, match="radius"):
        project_to_sphere(z.astype(np.float32), radius=1e300)
    for out in (np.ones((3, 3)), np.ones((4, 6))[:, ::2], z[::-1]):
        with pytest.raises(InvalidArgumentError, match="out"):
            project_to_sphere(z, out=out)
    for out in (np.ones((4, 3), np.float32), "text"):
        with pytest.raises(InvalidTypeError, match="out"):
            project_to_sphere(z, out=out)
    with pytest.raises(InvalidArgumentError):
        project_to_sphere(np.ones(3))


Z = np.ones((3, 2))
GRAPH = Graph.from_edges([[0, 1], [1, 2]])
BAD_EDGES = [
    ({}, InvalidArgumentError, "src and dst"),
    ({"src": [0]}, InvalidArgumentError, "src and dst"),
    ({"src": [0], "dst": [0, 1]}, InvalidArgumentError, "dst has shape"),
    ({"src": [[0]], "dst": [1]}, InvalidArgumentError, "src has shape"),
    ({"src": [3], "dst": [0]}, InvalidArgumentError, "src holds 3"),
    ({"src": [0, 0], "dst": [0, -1]}, InvalidArgumentError, "dst holds -1 at position 1"),
    ({"src": [0.5], "dst": [1]}, InvalidTypeError, "src"),
    ({"src": ["a"], "dst": [1]}, InvalidTypeError, "src"),
    ({"src": [0], "dst": [1], "weights": [1.0, 2.0]}, InvalidArgumentError, "weights has shape"),
    ({"src": [0], "dst": [1], "weights": [-1.0]}, InvalidArgumentError, "weights holds -1"),
    ({"src": [0], "dst": [1], "weights": [np.nan]}, InvalidArgumentError, "weights"),
    ({"src": [0], "dst": [1], "weights": ["a"]}, InvalidTypeError, "weights"),
    ({"graph": GRAPH, "src": [0], "dst": [1]}, InvalidArgumentError, "graph brings"),
    ({"graph": GRAPH, "weights": [1.0]}, InvalidArgumentError, "graph brings"),
    ({"graph": [[0, 1]]}, InvalidTypeError, "graph is list"),
    ({"graph": Graph.from_edges([[0, 1]])}, InvalidArgumentError, "3 rows but the graph has 2"),
    ({"graph": Graph.from_edges([[0, 5]])}, InvalidArgumentError, "3 rows|holds column"),
]


@pytest.mark.parametrize(("keywords", "error", "message"), BAD_EDGES)
def test_laplacian_refuses_edges_that_do_not_fit(keywords, error, message):
    for call in (LaplacianLoss(), LaplacianLoss("symmetric").value_and_grad):
        with pytest.raises(error, match=message):
            call(Z, **keywords)


CALLS = [
    (NormLoss(), {}),
    (SparsityLoss(), {}),
    (SparsityLoss("huber"), {}),
    (OrthogonalityLoss("gram_n"), {}),
    (OrthogonalityLoss(), {}),
    *[(LaplacianLoss(form), {"src": [0, 1], "dst": [1, 0]}) for form in FORMS],
    (LaplacianLoss(), {"graph": Graph.from_edges([[0, 1]], 4)}),
    # Rows that no edge touches are looked at too.
    (LaplacianLoss(), {"src": [], "dst": []}),
]


@pytest.mark.parametrize(("loss", "keywords"), CALLS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embeddings_that_do_not_fit_are_refused(loss, keywords, dtype):
    for row in range(4):
        for value in (np.nan, np.inf, -np.inf):
            z = np.ones((4, 20), dtype)
            z[row, 18] = value
            for call in (loss, loss.value_and_grad):
                with pytest.raises(InvalidArgumentError, match=f"embeddings.*row {row}"):
                    call(z, **keywords)
    for bad in (np.ones(4), np.ones((4, 2, 2)), np.ones((4, 0))):
        with pytest.raises(InvalidArgumentError, match="embeddings"):
            loss(bad, **keywords)
    for bad in ("text", None, np.ones((4, 2)) + 1j):
        with pytest.raises(InvalidTypeError, match="embeddings"):
            loss(bad, **keywords)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NormLoss(-1.0),
        lambda: NormLoss(np.nan),
        lambda: NormLoss("long"),
        lambda: NormLoss(reduction="max"),
        lambda: SparsityLoss("l2"),
        lambda: SparsityLoss(delta=0.0),
        lambda: SparsityLoss(delta=np.inf),
        lambda: OrthogonalityLoss("gram"),
        lambda: OrthogonalityLoss(reduction="sum"),
        lambda: LaplacianLoss("random_walk"),
        lambda: LaplacianLoss(reduction="none"),
        lambda: EWCLoss(-1.0),
        lambda: EWCLoss(reduction="mean"),
    ],
)
def test_options_outside_their_range_are_refused(make):
    with pytest.raises((InvalidArgumentError, InvalidTypeError)):
        make()


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ((np.ones(3), np.ones(2), np.ones(3)), InvalidArgumentError, "theta_star has shape"),
        ((np.ones((3, 1)), np.ones(3), np.ones((3, 1))), InvalidArgumentError, "theta_star has"),
        ((np.ones(3), np.ones(3), np.ones((3, 1))), InvalidArgumentError, "fisher has shape"),
        ((np.ones(3), np.ones(3), np.array([1, -2, 1.0])), InvalidArgumentError, "-2 at entry 1"),
        ((np.array([1, np.nan]), np.ones(2), np.zeros(2)), InvalidArgumentError, "theta.*row 1"),
        ((np.ones(2), np.array([np.inf, 1]), np.zeros(2)), InvalidArgumentError, "theta_star.*0"),
        ((np.ones(2), np.ones(2), np.array([1, np.inf])), InvalidArgumentError, "fisher.*row 1"),
        (("a", np.ones(2), np.ones(2)), InvalidTypeError, "theta"),
        ((np.float64(1), np.float64(1), np.float64(1)), InvalidArgumentError, "theta"),
    ],
)
def test_ewc_refuses_what_does_not_fit(arrays, error, message):
    for call in (EWCLoss(), EWCLoss().value_and_grad):
        with pytest.raises(error, match=message):
            call(*arrays)
