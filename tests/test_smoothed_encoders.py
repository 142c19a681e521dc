"""Encoders of smoothed features: what they compute, also for nodes that training never saw."""

import json

import numpy as np
import pytest
from planted import FEATURES, GRAPH, SMALL, WIDE
from ruvector import Concat, Graph, PropagatedLinear, SmoothedLinear
from ruvector.autograd import constant
from ruvector.encoders import KNNSmoothed, encoder_from_config, knn_smoothed
from ruvector.errors import CorruptFileError, InvalidArgumentError, InvalidTypeError
from ruvector.smoothing import as_features
from ruvector.sparse import CSR


def _concat():
    return Concat((SMALL, WIDE), (1.5, 1.0))


ENCODERS = {"smoothed": SMALL, "magnitude": SmoothedLinear(dim=6, powers=2, magnitude=0.5)}
ENCODERS |= {"propagated": WIDE, "concat": _concat()}


@pytest.mark.parametrize(
    "encoder",
    [
        SmoothedLinear(),
        SmoothedLinear(dim=3, powers=1, exponent=0.25, magnitude=0.5),
        PropagatedLinear(dim=7, powers=0),
        _concat(),
        Concat((_concat(), SMALL), (1.0, 2.0)),
        KNNSmoothed(_concat(), neighbors=3, weight=2.0, powers=1),
    ],
)
def test_an_encoder_comes_back_from_its_config(encoder):
    config = json.loads(json.dumps(encoder.config()))
    assert encoder_from_config(config) == encoder


def test_an_encoder_of_an_unknown_kind_is_refused():
    for config in ({"kind": "Transformer"}, {}):
        with pytest.raises(CorruptFileError):
            encoder_from_config(config)


@pytest.mark.parametrize("form", [np.asarray, CSR.from_dense], ids=["dense", "sparse"])
@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_nodes_that_training_never_saw_are_embedded(encoder, form):
    matrix = as_features(GRAPH, form(FEATURES))
    weights = encoder.finish(encoder.initialize(GRAPH, matrix, seed=0), GRAPH, matrix)
    trained = encoder.embed(weights, GRAPH, form(FEATURES))
    assert trained.dtype == np.float32
    alone = Graph.from_edges(np.zeros((0, 2), np.int64), num_nodes=1)
    new = encoder.embed(weights, alone, form(FEATURES[:1]))
    assert new.shape == (1, trained.shape[1])
    assert new.dtype == np.float32
    assert np.isfinite(new).all()
    assert new.any()
    nothing = encoder.embed(weights, alone, form(np.zeros((1, 10), np.float32)))
    assert np.isfinite(nothing).all()
    # Beside the training graph, without an edge to it, a node changes nothing.
    larger = Graph.from_edges(GRAPH.edges, GRAPH.num_nodes + 1)
    both = encoder.embed(weights, larger, form(np.r_[FEATURES, FEATURES[:1]]))
    np.testing.assert_allclose(both[:-1], trained, atol=1e-5)
    np.testing.assert_allclose(both[-1:], new, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_features_with_other_columns_are_refused(encoder):
    matrix = as_features(GRAPH, FEATURES)
    weights = encoder.initialize(GRAPH, matrix, seed=0)
    with pytest.raises(InvalidArgumentError, match="9 columns but the model was trained on 10"):
        encoder.embed(weights, GRAPH, FEATURES[:, :9])
    with pytest.raises(InvalidArgumentError, match="60 nodes but the model was trained on 10"):
        encoder.embed(weights, GRAPH)


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "index"])
def test_knn_smoothed_equals_the_dense_reference(exact, monkeypatch):
    if not exact:
        monkeypatch.setattr(knn_smoothed, "MAX_EXACT", 1)
    graph = GRAPH
    encoder = KNNSmoothed(SMALL, neighbors=6, weight=0.7, powers=3)
    matrix = as_features(graph, FEATURES)
    weights = encoder.finish(encoder.initialize(graph, matrix, seed=0), graph, matrix)
    z = SMALL.embed(SMALL.initialize(graph, matrix, seed=0), graph, FEATURES).astype(np.float64)
    cosines = z @ z.T
    np.fill_diagonal(cosines, -2)
    joined = np.eye(60)
    assert (graph.degrees < 6).any()
    assert (graph.degrees > 6).any()
    for i in range(60):
        for j in np.argsort(-cosines[i])[: max(6 - graph.degrees[i], 0)]:
            joined[i, j] = joined[j, i] = max(0.7 * cosines[i, j], 0)
    root = joined.sum(axis=1) ** -0.5
    steps = root[:, None] * joined * root
    want = sum(np.linalg.matrix_power(steps, k) @ z for k in range(4))
    want /= np.sqrt(np.mean(want**2))
    np.testing.assert_allclose(encoder.embed(weights, graph, FEATURES), want, atol=1e-5)


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "index"])
def test_knn_smoothed_takes_rows_that_are_zero_or_alike(exact, monkeypatch):
    if not exact:
        monkeypatch.setattr(knn_smoothed, "MAX_EXACT", 1)
    graph = Graph.from_edges([[0, 1], [1, 2]], 30)
    for features in (np.zeros((30, 2)), np.ones((30, 2)), np.eye(30, 2)):
        encoder = KNNSmoothed(SmoothedLinear(dim=2), neighbors=3)
        matrix = as_features(graph, features)
        weights = encoder.finish(encoder.initialize(graph, matrix, seed=0), graph, matrix)
        embedded = encoder.embed(weights, graph, features)
        assert embedded.shape == (30, 2)
        assert np.isfinite(embedded).all()


def test_knn_smoothed_looks_once_for_what_training_ends_with_and_embed_asks_next(monkeypatch):
    asked = []
    nearest = knn_smoothed._nearest
    monkeypatch.setattr(
        knn_smoothed, "_nearest", lambda z, *rest: asked.append(z) or nearest(z, *rest)
    )
    graph = Graph.from_edges([[0, 1], [1, 2], [3, 4]], 20)
    encoder = KNNSmoothed(SmoothedLinear(dim=4), neighbors=3)
    matrix = as_features(graph, np.random.default_rng(0).standard_normal((20, 6)))
    start, other = (encoder.initialize(graph, matrix, seed=seed) for seed in (0, 1))
    weights = encoder.finish(start, graph, matrix)
    first = encoder.output(weights, graph, matrix)
    assert len(asked) == 1
    assert graph not in knn_smoothed._found
    np.testing.assert_array_equal(encoder.output(weights, graph, matrix), first)
    assert len(asked) == 2
    # Other weights find their own, and so do other settings.
    moved = {**weights, "part.weight": 1 + other["part.weight"]}
    assert not np.allclose(encoder.output(moved, graph, matrix), first)
    KNNSmoothed(SmoothedLinear(dim=4), neighbors=2).output(moved, graph, matrix)
    assert len(asked) == 4


def test_near_nodes_takes_numbers_of_any_length():
    graph = Graph.from_edges([[0, 1], [1, 2], [3, 4]], 20)
    z = np.random.default_rng(0).standard_normal((20, 4), dtype=np.float32)
    weight = 0.1234567890123456789
    near = knn_smoothed.near_nodes(graph, z, neighbors=10**50, weight=weight)
    units = z / np.linalg.norm(z, axis=1, keepdims=True)
    cosines = np.triu(units @ units.T, 1)
    wanted = np.argwhere(cosines > 1e-5)
    np.testing.assert_array_equal(near.edges, wanted)
    np.testing.assert_allclose(near.weights, weight * cosines[tuple(wanted.T)], rtol=1e-5)


def test_knn_smoothed_refuses_bad_settings():
    with pytest.raises(InvalidTypeError, match="part"):
        KNNSmoothed("GCN")
    for wrong in ({"neighbors": 0}, {"weight": -1.0}, {"weight": np.nan}, {"powers": -1}):
        with pytest.raises(InvalidArgumentError):
            KNNSmoothed(SMALL, **wrong)


def test_smoothed_linear_keeps_what_magnitude_says():
    matrix = as_features(GRAPH, FEATURES)
    weights = SMALL.initialize(GRAPH, matrix, seed=0)
    lengths = np.linalg.norm(SMALL.embed(weights, GRAPH, FEATURES), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)
    whole = SmoothedLinear(dim=6, powers=2, exponent=0.5, magnitude=1.0)
    smoothed = SMALL.inputs(weights, GRAPH, matrix)
    np.testing.assert_allclose(
        whole.embed(weights, GRAPH, FEATURES),
        smoothed.directions * smoothed.lengths[:, None],
        atol=1e-6,
    )


def test_propagated_linear_standardises_columns():
    matrix = as_features(GRAPH, FEATURES)
    weights = WIDE.finish(WIDE.initialize(GRAPH, matrix, seed=0), GRAPH, matrix)
    embedded = WIDE.embed(weights, GRAPH, FEATURES)
    np.testing.assert_allclose(embedded.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(embedded.std(axis=0), 1, rtol=1e-5)
    adjacency = GRAPH.normalized_adjacency().to_dense().astype(np.float64)
    mapped = matrix @ weights["weight"]
    z = (mapped + adjacency @ mapped + adjacency @ adjacency @ mapped) / 3
    np.testing.assert_allclose(embedded, (z - z.mean(axis=0)) / z.std(axis=0), atol=1e-4)


def test_concat_gives_each_block_its_scale():
    encoder = _concat()
    matrix = as_features(GRAPH, FEATURES)
    weights = encoder.finish(encoder.initialize(GRAPH, matrix, seed=0), GRAPH, matrix)
    embedded = encoder.embed(weights, GRAPH, FEATURES).astype(np.float64)
    blocks = embedded[:, :6], embedded[:, 6:]
    sizes = [np.sqrt(np.mean(block**2)) for block in blocks]
    np.testing.assert_allclose(sizes[0] / sizes[1], 1.5, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.mean(embedded**2)), 1, rtol=1e-5)
    variables = {name: constant(array) for name, array in weights.items()}
    joined = encoder.forward(variables, encoder.inputs(weights, GRAPH, matrix), rows=np.arange(4))
    assert joined.shape == (4, 11)
