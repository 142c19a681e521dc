"""Edges, neighbours and layers of Cora and of a graph of images against dense matrices."""

from functools import lru_cache

import numpy as np
import pytest
from ruvector.graph import Graph
from ruvector.mining import HardNegativeMiner
from ruvector.sampling import (
    LayerSampler,
    NeighborSampler,
    SubgraphSampler,
    degree_negative_edges,
    hard_negative_edges,
    random_negative_edges,
)


def cora(data_file):
    graph = Graph.load_npz(data_file("cora.npz"))
    return graph, np.random.default_rng(0).standard_normal((graph.num_nodes, 20), np.float32)


def fashion_mnist(data_file):
    return images(data_file("fashion_mnist.npz"))


@lru_cache
def images(path, count=1200):
    with np.load(path) as data:
        rows = data["x_train"][:count, ::2, ::2].reshape(count, -1).astype(np.float32)
    # Each image and the three most like it.
    near = HardNegativeMiner("hardest", k=3).mine(rows).indices
    pairs = np.stack([np.repeat(np.arange(count), 3), near.ravel()], axis=1)
    return Graph.from_edges(np.unique(np.sort(pairs, axis=1), axis=0), num_nodes=count), rows


both = pytest.mark.parametrize("data", [cora, fashion_mnist])


def linked(graph):
    """Pairs that are an edge or a loop."""
    matrix = np.eye(graph.num_nodes, dtype=bool)
    matrix[graph.edges[:, 0], graph.edges[:, 1]] = True
    return matrix | matrix.T


def within_few_deviations(seen, expected):
    squares = ((seen - expected) ** 2 / expected).sum()
    assert abs(squares - seen.size) < 5 * np.sqrt(2 * seen.size)


@both
def test_random_edges_are_of_all_free_pairs_alike(data, data_file):
    graph, _ = data(data_file)
    taken = linked(graph)
    free = np.flatnonzero(np.triu(~taken))
    everything = random_negative_edges(graph, len(free) + 5)
    assert everything.missing == 5
    keys = everything.edges @ [graph.num_nodes, 1]
    np.testing.assert_array_equal(np.sort(keys), free)
    some = random_negative_edges(graph, 60_000, seed=1).edges
    assert not taken[some[:, 0], some[:, 1]].any()
    assert len(np.unique(some @ [graph.num_nodes, 1])) == 60_000
    chance = len(some) / len(free)
    # Pairs come without repeats, which makes counts of a node a little less scattered.
    expected = chance * (~taken).sum(1)
    within_few_deviations(np.bincount(some.ravel(), minlength=graph.num_nodes), expected)


@both
@pytest.mark.parametrize(("apart", "skip"), [(1, 0), (2, 0.2), (3, 30)])
def test_hard_edges_are_the_most_similar_that_are_far(data, apart, skip, data_file):
    graph, rows = data(data_file)
    some = np.arange(0, graph.num_nodes, 30)
    step = linked(graph).astype(np.float32)
    reached = step[some] > 0
    for _ in range(apart - 1):
        reached = reached @ step > 0
    wide = rows.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    near = wide[some] @ wide.T
    expected = {}
    for node, similar, excluded in zip(some, near, reached, strict=True):
        far = np.flatnonzero(~excluded)
        band = int(skip * len(far)) if isinstance(skip, float) else skip
        for other in far[np.argsort(-similar[far], kind="stable")][band : band + 4]:
            expected[min(node, other), max(node, other)] = similar[other]
    found = hard_negative_edges(graph, rows, k=4, apart=apart, skip=skip, nodes=some)
    assert {tuple(pair) for pair in found.edges.tolist()} == set(expected)
    wanted = [expected[tuple(pair)] for pair in found.edges.tolist()]
    np.testing.assert_allclose(found.similarities, wanted, atol=1e-6)
    assert (np.diff(found.similarities) <= 0).all()


@both
@pytest.mark.parametrize("tolerance", [0, 2, 0.1])
def test_matched_edges_have_the_degrees_of_theirs(data, tolerance, data_file):
    graph, _ = data(data_file)
    taken = linked(graph)
    degrees = np.diff(graph.adjacency().indptr)
    found = degree_negative_edges(graph, each=2, tolerance=tolerance, seed=3)
    given = found.edges[:, :, 0] >= 0
    np.testing.assert_array_equal(given.sum(1), found.counts)
    wanted = degrees[graph.edges]
    room = tolerance if isinstance(tolerance, int) else np.floor(tolerance * wanted).astype(int)
    gap = np.abs(degrees[found.edges] - wanted[:, None])
    assert (gap <= np.broadcast_to(room, wanted.shape)[:, None])[given].all()
    pairs = np.sort(found.edges[given], axis=1)
    assert not taken[pairs[:, 0], pairs[:, 1]].any()
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    # An edge that got fewer left no pair of its degrees.
    left = ~taken
    left[pairs[:, 0], pairs[:, 1]] = left[pairs[:, 1], pairs[:, 0]] = False
    room = np.broadcast_to(room, wanted.shape)
    short = np.flatnonzero(found.counts < 2)
    assert len(short) < len(wanted)
    for edge in short:
        ends = [
            np.flatnonzero(np.abs(degrees - wanted[edge, i]) <= room[edge, i]) for i in range(2)
        ]
        assert not left[np.ix_(*ends)].any()


@both
def test_neighbours_are_drawn_alike(data, data_file):
    graph, _ = data(data_file)
    taken = linked(graph)
    np.fill_diagonal(taken, val=False)
    degrees = taken.sum(1)
    hubs = np.argsort(-degrees, kind="stable")[:40]
    sampler = NeighborSampler(graph, [5, 3], seed=2)
    rounds, hits = 250, np.zeros((len(hubs), graph.num_nodes))
    for number in range(rounds):
        batch = sampler.sample(hubs, number=number)
        for block, fanout in zip(batch.blocks, (3, 5), strict=True):
            drawn = np.diff(block.indptr)
            outputs = block.nodes[: block.num_outputs]
            np.testing.assert_array_equal(drawn, np.minimum(degrees[outputs], fanout))
            assert taken[np.repeat(outputs, drawn), block.nodes[block.indices]].all()
        last = batch.blocks[-1]
        np.testing.assert_array_equal(last.nodes[: last.num_outputs][batch.positions], hubs)
        rows = np.repeat(np.arange(len(hubs)), np.diff(last.indptr))
        np.add.at(hits, (rows, last.nodes[last.indices]), 1)
    many = degrees[hubs] > 5
    chance = (5 / degrees[hubs])[many, None]
    seen, expected = hits[many], rounds * chance * taken[hubs][many]
    # Without replacement: variances are smaller by 1 - chance.
    scale = np.broadcast_to(1 - chance, seen.shape)[expected > 0]
    squares = ((seen - expected)[expected > 0] ** 2 / expected[expected > 0] / scale).sum()
    assert abs(squares - scale.size) < 6 * np.sqrt(2 * scale.size)


@both
@pytest.mark.parametrize("method", ["ladies", "fastgcn"])
def test_layers_weigh_by_how_often_a_column_was_drawn(data, method, data_file):
    graph, _ = data(data_file)
    matrix = graph.normalized_adjacency().to_dense().astype(np.float64)
    seeds, size = np.arange(0, graph.num_nodes, 50), 400
    sampler = LayerSampler(graph, [size, size], method=method, seed=5)
    for number in range(5):
        for block in sampler.sample(seeds, number=number).blocks:
            outputs = block.nodes[: block.num_outputs]
            rows = matrix[outputs]
            mass = ((rows if method == "ladies" else matrix) ** 2).sum(0)
            chance = mass / mass.sum()
            got = np.zeros_like(rows)
            place = np.repeat(np.arange(len(outputs)), np.diff(block.indptr))
            got[place, block.nodes[block.indices]] = block.weights
            # A column was drawn a whole number of times, in all `size`, and has all its entries.
            filled = got != 0
            drawn = filled.any(0)
            times = got[:, drawn].sum(0) / rows[:, drawn].sum(0) * size * chance[drawn]
            np.testing.assert_allclose(times, np.round(times), atol=1e-3)
            whole = rows * np.where(drawn, 1, 0)
            np.testing.assert_array_equal(filled, whole != 0)
            expected = whole[:, drawn] * np.round(times) / (size * chance[drawn])
            np.testing.assert_allclose(got[:, drawn], expected, rtol=1e-4)
            total = np.round(times).sum()
            assert total == size if method == "ladies" else total <= size


@both
@pytest.mark.parametrize("method", ["nodes", "edges", "walks"])
def test_subgraphs_are_those_of_their_nodes(data, method, data_file):
    graph, _ = data(data_file)
    taken = linked(graph)
    np.fill_diagonal(taken, val=False)
    sampler = SubgraphSampler(graph, method, size=100, length=2, runs=20)
    for subgraph in sampler.batches(5):
        between = taken[np.ix_(subgraph.nodes, subgraph.nodes)]
        np.testing.assert_array_equal(subgraph.matrix.to_dense() > 0, between)
        assert len(np.unique(subgraph.nodes)) == len(subgraph.nodes) > 0
