"""Graphs to NetworkX and back."""

from dataclasses import replace

import numpy as np
import pytest
from ruvector import CSR, Graph
from ruvector.errors import InvalidTypeError

networkx = pytest.importorskip("networkx")
to_networkx = pytest.importorskip("ruvector.interop.networkx").to_networkx


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_there_and_back_is_the_same(weighted, named):
    random = np.random.default_rng(0)
    edges = np.unique(np.sort(random.integers(0, 30, (60, 2)), axis=1), axis=0)
    edges = edges[edges[:, 0] < edges[:, 1]]
    weights = random.random(len(edges)) + 0.1 if weighted else None
    graph = Graph.from_edges(edges, 30, weights)
    if named:
        graph = replace(graph, node_names=[f"node {i}" for i in range(30)])
    made = to_networkx(graph)
    assert isinstance(made, networkx.Graph)
    assert [degree for _, degree in made.degree] == graph.degrees.tolist()
    back = Graph.from_networkx(made)
    assert back.same_structure(graph)
    if named:
        assert back.node_names == graph.node_names


@pytest.mark.parametrize("sparse", [False, True])
def test_nodes_carry_what_is_known_of_them(sparse):
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    features = CSR.from_dense(rows) if sparse else rows
    made = to_networkx(Graph.from_edges([[0, 1]], 3, features=features, labels=[2, -1, 0]))
    for i in range(3):
        np.testing.assert_array_equal(made.nodes[i]["features"], rows[i])
    assert [made.nodes[i].get("label") for i in range(3)] == [2, None, 0]
    assert dict(to_networkx(Graph.from_edges([[0, 1]]), attributes=False).nodes(data=True)) == {
        0: {},
        1: {},
    }


@pytest.mark.parametrize("names", [["a", "a"], [None, 1], [["a"], ["b"]]])
def test_names_that_no_node_can_have(names):
    graph = replace(Graph.from_edges([[0, 1]]), node_names=names)
    with pytest.raises(InvalidTypeError, match="node_names"):
        to_networkx(graph)
    with pytest.raises(InvalidTypeError, match="must be a Graph"):
        to_networkx(np.eye(2))
