"""Graphs from and to PyTorch Geometric."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from ruvector import CSR, Graph
from ruvector.errors import InvalidArgumentError, InvalidTypeError

torch = pytest.importorskip("torch", minversion="2.3", reason="no PyTorch: make test-torch")
Data = pytest.importorskip(
    "torch_geometric.data", reason="no PyTorch Geometric: make test-torch"
).Data
utils = pytest.importorskip("torch_geometric.utils")
bridge = pytest.importorskip("ruvector.interop.pyg")
from_pyg, to_pyg = bridge.from_pyg, bridge.to_pyg


def example(*, sparse=False, weighted=False, splits=1):
    random = np.random.default_rng(0)
    pairs = random.integers(0, 20, (40, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    rows = random.random((20, 4), dtype=np.float32)
    graph = Graph.from_edges(
        pairs, 20, random.random(len(pairs)) + 0.5 if weighted else None,
        features=CSR.from_dense(rows) if sparse else rows, labels=np.arange(20) % 3,
    )  # fmt: skip
    masks = random.random((3, splits, 20)) < 0.3
    names = ("train_mask", "val_mask", "test_mask")
    shaped = masks[:, 0] if splits == 1 else masks
    return replace(graph, **dict(zip(names, shaped, strict=True)))


@pytest.mark.parametrize("options", [{}, {"sparse": True}, {"weighted": True}, {"splits": 3}])
def test_there_and_back_is_the_same(options, caplog):
    graph = example(**options)
    data = to_pyg(graph)
    data.validate()
    assert utils.is_undirected(data.edge_index)
    assert data.num_edges == 2 * graph.num_edges
    assert utils.degree(data.edge_index[0], 20).tolist() == graph.degrees.tolist()
    with caplog.at_level(logging.WARNING):
        back = from_pyg(data)
    assert caplog.records == [] or "weighted" in options
    assert back.same_structure(graph)
    dense = graph.features.to_dense() if options.get("sparse") else graph.features
    np.testing.assert_array_equal(back.features, dense)
    np.testing.assert_array_equal(back.labels, graph.labels)
    for name in ("train_mask", "val_mask", "test_mask"):
        np.testing.assert_array_equal(getattr(back, name), getattr(graph, name))


def test_nothing_is_shared():
    graph = example()
    data = to_pyg(graph)
    data.x[:] = 0
    data.edge_index[:] = 0
    assert graph.features.any()
    assert graph.edges.any()


def test_edges_alone_will_do():
    data = Data(edge_index=torch.tensor([[0, 2, 2], [1, 2, 1]]), num_nodes=5)
    graph = from_pyg(data)
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert (graph.num_nodes, graph.features, graph.labels) == (5, None, None)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (Data(num_nodes=3), InvalidArgumentError, "edge_index"),
        (np.eye(3), InvalidTypeError, "Data"),
        (Data(edge_index=torch.tensor([[0], [1]]), y=torch.ones(2)), InvalidTypeError, "class"),
    ],
)
def test_refusals(data, error, message):
    with pytest.raises(error, match=message):
        from_pyg(data)
    with pytest.raises(InvalidTypeError, match="must be a Graph"):
        to_pyg(Data())
