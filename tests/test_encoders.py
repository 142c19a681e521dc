"""Encoders of several layers: what they compute, their gradients, and that training saves them."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from ruvector import (
    HNSW,
    Concat,
    EdgeContrast,
    Graph,
    Model,
    SmoothedLinear,
    Trainer,
    ViewCorrelation,
    losses,
)
from ruvector.autograd import Variable, add, backward, constant, loss_node
from ruvector.encoders import GCN, MLP, GraphSAGE, Linear, RuvectorEncoder, encoder_from_config
from ruvector.encoders.message_passing import row_normalized
from ruvector.errors import InvalidArgumentError
from ruvector.graph_batch import GraphBatch
from ruvector.objectives import (
    DeepGraphInfomax,
    GraphClassification,
    NodeClassification,
    Reconstruction,
)
from ruvector.optim import Adam
from ruvector.smoothing import as_features
from ruvector.sparse import CSR


def _graph(nodes=14, edges=26, features=9, seed=0):
    """A weighted graph with two nodes that have no neighbours, and sparse features."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, nodes - 2, (edges, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    weights = rng.uniform(0.5, 2, len(pairs))
    x = rng.random((nodes, features)) * (rng.random((nodes, features)) < 0.6)
    x[:, 0] += 0.1
    return Graph.from_edges(pairs, nodes, weights=weights), x.astype(np.float32)


GRAPH, FEATURES = _graph()
LABELS = np.arange(14) % 3
ENCODERS = {
    "gcn": GCN(dims=(6, 4)),
    "gcn-wide": GCN(dims=(4, 8), activation="prelu", activate_last=True, norm="layer"),
    "sage": GraphSAGE(dims=(6, 4), activation="elu"),
    "sage-max": GraphSAGE(dims=(5, 7), aggregator="max", normalize=True),
    "mlp": MLP(dims=(6, 4), activation="tanh"),
    "linear": Linear(dim=4),
    "ruvector": RuvectorEncoder(dims=(4,), heads=2),
    "ruvector-deep": RuvectorEncoder(dims=(6, 4), heads=2),
    "concat": Concat((GCN(dims=(4,)), SmoothedLinear(dim=4, powers=1)), (1.0, 2.0)),
}
OBJECTIVES = {
    "classes": NodeClassification(LABELS),
    "head": NodeClassification(LABELS, np.arange(14) % 2 == 0, head=True, batch_size=3),
    "infomax": DeepGraphInfomax(),
    "edges": Reconstruction(),
    "features": Reconstruction(
        losses.EdgeReconstructionLoss(2.0, "sum"),
        losses.FeatureReconstructionLoss("binary"),
        feature_weight=0.3,
        feature_rows=8,
    ),
    "contrast": EdgeContrast(batch_size=20, folds=2),
    "views": ViewCorrelation(),
}


def _doubles(arrays):
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def _features(form):
    return CSR.from_dense(FEATURES) if form == "sparse" else FEATURES


def _start(encoder, form="sparse", seed=3):
    """Features, weights that are nowhere zero, and which of them are trained."""
    matrix = as_features(GRAPH, _features(form))
    weights = encoder.initialize(GRAPH, matrix, seed=seed)
    rng = np.random.default_rng(seed)
    for name in encoder.trainable:
        weights[name] = (weights[name] + 0.2 * rng.standard_normal(weights[name].shape)).astype(
            np.float32
        )
    return matrix, weights


def _check_differences(value, arrays, gradients, step=1e-6):
    """Compare gradients of scalar `value(arrays)` with central differences.

    Each array moves along one random direction: a wrong gradient agrees with chance 0.
    """
    rng = np.random.default_rng(7)
    for name, array in arrays.items():
        direction = rng.standard_normal(array.shape)
        ends = [value({**arrays, name: array + sign * step * direction}) for sign in (1, -1)]
        want = (ends[0] - ends[1]) / (2 * step)
        got = np.sum(gradients[name] * direction)
        size = np.sqrt(np.sum(gradients[name] ** 2))
        assert abs(got - want) < 1e-5 * size + 1e-8 * (1 + abs(ends[0])), name


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ENCODERS)
def test_gradients_of_a_step_equal_central_differences(kind, objective, form):
    """End to end: from every weight through the encoder and the objective's losses."""
    encoder = ENCODERS[kind]
    matrix, weights = _start(encoder, form)
    run = OBJECTIVES[objective].start(encoder, weights, GRAPH, matrix, seed=1)
    own = getattr(run, "parameters", {})
    trained = _doubles({**{n: weights[n] for n in encoder.trainable}, **own})
    step = next(iter(run.epoch(0, weights)))

    def total(variables):
        value = None
        for part in step(variables).values():
            value = part if value is None else add(value, part)
        return value

    variables = {name: Variable(array) for name, array in trained.items()}
    backward(total(variables))
    gradients = {
        name: np.zeros_like(v.value) if v.grad is None else v.grad for name, v in variables.items()
    }

    def value(arrays):
        return float(total({name: constant(array) for name, array in arrays.items()}).value)

    _check_differences(value, trained, gradients)


EMBEDDING_LOSSES = {
    "infonce": lambda z: (losses.InfoNCELoss(0.5), [z, z, z], {}),
    "laplacian": lambda z: (losses.LaplacianLoss(), [z], _edges()),
    "norm": lambda z: (losses.NormLoss(), [z], {}),
    "orthogonality": lambda z: (losses.OrthogonalityLoss(), [z], {}),
    "sparsity": lambda z: (losses.SparsityLoss("huber"), [z], {}),
    "local_contrastive": lambda z: (
        losses.LocalContrastiveLoss(2.0),
        [z],
        {**_edges(), "similar": np.arange(len(GRAPH.edges)) % 2 == 0},
    ),
    "link_prediction": lambda z: (
        losses.LinkPredictionLoss(),
        [z],
        {**_edges(), "labels": np.arange(len(GRAPH.edges)) % 2.0},
    ),
    "neighbor_contrastive": lambda z: (
        losses.NeighborContrastiveLoss(num_negatives=3),
        [z],
        {"graph": GRAPH},
    ),
    "adjacency": lambda z: (losses.AdjacencyReconstructionLoss(), [z], _edges()),
    "distances": lambda z: (
        losses.DistancePreservationLoss(),
        [z],
        {**_edges(), "distances": np.ones(len(GRAPH.edges))},
    ),
    "angles": lambda z: (
        losses.AnglePreservationLoss(),
        [z],
        {"vertex": [0, 1, 2], "first": [3, 4, 5], "second": [6, 7, 8], "cosines": [0.1, 0.0, -0.3]},
    ),
    "curvature": lambda z: (
        losses.CurvatureLoss(),
        [z],
        {**_edges(), "curvature": np.linspace(-1, 1, len(GRAPH.edges))},
    ),
    "triplet": lambda z: (losses.TripletLoss(), [z, z, z], {}),
    "distillation": lambda z: (
        losses.DistillationLoss(2.0),
        [z],
        {"teacher_logits": np.linspace(-1, 1, z.value.size).reshape(z.shape)},
    ),
    "barlow": lambda z: (losses.BarlowTwinsLoss(), [z, z], {}),
    "vicreg": lambda z: (losses.VICRegLoss(), [z, z], {}),
}


def _edges():
    return {"src": GRAPH.edges[:, 0], "dst": GRAPH.edges[:, 1]}


@pytest.mark.parametrize("loss", EMBEDDING_LOSSES)
@pytest.mark.parametrize("kind", ["gcn", "sage", "mlp", "linear", "ruvector-deep"])
def test_gradients_of_each_loss_reach_the_weights(kind, loss):
    """Losses of two or three inputs compare the embeddings with the same ones in another order."""
    encoder = ENCODERS[kind]
    matrix, weights = _start(encoder)
    trained = _doubles({name: weights[name] for name in encoder.trainable})
    inputs = encoder.inputs(weights, GRAPH, matrix)
    rows = np.random.default_rng(0).permutation(14)[:12]

    def total(variables):
        z = encoder.forward(variables, inputs)
        whole, given, keywords = EMBEDDING_LOSSES[loss](z)
        if len(given) > 1:
            given = [
                encoder.forward(variables, inputs, rows=np.roll(rows, shift))
                for shift in range(len(given))
            ]
        return loss_node(whole, given, **keywords)

    variables = {name: Variable(array) for name, array in trained.items()}
    backward(total(variables))
    _check_differences(
        lambda arrays: float(total({n: constant(a) for n, a in arrays.items()}).value),
        trained,
        {
            name: np.zeros_like(v.value) if v.grad is None else v.grad
            for name, v in variables.items()
        },
    )


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
    matrix, weights = _start(encoder)
    weights = _doubles(weights)
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
        matrix, weights = _start(encoder)
        return encoder.output(weights, GRAPH, matrix), _doubles(weights)

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


def _blocks(adjacency, targets, layers):
    """Blocks of all neighbours of `targets`, the last layer's last, and the nodes first read."""
    blocks, nodes = [], np.asarray(targets)
    for _ in range(layers):
        rows = adjacency.take_rows(nodes)
        read = np.concatenate([nodes, np.setdiff1d(rows.indices, nodes)])
        place = np.empty(adjacency.shape[1], np.int64)
        place[read] = np.arange(len(read))
        blocks.insert(0, CSR(rows.indptr, place[rows.indices], rows.data, (len(nodes), len(read))))
        nodes = read
    return blocks, nodes


@pytest.mark.parametrize("kind", ["gcn", "gcn-wide", "sage", "sage-max", "ruvector-deep"])
def test_blocks_of_all_neighbours_give_what_the_whole_graph_gives(kind):
    encoder = ENCODERS[kind]
    matrix, weights = _start(encoder)
    adjacency = GRAPH.normalized_adjacency() if isinstance(encoder, GCN) else GRAPH.adjacency()
    targets = np.array([5, 13, 0])
    blocks, nodes = _blocks(adjacency, targets, len(encoder.dims))
    variables = {name: Variable(array) for name, array in weights.items()}
    want = encoder.forward(variables, encoder.inputs(weights, GRAPH, matrix), rows=targets)
    for features in (matrix.take_rows(nodes), matrix.to_dense()[nodes]):
        z = encoder.forward(variables, encoder.block_inputs(blocks, features))
        np.testing.assert_allclose(z.value, want.value, atol=2e-6)
    gradients = []
    for output in (z, want):
        backward(output, np.ones_like(output.value))
        gradients.append({name: v.grad for name, v in variables.items()})
    for name in variables:
        np.testing.assert_allclose(gradients[0][name], gradients[1][name], atol=2e-5)


def test_blocks_that_do_not_follow_each_other_are_refused():
    encoder = ENCODERS["sage"]
    blocks, nodes = _blocks(GRAPH.adjacency(), [1, 2], 2)
    features = FEATURES[nodes]
    with pytest.raises(InvalidArgumentError, match="1 blocks but 2 layers"):
        encoder.block_inputs(blocks[:1], features)
    with pytest.raises(InvalidArgumentError, match="block 0 has shape"):
        encoder.block_inputs(blocks, features[:-1])
    with pytest.raises(InvalidArgumentError, match="block 1 has shape"):
        encoder.block_inputs([blocks[0], blocks[0]], features)


class _Everything:
    """A sampler that draws all neighbours, and remembers what it was asked."""

    def __init__(self, adjacency, layers):
        self.adjacency, self.layers, self.numbers = adjacency, layers, []

    def sample(self, seeds, *, number):
        self.numbers.append(number)
        unique, positions = np.unique(seeds, return_inverse=True)
        blocks, nodes = _blocks(self.adjacency, unique, self.layers)
        blocks = [SimpleNamespace(matrix=lambda block=block: block) for block in blocks]
        return SimpleNamespace(blocks=blocks, inputs=nodes, positions=positions)


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("kind", ["sage", "sage-max", "ruvector-deep"])
def test_training_on_blocks_of_all_neighbours_is_training_on_the_graph(kind, form):
    encoder = ENCODERS[kind]
    sampler = _Everything(GRAPH.adjacency(), len(encoder.dims))
    results = []
    for chosen in (None, sampler):
        objective = NodeClassification(LABELS, head=True, batch_size=5, sampler=chosen)
        trainer = Trainer(encoder, objective, epochs=3, optimizer=_fast, seed=2)
        results.append(trainer.fit(GRAPH, _features(form)).embed())
    np.testing.assert_allclose(results[1], results[0], atol=2e-4)
    assert sampler.numbers == [0, *range(9)]


def test_a_sampler_needs_an_encoder_of_layers():
    objective = NodeClassification(LABELS, head=True, sampler=_Everything(GRAPH.adjacency(), 1))
    with pytest.raises(InvalidArgumentError, match="SmoothedLinear reads whole graphs"):
        Trainer(SmoothedLinear(dim=4), objective, epochs=1).fit(GRAPH, FEATURES)


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_nodes_that_training_never_saw_are_embedded(kind, form):
    trainer = Trainer(ENCODERS[kind], epochs=1).fit(GRAPH, _features(form))
    other, features = _graph(nodes=20, edges=40, seed=9)
    features = CSR.from_dense(features) if form == "sparse" else features
    z = trainer.embed(other, features)
    assert z.dtype == np.float32
    assert z.shape[0] == 20
    assert np.isfinite(z).all()
    assert np.array_equal(trainer.embed(GRAPH, _features(form)), trainer.embed())


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
    matrix, weights = _start(encoder)
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


def _molecules(count=40, seed=0):
    """Rings, class 0, and stars, class 1, with features that tell nothing."""
    rng = np.random.default_rng(seed)
    graphs = []
    for i in range(count):
        size = int(rng.integers(4, 9))
        ring = [[j, (j + 1) % size] for j in range(size)]
        star = [[0, j] for j in range(1, size)]
        made = Graph.from_edges(star if i % 2 else ring, size)
        graphs.append(replace(made, features=np.ones((size, 1), np.float32)))
    return graphs, np.arange(count) % 2


def test_graphs_in_a_batch_are_embedded_as_each_alone():
    graphs, _ = _molecules(7)
    batch = GraphBatch.of(graphs)
    assert len(batch) == 7
    encoder = RuvectorEncoder(dims=(4,), heads=2)
    matrix = as_features(graphs[0], graphs[0].features)
    weights = encoder.initialize(graphs[0], matrix, seed=0)
    together = encoder.embed(weights, batch.graph, batch.graph.features)
    for how, pool in (("mean", np.mean), ("sum", np.sum), ("max", np.max)):
        alone = [pool(encoder.embed(weights, graph, graph.features), axis=0) for graph in graphs]
        np.testing.assert_allclose(batch.pool(together, how), alone, atol=1e-5)


def test_sparse_features_and_weights_of_a_batch():
    parts = [replace(GRAPH, features=CSR.from_dense(FEATURES)), replace(GRAPH, features=FEATURES)]
    batch = GraphBatch.of([*parts, Graph.from_edges([[0, 1]], features=np.eye(2, 9))])
    assert isinstance(batch.graph.features, CSR)
    dense = batch.graph.features.to_dense()
    assert np.array_equal(dense, np.concatenate([FEATURES, FEATURES, np.eye(2, 9)]))
    assert np.array_equal(batch.graph.weights, np.r_[GRAPH.weights, GRAPH.weights, 1])
    assert batch.graph_of_node.tolist() == [0] * 14 + [1] * 14 + [2, 2]
    np.testing.assert_array_equal(
        batch.graph.adjacency().to_dense()[14:28, 14:28], GRAPH.adjacency().to_dense()
    )


def test_batches_that_are_none_are_refused():
    pair = Graph.from_edges([[0, 1]])
    with pytest.raises(InvalidArgumentError, match="graphs is empty"):
        GraphBatch.of([])
    with pytest.raises(InvalidArgumentError, match=r"edge \[0, 1\] joins two graphs"):
        GraphBatch(pair, [0, 1, 2])
    with pytest.raises(InvalidArgumentError, match="end with the number of nodes, 2"):
        GraphBatch(pair, [0, 1])
    with pytest.raises(InvalidArgumentError, match="falls"):
        GraphBatch(pair, [0, 2, 1, 2])
    with pytest.raises(InvalidArgumentError, match="for all graphs"):
        GraphBatch.of([pair, Graph.from_edges([[0, 1]], features=np.eye(2))])
    batch = GraphBatch(pair, [0, 2, 2])
    assert batch.pool(np.ones((2, 3)), "max").tolist() == [[1, 1, 1], [0, 0, 0]]
    with pytest.raises(InvalidArgumentError, match="3 rows"):
        batch.pool(np.ones((3, 1)))
    with pytest.raises(InvalidArgumentError, match="how is 'median'"):
        batch.pool(np.ones((2, 1)), "median")


@pytest.mark.parametrize("pooling", ["mean", "sum", "max"])
def test_graph_classification_learns_the_shape_of_graphs(pooling):
    graphs, labels = _molecules()
    batch = GraphBatch.of(graphs)
    known = np.arange(40) < 30
    objective = GraphClassification(batch, labels, known, losses.GraphClassificationLoss(pooling))
    encoder = GCN(dims=(16, 16), activate_last=True)
    trainer = Trainer(encoder, objective, epochs=150, optimizer=_fast)
    pooled = batch.pool(trainer.fit(batch.graph, batch.graph.features).embed(), pooling)
    weights = trainer.weights
    logits = pooled @ weights["objective.weight"] + weights["objective.bias"]
    assert (logits.argmax(axis=1) == labels)[~known].all()


def test_gradients_of_graph_classification_equal_central_differences():
    graphs, labels = _molecules(6)
    batch = GraphBatch.of(graphs)
    encoder = RuvectorEncoder(dims=(4,), heads=2)
    matrix = as_features(batch.graph, batch.graph.features)
    weights = encoder.initialize(batch.graph, matrix, seed=2)
    run = GraphClassification(batch, labels).start(encoder, weights, batch.graph, matrix, seed=0)
    trained = _doubles({**weights, **run.parameters})
    step = next(iter(run.epoch(0, weights)))
    variables = {name: Variable(array) for name, array in trained.items()}
    backward(step(variables)["graph_classification"])
    _check_differences(
        lambda arrays: float(
            step({n: constant(a) for n, a in arrays.items()})["graph_classification"].value
        ),
        trained,
        {name: v.grad for name, v in variables.items()},
    )


def _fast(weights):
    return Adam(weights, lr=0.01)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_falls(objective):
    trainer = Trainer(
        RuvectorEncoder(dims=(8,), heads=2), OBJECTIVES[objective], epochs=40, optimizer=_fast
    ).fit(GRAPH, FEATURES)
    history = [record.losses["total"] for record in trainer.history]
    assert np.mean(history[-5:]) < np.mean(history[:5])


def test_row_normalized_rows_add_up_to_1_or_0():
    sums = row_normalized(GRAPH.adjacency()).row_sums()
    np.testing.assert_allclose(sums, (np.diff(GRAPH.adjacency().indptr) > 0).astype(float))
