"""Inputs and options at the ends of their ranges keep digits and make no NaN."""

import numpy as np
import pytest
from ruvector.losses import (
    AnglePreservationLoss,
    DistillationLoss,
    EdgeBCELoss,
    FeatureReconstructionLoss,
)


@pytest.mark.parametrize("ratio", [1e2, 1e4, 1e6])
def test_angles_between_unequal_arms_keep_the_digits_of_single_precision(ratio):
    points = np.array([[0, 0, 0], [3, 1, -1], [0.25, -0.5, 0.125]])
    points[1] *= ratio
    given = {"vertex": [0], "first": [1], "second": [2], "cosines": [0.5]}
    loss = AnglePreservationLoss()
    want = loss.value_and_grad(points, **given).gradients.embeddings
    got = loss.value_and_grad(points.astype(np.float32), **given).gradients.embeddings
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_endless_weight_of_positives_makes_no_nan(dtype):
    logits, labels = np.array([2, -1, 0.5], dtype), np.array([0, 1, 0], dtype)
    value, gradients = EdgeBCELoss(pos_weight=1e39).value_and_grad(logits, labels)
    assert not np.isnan(value)
    assert not np.isnan(gradients.logits).any()
    assert np.isfinite(gradients.logits[[0, 2]]).all()


def test_targets_of_zero_count_nothing_however_much_positives_do():
    rng = np.random.default_rng(0)
    hidden, weight = (rng.standard_normal(s, dtype=np.float32) for s in ((4, 3), (3, 5)))
    targets, bias = np.zeros((4, 5), np.float32), np.zeros(5, np.float32)
    loss = FeatureReconstructionLoss(pos_weight=1e39, form="binary")
    plain = FeatureReconstructionLoss(form="binary")
    assert loss(hidden, weight, bias, targets) == plain(hidden, weight, bias, targets)


def test_the_smallest_temperature_makes_no_nan():
    student, teacher = np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 1.0, 5.0]])
    value, gradients = DistillationLoss(temperature=1e-310).value_and_grad(student, teacher)
    assert value == 0
    assert np.array_equal(gradients.student_logits, np.zeros((1, 3)))
