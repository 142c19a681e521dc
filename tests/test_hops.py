"""Nodes by distance, and what is mined among them, against matrix powers and full sorts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.mining import HardNegativeMiner
from ruvector.sampling import GraphMiner, hard_negative_edges, hops
from ruvector.sparse import CSR


def random_graph(nodes, edges, seed=0):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, nodes, (edges, 2))
    return Graph.from_edges(pairs[pairs[:, 0] != pairs[:, 1]], num_nodes=nodes)


def distances(dense, sources=None):
    """Hops to all nodes by powers of the matrix; infinite where there is no way."""
    nodes = len(dense)
    reached = np.eye(nodes, dtype=bool)[slice(None) if sources is None else sources]
    found = np.where(reached, 0, np.inf)
    for step in range(1, nodes):
        further = ((reached.astype(np.float32) @ dense) > 0) & np.isinf(found)
        if not further.any():
            break
        found[further] = step
        reached = further
    return found


def lists_of(found):
    return [row.tolist() for row in np.split(found.indices, found.indptr[1:-1])]


def expected(matrix, nodes, least, most):
    return [np.flatnonzero((matrix[i] >= least) & (matrix[i] <= most)).tolist() for i in nodes]


@settings(deadline=None, max_examples=80)
@given(
    st.integers(1, 40),
    st.integers(0, 60),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 10**6),
)
def test_hops_are_those_of_matrix_powers(nodes, edges, least, more, seed):
    rng = np.random.default_rng(seed)
    dense = np.zeros((nodes, nodes), np.float32)
    dense[tuple(rng.integers(0, nodes, (2, edges)))] = 1
    asked = rng.integers(0, nodes, rng.integers(0, 20))
    found = hops(CSR.from_dense(dense), asked, least=least, most=least + more)
    assert len(found.indptr) == len(asked) + 1
    if len(asked):
        matrix = distances(dense)
        assert lists_of(found) == expected(matrix, asked, least, least + more)


@pytest.mark.parametrize(("edges", "nodes"), [(1500, 1100), (9000, 700), (200, 600)])
def test_all_nodes_of_sparse_and_dense_graphs(edges, nodes, each_thread_count):
    graph = random_graph(nodes, edges)
    matrix = distances(graph.adjacency().to_dense())
    for least, most in [(0, 0), (0, 2), (1, 3), (2, 4), (3, nodes)]:
        found = [hops(graph, least=least, most=most) for _ in each_thread_count()]
        np.testing.assert_array_equal(found[0].indices, found[1].indices)
        assert lists_of(found[0]) == expected(matrix, range(nodes), least, most)


def test_cora_hops_are_those_of_scipy(data_file):
    sparse = pytest.importorskip("scipy.sparse")
    graph = Graph.load_npz(data_file("cora.npz"))
    adjacency = sparse.csr_matrix(graph.adjacency().to_scipy())
    whole = adjacency + sparse.eye(graph.num_nodes, format="csr", dtype=np.float32)
    power = whole @ whole @ whole
    power.sort_indices()
    found = hops(graph, least=0, most=3)
    np.testing.assert_array_equal(found.indptr, power.indptr)
    np.testing.assert_array_equal(found.indices, power.indices)


def test_hops_are_exclusions_of_the_miner():
    graph = random_graph(80, 100)
    vectors = np.random.default_rng(0).standard_normal((80, 8), np.float32)
    found = HardNegativeMiner("hardest", k=5).mine(vectors, exclude=hops(graph, most=2))
    matrix = distances(graph.adjacency().to_dense())
    for i, row in enumerate(found.indices):
        assert (matrix[i, row[row >= 0]] > 2).all()


def mined_by_hand(vectors, matrix, nodes, k, *, least, most, skip, metric):
    wide = vectors.astype(np.float64)
    if metric == "cosine":
        norms = np.linalg.norm(wide, axis=1, keepdims=True)
        wide = wide / np.where(norms > 0, norms, 1)
    scores = wide @ wide.T
    rows = []
    for i in nodes:
        ok = matrix[i] >= least
        if most is not None:
            ok &= matrix[i] <= most
        candidates = np.flatnonzero(ok)
        band = int(skip * len(candidates)) if isinstance(skip, float) else skip
        order = candidates[np.argsort(-scores[i, candidates], kind="stable")]
        rows.append((len(candidates), order[band : band + k]))
    return rows, scores


@pytest.mark.parametrize(("nodes", "edges"), [(500, 600), (700, 6000), (130, 40)])
@pytest.mark.parametrize(("least", "most"), [(2, 3), (1, 1), (3, None), (1, None), (2, 9)])
@pytest.mark.parametrize("skip", [0, 4, 0.1])
def test_mining_agrees_with_brute_force(nodes, edges, least, most, skip):
    graph = random_graph(nodes, edges)
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((nodes, 7)).astype(np.float64)
    vectors[5] = 0
    asked = rng.integers(0, nodes, 150)
    metric = "dot" if skip == 4 else "cosine"
    miner = GraphMiner(k=9, strategy="hardest", least=least, most=most, skip=skip, metric=metric)
    found = miner.mine(vectors, graph, nodes=asked)
    matrix = distances(graph.adjacency().to_dense())
    rows, scores = mined_by_hand(
        vectors, matrix, asked, 9, least=least, most=most, skip=skip, metric=metric
    )
    for i, (node, (candidates, chosen)) in enumerate(zip(asked, rows, strict=True)):
        assert found.candidates[i] == candidates
        assert found.counts[i] == len(chosen)
        # Node 5 has similarity 0 to all: only which zeros come is left open by rounding.
        if node != 5:
            np.testing.assert_array_equal(found.indices[i, : len(chosen)], chosen)
        got = found.indices[i, : len(chosen)]
        np.testing.assert_allclose(
            found.similarities[i, : len(chosen)], scores[node, got], rtol=1e-5, atol=1e-6
        )
        assert (found.indices[i, len(chosen) :] == -1).all()
        assert np.isneginf(found.similarities[i, len(chosen) :]).all()


@pytest.mark.parametrize(("nodes", "edges"), [(300, 400), (700, 6000)])
@pytest.mark.parametrize(("least", "most"), [(2, None), (3, None), (2, 3), (1, 2)])
def test_random_nodes_are_of_all_candidates_alike(nodes, edges, least, most, each_thread_count):
    graph = random_graph(nodes, edges)
    vectors = np.random.default_rng(1).standard_normal((nodes, 7), np.float32)
    matrix = distances(graph.adjacency().to_dense())
    near = mined_by_hand(vectors, matrix, [], 1, least=1, most=None, skip=0, metric="cosine")[1]
    allowed = (matrix >= least) & (matrix <= (np.inf if most is None else most))
    hits = np.zeros((nodes, nodes))
    for seed in range(30):
        miner = GraphMiner(k=9, least=least, most=most, seed=seed)
        found, again = (miner.mine(vectors, graph) for _ in each_thread_count())
        np.testing.assert_array_equal(found.indices, again.indices)
        np.testing.assert_array_equal(found.candidates, allowed.sum(1))
        np.testing.assert_array_equal(found.counts, np.minimum(allowed.sum(1), 9))
        filled = found.indices >= 0
        np.testing.assert_array_equal(filled.sum(1), found.counts)
        rows = np.repeat(np.arange(nodes), found.counts)
        hits[rows, found.indices[filled]] += 1
        np.testing.assert_allclose(
            found.similarities[filled], near[rows, found.indices[filled]], atol=1e-6
        )
    assert not hits[~allowed].any()
    assert hits.max() <= 30
    # How often a node is drawn, by how many have it among their candidates.
    chance = np.minimum(9 / np.maximum(allowed.sum(1), 1), 1)[:, None] * allowed
    expected, spread = 30 * chance.sum(0), 30 * (chance * (1 - chance)).sum(0)
    some = spread > 5
    far = (hits.sum(0) - expected)[some] ** 2 / spread[some]
    assert abs(far.sum() - some.sum()) < 5 * np.sqrt(2 * some.sum())


@pytest.mark.parametrize("data", ["cora", "fashion_mnist"])
@pytest.mark.parametrize("options", [(2, 3, 0), (2, 3, 0.1), (3, None, 5)])
def test_mining_of_real_data_agrees_with_brute_force(data, options, data_file, each_thread_count):
    least, most, skip = options
    if data == "cora":
        graph = Graph.load_npz(data_file("cora.npz"))
        vectors = np.random.default_rng(0).standard_normal((graph.num_nodes, 20), np.float32)
    else:
        with np.load(data_file("fashion_mnist.npz")) as archive:
            vectors = archive["x_train"][:2100].reshape(2100, -1).astype(np.float32)
        # Each image and the three most like it.
        near = HardNegativeMiner("hardest", k=3).mine(vectors).indices
        pairs = np.stack([np.repeat(np.arange(2100), 3), near.ravel()], axis=1)
        graph = Graph.from_edges(np.unique(np.sort(pairs, axis=1), axis=0), num_nodes=2100)
    miner = GraphMiner(k=6, strategy="hardest", least=least, most=most, skip=skip)
    # All nodes are compared as bytes first where the processor can, few are not.
    whole, again = (miner.mine(vectors, graph) for _ in each_thread_count())
    some = np.arange(0, graph.num_nodes, 40)
    part = miner.mine(vectors, graph, nodes=some)
    for one, two in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(whole.counts[some], part.counts)
    np.testing.assert_allclose(whole.similarities[some], part.similarities, atol=1e-6)
    matrix = np.empty((graph.num_nodes, graph.num_nodes))
    matrix[some] = distances(graph.adjacency().to_dense(), some)
    rows, scores = mined_by_hand(
        vectors, matrix, some, 6, least=least, most=most, skip=skip, metric="cosine"
    )
    for i, (node, (candidates, chosen)) in enumerate(zip(some, rows, strict=True)):
        assert whole.candidates[node] == part.candidates[i] == candidates
        assert part.counts[i] == len(chosen)
        for found in (part.indices[i], whole.indices[node]):
            got = scores[node, found[: len(chosen)]]
            np.testing.assert_allclose(got, scores[node, chosen], atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("spread", [0.02, 1.0])
def test_bytes_change_nothing(metric, spread):
    """Rows that bytes can tell apart, and rows that they hardly can; zeros, repeats, lengths."""
    rng = np.random.default_rng(7)
    graph = random_graph(2500, 9000)
    centres = rng.standard_normal((30, 24))
    vectors = centres[rng.integers(0, 30, 2500)] + spread * rng.standard_normal((2500, 24))
    vectors = (vectors * rng.choice([1, 1, 0, 30.0], (2500, 1))).astype(np.float32)
    vectors[1000:1300] = vectors[:300]
    for least, most, skip in [(2, 3, 0), (1, 2, 40), (3, None, 0.02)]:
        miner = GraphMiner(
            k=12, strategy="hardest", least=least, most=most, skip=skip, metric=metric
        )
        whole = miner.mine(vectors, graph)
        for start in range(0, 2500, 500):
            nodes = np.arange(start, start + 100)
            part = miner.mine(vectors, graph, nodes=nodes)
            np.testing.assert_array_equal(whole.counts[nodes], part.counts)
            np.testing.assert_array_equal(whole.candidates[nodes], part.candidates)
            far = 1e-5 * (1.0 if metric == "cosine" else np.abs(vectors).max() ** 2)
            np.testing.assert_allclose(whole.similarities[nodes], part.similarities, atol=far)


def test_where_hops_cover_everything_nothing_is_left():
    graph = Graph.from_edges([[i, j] for i in range(6) for j in range(i)])
    vectors = np.eye(6)
    found = GraphMiner(k=3, strategy="hardest", most=3).mine(vectors, graph)
    assert (found.indices == -1).all()
    assert found.counts.tolist() == found.candidates.tolist() == [0] * 6
    edges = hard_negative_edges(graph, vectors, apart=1, k=2, skip=0)
    assert edges.edges.shape == (0, 2)
    assert edges.short == 6
    lonely = Graph(num_nodes=4, edges=np.empty((0, 2), np.int64))
    assert GraphMiner(k=3, most=3).mine(np.eye(4), lonely).counts.tolist() == [0] * 4
    assert GraphMiner(k=3).mine(np.eye(4), lonely).counts.tolist() == [3] * 4
    assert hops(lonely, most=3).indices.size == 0


@pytest.mark.parametrize("k", [1, 4])
def test_hard_edges_are_the_pairs_that_their_ends_choose(k):
    graph = random_graph(120, 150)
    vectors = np.random.default_rng(2).standard_normal((120, 6))
    found = hard_negative_edges(graph, vectors, k=k, apart=2, skip=0)
    matrix = distances(graph.adjacency().to_dense())
    rows, scores = mined_by_hand(
        vectors, matrix, range(120), k, least=3, most=None, skip=0, metric="cosine"
    )
    pairs = {(min(i, int(j)), max(i, int(j))) for i, (_, chosen) in enumerate(rows) for j in chosen}
    assert set(map(tuple, found.edges.tolist())) == pairs
    assert len(found.edges) == len(pairs)
    assert (np.diff(found.similarities) <= 0).all()
    np.testing.assert_allclose(found.similarities, scores[tuple(found.edges.T)], atol=1e-6)
    assert found.short == sum(len(chosen) < k for _, chosen in rows)
    ordered = hard_negative_edges(graph.adjacency(), vectors, k=k, apart=2, skip=0)
    assert len(ordered.edges) == sum(len(chosen) for _, chosen in rows)


PATH = Graph.from_edges([[0, 1], [1, 2]])
GOOD = np.ones((3, 2), np.float32)
BAD = {
    "least above most": (lambda: hops(PATH, most=1, least=2), InvalidArgumentError),
    "negative hops": (lambda: hops(PATH, most=-1), InvalidArgumentError),
    "hops of a half": (lambda: hops(PATH, most=0.5), InvalidTypeError),
    "no such node": (lambda: hops(PATH, [3], most=1), InvalidArgumentError),
    "nodes of a half": (lambda: hops(PATH, [0.5], most=1), InvalidTypeError),
    "no graph": (lambda: hops([[0, 1]], most=1), InvalidTypeError),
    "k of 0": (lambda: GraphMiner(k=0), InvalidArgumentError),
    "the node itself": (lambda: GraphMiner(k=1, least=0), InvalidArgumentError),
    "miner's least above most": (lambda: GraphMiner(k=1, least=4, most=3), InvalidArgumentError),
    "skip of all": (lambda: GraphMiner(k=1, strategy="hardest", skip=1.0), InvalidArgumentError),
    "skip below 0": (lambda: GraphMiner(k=1, strategy="hardest", skip=-1), InvalidArgumentError),
    "band of random ones": (lambda: GraphMiner(k=1, skip=2), InvalidArgumentError),
    "unknown strategy": (lambda: GraphMiner(k=1, strategy="mixed"), InvalidArgumentError),
    "negative seed": (lambda: GraphMiner(k=1, seed=-1), InvalidArgumentError),
    "unknown metric": (lambda: GraphMiner(k=1, metric="l2"), InvalidArgumentError),
    "too few rows": (lambda: GraphMiner(k=1).mine(GOOD[:2], PATH), InvalidArgumentError),
    "no columns": (lambda: GraphMiner(k=1).mine(GOOD[:, :0], PATH), InvalidArgumentError),
    "NaN": (lambda: GraphMiner(k=1).mine(GOOD * np.nan, PATH), InvalidArgumentError),
    "text": (lambda: GraphMiner(k=1).mine([["a", "b"]] * 3, PATH), InvalidTypeError),
    "one dimension": (lambda: GraphMiner(k=1).mine([1.0, 2, 3], PATH), InvalidArgumentError),
    "mining for no such node": (
        lambda: GraphMiner(k=1).mine(GOOD, PATH, nodes=[-1]),
        InvalidArgumentError,
    ),
    "apart of 0": (lambda: hard_negative_edges(PATH, GOOD, apart=0), InvalidArgumentError),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused(kind):
    call, error = BAD[kind]
    with pytest.raises(error):
        call()


@pytest.mark.parametrize("size", [1e-39, 1e16, 3e38])
def test_cosines_of_extreme_rows_are_those_of_their_directions(size):
    rows = np.array([[1, 0, 0], [1, 0.9, 0], [-1, 1, 1], [1, -1, 0]], np.float32)
    plain = GraphMiner(k=3, strategy="hardest", least=1).mine(
        rows, Graph.from_edges([[0, 1], [1, 2], [2, 3]])
    )
    rows[[0, 2]] *= np.float32(size)
    mined = GraphMiner(k=3, strategy="hardest", least=1).mine(
        rows, Graph.from_edges([[0, 1], [1, 2], [2, 3]])
    )
    np.testing.assert_array_equal(mined.indices, plain.indices)
    np.testing.assert_allclose(mined.similarities, plain.similarities, atol=1e-6)
