import itertools

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.splits import split_edges


def random_graph(nodes, share, seed=0):
    pairs = np.array(list(itertools.combinations(range(nodes), 2)))
    keep = np.random.default_rng(seed).random(len(pairs)) < share
    return Graph.from_edges(pairs[keep], nodes)


def as_set(pairs):
    return {tuple(pair) for pair in pairs.tolist()}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_parts_are_disjoint_and_complete(share):
    graph = random_graph(40, share)
    split = split_edges(graph, validation=0.1, test=0.15, seed=3)
    edges = as_set(graph.edges)
    kept, valid, test = map(as_set, (split.train_graph.edges, split.validation, split.test))
    assert len(split.validation) == len(valid) == int(0.1 * len(edges) + 1e-9)
    assert len(split.test) == len(test) == int(0.15 * len(edges) + 1e-9)
    assert kept | valid | test == edges
    assert len(kept) + len(valid) + len(test) == len(edges)
    negatives = np.concatenate([split.validation_negatives, split.test_negatives])
    assert len(split.validation_negatives) == len(valid)
    assert len(as_set(negatives)) == len(negatives) == len(valid) + len(test)
    assert not as_set(negatives) & edges
    assert (negatives[:, 0] < negatives[:, 1]).all()
    assert negatives.min() >= 0
    assert negatives.max() < graph.num_nodes


def test_everything_but_the_edges_stays():
    graph = Graph.from_edges(
        [[i, i + 1] for i in range(30)],
        weights=np.arange(1, 31),
        features=np.eye(31),
        labels=np.arange(31),
    )
    train = split_edges(graph).train_graph
    np.testing.assert_array_equal(train.features, graph.features)
    np.testing.assert_array_equal(train.labels, graph.labels)
    np.testing.assert_array_equal(train.weights, train.edges[:, 0] + 1)


def test_a_seed_repeats_a_split_and_another_changes_it():
    graph = random_graph(30, 0.4)
    one, same, other = (split_edges(graph, seed=seed) for seed in (5, 5, 6))
    for first, second in zip(one[1:], same[1:], strict=True):
        np.testing.assert_array_equal(first, second)
    assert as_set(one.test) != as_set(other.test)
    assert as_set(one.test_negatives) != as_set(other.test_negatives)


def test_every_non_edge_is_drawn_when_all_are_needed():
    pairs = np.array(list(itertools.combinations(range(12), 2)))
    graph = Graph.from_edges(pairs[6:], 12)
    split = split_edges(graph, validation=0.05, test=0.05, seed=1)
    assert len(split.validation) + len(split.test) == 6
    negatives = np.concatenate([split.validation_negatives, split.test_negatives])
    assert as_set(negatives) == as_set(pairs[:6])


def test_negatives_are_uniform():
    graph = random_graph(8, 0.5, seed=2)
    missing = [p for p in itertools.combinations(range(8), 2) if p not in as_set(graph.edges)]
    counts = dict.fromkeys(missing, 0)
    for seed in range(1500):
        split = split_edges(graph, validation=0.0, test=0.3, seed=seed)
        for pair in as_set(split.test_negatives):
            counts[pair] += 1
    drawn = np.array(list(counts.values()))
    expected = drawn.sum() / len(missing)
    # Draws without replacement vary less than the multinomial this quantile belongs to.
    assert ((drawn - expected) ** 2 / expected).sum() < 40


def test_a_complete_graph_is_refused_at_once():
    graph = random_graph(20, 2.0)
    with pytest.raises(InvalidArgumentError, match="only 0 pairs of nodes without an edge but"):
        split_edges(graph)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"validation": 0.5, "test": 0.5}, "together they must stay below 1"),
        ({"validation": -0.1}, "validation is -0.1"),
        ({"test": float("nan")}, "test is nan"),
        ({"test": 0.001}, "test is 0.001, which of .* edges is none"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_shares(arguments, message):
    with pytest.raises(InvalidArgumentError, match=message):
        split_edges(random_graph(20, 0.3), **arguments)


def test_wrong_types():
    with pytest.raises(InvalidTypeError, match="must be a Graph"):
        split_edges([[0, 1]])
    with pytest.raises(InvalidTypeError, match="test is '0"):
        split_edges(random_graph(20, 0.3), test="0.1")


def test_cora(data_file):
    graph = Graph.load_npz(data_file("cora.npz"))
    split = split_edges(graph, seed=0)
    assert len(split.validation) == 263
    assert len(split.test) == 527
    assert not graph.has_edges(*split.test_negatives.T).any()
    assert graph.has_edges(*split.test.T).all()
    assert not split.train_graph.has_edges(*split.test.T).any()
