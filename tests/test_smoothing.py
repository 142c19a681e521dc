"""Smoothing against dense linear algebra."""

import numpy as np
import pytest
from ruvector import Graph, smooth
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.sparse import CSR


def _graph(nodes=30, edges=60, seed=0, weighted=False):
    rng = np.random.default_rng(seed)
    pairs = np.stack(np.triu_indices(nodes - 2, 1), axis=1)  # the last two nodes stay alone
    pairs = pairs[np.sort(rng.choice(len(pairs), edges, replace=False))]
    weights = rng.uniform(0.5, 2, edges) if weighted else None
    return Graph.from_edges(pairs, nodes, weights)


def _features(rows=30, cols=12, seed=1, share=0.5):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, cols)) * (rng.random((rows, cols)) < share)
    x[[3, -1]] = 0  # the last node has neither edges nor features
    return x


def _normalized(graph):
    matrix = np.eye(graph.num_nodes)
    weights = np.ones(graph.num_edges) if graph.weights is None else graph.weights
    for (i, j), weight in zip(graph.edges, weights, strict=True):
        matrix[i, j] = matrix[j, i] = weight
    root = 1 / np.sqrt(matrix.sum(axis=1))
    return root[:, None] * matrix * root


def _reference(graph, features, dim, powers, exponent):
    adjacency = _normalized(graph)
    x = adjacency if features is None else np.asarray(features, np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(x / np.where(norms > 0, norms, 1), full_matrices=False)
    kept = s > 1e-5 * s.max(initial=0)
    scaled = (u[:, kept] * s[kept] ** exponent)[:, :dim]
    reached = [scaled]
    for _ in range(powers):
        reached.append(adjacency @ reached[-1])
    return np.mean(reached, axis=0)


def _same_gram(got, want, atol=2e-5):
    assert got.dtype == np.float32
    wide = got.astype(np.float64)
    np.testing.assert_allclose(wide @ wide.T, want @ want.T, atol=atol)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("powers", [0, 1, 5])
@pytest.mark.parametrize("dim", [4, 12, 100])
@pytest.mark.parametrize("given", [True, False], ids=["features", "adjacency"])
def test_equals_the_dense_reference(given, dim, powers, exponent):
    graph = _graph()
    features = _features() if given else None
    got = smooth(graph, features, dim=dim, powers=powers, exponent=exponent)
    assert got.shape == (30, min(dim, 12 if given else 30))
    if not given and dim < 30:  # there the cut may fall between equal singular values
        dim = 30
        got = smooth(graph, features, dim=dim, powers=powers, exponent=exponent)
    _same_gram(got, _reference(graph, features, dim, powers, exponent), atol=5e-4)


def test_a_weighted_graph_and_more_columns_than_nodes():
    graph, features = _graph(weighted=True), _features(cols=70)
    got = smooth(graph, features, dim=256, powers=3, exponent=0.5)
    assert got.shape == (30, 30)
    _same_gram(got, _reference(graph, features, 256, 3, 0.5), atol=1e-4)


def test_every_form_of_features_gives_the_same():
    sparse = pytest.importorskip("scipy.sparse")
    graph, features = _graph(), _features()
    want = smooth(graph, features, dim=6, powers=4)
    forms = [
        features.astype(np.float32),
        features.tolist(),
        np.asfortranarray(features),
        CSR.from_dense(features),
        CSR.from_dense(features.astype(np.float32)),
        sparse.csr_array(features),
        sparse.coo_matrix(features),
    ]
    for form in forms:
        _same_gram(smooth(graph, form, dim=6, powers=4), want.astype(np.float64))


def test_the_length_of_a_row_does_not_matter():
    graph, features = _graph(), _features()
    factors = np.random.default_rng(2).uniform(0.01, 100, (30, 1))
    want = smooth(graph, features, dim=6, powers=4)
    _same_gram(smooth(graph, features * factors, dim=6, powers=4), want.astype(np.float64))


def test_integers_and_bools_are_features_too():
    graph, features = _graph(), _features() > 0
    want = smooth(graph, features.astype(np.float32), dim=6)
    assert np.array_equal(smooth(graph, features, dim=6), want)
    assert np.array_equal(smooth(graph, features.astype(np.int64), dim=6), want)


@pytest.mark.parametrize("form", [np.asarray, CSR.from_dense], ids=["dense", "sparse"])
def test_nodes_without_edges_or_features_stay_finite(form):
    graph, features = _graph(), _features()
    got = smooth(graph, form(features), dim=8, powers=4, exponent=0.5)
    assert np.isfinite(got).all()
    assert np.array_equal(got[29], np.zeros(8))
    assert got[28].any()  # features without edges
    assert got[3].any() == (graph.degrees[3] > 0)  # edges without features
    alone = smooth(graph, dim=30)
    assert np.isfinite(alone).all()
    assert alone[28:].any(axis=1).all()


@pytest.mark.parametrize("form", [np.asarray, CSR.from_dense], ids=["dense", "sparse"])
def test_features_that_are_all_zero_give_zeros(form):
    got = smooth(_graph(), form(np.zeros((30, 5))), dim=4, exponent=0.5)
    assert np.array_equal(got, np.zeros((30, 4)))


def test_directions_beyond_the_rank_are_not_blown_up():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 10))
    got = smooth(_graph(), features, dim=8, powers=0, exponent=0.0)
    assert got.shape == (30, 8)
    assert np.linalg.matrix_rank(got, tol=1e-2) == 3
    _same_gram(got, _reference(_graph(), features, 8, 0, 0.0), atol=1e-4)


def test_a_graph_without_edges_gives_the_cut_features():
    graph = Graph.from_edges(np.zeros((0, 2), np.int64), num_nodes=30)
    got = smooth(graph, _features(), dim=12, powers=7)
    np.testing.assert_allclose(got, smooth(graph, _features(), dim=12, powers=0), atol=1e-6)
    assert smooth(graph, dim=5).shape == (30, 5)


def test_one_node():
    graph = Graph.from_edges(np.zeros((0, 2), np.int64), num_nodes=1)
    np.testing.assert_allclose(np.abs(smooth(graph, [[3.0, 4.0]])), [[1]], rtol=1e-6)


def test_the_seed_decides_and_threads_do_not(each_thread_count):
    graph, features = _graph(), _features()
    found = [smooth(graph, features, dim=6, seed=3).tobytes() for _ in each_thread_count()]
    assert found[0] == found[1] == smooth(graph, features, dim=6, seed=3).tobytes()


def test_the_input_is_left_as_it_was():
    features = _features().astype(np.float32)
    kept = features.copy()
    smooth(_graph(), features, dim=6)
    assert np.array_equal(features, kept)


@pytest.mark.parametrize("rows", [0, 29, 31])
@pytest.mark.parametrize("form", [np.asarray, CSR.from_dense], ids=["dense", "sparse"])
def test_a_wrong_number_of_rows_is_named(form, rows):
    with pytest.raises(InvalidArgumentError, match=f"{rows} rows but the graph has 30 nodes"):
        smooth(_graph(), form(np.ones((rows, 4))))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_row_of_a_bad_value_is_named(bad):
    features = _features()
    features[17, 2] = bad
    with pytest.raises(InvalidArgumentError, match="row 17"):
        smooth(_graph(), features)


@pytest.mark.parametrize(
    ("features", "error"),
    [
        (np.full((30, 3), "x"), InvalidTypeError),
        (np.full((30, 3), None), InvalidTypeError),
        (np.ones((30, 3), complex), InvalidTypeError),
        (np.ones(30), InvalidArgumentError),
        (np.ones((30, 3, 2)), InvalidArgumentError),
        (np.ones((30, 0)), InvalidArgumentError),
        ("words", InvalidTypeError),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(features, error):
    with pytest.raises(error):
        smooth(_graph(), features)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"dim": 0}, InvalidArgumentError),
        ({"dim": 2.5}, InvalidTypeError),
        ({"powers": -1}, InvalidArgumentError),
        ({"powers": 1.5}, InvalidTypeError),
        ({"exponent": -0.1}, InvalidArgumentError),
        ({"exponent": 1.1}, InvalidArgumentError),
        ({"exponent": np.nan}, InvalidArgumentError),
        ({"exponent": "1"}, InvalidTypeError),
        ({"seed": -1}, InvalidArgumentError),
    ],
)
def test_options_out_of_range_are_refused(options, error):
    with pytest.raises(error):
        smooth(_graph(), _features(), **options)
