"""Graphs as others publish them, for bench_quality.py: a SciPy file of GraphData, a folder of TU's.

GraphData (github.com/EdisonLeeeee/GraphData) keeps one graph a file: pickled SciPy matrices
`adj_matrix` and `node_attr`, and `node_label`. Pickles run what they like: give it files you trust.
The TU collection keeps many small graphs in text files NAME_A.txt, NAME_graph_indicator.txt,
NAME_graph_labels.txt and NAME_node_labels.txt.
"""

from dataclasses import replace

import numpy as np
from ruvector import Graph
from ruvector.graph_batch import GraphBatch

SPLITS = 5


def graph_data(path):
    """Return the graph with its labels and random splits of 10, 10 and 80 % of the nodes."""
    with np.load(path, allow_pickle=True) as file:
        adjacency = file["adj_matrix"].item().tocoo()
        features = file["node_attr"].item().astype(np.float32).tocsr()
        labels = file["node_label"].astype(np.int64)
    edges = np.stack([adjacency.row, adjacency.col], axis=1).astype(np.int64)
    count = len(labels)
    masks = np.zeros((3, SPLITS, count), bool)
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(count)
        for mask, nodes in zip(masks, np.split(order, [count // 10, count // 5]), strict=True):
            mask[split, nodes] = True
    named = dict(zip(("train_mask", "val_mask", "test_mask"), masks, strict=True))
    graph = Graph.from_edges(edges, count, features=features, labels=labels)
    return replace(graph, **named)


def batch_of(edges, kinds, indptr):
    """Return many graphs whose features say of which kind each node is."""
    features = np.eye(int(kinds.max()) + 1, dtype=np.float32)[kinds]
    return GraphBatch(Graph.from_edges(edges, len(kinds), features=features), indptr)


def tu_folder(folder):
    """Return a batch of graphs, their labels, and three assignments to ten folds.

    Each class is spread evenly over the folds.
    """
    name = folder.name

    def column(what):
        numbers = np.loadtxt(folder / f"{name}_{what}.txt", dtype=np.int64, delimiter=",", ndmin=2)
        return np.unique(numbers[:, 0], return_inverse=True)[1]

    edges = np.loadtxt(folder / f"{name}_A.txt", dtype=np.int64, delimiter=",") - 1
    graph_of, labels, kinds = map(column, ("graph_indicator", "graph_labels", "node_labels"))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(graph_of))])
    folds = []
    for seed in range(3):
        random = np.random.default_rng(seed)
        order = np.lexsort([random.random(len(labels)), labels])
        fold = np.empty(len(labels), np.int64)
        fold[order] = np.arange(len(labels)) % 10
        folds.append(fold)
    return batch_of(edges, kinds, indptr), labels, folds
