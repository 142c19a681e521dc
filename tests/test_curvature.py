"""Curvature of edges against slow computations from the definitions."""

import numpy as np
import pytest
from ruvector.curvature import forman_curvature, ollivier_curvature
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.losses import CurvatureLoss


def _random(nodes, share, seed):
    rng = np.random.default_rng(seed)
    edges = [(i, j) for i in range(nodes) for j in range(i) if rng.random() < share]
    return Graph.from_edges(np.array(edges).reshape(-1, 2), num_nodes=nodes)


def _hops(graph):
    """All distances by powers of the adjacency matrix."""
    linked = graph.adjacency().to_dense() > 0
    distance = np.where(np.eye(graph.num_nodes, dtype=bool), 0.0, np.inf)
    reached = np.eye(graph.num_nodes, dtype=bool)
    for step in range(1, graph.num_nodes):
        reached = reached | (reached @ linked)
        distance = np.where(reached & np.isinf(distance), step, distance)
    return distance


def _transport(p, q, distance):
    """The least cost of a plan with margins p and q, by linear programming."""
    optimize = pytest.importorskip("scipy.optimize")
    a, b = np.flatnonzero(p), np.flatnonzero(q)
    margins = [np.kron(np.eye(len(a)), np.ones(len(b))), np.kron(np.ones(len(a)), np.eye(len(b)))]
    answer = optimize.linprog(
        distance[np.ix_(a, b)].ravel(),
        A_eq=np.vstack(margins),
        b_eq=np.concatenate([p[a], q[b]]),
    )
    assert answer.success
    return answer.fun


def _ollivier(graph, laziness):
    linked, distance = graph.adjacency().to_dense() > 0, _hops(graph)
    measures = (1 - laziness) * linked / np.maximum(linked.sum(axis=1, keepdims=True), 1)
    measures += laziness * np.eye(graph.num_nodes)
    return [1 - _transport(measures[u], measures[v], distance) for u, v in graph.edges]


@pytest.mark.parametrize("laziness", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(("share", "seed"), [(0.15, 0), (0.3, 1), (0.7, 2)])
def test_ollivier_equals_the_linear_programme(share, seed, laziness):
    graph = _random(14, share, seed)
    got = ollivier_curvature(graph, laziness=laziness)
    np.testing.assert_allclose(got, _ollivier(graph, laziness), atol=1e-5)


@pytest.mark.parametrize(("share", "seed"), [(0.1, 0), (0.4, 1)])
def test_forman_equals_the_definition(share, seed):
    graph = _random(40, share, seed)
    around = [set(graph.neighbors(i).tolist()) for i in range(40)]
    plain = [4 - len(around[u]) - len(around[v]) for u, v in graph.edges]
    faces = [3 * len(around[u] & around[v]) for u, v in graph.edges]
    assert forman_curvature(graph, triangles=False).tolist() == plain
    assert forman_curvature(graph).tolist() == (np.array(plain) + faces).tolist()


@pytest.mark.parametrize("curvature", [forman_curvature, ollivier_curvature])
def test_every_edge_of_symmetric_graphs_has_one_curvature(curvature):
    cycle = Graph.from_edges([[i, (i + 1) % 8] for i in range(8)])
    assert curvature(cycle).tolist() == [0.0] * 8
    complete = _random(6, 2.0, 0)
    assert len(set(curvature(complete).tolist())) == 1
    nothing = Graph.from_edges(np.zeros((0, 2), np.int64), num_nodes=3)
    assert curvature(nothing).shape == (0,)


def test_complete_graphs_have_their_known_curvature():
    for nodes in (3, 5, 8):
        graph = _random(nodes, 2.0, 0)
        want = np.full(graph.num_edges, (nodes - 2) / (nodes - 1))
        np.testing.assert_allclose(ollivier_curvature(graph, laziness=0.0), want, rtol=1e-12)


def test_results_do_not_depend_on_the_number_of_threads(each_thread_count):
    graph = _random(60, 0.2, 3)
    found = [ollivier_curvature(graph).tobytes() for _ in each_thread_count()]
    assert found[0] == found[1]


def test_bad_arguments_are_refused():
    graph = _random(5, 1.0, 0)
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(InvalidArgumentError, match="laziness"):
            ollivier_curvature(graph, laziness=bad)
    with pytest.raises(InvalidTypeError, match="laziness"):
        ollivier_curvature(graph, laziness="half")
    with pytest.raises(InvalidTypeError, match="triangles"):
        forman_curvature(graph, triangles=1)
    for function in (forman_curvature, ollivier_curvature):
        with pytest.raises(InvalidTypeError, match="graph"):
            function(graph.edges)


def test_following_curvature_draws_communities_together():
    block = [(i, j) for i in range(5) for j in range(i)]
    edges = [*block, *((i + 5, j + 5) for i, j in block), (0, 5)]
    graph = Graph.from_edges(edges)
    curvature = ollivier_curvature(graph)
    bridge = graph.edges.tolist().index([0, 5])
    assert np.argmin(curvature) == bridge
    z = np.random.default_rng(0).standard_normal((10, 6))
    loss = CurvatureLoss()
    before = loss(z, *graph.edges.T, curvature)
    for _ in range(300):
        z -= 0.5 * loss.value_and_grad(z, *graph.edges.T, curvature).gradients.embeddings
    assert loss(z, *graph.edges.T, curvature) < before / 100
    lengths = np.linalg.norm(z[graph.edges[:, 0]] - z[graph.edges[:, 1]], axis=1)
    assert np.argmax(lengths) == bridge
