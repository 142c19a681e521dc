"""The linear probe against its optimality conditions and, where installed, scikit-learn."""

import logging

import numpy as np
import pytest
from ruvector import probe
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.probe import linear_probe, logistic_regression

SHAPES = {
    "wide": (40, 120, 4),
    "tall": (300, 20, 5),
    "two_classes": (80, 10, 2),
    "two_classes_wide": (30, 64, 2),
    "rank_deficient": (50, 30, 3),
    "a_row_a_class": (3, 8, 3),
}


def problem(name, seed=0):
    rows, columns, count = SHAPES[name]
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(count), rng.integers(0, count, rows - count)]) * 3 + 1
    centres = rng.normal(size=(3 * count + 1, columns))
    features = rng.normal(size=(rows, columns)) + 5.0 + 0.4 * centres[labels]
    if name == "rank_deficient":
        features[:, 15:] = features[:, :15]
    return features, labels


def probabilities(model, features):
    logits = features @ model.weights + model.bias
    logits -= logits.max(axis=1, keepdims=True)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e3])
def test_the_gradient_vanishes_at_the_optimum(name, strength):
    features, labels = problem(name)
    model = logistic_regression(features, labels, strength=strength)
    np.testing.assert_array_equal(model.classes, np.unique(labels))
    residuals = probabilities(model, features) - (labels[:, None] == model.classes)
    factor = 2.0 if len(model.classes) == 2 else 1.0
    gradient = strength * features.T @ residuals + factor * model.weights
    assert np.abs(gradient).max() / (strength * len(labels)) < 1e-6
    assert np.abs(residuals.sum(axis=0)).max() / len(labels) < 1e-6


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("strength", [1e-2, 1.0, 100.0])
def test_agrees_with_scikit_learn(name, strength):
    linear = pytest.importorskip("sklearn.linear_model")
    features, labels = problem(name)
    model = logistic_regression(features, labels, strength=strength)
    # Its default solver takes half a minute where the features are not centred, as here.
    theirs = linear.LogisticRegression(C=strength, tol=1e-10, solver="newton-cholesky")
    theirs.fit(features, labels)
    np.testing.assert_allclose(
        probabilities(model, features), theirs.predict_proba(features), atol=1e-3
    )
    weights = model.weights.T
    if len(model.classes) == 2:
        weights = weights[1:] - weights[:1]
    np.testing.assert_allclose(weights, theirs.coef_, atol=1e-3)


def test_warm_starts_end_at_the_same_optimum():
    features, labels = problem("wide")
    chain = probe.fit_strengths(features, labels, [1e-3, 1.0, 1e3], 1e-10)
    for strength, warm in zip([1e-3, 1.0, 1e3], chain, strict=True):
        cold = logistic_regression(features, labels, strength=strength, tolerance=1e-10)
        np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-5)


def test_unlabelled_rows_are_left_out():
    features, labels = problem("tall")
    labels[::3] = -1
    features[0] = np.nan
    keep = labels != -1
    ours = logistic_regression(features, labels)
    np.testing.assert_array_equal(
        ours.weights, logistic_regression(features[keep], labels[keep]).weights
    )
    assert -1 not in ours.classes


def test_features_that_tell_nothing_give_the_classes_shares():
    labels = np.array([0, 0, 0, 1])
    for columns in (2, 9):
        model = logistic_regression(np.full((4, columns), 3.0), labels)
        np.testing.assert_allclose(probabilities(model, np.zeros((1, columns))), [[0.75, 0.25]])


def test_columns_of_very_unequal_size(caplog):
    features, labels = problem("tall")
    features *= np.logspace(-4, 4, features.shape[1])
    with caplog.at_level(logging.WARNING):
        model = logistic_regression(features, labels, strength=1.0, tolerance=1e-7)
    assert not caplog.records
    assert np.isfinite(model.weights).all()


def test_a_fit_that_stops_early_says_so(monkeypatch, caplog):
    monkeypatch.setattr(probe, "_NEWTON_STEPS", 1)
    with caplog.at_level(logging.WARNING):
        logistic_regression(*problem("tall"), strength=100.0)
    assert "standardize" in caplog.text


def split(count, seed=0):
    part = np.random.default_rng(seed).permutation(count) % 3
    return part == 0, part == 1, part == 2


def test_the_strength_is_chosen_on_validation_rows_alone():
    features, labels = problem("tall")
    masks = split(len(labels))
    grid = [100.0, 1e-3, 1.0]
    result = linear_probe(features, labels, *masks, strengths=grid)
    scores = {}
    for strength in sorted(grid):
        model = logistic_regression(features[masks[0]], labels[masks[0]], strength=strength)
        predicted = model.classes[(features @ model.weights + model.bias).argmax(axis=1)]
        scores[strength] = [(predicted == labels)[mask].mean() for mask in masks[1:]]
    best = max(scores, key=lambda strength: (scores[strength][0], -strength))
    assert result.strength == best
    assert result.validation_accuracy == pytest.approx(scores[best][0])
    assert result.accuracy == pytest.approx(scores[best][1])
    shuffled = labels.copy()
    shuffled[masks[2]] = np.roll(labels[masks[2]], 1)
    again = linear_probe(features, shuffled, *masks, strengths=grid)
    assert again[1:] == result[1:]
    assert again.accuracy != result.accuracy


def test_equal_strengths_go_to_the_smaller():
    features = np.repeat(np.eye(2), 9, axis=0)
    labels = np.repeat([0, 1], 9)
    result = linear_probe(features, labels, *split(18), strengths=[10.0, 1.0, 0.1])
    assert result == (1.0, 1.0, 0.1)


def test_standardising_equals_scaled_embeddings():
    features, labels = problem("tall")
    masks = split(len(labels))
    train = features[masks[0]]
    scaled = (features - train.mean(axis=0)) / train.std(axis=0)
    skewed = features * np.logspace(-2, 2, features.shape[1])
    assert linear_probe(skewed, labels, *masks, standardize=True) == linear_probe(
        scaled, labels, *masks
    )


def test_float32_and_blocks_of_rows(monkeypatch):
    monkeypatch.setattr(probe, "_ROWS", 7)
    features, labels = problem("tall")
    masks = split(len(labels))
    doubles = linear_probe(features, labels, *masks)
    singles = linear_probe(features.astype(np.float32), labels, *masks)
    assert singles.accuracy == pytest.approx(doubles.accuracy, abs=0.02)


def arguments(**changes):
    features, labels = problem("tall")
    train, val, test = split(len(labels))
    given = {
        "embeddings": features,
        "labels": labels,
        "train_mask": train,
        "val_mask": val,
        "test_mask": test,
    }
    return {**given, **{k: v(given) if callable(v) else v for k, v in changes.items()}}


def with_nan(mask):
    def spoil(given):
        features = given["embeddings"].copy()
        features[np.flatnonzero(given[mask])[0], 0] = np.nan
        return features

    return spoil


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"embeddings": np.ones(4)}, InvalidArgumentError, "embeddings has shape"),
        ({"embeddings": [["a"]]}, InvalidTypeError, "embeddings has dtype"),
        ({"embeddings": with_nan("train_mask")}, InvalidArgumentError, "NaN or infinity in row"),
        ({"embeddings": with_nan("val_mask")}, InvalidArgumentError, "NaN or infinity in row"),
        ({"embeddings": with_nan("test_mask")}, InvalidArgumentError, "NaN or infinity in row"),
        ({"labels": [0, 1]}, InvalidArgumentError, "labels has 2"),
        ({"labels": np.zeros(300, int)}, InvalidArgumentError, "one class 0"),
        ({"labels": np.full(300, -1)}, InvalidArgumentError, "train_mask names no labelled"),
        ({"train_mask": np.zeros(300, bool)}, InvalidArgumentError, "train_mask names no"),
        ({"val_mask": np.zeros(300, bool)}, InvalidArgumentError, "val_mask names no"),
        ({"test_mask": np.ones(299, bool)}, InvalidArgumentError, "test_mask has shape"),
        ({"test_mask": np.ones(300)}, InvalidTypeError, "test_mask has dtype"),
        ({"test_mask": lambda g: g["train_mask"]}, InvalidArgumentError, "share row"),
        ({"strengths": []}, InvalidArgumentError, "strengths is empty"),
        ({"strengths": [0.0]}, InvalidArgumentError, "strengths is 0"),
        ({"strengths": ["a"]}, InvalidTypeError, "strengths"),
    ],
)
def test_bad_input_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        linear_probe(**arguments(**changes))


def test_logistic_regression_refuses_bad_input():
    features, labels = problem("tall")
    with pytest.raises(InvalidArgumentError, match="no labelled row"):
        logistic_regression(features, np.full(300, -1))
    with pytest.raises(InvalidArgumentError, match="one class"):
        logistic_regression(features, np.full(300, 2))
    with pytest.raises(InvalidArgumentError, match="strength"):
        logistic_regression(features, labels, strength=-1.0)
    features[4, 2] = np.inf
    with pytest.raises(InvalidArgumentError, match="row 4"):
        logistic_regression(features, labels)
