import copy
import dataclasses
import logging
import pickle

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector.errors import CorruptFileError, InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.sparse import CSR


def dense_adjacency(graph):
    dense = np.zeros((graph.num_nodes,) * 2)
    weights = 1.0 if graph.weights is None else graph.weights
    dense[tuple(graph.edges.T)] = weights
    return dense + dense.T


def small():
    return Graph.from_edges(
        [[2, 0], [1, 2], [3, 1]],
        num_nodes=5,
        weights=[0.5, 2.0, 1.0],
        features=np.arange(10.0).reshape(5, 2),
        labels=[0, 1, 0, 1, -1],
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=60), st.booleans())
def test_any_edge_list_becomes_the_same_as_in_networkx(pairs, weighted):
    reference = nx.Graph()
    reference.add_nodes_from(range(13))
    random = np.random.default_rng(len(pairs))
    weights = random.integers(1, 9, len(pairs)).astype("f4")
    for (u, v), w in zip(pairs, weights, strict=True):
        if u != v:
            before = reference.get_edge_data(u, v, {"weight": 0.0})["weight"]
            reference.add_edge(u, v, weight=max(float(w), before))
    graph = Graph.from_edges(
        np.array(pairs, int).reshape(-1, 2), 13, weights=weights if weighted else None
    )
    key = "weight" if weighted else None
    want = nx.to_numpy_array(reference, nodelist=range(13), weight=key)
    np.testing.assert_array_equal(graph.adjacency().to_dense(), want)
    np.testing.assert_array_equal(dense_adjacency(graph), want)
    assert graph.edges.tolist() == sorted(sorted(e) for e in reference.edges)
    assert graph.num_edges == reference.number_of_edges()
    np.testing.assert_array_equal(graph.degrees, (want > 0).sum(axis=1))
    every = np.stack(np.meshgrid(range(13), range(13)), axis=-1).reshape(-1, 2)
    np.testing.assert_array_equal(graph.has_edges(*every.T), want[tuple(every.T)] > 0)
    for node in range(13):
        assert graph.neighbors(node).tolist() == np.flatnonzero(want[node]).tolist()
    for loops in (True, False):
        total = want + np.eye(13) * loops
        sums = total.sum(axis=1)
        scale = np.divide(1.0, np.sqrt(sums), out=np.zeros(13), where=sums > 0)
        normal = graph.normalized_adjacency(self_loops=loops)
        assert normal.dtype == np.float32
        np.testing.assert_allclose(normal.to_dense(), scale[:, None] * total * scale, rtol=1e-6)


def test_what_is_dropped_is_said(caplog):
    with caplog.at_level(logging.WARNING, logger="ruvector"):
        graph = Graph.from_edges([[0, 1], [1, 0], [0, 1], [2, 2], [1, 2]])
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert "dropped 1 loops and 2 repeated edges" in caplog.text
    caplog.clear()
    Graph.from_edges([[0, 1], [1, 2]])
    assert not caplog.text


def test_of_repeated_edges_the_largest_weight_is_kept():
    graph = Graph.from_edges([[0, 1], [1, 0], [1, 2]], weights=[1.0, 3.0, 2.0])
    assert graph.weights.tolist() == [3.0, 2.0]


def test_edges_may_be_missing_but_not_nodes():
    graph = Graph.from_edges([], num_nodes=3)
    assert (graph.num_nodes, graph.num_edges) == (3, 0)
    assert graph.adjacency().nnz == 0
    assert graph.has_edges([0], [1]).tolist() == [False]
    np.testing.assert_array_equal(graph.normalized_adjacency().to_dense(), np.eye(3))
    assert Graph.from_edges(np.empty((0, 2), "i4"), features=np.ones((4, 1))).num_nodes == 4


@pytest.mark.parametrize(
    ("edges", "options", "error", "message"),
    [
        ([], {}, InvalidArgumentError, "edges is empty; pass num_nodes"),
        ([[0, 1]], {"num_nodes": 0}, InvalidArgumentError, "num_nodes is 0"),
        ([[0, 5]], {"num_nodes": 3}, InvalidArgumentError, "holds node 5 but there are 3 nodes"),
        ([[0, -1]], {}, InvalidArgumentError, "holds node -1"),
        ([["a", "b"]], {}, InvalidTypeError, "edges has dtype"),
        ([[0.0, 1.0]], {}, InvalidTypeError, "must hold integers"),
        ([0, 1], {}, InvalidArgumentError, "must have 2 dimension"),
        ([[0, 1, 2], [1, 2, 3]], {}, InvalidArgumentError, "must be .E, 2.; transpose it"),
        ([[0, 1], [1]], {}, InvalidArgumentError, "rows must have equal lengths"),
        ([[0, 2**31]], {}, InvalidArgumentError, "num_nodes is 2147483649"),
        ([[0, 1]], {"num_nodes": 2.5}, InvalidTypeError, "num_nodes is 2.5"),
        ([[0, 1]], {"weights": [np.nan]}, InvalidArgumentError, "weights is nan at entry 0"),
        ([[0, 1]], {"weights": [-1.0]}, InvalidArgumentError, "weights is -1 at entry 0"),
        ([[0, 1]], {"weights": [0.0]}, InvalidArgumentError, "must be finite and positive"),
        ([[0, 1]], {"weights": [1.0, 2.0]}, InvalidArgumentError, "has 2 entries but there are 1"),
        ([[0, 1]], {"weights": ["x"]}, InvalidTypeError, "must be numeric"),
        ([[0, 1]], {"features": np.ones(2)}, InvalidArgumentError, "must have 2 dimension"),
        ([[0, 1]], {"features": [[np.inf], [1.0]]}, InvalidArgumentError, "infinity in row 0"),
        ([[0, 1]], {"labels": [1]}, InvalidArgumentError, "labels has 1 entries"),
        (
            [[0, 1]],
            {"num_nodes": 2, "features": np.ones((3, 1))},
            InvalidArgumentError,
            "there are 2 nodes; it needs a row for each",
        ),
    ],
)
def test_bad_edge_lists(edges, options, error, message):
    with pytest.raises(error, match=message):
        Graph.from_edges(edges, **options)


def test_the_constructor_takes_only_edges_in_order():
    for edges in ([[1, 0]], [[0, 0]], [[1, 2], [0, 1]], [[0, 1], [0, 1]]):
        with pytest.raises(InvalidArgumentError, match=r"use Graph\.from_edges"):
            Graph(num_nodes=3, edges=edges)
    with pytest.raises(InvalidArgumentError, match="train_mask has shape"):
        Graph(num_nodes=3, edges=[[0, 1]], train_mask=[True])
    with pytest.raises(InvalidTypeError, match="must be bool"):
        Graph(num_nodes=3, edges=[[0, 1]], train_mask=[1, 0, 1])


def test_a_graph_cannot_be_changed():
    graph = small()
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.num_nodes = 7
    for array in (graph.edges, graph.weights, graph.degrees, graph.features, graph.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert dataclasses.replace(graph, labels=None).labels is None


def test_copies_and_pickles():
    graph = small()
    graph.adjacency()
    for twin in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):
        np.testing.assert_array_equal(twin.edges, graph.edges)
        np.testing.assert_array_equal(twin.weights, graph.weights)
        np.testing.assert_array_equal(twin.features, graph.features)
        assert not twin.edges.flags.writeable


def test_questions_about_nodes_that_do_not_exist():
    graph = small()
    with pytest.raises(InvalidArgumentError, match="node is 5 but must be between 0 and 4"):
        graph.neighbors(5)
    with pytest.raises(InvalidArgumentError, match="dst holds node 5"):
        graph.has_edges([0], [5])
    with pytest.raises(InvalidArgumentError, match="they must be pairs"):
        graph.has_edges([0, 1], [2])


def test_dropping_edges_keeps_the_rest():
    graph = small()
    for drop in ([1], [1, 1], np.array([False, True, False])):
        rest = graph.without_edges(drop)
        assert rest.edges.tolist() == [[0, 2], [1, 3]]
        assert rest.weights.tolist() == [0.5, 1.0]
        np.testing.assert_array_equal(rest.labels, graph.labels)
    assert graph.without_edges([]).num_edges == graph.num_edges == 3
    for drop, message in (([3], "positions from 3 to 3"), ([-1], "positions"), ([True], "shape")):
        with pytest.raises(InvalidArgumentError, match=message):
            graph.without_edges(drop)
    with pytest.raises(InvalidTypeError, match="must hold integers"):
        graph.without_edges([0.5])


def test_from_scipy(caplog):
    dense = np.array([[1.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    with caplog.at_level(logging.WARNING, logger="ruvector"):
        graph = Graph.from_scipy(sp.csr_matrix(dense), labels=[0, 1, 1])
    assert "dropped 1 loops; 1 entries without a mirrored one" in caplog.text
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert graph.weights.tolist() == [2.0, 3.0]
    twin = Graph.from_scipy(graph.adjacency().to_scipy())
    np.testing.assert_array_equal(twin.edges, graph.edges)
    assert Graph.from_scipy(sp.csr_array(np.array([[0, 1], [1, 0]]))).weights is None
    with pytest.raises(InvalidArgumentError, match="must be square"):
        Graph.from_scipy(sp.csr_matrix((2, 3)))
    with pytest.raises(InvalidTypeError, match="needs a tocoo"):
        Graph.from_scipy(dense)


def test_from_networkx():
    source = nx.Graph()
    source.add_edge("b", "a", weight=2.0)
    source.add_edge("a", "c")
    source.add_node("d")
    graph = Graph.from_networkx(source)
    assert graph.node_names == ("b", "a", "c", "d")
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert graph.weights.tolist() == [2.0, 1.0]
    assert Graph.from_networkx(source, weight=None).weights is None
    assert Graph.from_networkx(nx.karate_club_graph(), weight="none").weights is None
    assert Graph.from_networkx(nx.MultiDiGraph([(0, 1), (1, 0)])).num_edges == 1
    with pytest.raises(InvalidTypeError, match="must be a networkx graph"):
        Graph.from_networkx([[0, 1]])
    with pytest.raises(InvalidArgumentError, match="num_nodes is 0"):
        Graph.from_networkx(nx.Graph())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("cora.npz", (2708, 5278, 49216)),
        ("citeseer.npz", (3327, 4552, 105165)),
        ("amazon_photo.npz", (7650, 119081, 1979909)),
    ],
)
def test_real_graphs_come_back_from_a_file(name, size, data_file, tmp_path):
    graph = Graph.load_npz(data_file(name))
    nodes, edges = size[:2]
    assert (graph.num_nodes, graph.num_edges, graph.features.nnz) == size
    assert graph.train_mask.shape == ((5, nodes) if name.startswith("amazon") else (nodes,))
    values = graph.edges.astype("i8")
    ones = np.ones(2 * edges)
    both = (np.r_[values[:, 0], values[:, 1]], np.r_[values[:, 1], values[:, 0]])
    reference = sp.csr_matrix((ones, both), shape=(nodes, nodes)) + sp.eye(nodes)
    scale = sp.diags(np.asarray(reference.sum(axis=1)).ravel() ** -0.5)
    difference = (scale @ reference @ scale) - graph.normalized_adjacency().to_scipy()
    assert abs(difference).max() < 1e-7
    graph.save_npz(tmp_path / "copy.npz")
    twin = Graph.load_npz(tmp_path / "copy.npz")
    for field in ("edges", "labels", "train_mask", "val_mask", "test_mask"):
        np.testing.assert_array_equal(getattr(twin, field), getattr(graph, field))
    np.testing.assert_array_equal(twin.features.indices, graph.features.indices)


def test_everything_comes_back_from_a_file(tmp_path, caplog):
    masks = {"train_mask": np.eye(5, dtype=bool)[:2], "val_mask": np.ones(5, bool)}
    graph = dataclasses.replace(small(), **masks, node_names=list("abcde"))
    path = tmp_path / "graph.npz"
    graph.save_npz(path)
    twin = Graph.load_npz(str(path))
    for field in ("edges", "weights", "features", "labels", "train_mask", "val_mask"):
        np.testing.assert_array_equal(getattr(twin, field), getattr(graph, field))
    assert twin.node_names == graph.node_names
    assert [file.name for file in tmp_path.iterdir()] == ["graph.npz"]
    dataclasses.replace(graph, node_names=[1, "b", None, 2.0, "e"]).save_npz(path)
    assert "node_names are left out" in caplog.text
    assert Graph.load_npz(path).node_names is None


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "graph.npz"
    small().save_npz(path)
    content = path.read_bytes()
    with np.load(path) as archive:
        fields = dict(archive)
    broken = tmp_path / "broken.npz"
    for length in range(0, len(content), 97):
        broken.write_bytes(content[:length])
        with pytest.raises(CorruptFileError, match=r"broken.npz"):
            Graph.load_npz(broken)
    for change, message in (
        ({"edges": None}, "has no field 'edges'"),
        ({"edges": np.array([[0, 9]])}, "does not hold a graph: edges holds node 9"),
        ({"edges": np.array([[0.5, 1.0]])}, "does not hold a graph: edges has dtype"),
        ({"labels": np.zeros(3, int)}, "labels has 3 entries"),
        ({"feat_indptr": np.zeros(6, int)}, "sparse features without feat_data"),
        ({"num_nodes": np.array([1, 2])}, "does not hold a graph"),
        ({"labels": np.array([None] * 5)}, "is not a graph file, or a damaged one"),
    ):
        np.savez(broken, **{k: v for k, v in (fields | change).items() if v is not None})
        with pytest.raises(CorruptFileError, match=message):
            Graph.load_npz(broken)
    broken.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(CorruptFileError):
        Graph.load_npz(broken)
    with broken.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(CorruptFileError):
        Graph.load_npz(broken)
    with pytest.raises(FileNotFoundError):
        Graph.load_npz(tmp_path / "nothing.npz")


def test_edge_files(tmp_path):
    table = tmp_path / "edges.tsv"
    table.write_text("# a comment\nsource\ttarget\tweight\n0\t1\t0.5\n\n2\t1\t2\n")
    np.save(tmp_path / "x.npy", np.eye(4, dtype="f4"))
    graph = Graph.load_edges(table, features=tmp_path / "x.npy")
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert graph.weights.tolist() == [0.5, 2.0]
    assert graph.num_nodes == 4
    plain = tmp_path / "edges.csv"
    plain.write_text("0,1\r\n1, 2\r\n")
    assert Graph.load_edges(plain, num_nodes=9).num_nodes == 9
    assert Graph.load_edges(plain).weights is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n0,1\n1,x\n", "line 3: '1,x' but expected 2 columns"),
        ("0,1\n1,2,0.5\n", "line 2"),
        ("0\t1\n", "line 1: .* separated by a comma"),
        ("0,1.5\n", "line 1"),
        ("1,2,3,4\n", "line 1: '1,2,3,4' but expected two ids and perhaps a weight"),
        ("a,b\nc,d\n", "line 2: 'c,d'"),
    ],
)
def test_bad_lines_are_named_by_number(text, message, tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text(text)
    with pytest.raises(CorruptFileError, match=message):
        Graph.load_edges(path)


def test_edge_files_with_bad_content(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("source,target\n")
    with pytest.raises(InvalidArgumentError, match="edges is empty"):
        Graph.load_edges(path)
    path.write_text("0,-1\n")
    with pytest.raises(InvalidArgumentError, match="holds node -1"):
        Graph.load_edges(path)
    path.write_text("0,1\n")
    (tmp_path / "x.npy").write_bytes(b"nothing")
    with pytest.raises(CorruptFileError, match=r"x.npy is not a .npy file"):
        Graph.load_edges(path, features=tmp_path / "x.npy")
    with pytest.raises(FileNotFoundError):
        Graph.load_edges(tmp_path / "none.csv")


def test_sparse_features_are_taken_from_scipy():
    graph = Graph.from_edges([[0, 1]], features=sp.eye(2, format="coo"))
    assert isinstance(graph.features, CSR)
