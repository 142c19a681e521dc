"""Whole-graph embeddings against sums written out, and what they must not depend on."""

import numpy as np
import pytest
import ruvector
from ruvector import Graph
from ruvector.errors import InvalidArgumentError, InvalidTypeError, NotFittedError
from ruvector.graph_batch import GraphBatch
from ruvector.runtime import use_threads
from ruvector.sparse import CSR
from ruvector.walk_pairs import DEGREES, WalkPairs


def _graphs(count=12, cols=3, seed=0):
    rng = np.random.default_rng(seed)
    graphs = []
    for number in range(count):
        nodes = int(rng.integers(4, 12))
        pairs = np.stack(np.triu_indices(nodes, 1), axis=1)
        kept = pairs[rng.random(len(pairs)) < (0.2 if number % 2 else 0.6)]
        x = None if cols is None else np.eye(cols, dtype=np.float32)[rng.integers(0, cols, nodes)]
        graphs.append(Graph.from_edges(kept, nodes, features=x))
    return graphs


GRAPHS = _graphs()


def _reference(graphs, powers):
    rows = []
    for graph in graphs:
        n = graph.num_nodes
        adjacency = np.zeros((n, n))
        adjacency[graph.edges[:, 0], graph.edges[:, 1]] = 1
        adjacency += adjacency.T
        degrees = adjacency.sum(axis=1)
        root = np.where(degrees > 0, np.maximum(degrees, 1) ** -0.5, 0)
        steps = root[:, None] * adjacency * root
        classes = np.array([sum(d >= low for low in DEGREES) for d in degrees])
        x = np.hstack([graph.features, np.eye(len(DEGREES) + 1)[classes]])
        upper = np.triu_indices(x.shape[1])
        sums = [x.sum(axis=0)]
        sums += [(x.T @ np.linalg.matrix_power(steps, k) @ x)[upper] for k in range(powers + 1)]
        rows.append(np.concatenate(sums))
    described = np.array(rows)
    described -= described.mean(axis=0)
    deviation = described.std(axis=0)
    kept = deviation > 1e-6
    return described[:, kept] / np.sqrt(deviation[kept])


@pytest.mark.parametrize("powers", [0, 1, 3])
def test_equals_the_sums_written_out(powers):
    got = WalkPairs(powers=powers).fit_embed(GRAPHS).astype(np.float64)
    want = _reference(GRAPHS, powers)
    want *= np.sqrt(got.size / np.square(want).sum())
    np.testing.assert_allclose(got @ got.T, want @ want.T, atol=2e-3 * got.shape[1])
    assert np.mean(got**2) == pytest.approx(1, rel=1e-3)


def test_does_not_depend_on_the_order_of_nodes():
    rng = np.random.default_rng(1)
    turned = []
    for graph in GRAPHS:
        order = rng.permutation(graph.num_nodes)
        turned.append(
            Graph.from_edges(
                np.argsort(order)[graph.edges], graph.num_nodes, features=graph.features[order]
            )
        )
    fitted = WalkPairs().fit(GRAPHS)
    np.testing.assert_allclose(fitted.embed(turned), fitted.embed(GRAPHS), atol=1e-4)


def test_a_graph_is_embedded_alike_alone_and_among_others():
    fitted = WalkPairs().fit(GRAPHS)
    assert np.array_equal(fitted.embed(GRAPHS[:1]), fitted.embed(GRAPHS)[:1])
    assert np.array_equal(fitted.embed(GRAPHS), WalkPairs().fit_embed(GRAPHS))


@pytest.mark.parametrize("threads", [1, 3])
def test_has_the_same_bits_for_any_number_of_threads(threads):
    first = ruvector.embed(GRAPHS, task="graph", seed=3)
    with use_threads(threads):
        assert np.array_equal(ruvector.embed(GRAPHS, task="graph", seed=3), first)


def test_features_may_come_in_any_form():
    batch = GraphBatch.of(GRAPHS)
    want = ruvector.embed(GRAPHS, task="graph")
    given = [
        (batch, None),
        (batch, batch.graph.features),
        (batch, CSR.from_dense(batch.graph.features)),
        (GRAPHS, [graph.features for graph in GRAPHS]),
        (GRAPHS, tuple(graph.features.tolist() for graph in GRAPHS)),
        (GRAPHS, [CSR.from_dense(graph.features) for graph in GRAPHS]),
        (GRAPHS, [CSR.from_dense(GRAPHS[0].features), *(g.features for g in GRAPHS[1:])]),
        (GRAPHS, [*(g.features for g in GRAPHS[:-1]), CSR.from_dense(GRAPHS[-1].features)]),
    ]
    for graphs, features in given:
        np.testing.assert_allclose(ruvector.embed(graphs, features, task="graph"), want, atol=1e-5)


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "coo_array"])
def test_a_list_may_hold_matrices_of_scipy(kind):
    make = getattr(pytest.importorskip("scipy.sparse"), kind)
    features = [make(graph.features) for graph in GRAPHS]
    want = ruvector.embed(GRAPHS, task="graph")
    np.testing.assert_allclose(ruvector.embed(GRAPHS, features, task="graph"), want, atol=1e-5)


def test_wide_features_are_cut_to_their_leading_directions():
    rng = np.random.default_rng(2)
    plain = _graphs(cols=None)
    features = [rng.random((graph.num_nodes, 400)).astype(np.float32) for graph in plain]
    z = ruvector.embed(plain, features, task="graph")
    assert z.shape == (12, 11)  # centred columns of 12 graphs have no higher rank
    assert np.isfinite(z).all()


def test_without_features_structure_tells_graphs_apart():
    rng = np.random.default_rng(3)
    ring = [[i, (i + 1) % 12] for i in range(12)]
    star = [[0, i] for i in range(1, 12)]
    graphs = [Graph.from_edges((ring, star)[i % 2]) for i in range(20)]
    noisy = [
        Graph.from_edges(graph.edges[rng.random(graph.num_edges) < 0.9], 12) for graph in graphs
    ]
    z = ruvector.embed(noisy, task="graph")
    rows = np.arange(20)
    part = rows // 2 % 3
    probe = ruvector.linear_probe(z, rows % 2, part == 0, part == 1, part == 2)
    assert probe.accuracy == 1


def test_graphs_without_edges_and_empty_graphs_are_finite():
    bare = [Graph.from_edges([], 3), Graph.from_edges([], 1), Graph.from_edges([[0, 1]])]
    z = ruvector.embed(bare, task="graph")
    assert z.shape[0] == 3
    assert np.isfinite(z).all()
    hollow = GraphBatch(Graph.from_edges([[0, 1], [2, 3]]), [0, 2, 2, 4])
    z = ruvector.embed(hollow, task="graph")
    assert np.isfinite(z).all()
    assert np.array_equal(z[0], z[2])
    assert not np.array_equal(z[0], z[1])


def test_graphs_all_alike_are_finite():
    z = ruvector.embed([GRAPHS[0]] * 4, task="graph")
    assert not z.any()


def test_columns_of_rare_pairs_do_not_blow_up_graphs_that_come_later():
    fitted = WalkPairs().fit(GRAPHS)
    hub = Graph.from_edges([[0, i] for i in range(1, 200)], features=np.eye(3)[[0] * 200])
    assert np.isfinite(fitted.embed([hub])).all()


@pytest.mark.parametrize(
    ("graphs", "features", "error", "message"),
    [
        ([], None, InvalidArgumentError, "empty"),
        (GRAPHS[:1], None, InvalidArgumentError, "two or more"),
        (GRAPHS[0], None, InvalidTypeError, "one Graph"),
        ("graphs", None, InvalidTypeError, "str"),
        (7, None, InvalidTypeError, "int"),
        ([GRAPHS[0], 3], None, InvalidTypeError, r"graphs\[1\]"),
        (GRAPHS, np.ones((3, 2)), InvalidArgumentError, "3 rows"),
        (GRAPHS, [np.ones((4, 2))], InvalidArgumentError, "1 arrays"),
        (GRAPHS, [np.ones((1, 2))] * 12, InvalidArgumentError, r"features\[0\]"),
        (GRAPHS, [CSR.from_dense(np.ones((1, 2)))] * 12, InvalidArgumentError, r"features\[0\]"),
        (GRAPHS, [*(g.features for g in GRAPHS[:-1]), 3], InvalidArgumentError, r"features\[11\]"),
        (GRAPHS, [[[1], [1, 2]]] * 12, InvalidArgumentError, r"features\[0\] cannot be read"),
        ([GRAPHS[0], _graphs(1, None)[0]], None, InvalidArgumentError, "features"),
        (GRAPHS, "features", InvalidTypeError, "features"),
        (
            GRAPHS,
            np.full((sum(graph.num_nodes for graph in GRAPHS), 2), np.nan),
            InvalidArgumentError,
            "NaN",
        ),
    ],
)
def test_bad_input_is_refused(graphs, features, error, message):
    with pytest.raises(error, match=message):
        ruvector.embed(graphs, features, task="graph")


def test_a_task_of_nodes_refuses_several_graphs():
    with pytest.raises(InvalidTypeError, match="list"):
        ruvector.embed(GRAPHS, task="node")


def test_new_graphs_need_the_columns_of_the_fit():
    with pytest.raises(NotFittedError):
        WalkPairs().embed(GRAPHS)
    fitted = WalkPairs().fit(GRAPHS)
    with pytest.raises(InvalidArgumentError, match="columns"):
        fitted.embed(_graphs(cols=2))
    with pytest.raises(InvalidArgumentError, match="no columns"):
        fitted.embed(_graphs(cols=None))
    for wrong in ({"dim": 0}, {"powers": -1}, {"seed": -1}):
        with pytest.raises(InvalidArgumentError):
            WalkPairs(**wrong)


def test_a_failed_fit_leaves_the_earlier_one():
    fitted = WalkPairs().fit(GRAPHS)
    before = fitted.embed(GRAPHS)
    with pytest.raises(InvalidArgumentError):
        fitted.fit(GRAPHS[:1])
    assert np.array_equal(fitted.embed(GRAPHS), before)


def test_mutag_is_told_apart_better_than_by_counting_atoms(data_file):
    with np.load(data_file("mutag.npz")) as data:
        batch = GraphBatch(
            Graph.from_edges(data["edges"], len(data["node_labels"])), data["graph_ptr"]
        )
        features = np.eye(7, dtype=np.float32)[data["node_labels"]]
        labels, folds = data["graph_labels"], data["folds"][0]
    counts = batch.pool(features, "mean")
    z = ruvector.embed(batch, features, task="graph")
    scores = [
        np.mean(
            [
                ruvector.linear_probe(
                    rows, labels, ~np.isin(folds, (k, k + 1)), folds == k + 1, folds == k
                ).accuracy
                for k in (0, 3, 6)
            ]
        )
        for rows in (counts, z)
    ]
    assert scores[1] > scores[0]
