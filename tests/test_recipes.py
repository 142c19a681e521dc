"""The recommended recipe in one call."""

import numpy as np
import pytest
from ruvector import Graph, embed
from ruvector.errors import InvalidArgumentError
from ruvector.sparse import CSR
from test_trainer import FEATURES, GRAPH


@pytest.mark.parametrize("form", [np.asarray, CSR.from_dense], ids=["dense", "sparse"])
@pytest.mark.parametrize("task", ["node", "link"])
def test_embed_gives_one_float32_row_a_node(task, form, each_thread_count):
    found = [embed(GRAPH, form(FEATURES), task=task, seed=1) for _ in each_thread_count()]
    assert np.array_equal(*found)
    assert found[0].dtype == np.float32
    assert found[0].shape == (60, 10)
    assert np.isfinite(found[0]).all()
    if task == "link":
        np.testing.assert_allclose(np.linalg.norm(found[0], axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("task", ["node", "link"])
def test_embed_needs_no_features(task):
    assert embed(GRAPH, task=task).shape == (60, 60)


@pytest.mark.parametrize("task", ["node", "link"])
@pytest.mark.parametrize("nodes", [2, 3, 4])
def test_embed_takes_the_smallest_graphs(task, nodes):
    graph = Graph.from_edges([[0, 1]], num_nodes=nodes)
    for features in (None, np.eye(nodes, 3), np.ones((nodes, 1)), np.zeros((nodes, 2))):
        embedded = embed(graph, features, task=task)
        assert len(embedded) == nodes
        assert np.isfinite(embedded).all()


@pytest.mark.parametrize("task", ["node", "link"])
def test_embed_tells_linked_nodes_from_others(task):
    embedded = embed(GRAPH, FEATURES, task=task).astype(np.float64)
    embedded /= np.linalg.norm(embedded, axis=1, keepdims=True)
    cosines = embedded @ embedded.T
    linked = cosines[tuple(GRAPH.edges.T)].mean()
    assert linked > np.median(cosines[np.triu_indices(60, 1)]) + 0.1


@pytest.mark.parametrize("task", ["node", "link"])
def test_embed_refuses_a_graph_without_edges(task):
    graph = Graph.from_edges(np.zeros((0, 2), np.int64), num_nodes=5)
    with pytest.raises(InvalidArgumentError, match="no edges"):
        embed(graph, np.eye(5), task=task)


def test_embed_refuses_what_it_cannot_use():
    for task in ("nodes", "", None, 3):
        with pytest.raises(InvalidArgumentError, match="'node', 'link'"):
            embed(GRAPH, FEATURES, task=task)
    for seed in (-1,):
        with pytest.raises(InvalidArgumentError, match="seed"):
            embed(GRAPH, FEATURES, seed=seed)
    with pytest.raises(InvalidArgumentError, match="59 rows"):
        embed(GRAPH, FEATURES[:59])
