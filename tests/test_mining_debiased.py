"""Debiasing as an option of every miner, against the weights of single rows."""

import numpy as np
import pytest
from ruvector import HNSW, Graph
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.mining import (
    Debiased,
    EdgeTripletMiner,
    FunctionMiner,
    HardNegativeMiner,
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


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prior": 1.0}, InvalidArgumentError, "prior is 1"),
        ({"temperature": 0.0}, InvalidArgumentError, "temperature"),
        ({"concentration": -1.0}, InvalidArgumentError, "concentration"),
        ({"miner": 3}, InvalidTypeError, "miner is a int"),
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
