"""Miners that users write, and triplets of edges."""

import numpy as np
import pytest
from ruvector.encoders import SmoothedLinear
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.mining import (
    EdgeTripletMiner,
    FunctionMiner,
    HardNegativeMiner,
    MinedNegatives,
    MinedTriplets,
    Miner,
    TripletMiner,
    as_miner,
)
from ruvector.objectives import EdgeContrast
from ruvector.trainer import Trainer


def farthest(embeddings, labels):
    order = np.argsort(embeddings @ embeddings.T, axis=1)
    return np.where(labels[order] == labels[:, None], -1, order)[:, :4]


def test_a_function_is_a_miner():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(30, 5)), rng.integers(0, 3, 30)
    rows[7] = 0
    indptr = np.arange(31)
    first = np.array([part[part >= 0][0] for part in farthest(rows, labels)])
    mined = as_miner(farthest).mine(rows, labels=labels, exclude=(indptr, first))
    assert isinstance(mined, MinedNegatives)
    for i, (found, near, count) in enumerate(zip(*mined, strict=True)):
        expected = farthest(rows, labels)[i]
        expected = expected[(expected >= 0) & (expected != first[i])]
        np.testing.assert_array_equal(found[:count], expected)
        norms = np.linalg.norm(rows[expected], axis=1) * np.linalg.norm(rows[i])
        cosines = rows[expected] @ rows[i] / np.where(norms > 0, norms, 1)
        np.testing.assert_allclose(near[:count], cosines, atol=1e-6)
        assert (found[count:] == -1).all()
        assert (near[count:] == -np.inf).all()


def test_a_function_may_return_triplets():
    rows = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    miner = FunctionMiner(lambda *_: ([0, 1], [1, 2], [4, 5]))
    mined = miner.mine(rows, exclude=(np.array([0, 1, 1, 1, 1, 1, 1]), [4]))
    assert isinstance(mined, MinedTriplets)
    assert [part.tolist() for part in mined[:3]] == [[1], [2], [5]]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(mined.negative_distances, 1 - unit[1] @ unit[5], rtol=1e-5)


def test_its_repr_names_the_function_and_no_address():
    assert repr(FunctionMiner(farthest)) == "FunctionMiner(farthest)"
    assert repr(FunctionMiner(HardNegativeMiner.mine)) == "FunctionMiner(HardNegativeMiner.mine)"

    class Callable:
        def __call__(self, *_):
            return None

        def __repr__(self):
            return "Callable()"

    assert repr(FunctionMiner(Callable())) == "FunctionMiner(Callable())"


def test_what_has_mine_stays_what_it_is():
    miner = HardNegativeMiner("hardest", k=1)
    assert as_miner(miner) is miner
    assert isinstance(FunctionMiner(farthest), Miner)
    assert isinstance(miner, Miner)
    with pytest.raises(InvalidTypeError, match="must be callable"):
        as_miner(3)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ([[3], [0], [0]], InvalidArgumentError, "row 3 but there are 3"),
        ([[-2], [0], [0]], InvalidArgumentError, "row -2"),
        ([[0], [0], [0]], InvalidArgumentError, "its own negative"),
        ([[1, 1], [0, 2], [0, 1]], InvalidArgumentError, "twice for one anchor"),
        ([[1], [0]], InvalidArgumentError, r"shape \(2, 1\).*3 anchors"),
        ([1, 0, 0], InvalidArgumentError, "2 dimension"),
        ([[0.5], [0.5], [0.5]], InvalidTypeError, "integers"),
        (None, InvalidTypeError, "numeric"),
        (([0], [1]), InvalidArgumentError, "2 arrays"),
        (([0], [1], [2, 2]), InvalidArgumentError, "1 anchors, 1 positives and 2"),
        (([0], [1], [0]), InvalidArgumentError, "a row twice"),
        (([0], [1], [-1]), InvalidArgumentError, "row -1"),
    ],
)
def test_wrong_answers_are_refused(answer, error, message):
    with pytest.raises(error, match=message):
        FunctionMiner(lambda *_: answer).mine(np.eye(3))


def test_an_objective_takes_a_function():
    ring = Graph.from_edges([[i, (i + 1) % 40] for i in range(40)])
    calls = []

    def opposite(embeddings, labels):
        calls.append((embeddings.shape, labels))
        rows = np.arange(len(embeddings))[:, None]
        # The last is a neighbour, which must not become a negative.
        return np.add(rows, [20, 15, 1]) % len(embeddings)

    objective = EdgeContrast(miner=opposite, refresh=1)
    trainer = Trainer(SmoothedLinear(dim=4), objective, epochs=3)
    trainer.fit(ring, np.eye(40, dtype=np.float32))
    assert calls == [((40, 4), None)] * 2
    assert ["mined" in record.losses for record in trainer.history] == [False, True, True]
    triplets = EdgeContrast(miner=lambda *_: ([0], [1], [2]), refresh=1)
    with pytest.raises(InvalidArgumentError, match="edges need negatives"):
        Trainer(SmoothedLinear(dim=4), triplets, epochs=2).fit(ring, np.eye(40, dtype=np.float32))


def test_what_a_function_raises_goes_through():
    def broken(*_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        FunctionMiner(broken).mine(np.eye(3))


@pytest.mark.parametrize(("skip", "apart"), [(0, 1), (3, 1), (0, 2)])
@pytest.mark.parametrize("both_ends", [True, False])
def test_triplets_of_edges_against_brute_force(skip, apart, both_ends):
    rng = np.random.default_rng(3)
    # Isolated nodes, one that is everybody's neighbour, and a loop.
    pairs = rng.integers(0, 30, (60, 2))
    pairs = np.concatenate([pairs, np.stack([np.full(39, 39), np.arange(39)], axis=1), [[5, 5]]])
    graph = Graph.from_edges(pairs[pairs[:, 0] != pairs[:, 1]], num_nodes=42)
    rows = rng.normal(size=(42, 6))
    if apart > 1:
        # The hub would leave nothing.
        graph = graph.without_edges((graph.edges == 39).any(1))
    miner = EdgeTripletMiner(k=4, strategy="hardest", skip=skip, apart=apart, both_ends=both_ends)
    mined = miner.mine(rows, graph)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    near = unit @ unit.T
    expected = []
    short = 0
    for edge, (u, v) in enumerate(graph.edges):
        for anchor, other in [(u, v), (v, u)][: 1 + both_ends]:
            near_by = {anchor}
            for _ in range(apart):
                near_by |= {int(n) for node in near_by for n in graph.neighbors(node)}
            allowed = np.setdiff1d(np.arange(42), list(near_by))
            chosen = allowed[np.argsort(-near[anchor, allowed])][skip : skip + 4]
            short += len(chosen) < 4
            expected += [(anchor, other, n, edge) for n in chosen]
    got = np.stack([mined.anchors, mined.positives, mined.negatives, mined.edges], axis=1)
    np.testing.assert_array_equal(got, expected)
    assert mined.short == short
    np.testing.assert_allclose(mined.similarities, near[got[:, 0], got[:, 2]], atol=1e-6)


def test_a_complete_graph_has_no_triplets():
    graph = Graph.from_edges(np.argwhere(np.triu(np.ones((6, 6)), 1)))
    mined = EdgeTripletMiner(k=2).mine(np.random.default_rng(0).normal(size=(6, 3)), graph)
    assert len(mined.anchors) == 0
    assert mined.short == 30


def test_triplets_of_cora(data_file):
    graph = Graph.load_npz(data_file("cora.npz"))
    rows = np.random.default_rng(0).normal(size=(graph.num_nodes, 16)).astype(np.float32)
    mined = EdgeTripletMiner(k=3, strategy="hardest", skip=0).mine(rows, graph)
    assert len(mined.anchors) == 6 * graph.num_edges
    assert not graph.has_edges(mined.anchors, mined.negatives).any()
    assert (mined.anchors != mined.negatives).all()
    assert (mined.positives != mined.negatives).all()
    assert graph.has_edges(mined.anchors, mined.positives).all()


@pytest.mark.parametrize(
    ("rows", "graph", "error", "message"),
    [
        (np.ones((2, 2)), Graph.from_edges([[0, 1]], num_nodes=3), InvalidArgumentError, "3 nodes"),
        (np.ones((2, 2)), [[0, 1]], InvalidTypeError, "must be a Graph"),
        (np.full((2, 2), np.nan), Graph.from_edges([[0, 1]]), InvalidArgumentError, "NaN"),
    ],
)
def test_bad_input_is_refused(rows, graph, error, message):
    with pytest.raises(error, match=message):
        EdgeTripletMiner(k=1).mine(rows, graph)


def test_a_strategy_that_needs_positives_is_refused():
    with pytest.raises(InvalidArgumentError, match="strategy"):
        EdgeTripletMiner(k=1, strategy="semi_hard")
    assert "random" in repr(EdgeTripletMiner(k=1))
    assert "batch_hard" in repr(TripletMiner("batch_hard"))


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        (([0, 1, 1, 1], [5]), "names row 5 but the pool has 3"),
        (([0, 1, 1, 1], [-1]), "names row -1"),
        (([1, 1, 1, 1], [0]), "rises from 0"),
        (([0, 1, 0, 1], [0]), "rises from 0"),
        (([0, 1], [0]), "3 anchors need 4"),
    ],
)
def test_exclude_is_checked_alike_by_all_miners(exclude, message):
    for miner in (FunctionMiner(lambda *_: [[1], [2], [0]]), HardNegativeMiner("hardest", k=1)):
        with pytest.raises(InvalidArgumentError, match=message):
            miner.mine(np.eye(3), exclude=exclude)


@pytest.mark.parametrize("size", [1e-39, 1e-30, 1.5e38])
def test_cosines_of_what_a_function_chose_stay_in_range(size):
    rows = np.array([[1, 0], [1, 1], [-1, 2]], np.float32) * np.float32(size)
    mined = FunctionMiner(lambda *_: [[1], [2], [0]]).mine(rows)
    np.testing.assert_allclose(mined.similarities[:, 0], [0.5**0.5, 0.1**0.5, -(0.2**0.5)], 1e-5)
