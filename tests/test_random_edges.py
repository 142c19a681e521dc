"""Random negative edges: exact, uniform, and at an end of what there is."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.sampling import degree_negative_edges, random_negative_edges
from ruvector.sparse import CSR


def random_graph(nodes, edges, seed=0):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, nodes, (edges, 2))
    return Graph.from_edges(pairs[pairs[:, 0] != pairs[:, 1]], num_nodes=nodes)


def complete(nodes, without=()):
    pairs = [pair for pair in combinations(range(nodes), 2) if pair not in without]
    return Graph.from_edges(np.array(pairs).reshape(-1, 2), num_nodes=nodes)


def free_pairs(graph):
    taken = set(map(tuple, graph.edges.tolist()))
    return [pair for pair in combinations(range(graph.num_nodes), 2) if pair not in taken]


def check(graph, count, **options):
    drawn = random_negative_edges(graph, count, **options)
    pairs = list(map(tuple, drawn.edges.tolist()))
    assert drawn.edges.dtype == np.int64
    assert drawn.edges.shape == (len(pairs), 2)
    assert len(set(pairs)) == len(pairs)
    assert len(pairs) + drawn.missing == count
    return pairs


@settings(deadline=None, max_examples=150)
@given(
    st.integers(1, 9).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))
    ),
    st.integers(0, 90),
    st.integers(0, 2**64 - 1),
)
def test_all_that_is_given_is_free_and_all_that_is_free_can_be_given(problem, count, seed):
    nodes, listed = problem
    proper = [pair for pair in listed if pair[0] != pair[1]]
    edges = sorted({(min(pair), max(pair)) for pair in proper})
    graph = Graph(num_nodes=nodes, edges=np.array(edges, np.int64).reshape(-1, 2))
    free = free_pairs(graph)
    pairs = check(graph, count, seed=seed)
    assert set(pairs) <= set(free)
    assert len(pairs) == min(count, len(free))
    ordered = check(graph, count, seed=seed, directed=True)
    assert {(min(pair), max(pair)) for pair in ordered} <= set(free)
    assert len(ordered) == min(count, 2 * len(free))

    # A directed graph, loops and all.
    dense = np.zeros((nodes, nodes), np.float32)
    for u, v in listed:
        dense[u, v] = 1
    arcs = check(CSR.from_dense(dense), count, seed=seed)
    open_arcs = [pair for pair in permutations(range(nodes), 2) if not dense[pair]]
    assert set(arcs) <= set(open_arcs)
    assert len(arcs) == min(count, len(open_arcs))


@pytest.mark.parametrize("share", [0.001, 0.03, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("density", [0.001, 0.2, 0.9])
@pytest.mark.parametrize("directed", [False, True])
def test_every_way_of_drawing_is_exact(share, density, directed):
    nodes = 1200
    graph = random_graph(nodes, int(-np.log1p(-density) * nodes * (nodes - 1) / 2))
    free = (2 if directed else 1) * (nodes * (nodes - 1) // 2 - graph.num_edges)
    pairs = np.array(check(graph, int(share * free), directed=directed, seed=3))
    assert len(pairs) == int(share * free)
    assert not graph.has_edges(pairs[:, 0], pairs[:, 1]).any()
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert directed or (pairs[:, 0] < pairs[:, 1]).all()


def test_near_the_complete_graph_the_few_left_are_found():
    left = ((3, 70), (0, 199), (198, 199))
    graph = complete(200, left)
    assert sorted(check(graph, 3)) == sorted(left)
    assert random_negative_edges(graph, 10).missing == 7
    assert random_negative_edges(complete(50), 5).missing == 5
    assert len(random_negative_edges(complete(1), 5).edges) == 0


def test_a_graph_without_edges_gives_every_pair():
    graph = Graph(num_nodes=30, edges=np.empty((0, 2), np.int64))
    assert sorted(check(graph, 1000)) == list(combinations(range(30), 2))


# Three ways: one by one, in buckets (with half of the pairs' buckets of one size), by rank.
@pytest.mark.parametrize(
    ("nodes", "count", "rounds"), [(12, 3, 6000), (460, 4200, 60), (12, 40, 2000)]
)
@pytest.mark.parametrize("directed", [False, True])
def test_pairs_are_uniform(nodes, count, rounds, directed):
    graph = Graph.from_edges([[i, (i + 1) % nodes] for i in range(nodes)])
    hits = np.zeros((nodes, nodes))
    first = np.zeros((nodes, nodes))
    for seed in range(rounds):
        pairs = random_negative_edges(graph, count, directed=directed, seed=seed).edges
        hits[pairs[:, 0], pairs[:, 1]] += 1
        first[tuple(pairs[0])] += 1
    u, v = np.nonzero(~np.eye(nodes, dtype=bool) if directed else np.triu(np.ones_like(hits), 1))
    free = ~graph.has_edges(u, v)
    assert hits.sum() == rounds * count == hits[u[free], v[free]].sum()
    # Each pair's count is binomial; sums over their squared deviations are nearly chi-square.
    cells = int(free.sum())
    p = count / cells
    mean, spread = rounds * p, rounds * p * (1 - p)
    chi2 = ((hits[u[free], v[free]] - mean) ** 2 / spread).sum() * (1 - 1 / cells)
    assert abs(chi2 - cells) < 4.5 * np.sqrt(2 * cells)
    if rounds > 10 * cells:
        law = rounds / cells
        chi2 = ((first[u[free], v[free]] - law) ** 2 / law).sum()
        assert abs(chi2 - cells) < 4.5 * np.sqrt(2 * cells)


def test_order_is_random_and_seeds_differ(each_thread_count):
    graph = random_graph(5000, 20_000)
    for count in (1000, 100_000):
        answers = [random_negative_edges(graph, count, seed=7).edges for _ in each_thread_count()]
        np.testing.assert_array_equal(*answers)
        other = random_negative_edges(graph, count, seed=8).edges
        assert not np.array_equal(answers[0], other)
        # The first half is no lower in the numbering than the second.
        low, high = np.split(answers[0][:, 0], 2)
        assert abs(low.mean() - high.mean()) < 5 * 5000 / np.sqrt(12 * count / 4)


BAD = {
    "no graph": (lambda _: random_negative_edges(np.eye(3), 1), InvalidTypeError),
    "not square": (
        lambda _: random_negative_edges(CSR.from_dense(np.ones((2, 3))), 1),
        InvalidArgumentError,
    ),
    "negative count": (lambda g: random_negative_edges(g, -1), InvalidArgumentError),
    "count of a half": (lambda g: random_negative_edges(g, 0.5), InvalidTypeError),
    "negative seed": (lambda g: random_negative_edges(g, 1, seed=-1), InvalidArgumentError),
    "directed as text": (lambda g: random_negative_edges(g, 1, directed="no"), InvalidTypeError),
    "undirected matrix": (
        lambda g: random_negative_edges(g.adjacency(), 1, directed=False),
        InvalidArgumentError,
    ),
    "edges as text": (lambda g: degree_negative_edges(g, [["a", "b"]]), InvalidTypeError),
    "three ends": (lambda g: degree_negative_edges(g, [[0, 1, 2]]), InvalidArgumentError),
    "no such node": (lambda g: degree_negative_edges(g, [[0, 99]]), InvalidArgumentError),
    "each of 0": (lambda g: degree_negative_edges(g, each=0), InvalidArgumentError),
    "tolerance below 0": (lambda g: degree_negative_edges(g, tolerance=-1), InvalidArgumentError),
    "tolerance of NaN": (
        lambda g: degree_negative_edges(g, tolerance=float("nan")),
        InvalidArgumentError,
    ),
    "degrees of no graph": (lambda _: degree_negative_edges([[0, 1]]), InvalidTypeError),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused(kind):
    call, error = BAD[kind]
    with pytest.raises(error):
        call(random_graph(10, 12))


def within(degrees, node, given, tolerance):
    apart = int(tolerance * degrees[given]) if isinstance(tolerance, float) else tolerance
    return abs(int(degrees[node]) - int(degrees[given])) <= apart


@pytest.mark.parametrize("tolerance", [0, 2, 0.0, 0.3, 5.0])
@pytest.mark.parametrize("each", [1, 3])
def test_degrees_are_those_of_the_edge(tolerance, each):
    graph = random_graph(300, 900)
    drawn = degree_negative_edges(graph, each=each, tolerance=tolerance, seed=5)
    assert drawn.edges.shape == (graph.num_edges, each, 2)
    degrees = graph.degrees
    seen = set()
    for edge, pairs, count in zip(graph.edges, drawn.edges, drawn.counts, strict=True):
        assert (pairs[count:] == -1).all()
        for u, v in pairs[:count].tolist():
            assert u != v
            assert within(degrees, u, edge[0], tolerance)
            assert within(degrees, v, edge[1], tolerance)
            seen.add((min(u, v), max(u, v)))
    assert len(seen) == drawn.counts.sum()
    ends = np.array(sorted(seen))
    assert not graph.has_edges(ends[:, 0], ends[:, 1]).any()


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 9), st.integers(0, 40), st.integers(0, 3), st.integers(0, 1000))
def test_edges_get_fewer_only_where_no_pair_is_left(nodes, edges, tolerance, seed):
    graph = random_graph(nodes, edges, seed)
    drawn = degree_negative_edges(graph, each=4, tolerance=tolerance, seed=seed)
    degrees = graph.degrees
    free = set(free_pairs(graph))
    for edge, pairs, count in zip(graph.edges, drawn.edges, drawn.counts, strict=True):
        for u, v in pairs[:count].tolist():
            free.remove((min(u, v), max(u, v)))
        if count < 4:
            left = [
                pair
                for low, high in free
                for pair in ((low, high), (high, low))
                if within(degrees, pair[0], edge[0], tolerance)
                and within(degrees, pair[1], edge[1], tolerance)
            ]
            assert not left


def test_ends_are_uniform_within_their_classes():
    # Ten nodes of degree 1 in pairs: an edge's other partners are equally likely.
    graph = Graph.from_edges([[2 * i, 2 * i + 1] for i in range(5)])
    hits = np.zeros((10, 10))
    for seed in range(4000):
        (pair,) = degree_negative_edges(graph, [[0, 1]], seed=seed).edges[0]
        hits[tuple(pair)] += 1
    cells = hits[hits > 0]
    assert len(cells) == 80
    # 0.9999 quantile of chi-square with 79 degrees of freedom.
    assert ((cells - 50) ** 2 / 50).sum() < 130


def test_degrees_of_a_directed_graph_are_row_lengths(each_thread_count):
    rng = np.random.default_rng(0)
    matrix = CSR.from_dense((rng.random((60, 60)) < 0.1).astype(np.float32))
    drawn = [degree_negative_edges(matrix, tolerance=0, seed=1) for _ in each_thread_count()]
    np.testing.assert_array_equal(drawn[0].edges, drawn[1].edges)
    degrees = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(60), degrees)
    dense = matrix.to_dense()
    for u, v, (pair,), count in zip(
        rows, matrix.indices, drawn[0].edges, drawn[0].counts, strict=True
    ):
        if count:
            assert degrees[pair[0]] == degrees[u]
            assert degrees[pair[1]] == degrees[v]
            assert dense[tuple(pair)] == 0


def test_a_class_of_one_member_gets_nothing():
    hub = Graph.from_edges([[0, i] for i in range(1, 8)])
    drawn = degree_negative_edges(hub, each=2)
    assert drawn.counts.tolist() == [0] * 7
    assert (drawn.edges == -1).all()
    assert drawn.listed == 7
    empty = degree_negative_edges(Graph(num_nodes=3, edges=np.empty((0, 2), np.int64)))
    assert empty.edges.shape == (0, 1, 2)
