"""Encoders of several layers: what they compute, their gradients, and that training saves them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from encoder_cases import (
    ENCODERS,
    FEATURES,
    GRAPH,
    LABELS,
    OBJECTIVES,
    doubles,
    fast,
    features_as,
    make_graph,
    start,
)
from ruvector import (
    HNSW,
    EdgeContrast,
    Graph,
    Model,
    Trainer,
    losses,
)
from ruvector.autograd import constant
from ruvector.encoders import GCN, GraphSAGE, Linear, RuvectorEncoder, encoder_from_config
from ruvector.encoders.message_passing import row_normalized
from ruvector.errors import InvalidArgumentError
from ruvector.graph_batch import GraphBatch
from ruvector.objectives import (
    DeepGraphInfomax,
    GraphClassification,
    NodeClassification,
    Reconstruction,
)
from ruvector.smoothing import as_features
from ruvector.sparse import CSR


def _affine(x, w, name):
    return x @ w[f"{name}.weight"] + w[f"{name}.bias"]


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _slow_ruvector(x, w, graph, heads):
    """One layer as the definition has it, node by node."""
    m = _affine(x, w, "message")
    width = m.shape[1] // heads
    made = []
    for i in range(len(m)):
        near = graph.neighbors(i)
        state = m[i]
        if len(near):
            ends = np.sort(np.stack([np.full(len(near), i), near], axis=1), axis=1)
            numbers = [np.flatnonzero((graph.edges == end).all(axis=1))[0] for end in ends]
            edge_weights = graph.weights[numbers].astype(np.float64)
            q, k, v = (
                _affine(m[i], w, "query"),
                _affine(m[near], w, "key"),
                _affine(m[near], w, "value"),
            )
            parts = []
            for h in range(heads):
                cut = slice(h * width, (h + 1) * width)
                scores = k[:, cut] @ q[cut] / np.sqrt(width)
                shares = np.exp(scores - scores.max())
                parts.append(shares / shares.sum() @ v[:, cut])
            attended = _affine(np.concatenate(parts), w, "attended")
            mean = edge_weights @ m[near] / edge_weights.sum()
            update = _affine(attended + mean, w, "update")
            from_x = np.split(_affine(update, w, "gru.input"), 3)
            from_state = np.split(_affine(state, w, "gru.state"), 3)
            r, z = (_sigmoid(from_x[j] + from_state[j]) for j in range(2))
            state = (1 - z) * np.tanh(from_x[2] + r * from_state[2]) + z * state
        unit = (state - state.mean()) / np.sqrt(state.var() + 1e-5)
        made.append(unit * w["norm.scale"] + w["norm.shift"])
    return np.array(made)


def test_the_ruvector_layer_is_its_definition_node_by_node():
    encoder = ENCODERS["ruvector-deep"]
    matrix, weights = start(encoder)
    weights = doubles(weights)
    z = encoder.forward(
        {n: constant(a) for n, a in weights.items()}, encoder.inputs(weights, GRAPH, matrix)
    ).value
    want = matrix.to_dense().astype(np.float64)
    for layer in range(2):
        prefix = f"{layer}."
        own = {n.removeprefix(prefix): a for n, a in weights.items() if n.startswith(prefix)}
        want = _slow_ruvector(want, own, GRAPH, encoder.heads)
    # Edge weights are normalised in float32.
    np.testing.assert_allclose(z, want, atol=2e-6)
    assert (np.diff(GRAPH.adjacency().indptr) == 0).any()


def test_gcn_and_sage_are_their_definitions():
    a = GRAPH.adjacency().to_dense().astype(np.float64)
    with_loops = a + np.eye(14)
    root = 1 / np.sqrt(with_loops.sum(axis=1))
    normal = root[:, None] * with_loops * root
    mean = a / np.maximum(a.sum(axis=1, keepdims=True), 1e-30)
    x = as_features(GRAPH, FEATURES).astype(np.float64)

    def of(kind):
        encoder = ENCODERS[kind]
        matrix, weights = start(encoder)
        return encoder.output(weights, GRAPH, matrix), doubles(weights)

    got, w = of("gcn")
    hidden = np.maximum(normal @ x @ w["0.weight"] + w["0.bias"], 0)
    np.testing.assert_allclose(got, normal @ hidden @ w["1.weight"] + w["1.bias"], atol=1e-5)
    got, w = of("sage")
    hidden = x @ w["0.own.weight"] + mean @ x @ w["0.near.weight"] + w["0.bias"]
    hidden = np.where(hidden > 0, hidden, np.expm1(hidden))
    want = hidden @ w["1.own.weight"] + mean @ hidden @ w["1.near.weight"] + w["1.bias"]
    np.testing.assert_allclose(got, want, atol=1e-5)
    got, w = of("sage-max")
    hidden = x
    for layer in "01":
        pooled = np.maximum(hidden @ w[f"{layer}.pool.weight"] + w[f"{layer}.pool.bias"], 0)
        near = [pooled[GRAPH.neighbors(i)].max(axis=0, initial=0) for i in range(14)]
        hidden = hidden @ w[f"{layer}.own.weight"] + np.array(near) @ w[f"{layer}.near.weight"]
        hidden += w[f"{layer}.bias"]
        hidden = np.maximum(hidden, 0) if layer == "0" else hidden
        hidden /= np.linalg.norm(hidden, axis=1, keepdims=True)
    np.testing.assert_allclose(got, hidden, atol=1e-5)
    got, w = of("mlp")
    hidden = np.tanh(x @ w["0.weight"] + w["0.bias"])
    np.testing.assert_allclose(got, hidden @ w["1.weight"] + w["1.bias"], atol=1e-5)


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_nodes_that_training_never_saw_are_embedded(kind, form):
    trainer = Trainer(ENCODERS[kind], epochs=1).fit(GRAPH, features_as(form))
    other, features = make_graph(nodes=20, edges=40, seed=9)
    features = CSR.from_dense(features) if form == "sparse" else features
    z = trainer.embed(other, features)
    assert z.dtype == np.float32
    assert z.shape[0] == 20
    assert np.isfinite(z).all()
    assert np.array_equal(trainer.embed(GRAPH, features_as(form)), trainer.embed())


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_model_comes_back_with_its_encoder(kind, tmp_path):
    encoder = ENCODERS[kind]
    assert encoder_from_config(json.loads(json.dumps(encoder.config()))) == encoder
    trainer = Trainer(encoder, DeepGraphInfomax(), epochs=1).fit(GRAPH, FEATURES)
    z = trainer.embed()
    index = HNSW(z.shape[1])
    index.add(z)
    graph = replace(GRAPH, features=FEATURES)
    Model(encoder, trainer.weights, graph, z, index).save(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    assert model.encoder == encoder
    assert np.array_equal(model.encoder.embed(model.weights, graph, FEATURES), z)
    assert "objective.discriminator" in model.weights


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["gcn", "sage-max", "ruvector-deep"])
def test_the_seed_alone_decides(kind, objective, each_thread_count):
    encoder = replace(ENCODERS[kind], dropout=0.3)

    def run(seed):
        trainer = Trainer(encoder, OBJECTIVES[objective], epochs=2, seed=seed)
        return trainer.fit(GRAPH, FEATURES).embed()

    one, two = [run(4) for _ in each_thread_count()]
    assert np.array_equal(one, two)
    assert not np.array_equal(one, run(5))


@pytest.mark.parametrize("kind", ["gcn", "sage", "mlp", "ruvector"])
def test_dropout_is_for_training_alone(kind):
    encoder = replace(ENCODERS[kind], dropout=0.5)
    matrix, weights = start(encoder)
    variables = {name: constant(array) for name, array in weights.items()}
    inputs = encoder.inputs(weights, GRAPH, matrix)
    plain = ENCODERS[kind].forward(variables, inputs).value
    assert np.array_equal(encoder.forward(variables, inputs).value, plain)
    drawn = encoder.forward(variables, inputs, rng=np.random.default_rng(0)).value
    again = encoder.forward(variables, inputs, rng=np.random.default_rng(0)).value
    assert not np.array_equal(drawn, plain)
    assert np.array_equal(drawn, again)


@pytest.mark.parametrize("kind", ["gcn", "mlp", "linear", "sage", "sage-max", "ruvector"])
def test_sparse_features_are_never_made_dense(kind, monkeypatch):
    encoder = ENCODERS[kind] if kind == "linear" else replace(ENCODERS[kind], dropout=0.2)
    features = CSR.from_dense(FEATURES)
    dense = Trainer(ENCODERS[kind], NodeClassification(LABELS), epochs=2).fit(GRAPH, FEATURES)
    plain = Trainer(ENCODERS[kind], NodeClassification(LABELS), epochs=2).fit(GRAPH, features)
    np.testing.assert_allclose(plain.embed(), dense.embed(), atol=1e-5)
    monkeypatch.setattr(CSR, "to_dense", lambda _: pytest.fail("made dense"))
    for objective in (NodeClassification(LABELS), DeepGraphInfomax(), EdgeContrast()):
        Trainer(encoder, objective, epochs=1).fit(GRAPH, features).embed()


def test_settings_outside_their_range_are_refused():
    for make, message in [
        (lambda: GCN(dims=()), "dims is empty"),
        (lambda: GCN(dims=(4, 0)), "dims is 0"),
        (lambda: GCN(activation="swish"), "activation is 'swish'"),
        (lambda: GCN(dropout=1.0), "dropout is 1"),
        (lambda: GCN(norm="batch"), "norm is 'batch'"),
        (lambda: GraphSAGE(aggregator="lstm"), "aggregator is 'lstm'"),
        (lambda: RuvectorEncoder(dims=(6,), heads=4), "dims holds 6"),
        (lambda: RuvectorEncoder(activation="relu"), "leave activation"),
        (lambda: Linear(dim=0), "dim is 0"),
        (lambda: Reconstruction(None, None), "both None"),
        (lambda: Reconstruction(losses.EdgeReconstructionLoss(1.0, "none")), "reduction 'none'"),
        (lambda: DeepGraphInfomax(losses.DeepGraphInfomaxLoss("none")), "reduction 'none'"),
        (lambda: NodeClassification(LABELS, batch_size=0), "batch_size is 0"),
    ]:
        with pytest.raises(InvalidArgumentError, match=message):
            make()
    assert GCN(dims=5).dims == (5,)


def test_objectives_refuse_what_they_cannot_learn_from():
    trainer = Trainer(GCN(dims=(2,)), NodeClassification(LABELS), epochs=1)
    with pytest.raises(InvalidArgumentError, match="2 columns but labels tells of 3 classes"):
        trainer.fit(GRAPH, FEATURES)
    for objective, message in [
        (NodeClassification(np.full(14, -1)), "nothing to learn from"),
        (NodeClassification(LABELS[:5]), "labels has 5 entries"),
        (NodeClassification(LABELS, [True]), r"mask has dtype bool and shape \(1,\)"),
        (GraphClassification(GraphBatch.of([GRAPH, GRAPH]), [0, 1]), "train on batch.graph"),
    ]:
        with pytest.raises(InvalidArgumentError, match=message):
            Trainer(GCN(dims=(3,)), objective, epochs=1).fit(GRAPH, FEATURES)
    with pytest.raises(InvalidArgumentError, match="no edges to draw"):
        Trainer(GCN(dims=(3,)), Reconstruction(), epochs=1).fit(
            Graph.from_edges(np.empty((0, 2), int), 14), FEATURES
        )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_falls(objective):
    trainer = Trainer(
        RuvectorEncoder(dims=(8,), heads=2), OBJECTIVES[objective], epochs=40, optimizer=fast
    ).fit(GRAPH, FEATURES)
    history = [record.losses["total"] for record in trainer.history]
    assert np.mean(history[-5:]) < np.mean(history[:5])


def test_row_normalized_rows_add_up_to_1_or_0():
    sums = row_normalized(GRAPH.adjacency()).row_sums()
    np.testing.assert_allclose(sums, (np.diff(GRAPH.adjacency().indptr) > 0).astype(float))
