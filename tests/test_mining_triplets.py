"""Triplets of a batch against brute force and pytorch-metric-learning's definition in NumPy."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector import _core as core
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.losses import TripletLoss
from ruvector.mining import TripletMiner
from ruvector.sampling import hops

STRATEGIES = ["batch_hard", "semi_hard", "all_semi_hard"]


def distances(rows, distance):
    rows = rows.astype(np.float64)
    if distance == "cosine":
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
        return 1 - unit @ unit.T
    squared = ((rows[:, None] - rows) ** 2).sum(-1)
    return squared if distance == "squared" else np.sqrt(squared)


def masks(labels):
    labels = np.asarray(labels)
    same = (labels[:, None] == labels) & (labels >= 0)
    np.fill_diagonal(same, False)
    different = ~same
    np.fill_diagonal(different, False)
    return same, different


def metric_learning(matrix, labels, *, margin=np.inf):
    """TripletMarginMiner(margin, type_of_triplets="semihard") of pytorch-metric-learning 2.9.

    Its source: all (a, p, n) with ``0 < d_an - d_ap <= margin``.
    """
    same, different = masks(labels)
    gap = matrix[:, None, :] - matrix[:, :, None]
    chosen = same[:, :, None] & different[:, None, :] & (gap > 0) & (gap <= margin)
    return np.argwhere(chosen)


def batch_hard(matrix, labels):
    same, different = masks(labels)
    anchors = np.flatnonzero(same.any(1) & different.any(1))
    if len(anchors) == 0:
        return np.empty((0, 3), np.int64)
    farthest = np.where(same, matrix, -np.inf).argmax(1)[anchors]
    nearest = np.where(different, matrix, np.inf).argmin(1)[anchors]
    return np.stack([anchors, farthest, nearest], axis=1)


def nearest_farther(matrix, labels, *, margin=np.inf):
    """FaceNet's: of all semi-hard negatives of a pair the nearest."""
    triplets = metric_learning(matrix, labels, margin=margin)
    if len(triplets) == 0:
        return triplets
    order = np.lexsort((matrix[triplets[:, 0], triplets[:, 2]], triplets[:, 1], triplets[:, 0]))
    _, first = np.unique(triplets[order, :2], axis=0, return_index=True)
    return triplets[order][first]


REFERENCES = {
    "batch_hard": batch_hard,
    "semi_hard": nearest_farther,
    "all_semi_hard": metric_learning,
}


def reference(strategy, matrix, labels, margin):
    options = {} if strategy == "batch_hard" or margin is None else {"margin": margin}
    return REFERENCES[strategy](matrix, labels, **options)


def triplets(mined):
    return np.stack(mined[:3], axis=1)


def test_every_compiled_strategy_is_tested_and_offered():
    assert sorted(STRATEGIES) == sorted(core.triplet_strategies())
    assert all(f'``"{name}"``' in inspect.getdoc(TripletMiner) for name in STRATEGIES)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("distance", ["euclidean", "squared", "cosine"])
@pytest.mark.parametrize("margin", [None, 0.1])
@pytest.mark.parametrize(("rows", "classes"), [(30, 4), (300, 90), (250, 3)])
def test_agrees_with_brute_force(strategy, distance, margin, rows, classes):
    rng = np.random.default_rng(rows)
    vectors = rng.normal(size=(rows, 6))
    labels = rng.integers(-1, classes, rows)
    mined = TripletMiner(strategy, distance=distance, margin=margin).mine(vectors, labels)
    matrix = distances(vectors, distance)
    expected = reference(strategy, matrix, labels, margin)
    np.testing.assert_array_equal(triplets(mined), expected)
    a, p, n = expected.T
    np.testing.assert_allclose(mined.positive_distances, matrix[a, p], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(mined.negative_distances, matrix[a, n], rtol=1e-6, atol=1e-7)
    assert mined.anchors.dtype == np.int64
    assert mined.positive_distances.dtype == np.float32
    same, _ = masks(labels)
    assert mined.without_positive == np.count_nonzero(~same.any(1))
    assert mined.without_negative == 0
    pairs = 0 if strategy == "batch_hard" else same.sum() - len(np.unique(expected[:, :2], axis=0))
    assert mined.unmatched == pairs


FAR = 1e6


def limited(matrix, labels, *, skip, exclude):
    """Distances, far beyond all others where a band or a list leaves a negative out."""
    _, different = masks(labels)
    seen = matrix.copy()
    order = np.lexsort((np.arange(len(labels)), labels, labels < 0))
    for anchor, row in enumerate(seen):
        lists = exclude[1][exclude[0][anchor] : exclude[0][anchor + 1]]
        open_ = different[anchor].copy()
        open_[lists] = False
        rows = order[open_[order]]
        rows = rows[np.argsort(row[rows], kind="stable")]
        band = int(skip * len(rows)) if isinstance(skip, float) else skip
        row[different[anchor] & ~open_] = FAR
        row[rows[:band]] = FAR
    return seen


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("skip", [0, 7, 0.1])
@pytest.mark.parametrize(("rows", "classes"), [(40, 30), (120, 5)])
def test_bands_and_lists_agree_with_brute_force(strategy, distance, skip, rows, classes):
    rng = np.random.default_rng(rows)
    vectors = rng.normal(size=(rows, 5))
    labels = rng.integers(-1, classes, rows)
    lists = [rng.permutation(rows)[: rng.integers(0, 9)] for _ in range(rows)]
    exclude = np.concatenate([[0], np.cumsum(list(map(len, lists)))]), np.concatenate(lists)
    miner = TripletMiner(strategy, distance=distance, margin=0.4, skip=skip)
    mined = miner.mine(vectors, labels, exclude=exclude)
    matrix = distances(vectors, distance)
    seen = limited(matrix, labels, skip=skip, exclude=exclude)
    expected = reference(strategy, seen, labels, 0.4)
    expected = expected[seen[expected[:, 0], expected[:, 2]] < FAR]
    np.testing.assert_array_equal(triplets(mined), expected)
    same, different = masks(labels)
    nothing = same.any(1) & ~(different & (seen < FAR)).any(1)
    assert mined.without_negative == nothing.sum()
    assert mined.without_positive == np.count_nonzero(~same.any(1))


def test_a_band_over_everything_and_lists_of_everybody_leave_nothing():
    vectors, labels = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) // 3
    everybody = np.arange(13) * 12, np.tile(np.arange(12), 12)
    for strategy in STRATEGIES:
        for skip, exclude in ((9, None), (0, everybody)):
            mined = TripletMiner(strategy, skip=skip).mine(vectors, labels, exclude=exclude)
            assert len(mined.anchors) == 0
            assert mined[5:] == (0, 12, 0)


def test_hops_are_exclusions_of_triplets():
    graph = Graph.from_edges([[i, i + 1] for i in range(39)])
    vectors = np.random.default_rng(0).normal(size=(40, 4))
    miner = TripletMiner("all_semi_hard")
    mined = miner.mine(vectors, np.arange(40) % 4, exclude=hops(graph, most=6))
    assert len(mined.anchors)
    assert (np.abs(mined.anchors - mined.negatives) > 6).all()


@settings(max_examples=150, deadline=None)
@given(data=st.data(), strategy=st.sampled_from(STRATEGIES))
def test_whatever_the_labels(data, strategy):
    """Rows on a small grid: repeats, ties and zero rows; only what does not depend on ties."""
    count = data.draw(st.integers(0, 25))
    columns = data.draw(st.integers(1, 4))
    values = st.integers(-2, 2)
    vectors = np.array(
        data.draw(st.lists(values, min_size=count * columns, max_size=count * columns)), np.float32
    ).reshape(count, columns)
    labels = np.array(
        data.draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count)), np.int64
    )
    mined = TripletMiner(strategy, distance="squared").mine(vectors, labels)
    matrix = distances(vectors, "squared")
    expected = reference(strategy, matrix, labels, None)
    got = triplets(mined)
    assert len(got) == len(expected)
    if strategy == "all_semi_hard":
        np.testing.assert_array_equal(got, expected)
    elif strategy == "semi_hard":
        np.testing.assert_array_equal(got[:, :2], expected[:, :2])
    same, different = masks(labels)
    a, p, n = got.T
    assert same[a, p].all()
    assert different[a, n].all()
    for row, other in ((got[:, 1], expected[:, 1]), (got[:, 2], expected[:, 2])):
        np.testing.assert_array_equal(matrix[a, row], matrix[a, other])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_threads_change_nothing(strategy, each_thread_count):
    rng = np.random.default_rng(2)
    # More than 50 million multiplications, from where on threads are used.
    vectors = rng.normal(size=(900, 64)).astype(np.float32)
    labels = rng.integers(0, 150, 900)
    miner = TripletMiner(strategy, distance="cosine", margin=0.05)
    results = [miner.mine(vectors, labels) for _ in each_thread_count()]
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_float32_rows_give_what_float64_gives(strategy):
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(120, 16)).astype(np.float32)
    labels = rng.integers(0, 20, 120)
    for distance in ("euclidean", "cosine"):
        miner = TripletMiner(strategy, distance=distance)
        single, double = miner.mine(vectors, labels), miner.mine(vectors.astype(float), labels)
        np.testing.assert_array_equal(triplets(single), triplets(double))
        np.testing.assert_allclose(single[3], double[3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("labels", "without_positive", "without_negative"),
    [([], 0, 0), ([4], 1, 0), ([0, 0, 0], 0, 3), ([0, 1, 2], 3, 0), ([-1, -1], 2, 0)],
)
def test_without_a_triplet_it_says_why(strategy, labels, without_positive, without_negative):
    vectors = np.arange(2.0 * len(labels)).reshape(-1, 2)
    mined = TripletMiner(strategy).mine(vectors, labels)
    assert all(len(array) == 0 for array in mined[:5])
    assert mined[5:] == (without_positive, without_negative, 0)


def test_zero_rows_and_repeats():
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], np.float32)
    mined = TripletMiner("batch_hard", distance="cosine").mine(rows, [0, 0, 1, 1])
    np.testing.assert_array_equal(mined.positives, [1, 0, 3, 2])
    np.testing.assert_array_equal(mined.positive_distances, [1, 1, 1, 1])
    # To a row of zeros everything is equally far: the lower row.
    np.testing.assert_array_equal(mined.negatives, [2, 2, 1, 0])
    # A repeat of the positive is not farther than it.
    twins = TripletMiner("semi_hard").mine([[0.0], [1.0], [1.0], [2.0]], [0, 0, 1, 2])
    np.testing.assert_array_equal(triplets(twins), [[0, 1, 3]])


@pytest.mark.parametrize("name", ["cora", "fashion_mnist"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_real_data(name, strategy, data_file):
    if name == "cora":
        graph = Graph.load_npz(data_file("cora.npz"))
        features = graph.features
        rows = np.zeros((400, features.shape[1]))
        for row in range(400):
            part = slice(features.indptr[row], features.indptr[row + 1])
            rows[row, features.indices[part]] = features.data[part]
        labels = graph.labels[:400]
    else:
        with np.load(data_file("fashion_mnist.npz")) as data:
            rows, labels = data["x_train"][:400].reshape(400, -1) / 255, data["y_train"][:400]
    rows = np.asarray(rows, np.float64) + np.random.default_rng(0).normal(0, 1e-4, rows.shape)
    labels = np.asarray(labels, np.int64)
    mined = TripletMiner(strategy, distance="cosine", margin=0.02).mine(rows, labels)
    expected = reference(strategy, distances(rows, "cosine"), labels, 0.02)
    np.testing.assert_array_equal(triplets(mined), expected)


def test_the_loss_takes_what_it_returns():
    rng = np.random.default_rng(1)
    rows, labels = rng.normal(size=(40, 8)), rng.integers(0, 5, 40)
    mined = TripletMiner("semi_hard", margin=0.5).mine(rows, labels)
    value = TripletLoss(margin=0.5).value_and_grad_indexed(rows, *mined[:3]).value
    costs = np.maximum(mined.positive_distances - mined.negative_distances + 0.5, 0)
    assert value == pytest.approx(costs.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"strategy": "hard"}, InvalidArgumentError, "strategy.*'batch_hard'"),
        ({"distance": "l2"}, InvalidArgumentError, "distance.*'squared'"),
        ({"margin": 0.0}, InvalidArgumentError, "margin is 0"),
        ({"margin": float("nan")}, InvalidArgumentError, "margin"),
        ({"margin": "wide"}, InvalidTypeError, "margin"),
        ({"skip": -1}, InvalidArgumentError, "skip is -1"),
        ({"skip": 1.0}, InvalidArgumentError, "share below 1"),
        ({"skip": "some"}, InvalidTypeError, "skip"),
    ],
)
def test_settings_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        TripletMiner(**options)


@pytest.mark.parametrize(
    ("rows", "labels", "error", "message"),
    [
        (np.ones(3), [0] * 3, InvalidArgumentError, "embeddings has shape"),
        (np.ones((3, 0)), [0] * 3, InvalidArgumentError, "needs a column"),
        ([["a"]], [0], InvalidTypeError, "embeddings has dtype"),
        (np.full((2, 2), np.nan), [0, 0], InvalidArgumentError, "embeddings has NaN.*row 0"),
        (np.full((2, 2), 1e30), [0, 0], None, ""),
        (np.full((2, 2), 1e30, np.float32), [0, 0], InvalidArgumentError, "length 1.4.*row 0"),
        (np.ones((2, 2)), [0], InvalidArgumentError, "labels has 1"),
        (np.ones((2, 2)), [0.5, 1], InvalidTypeError, "labels"),
        (np.ones((2, 2)), [[0, 1]], InvalidArgumentError, "labels has shape"),
    ],
)
def test_bad_input_is_refused(rows, labels, error, message):
    miner = TripletMiner()
    if error is None:
        assert miner.mine(rows, labels).without_negative == 2
        return
    with pytest.raises(error, match=message):
        miner.mine(rows, labels)
