"""The Laplacian and its smallest eigenvalues, against numpy.linalg.eigh."""

import numpy as np
import pytest
from ruvector.errors import ConvergenceError, InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.losses import LaplacianLoss
from ruvector.spectral import laplacian, laplacian_eigenpairs

FORMS = ["none", "symmetric"]


def _random(nodes, count, seed, weighted=True):
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, nodes, (count, 2))
    ends = ends[ends[:, 0] != ends[:, 1]]
    ends = np.unique(np.sort(ends, axis=1), axis=0)
    weights = rng.integers(1, 5, len(ends)) / 2 if weighted else None
    return Graph.from_edges(ends, nodes, weights)


def _ring(nodes):
    here = np.arange(nodes)
    return Graph.from_edges(np.c_[here, (here + 1) % nodes])


def _triangles(count):
    corners = np.arange(3 * count).reshape(-1, 3)
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    return Graph.from_edges(pairs[np.lexsort(pairs.T[::-1])], 3 * count + 2)


GRAPHS = {
    "random": _random(150, 600, 0),
    "unweighted": _random(150, 400, 1, weighted=False),
    "ring": _ring(90),  # every eigenvalue but the ends twice
    "triangles": _triangles(30),  # 32 parts, and 3 sixty times
    "sparse": _random(120, 90, 2),  # many parts of many sizes
}


def _dense(graph, form):
    adjacency = graph.adjacency().to_dense().astype(np.float64)
    degrees = adjacency.sum(axis=1)
    if form == "none":
        return np.diag(degrees) - adjacency
    roots = np.where(degrees > 0, 1 / np.sqrt(np.where(degrees > 0, degrees, 1)), 0)
    return np.diag((degrees > 0) * 1.0) - roots[:, None] * adjacency * roots


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_laplacian_equals_its_definition_and_the_loss(graph, form):
    matrix = laplacian(graph, normalization=form)
    np.testing.assert_allclose(matrix.to_dense(), _dense(graph, form), atol=1e-15)
    z = np.random.default_rng(0).standard_normal((graph.num_nodes, 5))
    value, gradients = LaplacianLoss(form).value_and_grad(z, graph=graph)
    np.testing.assert_allclose(np.sum(z * (matrix @ z)), value, rtol=1e-12)
    np.testing.assert_allclose(gradients.embeddings, 2 * (matrix @ z), atol=1e-12)


@pytest.mark.parametrize("solver", ["auto", "dense", "lanczos", "shift_invert"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", GRAPHS)
def test_smallest_eigenvalues_equal_the_dense_ones(name, form, solver):
    if solver in ("lanczos", "shift_invert"):
        pytest.importorskip("scipy")
    graph = GRAPHS[name]
    matrix = _dense(graph, form)
    want = np.linalg.eigh(matrix)[0]
    for k in (1, 4, 40):
        values, vectors = laplacian_eigenpairs(graph, k, normalization=form, solver=solver)
        assert vectors.shape == (graph.num_nodes, k)
        np.testing.assert_allclose(values, want[:k], atol=1e-7)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(k), atol=1e-7)
        np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-6)
        assert (np.diff(values) >= 0).all()
        assert (vectors[np.abs(vectors).argmax(axis=0), np.arange(k)] > 0).all()


@pytest.mark.parametrize("solver", ["lanczos", "shift_invert"])
def test_every_part_has_an_eigenvalue_of_exactly_0(solver):
    pytest.importorskip("scipy")
    graph = GRAPHS["triangles"]
    values, _ = laplacian_eigenpairs(graph, 35, solver=solver)
    assert values[:32].tolist() == [0.0] * 32
    np.testing.assert_allclose(values[32:], 3.0, atol=1e-9)


def test_the_same_seed_gives_the_same_vectors():
    pytest.importorskip("scipy")
    graph = GRAPHS["random"]
    found = [laplacian_eigenpairs(graph, 5, solver="lanczos", seed=3) for _ in range(2)]
    assert np.array_equal(found[0].vectors, found[1].vectors)


def test_a_long_path_needs_a_factorisation():
    pytest.importorskip("scipy")
    nodes = 3000
    path = Graph.from_edges(np.c_[np.arange(nodes - 1), np.arange(1, nodes)])
    want = 2 - 2 * np.cos(np.pi * np.arange(4) / nodes)
    with pytest.raises(ConvergenceError, match="shift_invert"):
        laplacian_eigenpairs(path, 4, max_iterations=3)
    values, _ = laplacian_eigenpairs(path, 4, solver="shift_invert")
    np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"k": 0}, InvalidArgumentError),
        ({"k": 151}, InvalidArgumentError),
        ({"k": 149, "solver": "lanczos"}, InvalidArgumentError),
        ({"k": 2.5}, InvalidTypeError),
        ({"normalization": "edge"}, InvalidArgumentError),
        ({"solver": "power"}, InvalidArgumentError),
        ({"tolerance": -1.0}, InvalidArgumentError),
        ({"max_iterations": -1}, InvalidArgumentError),
        ({"seed": "a"}, InvalidTypeError),
        ({"graph": [[0, 1]]}, InvalidTypeError),
    ],
)
def test_arguments_outside_their_range_are_refused(changes, error):
    with pytest.raises(error):
        laplacian_eigenpairs(**({"graph": GRAPHS["random"], "k": 3} | changes))
