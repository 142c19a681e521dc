"""Several graphs in one, and their classification."""

from dataclasses import replace

import numpy as np
import pytest
from encoder_cases import FEATURES, GRAPH, check_differences, doubles, fast
from ruvector import (
    Graph,
    Trainer,
    losses,
)
from ruvector.autograd import Variable, backward, constant
from ruvector.encoders import GCN, RuvectorEncoder
from ruvector.errors import InvalidArgumentError
from ruvector.graph_batch import GraphBatch
from ruvector.objectives import (
    GraphClassification,
)
from ruvector.smoothing import as_features
from ruvector.sparse import CSR


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
    trainer = Trainer(encoder, objective, epochs=150, optimizer=fast)
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
    trained = doubles({**weights, **run.parameters})
    step = next(iter(run.epoch(0, weights)))
    variables = {name: Variable(array) for name, array in trained.items()}
    backward(step(variables)["graph_classification"])
    check_differences(
        lambda arrays: float(
            step({n: constant(a) for n, a in arrays.items()})["graph_classification"].value
        ),
        trained,
        {name: v.grad for name, v in variables.items()},
    )
