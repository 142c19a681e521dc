"""Blocks and subgraphs: what they hold, how often, and that training on them is unbiased."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.sampling import LayerSampler, NeighborSampler, SubgraphSampler
from ruvector.sparse import CSR


def random_graph(nodes, edges, seed=0):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, nodes, (edges, 2))
    return Graph.from_edges(pairs[pairs[:, 0] != pairs[:, 1]], num_nodes=nodes)


def same(one, other):
    assert one.positions.tolist() == other.positions.tolist()
    for a, b in zip(one.blocks, other.blocks, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def check_blocks(batch, seeds, layers):
    assert len(batch.blocks) == layers
    last = batch.blocks[-1]
    outputs = last.nodes[: last.num_outputs]
    np.testing.assert_array_equal(outputs[batch.positions], seeds)
    assert len(set(outputs.tolist())) == len(outputs) == len(set(np.asarray(seeds).tolist()))
    for block in batch.blocks:
        assert len(set(block.nodes.tolist())) == block.num_inputs
        assert block.indptr[0] == 0
        assert block.indptr[-1] == len(block.indices)
        assert block.indices.dtype == np.int32
        if len(block.indices):
            assert 0 <= block.indices.min() <= block.indices.max() < block.num_inputs
        for begin, end in zip(block.indptr[:-1], block.indptr[1:], strict=True):
            assert (np.diff(block.indices[begin:end]) > 0).all()
    for below, above in zip(batch.blocks[:-1], batch.blocks[1:], strict=True):
        np.testing.assert_array_equal(below.nodes[: below.num_outputs], above.nodes)
    np.testing.assert_array_equal(batch.inputs, batch.blocks[0].nodes)


@settings(deadline=None, max_examples=80)
@given(
    st.integers(1, 30),
    st.integers(0, 120),
    st.lists(st.one_of(st.none(), st.integers(0, 6)), min_size=1, max_size=3),
    st.integers(0, 10**6),
)
def test_blocks_hold_neighbours_and_as_many_as_asked_for(nodes, edges, fanouts, seed):
    graph = random_graph(nodes, edges, seed)
    seeds = np.random.default_rng(seed).integers(0, nodes, 7)
    batch = NeighborSampler(graph, fanouts, seed=seed).sample(seeds)
    check_blocks(batch, seeds, len(fanouts))
    for block, fanout in zip(batch.blocks, reversed(fanouts), strict=True):
        for i in range(block.num_outputs):
            row = block.nodes[block.indices[block.indptr[i] : block.indptr[i + 1]]]
            neighbors = graph.neighbors(block.nodes[i])
            assert set(row.tolist()) <= set(neighbors.tolist())
            most = len(neighbors) if fanout is None else min(fanout, len(neighbors))
            assert len(row) == most
        # Nothing is an input that is neither an output nor a neighbour of one.
        used = set(block.indices.tolist()) | set(range(block.num_outputs))
        assert used == set(range(block.num_inputs))


@pytest.mark.parametrize(("degree", "fanout"), [(5, 2), (20, 15), (90, 4), (90, 70), (300, 80)])
def test_neighbours_are_uniform(degree, fanout):
    star = Graph.from_edges([[0, i] for i in range(1, degree + 1)])
    sampler = NeighborSampler(star, [fanout], seed=2)
    rounds = 4000
    hits = np.zeros(degree + 1)
    together = 0
    for number in range(rounds):
        block = sampler.sample([0], number=number).blocks[0]
        hits[block.nodes[1:]] += 1
        together += {1, 2} <= set(block.nodes.tolist())
    p = fanout / degree
    chi2 = ((hits[1:] - rounds * p) ** 2 / (rounds * p * (1 - p))).sum() * (1 - 1 / degree)
    assert abs(chi2 - (degree - 1)) < 4.5 * np.sqrt(2 * degree)
    pair = p * (fanout - 1) / (degree - 1)
    assert abs(together - rounds * pair) < 4.5 * np.sqrt(rounds * pair * (1 - pair))


def test_batches_cover_all_nodes_once_and_are_the_same_for_any_threads(each_thread_count):
    graph = random_graph(3000, 9000)
    sampler = NeighborSampler(graph, [4, 3], seed=5)
    runs = [list(sampler.batches(batch_size=100, epoch=3)) for _ in each_thread_count()]
    seeds = np.concatenate([seeds for seeds, _ in runs[0]])
    assert sorted(seeds.tolist()) == list(range(3000))
    assert seeds.tolist() != list(range(3000))
    for (own, one), (_, other) in zip(*runs, strict=True):
        same(one, other)
        check_blocks(one, own, 2)
    again = list(sampler.batches(batch_size=100, epoch=4, shuffle=False))
    assert again[0][0].tolist() == list(range(100))
    assert again[0][1].inputs.tolist() != runs[0][0][1].inputs.tolist()
    layered = LayerSampler(graph, [50, 60], seed=1)
    one, two = (list(layered.batches([5, 6, 7], batch_size=2)) for _ in each_thread_count())
    assert [len(own) for own, _ in one] == [2, 1]
    for (_, a), (_, b) in zip(one, two, strict=True):
        same(a, b)


def test_edge_cases_of_seeds():
    lonely = Graph(num_nodes=3, edges=np.empty((0, 2), np.int64))
    for sampler in (NeighborSampler(lonely, [2, 2]), LayerSampler(lonely, [2, 2])):
        batch = sampler.sample([2, 0, 2])
        check_blocks(batch, [2, 0, 2], 2)
        none = sampler.sample([])
        assert [block.num_outputs for block in none.blocks] == [0, 0]
        assert none.positions.size == none.inputs.size == 0
        assert list(sampler.batches([])) == []
    # Without loops in the matrix nothing leads to a node without edges.
    bare = LayerSampler(lonely.adjacency(), [2], method="fastgcn").sample([1])
    assert bare.blocks[0].indptr.tolist() == [0, 0]


def test_a_block_is_a_matrix_and_its_mean_is_unbiased():
    graph = random_graph(60, 400)
    x = np.random.default_rng(0).standard_normal((60, 3))
    seeds = np.arange(60)
    whole = NeighborSampler(graph, [None]).sample(seeds).blocks[0]
    adjacency = graph.adjacency().to_dense()
    degrees = adjacency.sum(axis=1)[:, None]
    np.testing.assert_allclose(whole.matrix() @ x[whole.nodes], adjacency @ x, atol=1e-5)
    exact = adjacency @ x / np.maximum(degrees, 1)
    np.testing.assert_allclose(whole.matrix(mean=True) @ x[whole.nodes], exact, atol=1e-5)
    sampler = NeighborSampler(graph, [4])
    check_mean(lambda number: sampler.sample(seeds, number=number).blocks[0], x, exact, mean=True)


@pytest.mark.parametrize("kind", ["weighted", "unweighted", "normalized"])
def test_neighbours_that_were_drawn_stand_for_all_of_them(kind):
    graph = random_graph(40, 300)
    rng = np.random.default_rng(3)
    if kind == "weighted":
        graph = replace(graph, weights=rng.uniform(0.1, 10, graph.num_edges))
    matrix = graph.normalized_adjacency() if kind == "normalized" else graph.adjacency()
    read = matrix if kind == "normalized" else graph
    x = rng.standard_normal((40, 2))
    seeds = np.arange(40)
    exact = matrix.to_dense().astype(np.float64) @ x
    whole = NeighborSampler(read, [None]).sample(seeds).blocks[0]
    np.testing.assert_allclose(whole.matrix() @ x[whole.nodes], exact, atol=1e-4)
    assert whole.scale is None
    assert (whole.weights is None) == (kind == "unweighted")
    sampler = NeighborSampler(read, [4], seed=1)
    check_mean(lambda number: sampler.sample(seeds, number=number).blocks[0], x, exact)
    # Means divide by the weights that were drawn.
    block = sampler.sample(seeds).blocks[0]
    sums = block.matrix(mean=True).row_sums()
    np.testing.assert_allclose(sums, np.diff(block.indptr) > 0, atol=1e-6)
    if kind != "unweighted":
        rows = np.repeat(np.arange(40), np.diff(block.indptr))
        own = matrix.to_dense()[rows, block.nodes[block.indices]]
        np.testing.assert_array_equal(block.weights, own)


def test_a_matrix_of_ones_is_sampled_as_its_graph():
    graph = random_graph(30, 100)
    one, other = (NeighborSampler(g, [3, 2]).sample([1, 2]) for g in (graph, graph.adjacency()))
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert a.weights is b.weights is None
        np.testing.assert_array_equal(a.matrix().to_dense(), b.matrix().to_dense())


def check_mean(draw, x, exact, *, rounds=3000, mean=False):
    """The mean of the blocks' products against the whole matrix's, in standard errors."""
    total, squares = np.zeros_like(exact), np.zeros_like(exact)
    for number in range(rounds):
        block = draw(number)
        product = block.matrix(mean=mean) @ x[block.nodes]
        total += product
        squares += product**2
    average = total / rounds
    error = np.sqrt(np.maximum(squares / rounds - average**2, 1e-12) / rounds)
    assert (np.abs(average - exact) / error).max() < 5.0


@pytest.mark.parametrize("method", ["ladies", "fastgcn"])
def test_layers_estimate_the_product_without_bias(method):
    graph = random_graph(40, 160)
    x = np.random.default_rng(1).standard_normal((40, 2))
    seeds = np.array([3, 7, 11, 30])
    sampler = LayerSampler(graph, [25], method=method, seed=4)
    exact = graph.normalized_adjacency().to_dense()[seeds] @ x
    check_mean(lambda number: sampler.sample(seeds, number=number).blocks[0], x, exact)


@pytest.mark.parametrize("method", ["ladies", "fastgcn"])
def test_layers_are_drawn_by_importance_and_stay_small(method):
    graph = random_graph(50, 120)
    matrix = graph.normalized_adjacency().to_dense().astype(np.float64)
    seeds = [0, 1, 2]
    mass = (matrix[seeds] ** 2 if method == "ladies" else matrix**2).sum(axis=0)
    p = mass / mass.sum()
    sampler = LayerSampler(graph, [1, 6], method=method)
    hits = np.zeros(50)
    rounds = 6000
    for number in range(rounds):
        batch = sampler.sample(seeds, number=number)
        check_blocks(batch, seeds, 2)
        last = batch.blocks[-1]
        assert last.num_inputs - last.num_outputs <= 1
        assert batch.blocks[0].num_inputs - batch.blocks[0].num_outputs <= 6
        # Columns with entries were drawn; FastGCN may draw where the rows have none.
        drawn = set(last.nodes[last.indices].tolist()) | set(last.nodes[3:].tolist())
        assert len(drawn) <= 1
        hits[list(drawn)] += 1
    # Seeds that FastGCN draws without an entry leave no trace.
    seen = (mass > 0) & ((matrix[seeds].sum(axis=0) > 0) | (np.arange(50) > 2))
    expected = rounds * p[seen]
    assert hits[~seen].sum() == 0
    chi2 = ((hits[seen] - expected) ** 2 / expected).sum()
    assert abs(chi2 - seen.sum()) < 4.5 * np.sqrt(2 * seen.sum())


def node_probabilities(graph, size):
    """How likely a node is in a subgraph of `size` node draws, and both ends of each edge are."""
    dense = graph.adjacency().to_dense().astype(np.float64)
    means = dense / np.maximum(dense.sum(axis=1, keepdims=True), 1)
    q = (means**2).sum(axis=0)
    q /= q.sum()
    out = (1 - q) ** size
    neither = np.maximum(1 - q[:, None] - q[None, :], 0) ** size
    return 1 - out, 1 - out[:, None] - out[None, :] + neither


def test_counts_are_those_of_the_inclusion_probabilities(each_thread_count):
    graph = random_graph(40, 90)
    runs, size = 20_000, 6
    nodes, pairs = node_probabilities(graph, size)
    counted = []
    for _ in each_thread_count():
        sampler = SubgraphSampler(graph, "nodes", size=size, runs=runs, seed=3)
        counted.append((sampler.node_counts, sampler.entry_counts))
    np.testing.assert_array_equal(counted[0][0], counted[1][0])
    np.testing.assert_array_equal(counted[0][1], counted[1][1])
    adjacency = graph.adjacency()
    rows = np.repeat(np.arange(40), np.diff(adjacency.indptr))
    for counts, p in ((counted[0][0], nodes), (counted[0][1], pairs[rows, adjacency.indices])):
        error = np.sqrt(np.maximum(runs * p * (1 - p), 1e-9))
        assert (np.abs(counts - runs * p) / error).max() < 5.0


def test_edge_draws_have_their_law():
    graph = random_graph(30, 60)
    runs = 30_000
    sampler = SubgraphSampler(graph, "edges", size=1, runs=runs)
    weights = (1 / graph.degrees[graph.edges]).sum(axis=1)
    expected = runs * weights / weights.sum()
    adjacency = graph.adjacency()
    rows = np.repeat(np.arange(30), np.diff(adjacency.indptr))
    upper = rows < adjacency.indices
    counts = sampler.entry_counts[upper]
    np.testing.assert_array_equal(counts.sum(), runs)
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi2 - len(counts)) < 4.5 * np.sqrt(2 * len(counts))


@pytest.mark.parametrize("method", ["nodes", "edges", "walks"])
def test_normalised_subgraphs_estimate_the_whole_graph(method):
    graph = random_graph(40, 100, seed=2)
    has = graph.degrees > 0
    dense = graph.adjacency().to_dense().astype(np.float64)
    x = np.random.default_rng(0).standard_normal(40)
    exact = dense @ x / np.maximum(dense.sum(axis=1), 1)
    sampler = SubgraphSampler(graph, method, size=8, length=2, runs=60_000, seed=1)
    rounds = 4000
    sums, held = np.zeros(40), np.zeros(40)
    losses = np.random.default_rng(1).random(40) * has
    means = []
    for subgraph in sampler.batches(rounds):
        assert (np.diff(subgraph.nodes) > 0).all()
        sums[subgraph.nodes] += subgraph.matrix @ x[subgraph.nodes]
        held[subgraph.nodes] += 1
        means.append(subgraph.loss_weights @ losses[subgraph.nodes])
    error = np.std(means) / np.sqrt(rounds)
    assert abs(np.mean(means) - losses.mean()) < 5 * error + 0.01 * losses.mean()
    # The mean over the subgraphs that hold a node estimates the mean over its neighbours.
    estimates = sums[has] / held[has]
    assert np.corrcoef(estimates, exact[has])[0, 1] > 0.98
    assert np.abs(estimates - exact[has]).max() < 0.35


def test_subgraphs_hold_all_edges_between_their_nodes(each_thread_count):
    graph = random_graph(100, 400)
    dense = graph.adjacency().to_dense() > 0
    for method in ("nodes", "edges", "walks"):
        sampler = SubgraphSampler(graph, method, size=10, length=3, runs=20)
        one, two = (list(sampler.batches(20, epoch=1)) for _ in each_thread_count())
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a.nodes, b.nodes)
            np.testing.assert_array_equal(a.matrix.data, b.matrix.data)
            np.testing.assert_array_equal(a.matrix.to_dense() > 0, dense[np.ix_(a.nodes, a.nodes)])
        most = {"nodes": 10, "edges": 20, "walks": 40}[method]
        assert all(1 <= len(subgraph.nodes) <= most for subgraph in one)


def test_subgraphs_of_a_graph_without_edges():
    lonely = Graph(num_nodes=5, edges=np.empty((0, 2), np.int64))
    for method, count in (("nodes", 0), ("edges", 0), ("walks", 3)):
        subgraph = SubgraphSampler(lonely, method, size=3, runs=10).sample(1)
        assert len(subgraph.nodes) <= count
        assert subgraph.matrix.nnz == 0
        assert np.isfinite(subgraph.loss_weights).all()


PATH = Graph.from_edges([[0, 1], [1, 2]])
WIDE = CSR.from_dense(np.ones((2, 3)))
BAD = {
    "no graph": (lambda: NeighborSampler([[0, 1]], [2]), InvalidTypeError),
    "not square": (lambda: NeighborSampler(WIDE, [2]), InvalidArgumentError),
    "no layers": (lambda: NeighborSampler(PATH, []), InvalidArgumentError),
    "one number": (lambda: NeighborSampler(PATH, 3), InvalidTypeError),
    "negative fan-out": (lambda: NeighborSampler(PATH, [-1]), InvalidArgumentError),
    "text": (lambda: NeighborSampler(PATH, ["2"]), InvalidTypeError),
    "negative seed": (lambda: NeighborSampler(PATH, [2], seed=-1), InvalidArgumentError),
    "no such node": (lambda: NeighborSampler(PATH, [2]).sample([3]), InvalidArgumentError),
    "negative node": (lambda: NeighborSampler(PATH, [2]).sample([-1]), InvalidArgumentError),
    "nodes of a half": (lambda: NeighborSampler(PATH, [2]).sample([0.5]), InvalidTypeError),
    "two dimensions": (lambda: NeighborSampler(PATH, [2]).sample([[0]]), InvalidArgumentError),
    "number out of range": (
        lambda: NeighborSampler(PATH, [2]).sample([0], number=2**56),
        InvalidArgumentError,
    ),
    "batches of 0": (
        lambda: NeighborSampler(PATH, [2]).batches(batch_size=0),
        InvalidArgumentError,
    ),
    "shuffle as text": (
        lambda: NeighborSampler(PATH, [2]).batches(shuffle="yes"),
        InvalidTypeError,
    ),
    "batches of no such node": (
        lambda: NeighborSampler(PATH, [2]).batches([5]),
        InvalidArgumentError,
    ),
    "layers of no graph": (lambda: LayerSampler(None, [2]), InvalidTypeError),
    "layer of 0": (lambda: LayerSampler(PATH, [0]), InvalidArgumentError),
    "layer of all": (lambda: LayerSampler(PATH, [None]), InvalidTypeError),
    "unknown layers": (lambda: LayerSampler(PATH, [1], method="x"), InvalidArgumentError),
    "subgraphs of a matrix": (lambda: SubgraphSampler(WIDE, size=1), InvalidTypeError),
    "unknown subgraphs": (lambda: SubgraphSampler(PATH, "x", size=1), InvalidArgumentError),
    "subgraphs of 0": (lambda: SubgraphSampler(PATH, size=0), InvalidArgumentError),
    "no runs": (lambda: SubgraphSampler(PATH, size=1, runs=0), InvalidArgumentError),
    "negative walk": (lambda: SubgraphSampler(PATH, size=1, length=-1), InvalidArgumentError),
    "negative number": (lambda: SubgraphSampler(PATH, size=1).sample(-1), InvalidArgumentError),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused(kind):
    call, error = BAD[kind]
    with pytest.raises(error):
        call()
