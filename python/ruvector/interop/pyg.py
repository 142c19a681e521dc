"""Graphs from and to PyTorch Geometric."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch_geometric.data import Data

from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.sparse import CSR

__all__ = ["from_pyg", "to_pyg"]

_MASKS = ("train_mask", "val_mask", "test_mask")


def from_pyg(data: Any) -> Graph:
    """Make a graph of a homogeneous graph of PyTorch Geometric.

    Parameters
    ----------
    data : torch_geometric.data.Data
        ``edge_index`` and, where there are any, ``x``, one class a node in ``y``, ``edge_weight``,
        ``train_mask``, ``val_mask``, ``test_mask`` (a column a split, as PyG has several).

    Returns
    -------
    Graph
        Undirected: directions and loops are dropped, parallel edges merged, and a warning is
        logged with the counts, as by :meth:`Graph.from_edges`.

    Raises
    ------
    InvalidTypeError
        No Data object, or a ``y`` that is no class a node.
    InvalidArgumentError
        No edges' array, or what :meth:`Graph.from_edges` refuses.

    Examples
    --------
    >>> import torch
    >>> from torch_geometric.data import Data
    >>> from ruvector.interop.pyg import from_pyg
    >>> data = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
    >>> from_pyg(data)
    Graph(num_nodes=3, num_edges=2)
    """
    if not isinstance(data, Data):
        raise InvalidTypeError(
            f"data is a {type(data).__name__} but must be a torch_geometric.data.Data"
        )
    if data.edge_index is None:
        raise InvalidArgumentError("data has no edge_index")
    labels = None if data.y is None else _labels(data)
    pairs = _array(data.edge_index).T
    # Each edge in one direction where both are there, so that nothing is told as repeated.
    weights = data.get("edge_weight")
    values = None if weights is None else _array(weights)
    if data.is_undirected() and values is None:
        pairs = pairs[pairs[:, 0] <= pairs[:, 1]]
    features = None if data.x is None else _array(data.x)
    made = Graph.from_edges(pairs, data.num_nodes, values, features=features, labels=labels)
    masks = {name: _array(data[name]).T for name in _MASKS if name in data}
    return replace(made, **masks)


def to_pyg(graph: Graph) -> Any:
    """Return a graph of PyTorch Geometric with the same nodes and edges.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    torch_geometric.data.Data
        Each edge in both directions, sorted; ``x`` dense, ``y``, ``edge_weight`` and masks where
        the graph has them. Copies: nothing is shared.

    Raises
    ------
    InvalidTypeError
        No graph.

    Examples
    --------
    >>> from ruvector import Graph
    >>> from ruvector.interop.pyg import to_pyg
    >>> to_pyg(Graph.from_edges([[0, 1], [1, 2]])).edge_index.tolist()
    [[0, 1, 1, 2], [1, 0, 2, 1]]
    """
    if not isinstance(graph, Graph):
        raise InvalidTypeError(f"graph is a {type(graph).__name__} but must be a Graph")
    both = graph.adjacency()
    rows = np.repeat(np.arange(graph.num_nodes), np.diff(both.indptr))
    edge_index = torch.from_numpy(np.stack([rows, both.indices.astype(np.int64)]))
    made = Data(edge_index=edge_index, num_nodes=graph.num_nodes)
    if graph.features is not None:
        sparse = isinstance(graph.features, CSR)
        made.x = torch.tensor(graph.features.to_dense() if sparse else graph.features)  # type: ignore[union-attr]
    if graph.labels is not None:
        made.y = torch.tensor(graph.labels)
    if graph.weights is not None:
        made.edge_weight = torch.tensor(both.data)
    for name in _MASKS:
        mask = getattr(graph, name)
        if mask is not None:
            made[name] = torch.tensor(np.ascontiguousarray(mask.T))
    return made


def _array(tensor: Any) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return array


def _labels(data: Any) -> npt.NDArray[Any]:
    labels = _array(data.y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    # PyG warns when it has to guess the number of nodes, so that comes last.
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or len(labels) != data.num_nodes:
        raise InvalidTypeError(
            f"data.y has shape {labels.shape} and dtype {labels.dtype} but must hold one class a "
            "node; set data.y = None to leave it out"
        )
    return labels
