"""Weightings of several losses against their rules, central differences and golden values."""

import json
from pathlib import Path

import numpy as np
import pytest
from ruvector.autograd import Variable, record, scale
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.schedules import Linear
from ruvector.weighting import (
    DEFAULT_WEIGHTS,
    BalancedWeights,
    GradNorm,
    PCGrad,
    PlainSum,
    UncertaintyWeights,
    WeightedSum,
    balance_weights,
    named_curves,
    project_conflicts,
    uncertainty_loss,
    warm_up_weights,
)

GOLDEN = Path(__file__).parent / "golden"
LEARNING = [BalancedWeights(), UncertaintyWeights(), GradNorm(), PCGrad()]
ALL = [PlainSum(), WeightedSum({"a": 2.0, "b": 0.5, "c": 1.0}), *LEARNING]


def quadratic(centre, x, y, steep=1.0):
    """Half the squared distance of (x, y) from `centre`, as one operation on both."""
    dx, dy = x.value - centre[0], y.value - centre[1]
    value = np.asarray(0.5 * steep * ((dx * dx).sum() + (dy * dy).sum()))
    return record(value, [x, y], lambda g: [g * steep * dx, g * steep * dy])


def parameters(seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=3).astype(dtype), "y": rng.normal(size=(2, 2)).astype(dtype)}


def variables_of(arrays):
    return {name: Variable(array) for name, array in arrays.items()}


def parts_of(variables, names=("a", "b", "c")):
    given = {"a": (0.5, 1.0), "b": (-2.0, 3.0), "c": (4.0, 0.2)}
    x, y = variables["x"], variables["y"]
    return {name: quadratic((given[name][0],) * 2, x, y, given[name][1]) for name in names}


def combine(weigher, arrays, *, at=0.0, total=1.0, names=("a", "b", "c")):
    variables = variables_of(arrays)
    return weigher.combine(parts_of(variables, names), variables, at=at, total=total)


def differences(function, arrays, step=1e-6):
    found = {name: np.zeros_like(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        for i in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = {key: value.copy() for key, value in arrays.items()}
                moved[name][i] += sign * step
                ends.append(function(moved))
            found[name][i] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize("weighting", [w for w in ALL if w != PCGrad()], ids=repr)
def test_the_gradient_is_that_of_the_weighted_sum(weighting):
    arrays = parameters()
    weigher = weighting.start(seed=0)
    for _ in range(3):
        found = combine(weigher, arrays)

    def total(moved):
        parts = parts_of(variables_of(moved))
        return sum(found.weights[name] * float(part.value) for name, part in parts.items())

    for name, expected in differences(total, arrays).items():
        np.testing.assert_allclose(found.gradients[name], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("weighting", ALL, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_and_missing_parts_are_no_trouble(weighting, dtype):
    weigher = weighting.start(seed=0)
    zero = parameters(dtype=dtype)
    zero = {name: np.full_like(array, 0.5) for name, array in zero.items()}  # where "a" is 0
    for arrays, names in [
        (zero, ("a",)),
        (zero, ("a", "b")),
        (parameters(dtype=dtype), ("b", "c")),
        (parameters(dtype=dtype), ()),
        (parameters(dtype=dtype), ("a", "b", "c")),
    ]:
        found = combine(weigher, arrays, names=names)
        assert set(found.weights) == set(names)
        assert all(np.isfinite(weight) and weight >= 0 for weight in found.weights.values())
        for name, array in arrays.items():
            assert found.gradients[name].shape == array.shape
            assert found.gradients[name].dtype == dtype
            assert np.isfinite(found.gradients[name]).all()
    json.dumps(weigher.state_dict(), allow_nan=False)


@pytest.mark.parametrize("weighting", ALL, ids=repr)
def test_a_parameter_that_no_part_reaches_gets_zeros(weighting):
    variables = {"x": Variable(np.ones(2)), "other": Variable(np.ones(3))}
    x = variables["x"]
    parts = {"a": record(np.asarray(x.value.sum()), [x], lambda g: [g * np.ones(2)])}
    # Left over from somewhere else.
    variables["other"].grad = np.full(3, 7.0)
    found = weighting.start(seed=0).combine(parts, variables, at=0, total=1)
    np.testing.assert_array_equal(found.gradients["other"], np.zeros(3))
    assert (found.gradients["x"] != 0).all()


@pytest.mark.parametrize("weighting", ALL, ids=repr)
def test_saved_state_continues_bit_equal(weighting):
    weigher = weighting.start(seed=3)
    for seed in range(4):
        combine(weigher, parameters(seed))
    again = weighting.start(seed=3)
    again.load_state_dict(json.loads(json.dumps(weigher.state_dict())))
    for seed in range(4, 8):
        one, two = combine(weigher, parameters(seed)), combine(again, parameters(seed))
        assert one.weights == two.weights
        for name, gradient in one.gradients.items():
            assert gradient.tobytes() == two.gradients[name].tobytes()


@pytest.mark.parametrize("weighting", ALL, ids=repr)
@pytest.mark.parametrize("state", [{"other": 1}, 3, {"weights": 1, "first": {}, "level": 0}])
def test_unfit_state_is_refused(weighting, state):
    weigher = weighting.start(seed=0)
    before = weigher.state_dict()
    with pytest.raises(InvalidArgumentError, match="state"):
        weigher.load_state_dict(state)
    assert weigher.state_dict() == before


def test_the_usual_weights():
    assert DEFAULT_WEIGHTS == {
        "infonce": 1.0,
        "local": 0.1,
        "spectral": 0.01,
        "reconstruction": 0.1,
        "task": 1.0,
        "contrastive": 0.1,
        "ewc": 1.0,
    }


def test_a_part_takes_its_own_its_prefixes_or_its_familys_weight():
    weigher = WeightedSum({"infonce": 2.0, "mined": 3.0, "mine": 5.0}).start(seed=0)
    x = Variable(np.array(1.0))
    names = ("in_batch", "mined", "infonce", "mine.in_batch", "infonce.mined", "other.in_batch")
    parts = {name: scale(x, 1.0) for name in names}
    found = weigher.combine(parts, {"x": x}, at=0, total=1)
    assert found.weights == dict(zip(names, (2.0, 3.0, 2.0, 5.0, 2.0, 2.0), strict=True))
    with pytest.raises(InvalidArgumentError, match="'unheard'"):
        weigher.combine({"unheard": scale(x, 1.0)}, {"x": x}, at=0, total=1)


def test_named_curves():
    curves = named_curves()
    for epoch in (0, 3, 10, 49, 50, 60, 99, 150):
        values = {name: curve(epoch, total=200) for name, curve in curves.items()}
        assert values["reconstruction"] == pytest.approx(np.exp(-epoch / 50), rel=1e-14)
        assert values["contrastive"] == pytest.approx(0.1 + 0.9 * min(epoch / 10, 1), rel=1e-14)
        late = min(max((epoch - 50) / 50, 0), 1)
        assert values["task"] == pytest.approx(0.1 + 0.9 * late, rel=1e-14)


def test_warm_up_goes_from_one_set_to_the_other():
    weights = warm_up_weights({"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.5}, epochs=10)
    weigher = WeightedSum({**weights, "c": 0.0}).start(seed=0)
    for at, want in [(0, (0, 1)), (5, (0.5, 0.75)), (10, (1, 0.5)), (30, (1, 0.5))]:
        found = combine(weigher, parameters(), at=at, total=40).weights
        assert (found["a"], found["b"], found["c"]) == (*want, 0)
    with pytest.raises(InvalidArgumentError, match="'b'"):
        warm_up_weights({"a": 1.0}, {"a": 1.0, "b": 1.0}, epochs=1)
    with pytest.raises(InvalidArgumentError, match="first"):
        warm_up_weights({"a": -1.0}, {"a": 1.0}, epochs=1)


def test_balancing_makes_contributions_equal_and_keeps_their_sum():
    losses = {"a": 4.0, "b": -0.01, "zero": 0.0, "c": 90.0}
    weights = balance_weights(losses)
    sizes = [weights[name] * abs(losses[name]) for name in ("a", "b", "c")]
    np.testing.assert_allclose(sizes, 94.01 / 3, rtol=1e-14)
    assert weights["zero"] == 1.0
    assert all(weight > 0 for weight in weights.values())
    assert balance_weights({"a": 0.0}) == {"a": 1.0}
    assert balance_weights({}) == {}
    assert balance_weights({"a": 1.0, "tiny": 1e-10})["tiny"] == 1.0
    with pytest.raises(InvalidArgumentError, match="losses"):
        balance_weights({"a": np.nan})


def test_balancing_happens_once():
    weigher = BalancedWeights().start(seed=0)
    first = combine(weigher, parameters(0)).weights
    assert combine(weigher, parameters(1)).weights == first
    late = BalancedWeights().start(seed=0)
    before = combine(late, parameters(0), names=("a", "b")).weights
    after = combine(late, parameters(0)).weights
    assert {name: after[name] for name in before} == before
    values = {name: float(p.value) for name, p in parts_of(variables_of(parameters(0))).items()}
    assert after["c"] * values["c"] == pytest.approx(after["a"] * values["a"])


def test_the_uncertainty_loss_has_the_gradients_of_its_value():
    losses = {"a": 0.7, "b": 5.0, "c": 0.0}
    s = {"a": 0.3, "b": -1.0, "c": 2.0}
    kinds = {"b": "classification"}
    found = uncertainty_loss(losses, s, kinds=kinds)
    want = sum(
        (1 if name == "b" else 0.5) * np.exp(-s[name]) * losses[name] + s[name] / 2 for name in s
    )
    assert found.value == pytest.approx(want, rel=1e-14)
    step = 1e-6
    for name in losses:
        for given, derivatives in ((losses, found.weights), (s, found.gradients)):
            ends = []
            for sign in (1, -1):
                moved = {**given, name: given[name] + sign * step}
                pair = (moved, s) if given is losses else (losses, moved)
                ends.append(uncertainty_loss(*pair, kinds=kinds).value)
            slope = (ends[0] - ends[1]) / (2 * step)
            assert derivatives[name] == pytest.approx(slope, rel=1e-7, abs=1e-8)


def test_uncertainty_weights_come_to_rest_where_they_should():
    weigher = UncertaintyWeights(lr=0.2, kinds={"b": "classification"}).start(seed=0)
    for _ in range(2000):
        found = combine(weigher, parameters())
    losses = {name: float(p.value) for name, p in parts_of(variables_of(parameters())).items()}
    for name, weight in found.weights.items():
        assert weight == pytest.approx(0.5 / losses[name], rel=1e-6)


def test_a_loss_of_zero_does_not_run_away():
    weigher = UncertaintyWeights(lr=10.0).start(seed=0)
    x = Variable(np.array(1.0))
    for _ in range(100):
        found = weigher.combine({"zero": scale(x, 0.0)}, {"x": x}, at=0, total=1)
    assert found.weights["zero"] <= 0.5 * np.exp(10) * (1 + 1e-12)


@pytest.mark.parametrize("weighting", [UncertaintyWeights(), GradNorm()], ids=repr)
@pytest.mark.parametrize("factor", [-1.0, np.nan])
def test_losses_below_zero_are_refused(weighting, factor):
    x = Variable(np.array(1.0))
    weigher = weighting.start(seed=0)
    before = weigher.state_dict()
    with pytest.raises(InvalidArgumentError, match="'low'"):
        weigher.combine({"low": scale(x, factor)}, {"x": x}, at=0, total=1)
    assert weigher.state_dict() == before


def test_gradnorm_by_its_formula():
    """Two steps, written out from the paper."""
    settings = GradNorm(alpha=0.7, lr=0.05)
    weigher = settings.start(seed=0)
    weights = np.ones(3)
    first = None
    for seed in range(2):
        arrays = parameters(seed)
        found = combine(weigher, arrays)
        np.testing.assert_allclose(list(found.weights.values()), weights, rtol=1e-12)
        flat = np.concatenate([arrays["x"], arrays["y"].ravel()])
        given = [(0.5, 1.0), (-2.0, 3.0), (4.0, 0.2)]
        losses = np.array([0.5 * k * ((flat - c) ** 2).sum() for c, k in given])
        norms = np.array([k * np.linalg.norm(flat - c) for c, k in given])
        first = losses if first is None else first
        rates = losses / first / (losses / first).mean()
        scaled = weights * norms
        slope = np.sign(scaled - scaled.mean() * rates**0.7) * norms
        weights = weights - 0.05 * slope
        weights = np.maximum(weights, 1e-3)
        weights *= 3 / weights.sum()


def test_gradnorm_weights_stay_positive_and_add_up():
    weigher = GradNorm(lr=50.0).start(seed=0)
    for seed in range(20):
        combine(weigher, parameters(seed))
        weights = weigher.state_dict()["weights"].values()
        assert min(weights) > 0
        assert sum(weights) == pytest.approx(3)


def test_gradnorm_keeps_the_weight_of_a_missing_loss():
    weigher = GradNorm(lr=0.1).start(seed=0)
    for seed in range(6):
        combine(weigher, parameters(seed))
    before = weigher.state_dict()["weights"]
    for seed in range(6, 12):
        combine(weigher, parameters(seed), names=("a", "b"))
    after = weigher.state_dict()["weights"]
    assert after["c"] == before["c"] != 1
    assert after["a"] != before["a"]
    assert sum(after.values()) == pytest.approx(3)
    combine(weigher, parameters(12), names=())
    assert weigher.state_dict()["weights"] == after


def test_gradnorm_measures_what_is_shared():
    parts = ("a", "b")
    whole, shared = GradNorm().start(seed=0), GradNorm(shared=("x",)).start(seed=0)
    for weigher in (whole, shared):
        combine(weigher, parameters(), names=parts)
    assert whole.state_dict() != shared.state_dict()
    with pytest.raises(InvalidArgumentError, match="'z'"):
        combine(GradNorm(shared=("z",)).start(seed=0), parameters())


@pytest.mark.parametrize("case", ["n2", "n4", "noconflict"])
@pytest.mark.parametrize(("suffix", "rtol", "atol"), [("", 1e-10, 1e-12), ("_f32", 2e-5, 2e-6)])
def test_golden_projections(case, suffix, rtol, atol):
    with np.load(GOLDEN / f"pcgrad{suffix}.npz") as file:
        data = {
            key.removeprefix(f"{case}/"): file[key] for key in file if key.startswith(f"{case}/")
        }
    found = project_conflicts(data["gradients"], order=data["order"])
    assert found.dtype == data["gradients"].dtype
    bound = atol * np.abs(data["projected"]).max()
    np.testing.assert_allclose(found, data["projected"], rtol=rtol, atol=bound)
    np.testing.assert_allclose(found.sum(axis=0), data["combined"], rtol=rtol, atol=2 * bound)


def test_every_golden_projection_is_tried():
    with np.load(GOLDEN / "pcgrad.npz") as file:
        assert {key.split("/")[0] for key in file} == {"n2", "n4", "noconflict"}


def test_gradients_of_zeros_conflict_with_none():
    gradients = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]])
    found = project_conflicts(gradients, order=[[1, 2], [0, 2], [0, 1]])
    np.testing.assert_allclose(found, [[0.5, 0.5], [0, 0], [0, 1]])
    assert project_conflicts(np.zeros((0, 3))).shape == (0, 3)
    np.testing.assert_array_equal(project_conflicts(np.ones((1, 3))), np.ones((1, 3)))


def test_pcgrad_steps_along_projected_gradients():
    """The weighter against the function, over parameters of two shapes joined to one vector."""
    weights = {"a": 1.0, "b": 2.0, "c": 0.5}
    weigher = PCGrad(weights).start(seed=5)
    conflicts = 0
    for step in range(6):
        arrays = parameters(step)
        found = combine(weigher, arrays)
        rows = []
        for name, weight in weights.items():
            one = combine(PlainSum().start(seed=0), arrays, names=(name,)).gradients
            rows.append(weight * np.concatenate([one["x"], one["y"].ravel()]))
        rng = np.random.default_rng((5, step))
        order = [rng.permutation(np.delete(np.arange(3), i)) for i in range(3)]
        want = project_conflicts(rows, order=order).sum(axis=0)
        got = np.concatenate([found.gradients["x"], found.gradients["y"].ravel()])
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        assert found.weights == weights
        conflicts += not np.allclose(want, np.sum(rows, axis=0))
    assert conflicts


def test_pcgrad_never_works_against_a_pair():
    for seed in range(10):
        gradients = np.random.default_rng(seed).normal(size=(2, 4))
        combined = project_conflicts(gradients, seed=seed).sum(axis=0)
        assert (gradients @ combined >= -1e-6).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: WeightedSum({"a": -1.0}), InvalidArgumentError, "'a'"),
        (lambda: WeightedSum({"a": np.nan}), InvalidArgumentError, "'a'"),
        (lambda: WeightedSum({"a": "b"}), InvalidTypeError, "'a'"),
        (lambda: WeightedSum([1.0]), InvalidTypeError, "weights"),
        (lambda: UncertaintyWeights(lr=0.0), InvalidArgumentError, "lr"),
        (lambda: UncertaintyWeights(kinds={"a": "rank"}), InvalidArgumentError, "kinds"),
        (lambda: GradNorm(alpha=-1.0), InvalidArgumentError, "alpha"),
        (lambda: GradNorm(lr=-1.0), InvalidArgumentError, "lr"),
        (lambda: GradNorm(shared="x"), InvalidTypeError, "shared"),
        (lambda: PCGrad({"a": -1.0}), InvalidArgumentError, "'a'"),
        (lambda: uncertainty_loss({"a": 1.0}, {}), InvalidArgumentError, "'a'"),
        (lambda: project_conflicts([[np.nan, 1.0]]), InvalidArgumentError, "NaN"),
        (lambda: project_conflicts([1.0, 2.0]), InvalidArgumentError, "shape"),
        (lambda: project_conflicts("ab"), InvalidTypeError, "gradients"),
        (lambda: project_conflicts(np.eye(2), order=[[0], [0]]), InvalidArgumentError, "once"),
        (lambda: project_conflicts(np.eye(2), order=[[1, 0]]), InvalidArgumentError, "shape"),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_schedule_that_goes_below_zero_is_found_when_it_does():
    weigher = WeightedSum({"a": Linear(1.0, -1.0), "b": 1.0, "c": 1.0}).start(seed=0)
    combine(weigher, parameters(), at=0.25)
    with pytest.raises(InvalidArgumentError, match="'a'"):
        combine(weigher, parameters(), at=0.75)
