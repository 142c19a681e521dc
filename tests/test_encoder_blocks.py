"""Encoders on sampled blocks, and on patterns without entries."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from encoder_cases import ENCODERS, FEATURES, GRAPH, LABELS, fast, features_as, start
from ruvector import (
    Graph,
    SmoothedLinear,
    Trainer,
    ViewCorrelation,
)
from ruvector.autograd import Variable, backward, constant
from ruvector.encoders import GCN
from ruvector.errors import InvalidArgumentError
from ruvector.objectives import (
    NodeClassification,
)
from ruvector.objectives.base import read_blocks
from ruvector.sampling import NeighborSampler
from ruvector.sparse import CSR


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
    matrix, weights = start(encoder)
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
        trainer = Trainer(encoder, objective, epochs=3, optimizer=fast, seed=2)
        results.append(trainer.fit(GRAPH, features_as(form)).embed())
    np.testing.assert_allclose(results[1], results[0], atol=2e-4)
    assert sampler.numbers == [0, *range(9)]


def test_a_sampler_needs_an_encoder_of_layers():
    objective = NodeClassification(LABELS, head=True, sampler=_Everything(GRAPH.adjacency(), 1))
    with pytest.raises(InvalidArgumentError, match="SmoothedLinear reads whole graphs"):
        Trainer(SmoothedLinear(dim=4), objective, epochs=1).fit(GRAPH, FEATURES)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("kind", ["gcn", "gcn-wide", "sage", "sage-max", "ruvector-deep"])
def test_sampled_blocks_of_all_neighbours_give_what_the_whole_graph_gives(kind, weighted):
    """The sampler once dropped the weights, and a GCN on blocks computed another function."""
    encoder = ENCODERS[kind]
    graph = GRAPH if weighted else replace(GRAPH, weights=None)
    matrix, weights = start(encoder)
    read = graph.normalized_adjacency() if isinstance(encoder, GCN) else graph
    sampler = NeighborSampler(read, [None] * len(encoder.dims))
    nodes = np.array([5, 13, 0, 5, 12])
    variables = {name: constant(array) for name, array in weights.items()}
    inputs, rows = read_blocks(sampler, encoder, matrix, nodes, number=3)
    got = encoder.forward(variables, inputs, rows=rows).value
    want = encoder.forward(variables, encoder.inputs(weights, graph, matrix), rows=nodes).value
    np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_a_graph_without_edges_is_embedded_and_trained_on(kind, form):
    encoder = ENCODERS[kind]
    bare = Graph(num_nodes=14, edges=np.empty((0, 2), np.int64))
    objective = NodeClassification(LABELS, head=True)
    trainer = Trainer(encoder, objective, epochs=2).fit(bare, features_as(form))
    assert np.isfinite(trainer.embed()).all()
    assert all(np.isfinite(array).all() for array in trainer.weights.values())
    if kind not in ("concat", "knn"):  # which look at the other nodes
        # Nodes 12 and 13 have no neighbours in the other graph either.
        among_others = trainer.embed(GRAPH, features_as(form))[12:]
        np.testing.assert_allclose(trainer.embed()[12:], among_others, atol=1e-6)


@pytest.mark.parametrize("kind", ["gcn", "sage", "sage-max", "ruvector-deep"])
def test_batches_of_isolated_nodes_and_views_without_edges_are_trained_on(kind):
    encoder = ENCODERS[kind]
    read = GRAPH.normalized_adjacency() if kind == "gcn" else GRAPH
    sampler = NeighborSampler(read, [2] * len(encoder.dims))
    alone = NodeClassification(LABELS, np.arange(14) >= 12, head=True, sampler=sampler)
    for objective in (alone, ViewCorrelation(edge_drop=0.999)):
        trainer = Trainer(encoder, objective, epochs=2).fit(GRAPH, FEATURES)
        assert np.isfinite(trainer.embed()).all()
