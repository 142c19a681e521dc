"""Cross-validated accuracy against scikit-learn's steps written out, and what it must not see."""

import numpy as np
import pytest
from ruvector.cross_validation import cross_validated_accuracy
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.probe import logistic_regression

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], 20)
ROWS = RNG.standard_normal((60, 5)) + np.eye(5)[LABELS]
FOLDS = np.arange(60) % 5
GRID = [0.01, 1.0, 100.0]


def _right(strength, fitted, judged):
    model = logistic_regression(ROWS[fitted], LABELS[fitted], strength=strength, tolerance=1e-7)
    logits = ROWS[judged] @ model.weights + model.bias
    return (logits.argmax(axis=1) == LABELS[judged]).sum()


def test_equals_the_steps_written_out():
    want = []
    for fold in range(5):
        others = [f for f in range(5) if f != fold]
        part = np.array([others.index(f) % 3 if f != fold else -1 for f in FOLDS])
        scores = [
            sum(_right(c, (part >= 0) & (part != p), part == p) for p in range(3)) for c in GRID
        ]
        best = GRID[int(np.argmax(scores))]
        want.append(_right(best, part >= 0, part < 0) / 12)
    got = cross_validated_accuracy(ROWS, LABELS, FOLDS, strengths=GRID)
    np.testing.assert_allclose(got, want)


def test_labels_of_a_fold_decide_nothing_about_its_own_predictions():
    before = cross_validated_accuracy(ROWS, LABELS, FOLDS)
    swapped = LABELS.copy()
    swapped[FOLDS == 2] = (swapped[FOLDS == 2] + 1) % 3
    after = cross_validated_accuracy(ROWS, swapped, FOLDS)
    # The same predictions are now judged by other labels: those right before are wrong.
    assert after[2] <= 1 - before[2]


def test_rows_without_labels_are_left_out():
    labels = np.r_[LABELS, -1]
    rows = np.r_[ROWS, np.zeros((1, 5))]
    got = cross_validated_accuracy(rows, labels, np.r_[FOLDS, 7])
    assert np.array_equal(got, cross_validated_accuracy(ROWS, LABELS, FOLDS))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"folds": FOLDS % 2}, InvalidArgumentError, "2 different numbers"),
        ({"folds": FOLDS[:-1]}, InvalidArgumentError, "folds has 59"),
        ({"folds": FOLDS + 0.5}, InvalidTypeError, "folds"),
        ({"labels": LABELS[:-1]}, InvalidArgumentError, "labels has 59"),
        ({"labels": np.zeros(60, int)}, InvalidArgumentError, "one class"),
        ({"labels": np.full(60, -1)}, InvalidArgumentError, "folds has 0"),
        ({"embeddings": np.full((60, 2), np.nan)}, InvalidArgumentError, "NaN"),
        ({"embeddings": ["a"]}, InvalidTypeError, "embeddings"),
        ({"strengths": []}, InvalidArgumentError, "strengths is empty"),
        ({"strengths": [-1.0]}, InvalidArgumentError, "strengths"),
    ],
)
def test_bad_input_is_refused(changes, error, message):
    given = {"embeddings": ROWS, "labels": LABELS, "folds": FOLDS, **changes}
    strengths = {"strengths": given.pop("strengths")} if "strengths" in given else {}
    with pytest.raises(error, match=message):
        cross_validated_accuracy(*given.values(), **strengths)
