"""Debiasing as an option of every miner, against the weights of single rows."""

import tracemalloc

import numpy as np
import pytest
from ruvector import HNSW, Graph
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.mining import (
    Debiased,
    EdgeTripletMiner,
    FunctionMiner,
    HardNegativeMiner,
    MinedNegatives,
    TripletMiner,
    debiased_weights,
)
from ruvector.sampling import GraphMiner

OPTIONS = {"prior": 0.2, "temperature": 0.3, "concentration": 0.5}
ROWS = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
LABELS = np.arange(40) % 4
POSITIVES = (np.arange(40) + 4) % 40
GRAPH = Graph.from_edges(np.stack([np.arange(39), np.arange(1, 40)], axis=1), 40)


def cosine(a, b):
    a, b = a.astype(float), b.astype(float)
    return a @ b / np.sqrt((a @ a) * (b @ b))


def expected(rows, pool, found, positives):
    """The weights of each row on its own."""
    weights = []
    for row, similarities, positive in zip(rows, found.similarities, positives, strict=True):
        own = [cosine(row, pool[positive])] if positive >= 0 else [-np.inf]
        weights.append(debiased_weights(similarities[None], own, **OPTIONS)[0])
    return np.array(weights)


def farthest(embeddings, _):
    return np.argsort(embeddings @ embeddings.T, axis=1)[:, :5]


@pytest.mark.parametrize(
    ("miner", "given"),
    [
        (HardNegativeMiner("mixed", k=7), {"labels": LABELS}),
        (HardNegativeMiner("semi_hard", k=50), {"labels": LABELS}),
        (GraphMiner(k=5, strategy="hardest", most=4), {"graph": GRAPH}),
        (GraphMiner(k=5), {"graph": GRAPH}),
        (FunctionMiner(farthest), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_negatives_weigh_what_their_rows_weigh(miner, given):
    options = dict(given)
    if isinstance(miner, HardNegativeMiner):
        options["positives"] = POSITIVES
    plain = miner.mine(ROWS, **options)
    found, weights = Debiased(miner, **OPTIONS).mine(ROWS, positives=POSITIVES, **given)
    for got, want in zip(found, plain, strict=True):
        np.testing.assert_array_equal(got, want)
    want = expected(ROWS, ROWS, found, POSITIVES)
    np.testing.assert_allclose(weights, want, rtol=1e-5)
    assert weights.dtype == np.float32
    assert (weights[found.indices < 0] == 0).all()


@pytest.mark.parametrize(
    ("miner", "given"),
    [
        (TripletMiner("semi_hard"), (LABELS,)),
        (TripletMiner("batch_hard", distance="cosine", skip=1), (LABELS,)),
        (EdgeTripletMiner(3, apart=2), (GRAPH,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_triplets_weigh_one_by_one(miner, given):
    plain = miner.mine(ROWS, *given)
    found, weights = Debiased(miner, **OPTIONS).mine(ROWS, *given)
    np.testing.assert_array_equal(found.negatives, plain.negatives)
    each = zip(found.anchors, found.positives, found.negatives, weights, strict=True)
    for a, p, n, weight in each:
        near, far = [cosine(ROWS[a], ROWS[p])], [[cosine(ROWS[a], ROWS[n])]]
        assert weight == pytest.approx(debiased_weights(far, near, **OPTIONS)[0, 0], rel=1e-4)
    assert len(weights) == len(found.anchors) > 30


def test_many_triplets_take_no_row_each():
    """Closed bug: four rows in float64 were kept for each triplet, 4 KiB of them here."""
    rows = np.random.default_rng(2).standard_normal((300, 128)).astype(np.float32)
    miner = Debiased(TripletMiner("semi_hard"), **OPTIONS)
    tracemalloc.start()
    try:
        found, weights = miner.mine(rows, np.arange(300) % 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(weights) > 15_000
    assert peak < 2 * rows.nbytes + 200 * len(weights) + 2**21
    # Some of each piece that is worked on at once.
    for i in range(0, len(weights), 97):
        a, p, n = rows[[found.anchors[i], found.positives[i], found.negatives[i]]]
        want = debiased_weights([[cosine(a, n)]], [cosine(a, p)], **OPTIONS)[0, 0]
        assert weights[i] == pytest.approx(want, rel=1e-4)


def test_anchors_without_a_positive_keep_the_weights_of_no_prior():
    miner = Debiased(HardNegativeMiner("hardest", k=4), prior=0.9, temperature=0.1)
    weights = miner.mine(ROWS, positives=np.where(np.arange(40) < 9, -1, POSITIVES)).weights
    np.testing.assert_array_equal(weights[:9], 1.0)
    assert (weights[9:] < 1.0).any()


def test_a_pool_and_some_nodes_have_their_own_rows():
    pool = np.random.default_rng(1).standard_normal((30, 6)).astype(np.float32)
    positives = np.where(np.arange(40) % 5 == 0, -1, np.arange(40) % 30)
    miner = Debiased(HardNegativeMiner("hardest", k=4), **OPTIONS)
    found, weights = miner.mine(ROWS, pool, positives=positives)
    want = expected(ROWS, pool, found, positives)
    np.testing.assert_allclose(weights, want, rtol=1e-5)
    _, by_vectors = miner.mine(ROWS, pool=pool, positives=ROWS[POSITIVES])
    assert by_vectors.shape == (40, 4)
    nodes = np.array([7, 3, 30])
    miner = Debiased(GraphMiner(k=4), **OPTIONS)
    found, weights = miner.mine(ROWS, GRAPH, nodes=nodes, positives=POSITIVES[nodes])
    want = expected(ROWS[nodes], ROWS, found, POSITIVES[nodes])
    np.testing.assert_allclose(weights, want, rtol=1e-5)


def test_nothing_is_taken_off_without_a_prior():
    miner = Debiased(HardNegativeMiner("random", k=3), prior=0.0, temperature=0.5)
    np.testing.assert_allclose(miner.mine(ROWS, positives=POSITIVES).weights, 1.0, rtol=1e-6)
    assert "prior=0" in repr(miner)


def test_what_the_miner_takes_by_name_is_taken_by_name():
    miner = Debiased(GraphMiner(k=5), **OPTIONS)
    want = miner.mine(ROWS, GRAPH, positives=POSITIVES)
    got = miner.mine(positives=POSITIVES, graph=GRAPH, embeddings=ROWS)
    np.testing.assert_array_equal(got.weights, want.weights)
    hardest = Debiased(HardNegativeMiner("hardest", k=4), **OPTIONS)
    pool = ROWS[::-1].copy()
    want = hardest.mine(ROWS, pool, positives=POSITIVES)
    got = hardest.mine(pool=pool, anchors=ROWS, positives=POSITIVES)
    np.testing.assert_array_equal(got.weights, want.weights)
    with pytest.raises(InvalidTypeError, match="embeddings is missing"):
        miner.mine(graph=GRAPH, positives=POSITIVES)
    with pytest.raises(TypeError, match="graph"):
        miner.mine(ROWS, positives=POSITIVES)


class Own:
    """A user's own miner, which returns what it was made with."""

    def __init__(self, answer):
        self.answer = answer

    def mine(self, *_):
        return self.answer


def test_a_miner_of_ones_own_returns_what_can_be_weighed():
    similarities = np.linspace(-1, 1, 80, dtype=np.float32).reshape(40, 2)
    own = MinedNegatives(np.zeros((40, 2), int), similarities, np.full(40, 2))
    weights = Debiased(Own(own), **OPTIONS).mine(ROWS, positives=POSITIVES).weights
    np.testing.assert_allclose(weights, expected(ROWS, ROWS, own, POSITIVES), rtol=1e-5)
    for answer in (np.zeros((40, 2), int), (np.zeros(3, int),) * 3, None):
        kind = type(answer).__name__
        with pytest.raises(InvalidTypeError, match=f"returned a {kind} but .*FunctionMiner"):
            Debiased(Own(answer), **OPTIONS).mine(ROWS, positives=POSITIVES)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prior": 1.0}, InvalidArgumentError, "prior is 1"),
        ({"temperature": 0.0}, InvalidArgumentError, "temperature"),
        ({"concentration": -1.0}, InvalidArgumentError, "concentration"),
        ({"miner": 3}, InvalidTypeError, "miner is a int"),
        (
            {"miner": Debiased(HardNegativeMiner(k=1), prior=0.1, temperature=1)},
            InvalidTypeError,
            "miner is a Debiased, .* its attribute `miner`",
        ),
        ({"miner": HardNegativeMiner(k=1, metric="dot")}, InvalidArgumentError, "metric 'dot'"),
        ({"miner": EdgeTripletMiner(1, metric="dot")}, InvalidArgumentError, "metric 'dot'"),
    ],
)
def test_bad_settings_are_refused(options, error, message):
    options = {"miner": HardNegativeMiner(k=1), "prior": 0.1, "temperature": 0.5, **options}
    with pytest.raises(error, match=message):
        Debiased(options.pop("miner"), **options)


def test_bad_positives_are_refused():
    miner = Debiased(GraphMiner(k=2), prior=0.1, temperature=0.5)
    for positives, message in [
        (None, "positives is missing"),
        (POSITIVES[:3], "has 3 rows but there are 40 anchors"),
        (POSITIVES + 40, "names row 4. but the pool has 40 rows"),
        (ROWS[:, :2], "positives has shape"),
    ]:
        with pytest.raises(InvalidArgumentError, match=message):
            miner.mine(ROWS, GRAPH, positives=positives)
    with pytest.raises(InvalidTypeError, match="positives has dtype"):
        miner.mine(ROWS, GRAPH, positives=["a"] * 40)
    index = HNSW(6)
    index.add(ROWS)
    hardest = Debiased(HardNegativeMiner("hardest", k=2), prior=0.1, temperature=0.5)
    with pytest.raises(InvalidArgumentError, match="pool is an index"):
        hardest.mine(ROWS, index, positives=POSITIVES)
