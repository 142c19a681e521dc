"""Weights of negatives against the papers' formulas, written out."""

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.mining import debiased_weights


def estimate(negatives, positive, *, prior, temperature, concentration):
    """Ng of the code of Robinson et al. (Chuang et al. where concentration is 0), one anchor."""
    pos = np.exp(positive / temperature)
    neg = np.exp(negatives / temperature)
    count = len(neg)
    imp = np.exp(concentration * np.log(neg))
    reweighted = (imp * neg).sum() / imp.mean()
    value = (-prior * count * pos + reweighted) / (1 - prior)
    return max(value, count * np.exp(-1 / temperature))


@pytest.mark.parametrize("prior", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("concentration", [0.0, 0.5, 2.0])
def test_the_weighted_sum_is_the_papers(prior, temperature, concentration):
    rng = np.random.default_rng(0)
    found = rng.uniform(-1, 1, (20, 7))
    found[::3, 4:] = -np.inf
    near = rng.uniform(-1, 1, 20)
    options = {"prior": prior, "temperature": temperature, "concentration": concentration}
    weights = debiased_weights(found, near, **options)
    assert weights.dtype == np.float32
    assert (weights[found == -np.inf] == 0).all()
    for row, positive, weight in zip(found, near, weights, strict=True):
        some = row > -np.inf
        got = (weight[some] * np.exp(row[some] / temperature)).sum()
        assert got == pytest.approx(estimate(row[some], positive, **options), rel=1e-5)


@pytest.mark.parametrize("prior", [0.0, 0.2, 0.9])
def test_anchors_without_a_positive_keep_their_weight(prior):
    """Closed bug: their negatives were weighed 1 / (1 - prior)."""
    found = np.array([[0.7, -0.2, -np.inf], [0.7, -0.2, -1.0], [-1.0, -np.inf, -np.inf]])
    near = np.full(3, -np.inf)
    options = {"prior": prior, "temperature": 0.1}
    weights = debiased_weights(found, near, **options)
    np.testing.assert_array_equal(weights, np.where(found > -np.inf, 1.0, 0.0))
    weights = debiased_weights(found, near, **options, concentration=0.5)
    for row, weight in zip(found, weights, strict=True):
        some = row > -np.inf
        imp = np.exp(0.5 * row[some] / 0.1)
        np.testing.assert_allclose(weight[some], imp / imp.mean(), rtol=1e-5)
    # A row's neighbour with a positive is corrected as ever.
    mixed = debiased_weights(found[:2], [-np.inf, 0.5], **options)
    np.testing.assert_array_equal(mixed[0], [1, 1, 0])
    np.testing.assert_array_equal(mixed[1], debiased_weights(found[1:2], [0.5], **options)[0])


def test_without_a_prior_nothing_changes_however_far_the_negatives_are():
    """exp(-2000) is 0 in float64."""
    weights = debiased_weights([[-1.0, -0.9]], [1.0], prior=0.0, temperature=0.001)
    np.testing.assert_array_equal(weights, [[1, 1]])


def test_low_temperatures_stay_finite():
    found = np.array([[1.0, 0.99, -1.0], [-1.0, -1.0, -np.inf]])
    weights = debiased_weights(found, [1.0, -1.0], prior=0.1, temperature=0.005, concentration=3.0)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()


def test_nothing_mined_weighs_nothing():
    assert debiased_weights(np.empty((0, 3)), [], prior=0.1, temperature=1).shape == (0, 3)
    assert debiased_weights(np.empty((2, 0)), [0, 0], prior=0.1, temperature=1).shape == (2, 0)
    nothing = debiased_weights(np.full((1, 2), -np.inf), [0.5], prior=0.1, temperature=1)
    np.testing.assert_array_equal(nothing, [[0, 0]])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"similarities": [0.5]}, InvalidArgumentError, "similarities has shape"),
        ({"similarities": [["a"]]}, InvalidTypeError, "similarities has dtype"),
        ({"similarities": [[1.5]]}, InvalidArgumentError, "similarities must be cosines"),
        ({"similarities": [[np.nan]]}, InvalidArgumentError, "similarities must be cosines"),
        ({"positive_similarities": [np.nan]}, InvalidArgumentError, "positive_similarities"),
        ({"positive_similarities": [0.1, 0.2]}, InvalidArgumentError, "has 2 entries"),
        ({"prior": 1.0}, InvalidArgumentError, "prior is 1"),
        ({"prior": -0.1}, InvalidArgumentError, "prior"),
        ({"temperature": 0.0}, InvalidArgumentError, "temperature"),
        ({"concentration": -1.0}, InvalidArgumentError, "concentration"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    good = {
        "similarities": [[0.5]],
        "positive_similarities": [0.9],
        "prior": 0.1,
        "temperature": 0.5,
    }
    arguments = good | change
    with pytest.raises(error, match=message):
        debiased_weights(
            arguments.pop("similarities"), arguments.pop("positive_similarities"), **arguments
        )
