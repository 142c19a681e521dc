"""The hard-negative miner against brute force, its laws of chance, and what it refuses."""

import inspect

import numpy as np
import pytest
import ruvector._core as core
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.mining import HardNegativeMiner

STRATEGIES = ["hardest", "semi_hard", "mixed", "random", "distance_weighted"]


@pytest.fixture
def threads():
    before = core.get_num_threads()
    yield core.set_num_threads
    core.set_num_threads(before)


def problem(seed, *, dtype=np.float32, anchors=70, pool=2500, dim=9):
    """Anchors and pool with labels (some -1), two positives (some -1) and excluded lists."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 40, size=anchors)
    data = {
        "positives": rng.integers(-1, pool, size=(anchors, 2)),
        "labels": rng.integers(-1, 4, size=anchors),
        "pool_labels": rng.integers(-1, 4, size=pool),
        "exclude": (
            np.concatenate([[0], np.cumsum(lengths)]),
            rng.integers(0, pool, size=lengths.sum()),
        ),
    }
    vectors = rng.normal(size=(anchors + pool, dim)).astype(dtype)
    return vectors[:anchors], vectors[anchors:], data


def similarity(anchors, pool, metric):
    a, b = anchors.astype(np.float64), pool.astype(np.float64)
    if metric == "cosine":
        a = a / np.linalg.norm(a, axis=1, keepdims=True)
        b = b / np.linalg.norm(b, axis=1, keepdims=True)
    return a @ b.T


def eligible_rows(i, data):
    own = data["labels"][i]
    ok = np.ones(len(data["pool_labels"]), bool) if own < 0 else data["pool_labels"] != own
    indptr, indices = data["exclude"]
    ok[indices[indptr[i] : indptr[i + 1]]] = False
    ok[data["positives"][i][data["positives"][i] >= 0]] = False
    return np.flatnonzero(ok)


def band_of(skip, count):
    return int(skip * count) if isinstance(skip, float) else min(skip, count)


def by_hardness(i, scores, data, skip):
    """Eligible rows outside the band, hardest first."""
    rows = eligible_rows(i, data)
    return rows[np.argsort(-scores[i, rows], kind="stable")][band_of(skip, len(rows)) :]


def semi_hard_reference(i, scores, data, *, skip, margin):
    rows = by_hardness(i, scores, data, skip)
    positives = data["positives"][i][data["positives"][i] >= 0]
    if not len(positives):
        return rows[:8]
    upper = scores[i, positives].min()
    inside = (scores[i, rows] < upper) & (scores[i, rows] > upper - margin)
    return np.concatenate([rows[inside], rows[~inside]])[:8]


def check_padding(mined, k):
    filled = np.arange(k) < mined.counts[:, None]
    assert np.all(mined.indices[~filled] == -1)
    assert np.all(mined.similarities[~filled] == -np.inf)
    assert np.all(mined.indices[filled] >= 0)


def test_every_compiled_strategy_is_tested_and_offered():
    assert sorted(STRATEGIES) == sorted(core.mining_strategies())
    assert all(f'``"{name}"``' in inspect.getdoc(HardNegativeMiner) for name in STRATEGIES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("skip", [0, 25, 0.1])
def test_hardest_agrees_with_brute_force(dtype, metric, skip):
    anchors, pool, data = problem(1, dtype=dtype)
    mined = HardNegativeMiner("hardest", k=12, skip=skip, metric=metric).mine(anchors, pool, **data)
    scores = similarity(anchors, pool, metric)
    for i in range(len(anchors)):
        np.testing.assert_array_equal(mined.indices[i], by_hardness(i, scores, data, skip)[:12])
    expected = np.take_along_axis(scores, mined.indices, axis=1)
    np.testing.assert_allclose(mined.similarities, expected, rtol=1e-4, atol=1e-5)
    assert mined.indices.dtype == np.int64
    assert mined.similarities.dtype == np.float32
    assert np.all(mined.counts == 12)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize(("skip", "margin"), [(0, None), (30, None), (0, 0.05), (0.02, 0.02)])
def test_semi_hard_agrees_with_brute_force(metric, skip, margin):
    anchors, pool, data = problem(2, dtype=np.float64)
    # Some positives so near, or so far, that few or no negatives are semi-hard.
    pool[data["positives"][0, 0]] = anchors[0]
    data["positives"][:20, 1] = -1
    for i in range(10):
        pool[data["positives"][i, 0]] = -anchors[i]
    miner = HardNegativeMiner("semi_hard", k=8, skip=skip, margin=margin, metric=metric)
    mined = miner.mine(anchors, pool, **data)
    scores = similarity(anchors, pool, metric)
    limit = np.inf if margin is None else margin
    for i in range(len(anchors)):
        expected = semi_hard_reference(i, scores, data, skip=skip, margin=limit)
        np.testing.assert_array_equal(mined.indices[i], expected)


def test_semi_hard_with_positive_vectors():
    anchors, pool, data = problem(3, dtype=np.float64)
    rows = np.abs(data["positives"][:, 0])
    data["positives"] = rows[:, None]
    by_rows = HardNegativeMiner("semi_hard", k=5).mine(anchors, pool, **data)
    # As vectors they are not known to be in the pool: exclude them by hand.
    indptr, indices = data["exclude"]
    data["exclude"] = (indptr + np.arange(len(indptr)), np.insert(indices, indptr[1:], rows))
    data["positives"] = pool[rows]
    by_vectors = HardNegativeMiner("semi_hard", k=5).mine(anchors, pool, **data)
    np.testing.assert_array_equal(by_rows.indices, by_vectors.indices)


@pytest.mark.parametrize("skip", [0, 40, 0.05])
def test_mixed_takes_the_hardest_then_others(skip):
    anchors, pool, data = problem(4, dtype=np.float64)
    miner = HardNegativeMiner("mixed", k=10, hard_share=0.4, skip=skip)
    mined = miner.mine(anchors, pool, **data)
    scores = similarity(anchors, pool, "cosine")
    for i, found in enumerate(mined.indices):
        rows = by_hardness(i, scores, data, skip)
        np.testing.assert_array_equal(found[:4], rows[:4])
        assert len(set(found)) == 10
        assert set(found[4:]) <= set(rows[4:])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("skip", [0, 0.1])
def test_only_eligible_rows_without_repeats(strategy, skip):
    anchors, pool, data = problem(5, dtype=np.float64, pool=300)
    scores = similarity(anchors, pool, "cosine")
    miner = HardNegativeMiner(strategy, k=250, skip=skip, alpha=30.0)
    mined = miner.mine(anchors, pool, **data)
    check_padding(mined, 250)
    for i, (found, count) in enumerate(zip(mined.indices, mined.counts, strict=True)):
        rows = by_hardness(i, scores, data, skip)
        assert count == min(250, len(rows))
        assert len(set(found[:count])) == count
        assert set(found[:count]) <= set(rows)
        np.testing.assert_allclose(mined.similarities[i, :count], scores[i, found[:count]], 1e-5)


def sampled(strategy, calls, **settings):
    """How often each of six rows is drawn, first two draws of anchor 0, over many seeds."""
    angles = np.array([0.0, 0.3, 0.7, 1.2, 1.9, 2.8])
    pool = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    anchors = np.tile(pool[:1], (200, 1))
    pairs = np.zeros((6, 6))
    for seed in range(calls // 200):
        miner = HardNegativeMiner(strategy, k=2, seed=seed, **settings)
        found = miner.mine(anchors, pool).indices
        np.add.at(pairs, (found[:, 0], found[:, 1]), 1)
    return pairs, np.cos(angles)


def chi_square(counts, probabilities):
    expected = counts.sum() * probabilities
    return ((counts - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("alpha", [0.0, 1.5, -1.0])
def test_weighted_draws_follow_their_law(alpha):
    pairs, scores = sampled("distance_weighted", 40_000, alpha=alpha)
    weights = np.exp(alpha * scores)
    first = weights / weights.sum()
    law = first[:, None] * weights / (weights.sum() - weights)[:, None]
    off = ~np.eye(6, dtype=bool)
    assert np.all(pairs[~off] == 0)
    # 0.9999 quantile of chi-square with 29 degrees of freedom; the seeds are fixed.
    assert chi_square(pairs[off], law[off]) < 67.6


def test_uniform_draws_follow_their_law():
    pairs, _ = sampled("random", 40_000)
    off = ~np.eye(6, dtype=bool)
    assert np.all(pairs[~off] == 0)
    assert chi_square(pairs[off], np.full(30, 1 / 30)) < 67.6


@pytest.mark.parametrize("alpha", [3.0, -3.0, 60.0])
def test_weighted_draws_from_a_large_pool_follow_their_law(alpha):
    """Thinning takes over once enough keys are held: the first draw's law over groups of rows."""
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(4000, 3))
    anchors = np.tile(pool[:1], (4000, 1))
    scores = similarity(pool[:1], pool, "cosine")[0]
    banned = np.flatnonzero(rng.random(4000) < 0.3)
    exclude = (np.arange(4001) * len(banned), np.tile(banned, 4000))
    miner = HardNegativeMiner("distance_weighted", k=3, alpha=alpha, seed=5)
    found = miner.mine(anchors, pool, exclude=exclude).indices[:, 0]
    weights = np.exp(alpha * (scores - np.sign(alpha)))
    weights[banned] = 0
    order = np.argsort(scores)
    # Ten groups of neighbouring scores with equal probability.
    group = np.empty(4000, int)
    group[order] = np.minimum((np.cumsum(weights[order]) / weights.sum() * 10).astype(int), 9)
    law = np.bincount(group, weights, minlength=10) / weights.sum()
    counts = np.bincount(group[found], minlength=10)
    assert chi_square(counts[law > 0], law[law > 0]) < 34.0
    assert not np.isin(found, banned).any()


def test_weighted_draws_skip_the_band_without_bias():
    angles = np.array([0.0, 0.3, 0.7, 1.2, 1.9, 2.8])
    pool = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    anchors = np.tile(pool[:1], (40_000, 1))
    miner = HardNegativeMiner("distance_weighted", k=1, alpha=1.5, skip=2)
    found = miner.mine(anchors, pool).indices[:, 0]
    weights = np.exp(1.5 * np.cos(angles)) * (angles > 0.5)
    counts = np.bincount(found, minlength=6)
    assert np.all(counts[:2] == 0)
    assert chi_square(counts[2:], (weights / weights.sum())[2:]) < 21.2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_seed_decides_and_threads_do_not(strategy, threads):
    anchors, pool, data = problem(6)

    def mine(seed):
        miner = HardNegativeMiner(strategy, k=6, seed=seed, skip=3)
        return miner.mine(anchors, pool, **data)

    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(mine(1))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()
    drawn = strategy in ("mixed", "random", "distance_weighted")
    assert (mine(2).indices.tobytes() != results[0].indices.tobytes()) == drawn


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_anchors_as_their_own_pool_never_choose_themselves(strategy):
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(40, 5)).astype(np.float32)
    vectors[1] = vectors[0]
    positives = (np.arange(40) + 3) % 40
    mined = HardNegativeMiner(strategy, k=60, skip=0).mine(vectors, positives=positives)
    own = np.arange(40)[:, None]
    assert not (mined.indices == own).any()
    assert not (mined.indices == positives[:, None]).any()
    assert np.all(mined.counts == 38)
    check_padding(mined, 60)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_eligible_gives_nothing(strategy):
    vectors = np.eye(4, dtype=np.float32)
    positives = [1, 0, 3, 2]
    miner = HardNegativeMiner(strategy, k=3)
    one_class = miner.mine(vectors, labels=[5] * 4, positives=positives)
    everything = (np.arange(5) * 4, np.tile(np.arange(4), 4))
    excluded = miner.mine(vectors, exclude=everything, positives=positives)
    empty = miner.mine(vectors, np.empty((0, 4)), positives=[-1] * 4)
    for mined in (one_class, excluded, empty):
        assert np.all(mined.counts == 0)
        check_padding(mined, 3)
    assert miner.mine(np.empty((0, 4)), vectors, positives=[]).indices.shape == (0, 3)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_band_over_everything_leaves_nothing(strategy):
    vectors = np.random.default_rng(0).normal(size=(9, 4))
    mined = HardNegativeMiner(strategy, k=3, skip=8).mine(vectors, positives=[-1] * 9)
    assert np.all(mined.counts == 0)


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(STRATEGIES),
    st.integers(1, 25),
    st.integers(0, 40),
    st.sampled_from([0, 3, 0.2]),
    st.integers(0, 10**6),
)
def test_whatever_the_labels_and_the_graph(strategy, nodes, edges, skip, seed):
    rng = np.random.default_rng(seed)
    classes = rng.integers(1, 5)
    rows = rng.integers(-2, 3, (nodes, 3)).astype(np.float32)
    labels = rng.integers(-1, classes, nodes)
    graph = Graph.from_edges(rng.integers(0, nodes, (edges, 2)), nodes)
    adjacency = graph.adjacency()
    positives = rng.integers(-1, nodes, (nodes, 2))
    miner = HardNegativeMiner(strategy, k=6, skip=skip, seed=seed)
    exclude = (adjacency.indptr, adjacency.indices)
    mined = miner.mine(rows, labels=labels, positives=positives, exclude=exclude)
    check_padding(mined, 6)
    for i, (found, count) in enumerate(zip(mined.indices, mined.counts, strict=True)):
        allowed = (labels != labels[i]) | (labels[i] < 0)
        allowed[[i, *graph.neighbors(i), *positives[i][positives[i] >= 0]]] = False
        left = allowed.sum() - band_of(skip, allowed.sum())
        assert count == min(6, max(left, 0))
        assert len(set(found[:count].tolist())) == count
        assert allowed[found[:count]].all()


def test_uniform_is_what_one_gets_without_choosing():
    vectors = np.random.default_rng(0).normal(size=(101, 4)).astype(np.float32)
    default, uniform = HardNegativeMiner(k=6), HardNegativeMiner("random", k=6, skip=0)
    for one, other in zip(default.mine(vectors), uniform.mine(vectors), strict=True):
        np.testing.assert_array_equal(one, other)


def test_unlabelled_rows_are_of_no_class():
    vectors = np.eye(4, dtype=np.float32)
    mined = HardNegativeMiner("hardest", k=3).mine(vectors, labels=[-1, -1, 0, 0])
    np.testing.assert_array_equal(mined.counts, [3, 3, 2, 2])


def test_ties_go_to_the_lower_row():
    pool = np.ones((700, 4), np.float32)
    mined = HardNegativeMiner("hardest", k=5, skip=2).mine(np.ones((3, 4), np.float32), pool)
    np.testing.assert_array_equal(mined.indices, np.tile(np.arange(2, 7), (3, 1)))


def test_zero_rows_have_similarity_zero():
    anchors = np.array([[0.0, 0.0], [1.0, 0.0]])
    pool = np.array([[0.0, 0.0], [3.0, 0.0], [-1.0, 0.0]])
    mined = HardNegativeMiner("hardest", k=3).mine(anchors, pool)
    np.testing.assert_array_equal(mined.similarities, [[0, 0, 0], [1, 0, -1]])
    np.testing.assert_array_equal(mined.indices, [[0, 1, 2], [1, 0, 2]])


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"strategy": "hard"}, InvalidArgumentError, "strategy.*'hardest'"),
        ({"k": 0}, InvalidArgumentError, "k is 0"),
        ({"k": 10**12}, InvalidArgumentError, "k is 1000000000000"),
        ({"k": 2.5}, InvalidTypeError, "k is 2.5"),
        ({"skip": -1}, InvalidArgumentError, "skip"),
        ({"skip": 1.0}, InvalidArgumentError, "share below 1"),
        ({"skip": float("nan")}, InvalidArgumentError, "skip"),
        ({"hard_share": 1.5}, InvalidArgumentError, "hard_share"),
        ({"alpha": float("inf")}, InvalidArgumentError, "alpha"),
        ({"margin": 0.0}, InvalidArgumentError, "margin"),
        ({"metric": "l2"}, InvalidArgumentError, "metric"),
        ({"seed": -1}, InvalidArgumentError, "seed"),
    ],
)
def test_settings_out_of_range_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        HardNegativeMiner(**{"k": 3, **settings})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"anchors": np.ones(3)}, InvalidArgumentError, "anchors has shape"),
        ({"anchors": [["a"]]}, InvalidTypeError, "anchors has dtype"),
        ({"anchors": np.full((2, 3), np.nan)}, InvalidArgumentError, "anchors has NaN.*row 0"),
        ({"pool": np.ones((5, 4))}, InvalidArgumentError, "pool has shape"),
        ({"pool": np.full((5, 3), np.inf)}, InvalidArgumentError, "pool has NaN"),
        ({"positives": [0, 5]}, InvalidArgumentError, "names row 5"),
        ({"positives": [0, -2]}, InvalidArgumentError, "names row -2"),
        ({"positives": [0]}, InvalidArgumentError, "1 rows but there are 2"),
        ({"positives": np.ones((2, 4))}, InvalidArgumentError, "positives has shape"),
        ({"positives": np.full((2, 3), np.nan)}, InvalidArgumentError, "positives has NaN"),
        ({"positives": None}, InvalidArgumentError, "positives is missing"),
        ({"labels": [0, 1]}, InvalidArgumentError, "needs pool_labels"),
        ({"pool_labels": [0] * 5}, InvalidArgumentError, "needs labels"),
        ({"labels": [0], "pool_labels": [0] * 5}, InvalidArgumentError, "labels has 1"),
        ({"labels": [0, 1], "pool_labels": [0]}, InvalidArgumentError, "pool_labels has 1"),
        ({"labels": [0, 1.5], "pool_labels": [0] * 5}, InvalidTypeError, "labels"),
        ({"exclude": ([0, 1], [0])}, InvalidArgumentError, "2 anchors need 3"),
        ({"exclude": ([0, 2, 1], [0])}, InvalidArgumentError, "rises from 0"),
        ({"exclude": ([0, 1, 1], [5])}, InvalidArgumentError, "names row 5"),
        ({"exclude": [0, 1, 1]}, InvalidTypeError, "pair"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    arguments = {"anchors": np.ones((2, 3)), "pool": np.ones((5, 3)), "positives": [0, 1], **change}
    with pytest.raises(error, match=message):
        HardNegativeMiner("semi_hard", k=2).mine(
            arguments.pop("anchors"), arguments.pop("pool"), **arguments
        )


def cosines_of(rows):
    """In float64, whose range holds the squares."""
    rows = rows.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    return rows @ rows.T / (norms[:, None] * norms)


@pytest.mark.parametrize("size", [1e-39, 1e-44, 1e-20, 1e16, 3e38])
@pytest.mark.parametrize("strategy", ["hardest", "semi_hard", "distance_weighted"])
def test_cosines_of_extreme_rows_are_those_of_their_directions(strategy, size):
    rows = np.array([[1, 0, 0], [1, 0.9, 0], [-1, 1, 1], [1, -1, 0]], np.float32)
    rows[[0, 2]] *= np.float32(size)
    expected = cosines_of(rows)
    miner = HardNegativeMiner(strategy, k=2)
    positives = None if strategy != "semi_hard" else rows[[1, 0, 3, 2]]
    mined = miner.mine(rows, positives=positives)
    np.testing.assert_array_equal(mined.counts, [2, 2, 2, 2])
    found = np.take_along_axis(expected, mined.indices, 1)
    np.testing.assert_allclose(mined.similarities, found, atol=1e-6)
    if strategy == "hardest":
        np.fill_diagonal(expected, -2)
        np.testing.assert_array_equal(mined.indices, np.argsort(-expected, axis=1)[:, :2])


def test_cosines_of_the_smallest_and_largest_doubles():
    rows = np.array([[5e-324, 0], [1.7e308, 1.7e308], [1.0, 0.1]])
    mined = HardNegativeMiner("hardest", k=2).mine(rows)
    np.testing.assert_array_equal(mined.indices, [[2, 1], [2, 0], [0, 1]])
    third = 1.1 / np.sqrt(2 * 1.01)
    expected = [[1 / np.sqrt(1.01), 0.5**0.5], [third, 0.5**0.5], [1 / np.sqrt(1.01), third]]
    np.testing.assert_allclose(mined.similarities, expected, atol=1e-6)
