"""What the explorer of a page knows of nodes: names, nearest neighbours, places on a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.model import Model
from ruvector.plots import principal_axes
from ruvector.plots._axes import COLOURS

__all__ = ["explorer_data"]


def explorer_data(model: Model, *, nodes: int, k: int) -> dict[str, Any]:
    """Return the nodes with most neighbours in the graph, and the nearest among them, as JSON.

    Distances are rounded to four digits after the point, places to three digits in all: a page
    shows no more, and a file of 20,000 nodes takes 3 MB.
    """
    graph = model.graph
    order = np.argsort(-graph.degrees, kind="stable")[:nodes]
    chosen = np.sort(order)
    place = np.full(graph.num_nodes, -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    where = None if len(chosen) == graph.num_nodes else chosen
    found = model.index.search(model.embeddings[chosen], k + 1, where=where)
    own = np.arange(len(chosen))
    near: list[list[int]] = []
    far: list[list[float]] = []
    linked: list[str] = []
    for row in own:
        # A node is its own nearest neighbour, or one of several at the same place.
        keep = (found.ids[row] >= 0) & (found.ids[row] != chosen[row])
        ids = found.ids[row][keep][:k]
        near.append(place[ids].tolist())
        far.append([round(float(d), 4) for d in found.distances[row][keep][:k]])
        edges = graph.has_edges(np.full(len(ids), chosen[row]), ids)
        linked.append("".join("1" if edge else "0" for edge in edges))
    data: dict[str, Any] = {
        "metric": model.index.metric,
        "all": graph.num_nodes,
        "ids": chosen.tolist(),
        "degrees": graph.degrees[chosen].tolist(),
        "near": near,
        "far": far,
        "linked": linked,
        "map": _places(model.embeddings[chosen]),
        "colours": list(COLOURS),
    }
    if graph.node_names is not None:
        data["names"] = [str(graph.node_names[i]) for i in chosen.tolist()]
    if graph.labels is not None:
        data["labels"] = graph.labels[chosen].tolist()
    return data


def _places(embeddings: npt.NDArray[np.float32]) -> list[list[float]]:
    """Places from 0 to 1 along two principal axes, one scale for both."""
    points = principal_axes(embeddings, k=min(2, embeddings.shape[1])).points
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    points -= points.min(axis=0)
    points /= max(float(points.max()), np.finfo(np.float64).tiny)
    return [[round(x, 3), round(y, 3)] for x, y in points.tolist()]
