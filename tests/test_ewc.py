"""Elastic weight consolidation over tasks: against closed forms, and saved and restored."""

import copy
import json
import pickle

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses import EWC, LayerEWC, fisher_diagonal

MAKERS = [
    lambda: EWC(3.0),
    lambda: EWC(3.0, decay=0.5),
    lambda: LayerEWC(2.0, groups={"head": ["w", "b"]}, bounds=(0.5, 4.0)),
    lambda: LayerEWC(2.0, decay=0.9),
]


def _params(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = {"w": (4, 3), "b": (3,), "t": ()}
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def _squares(seed, dtype=np.float64):
    return {name: np.asarray(array**2, dtype) for name, array in _params(seed).items()}


def _penalty(params, star, fisher, strengths):
    return sum(
        strengths[name] / 2 * np.sum(fisher[name] * (params[name] - star[name]) ** 2)
        for name in params
    )


def test_several_tasks_are_the_sum_of_their_quadratics():
    ewc = EWC(3.0)
    now = _params(9)
    want, slopes = 0.0, {name: np.zeros_like(array) for name, array in now.items()}
    assert ewc(now) == 0.0
    for task in range(3):
        star, fisher = _params(task), _squares(task + 10)
        ewc.add_task(star, fisher)
        want += _penalty(now, star, fisher, dict.fromkeys(now, 3.0))
        for name in now:
            slopes[name] = slopes[name] + 3.0 * fisher[name] * (now[name] - star[name])
    value, gradients = ewc.value_and_grad(now)
    assert ewc.num_tasks == 3
    assert ewc(now) == value
    np.testing.assert_allclose(value, want, rtol=1e-13)
    for name, slope in slopes.items():
        assert gradients[name].shape == slope.shape
        np.testing.assert_allclose(gradients[name], slope, rtol=1e-12)


def test_online_importance_decays_and_the_latest_parameters_count():
    ewc = EWC(3.0, decay=0.5)
    now, fisher = _params(9), None
    for task in range(3):
        new = _squares(task + 10)
        ewc.add_task(_params(task), new)
        fisher = new if fisher is None else {n: new[n] + 0.5 * fisher[n] for n in new}
    want = _penalty(now, _params(2), fisher, dict.fromkeys(now, 3.0))
    np.testing.assert_allclose(ewc(now), want, rtol=1e-13)
    assert len([key for key in ewc.state_dict()["arrays"] if key.endswith("/w")]) == 2
    assert ewc.num_tasks == 3


def test_layers_have_strengths_of_their_own_within_bounds():
    ewc = LayerEWC(2.0, groups={"head": ["w", "b"]}, bounds=(0.5, 4.0))
    for scale in (1.0, 100.0, 1e-6):
        star, fisher = _params(0), {n: scale * a for n, a in _squares(1).items()}
        ewc.add_task(star, fisher)
        head = np.mean(np.r_[fisher["w"].ravel(), fisher["b"]])
        strengths = ewc.strengths[-1]
        assert strengths["w"] == strengths["b"]
        np.testing.assert_allclose(strengths["w"], np.clip(2 * head, 0.5, 4.0), rtol=1e-12)
        np.testing.assert_allclose(strengths["t"], np.clip(2 * fisher["t"], 0.5, 4.0), rtol=1e-12)
        one = LayerEWC(2.0, groups={"head": ["w", "b"]}, bounds=(0.5, 4.0))
        one.add_task(star, fisher)
        want = _penalty(_params(5), star, fisher, strengths)
        np.testing.assert_allclose(one(_params(5)), want, rtol=1e-12)


@pytest.mark.parametrize("make", MAKERS)
def test_gradients_equal_central_differences(make):
    ewc = make()
    for task in range(3):
        ewc.add_task(_params(task), _squares(task + 10))
    now, way = _params(7), _params(8)
    gradients = ewc.value_and_grad(now).gradients
    ends = [ewc({n: now[n] + sign * 1e-6 * way[n] for n in now}) for sign in (1, -1)]
    slope = sum(np.sum(gradients[name] * way[name]) for name in now)
    np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, slope, rtol=1e-6)


def test_a_mean_over_samples_is_not_the_square_of_the_mean():
    rng = np.random.default_rng(0)
    batch = {"w": rng.standard_normal((32, 4, 3)), "b": rng.standard_normal((32, 3))}
    want = {name: np.mean(array**2, axis=0) for name, array in batch.items()}
    from_batch = fisher_diagonal(batch)
    one_by_one = fisher_diagonal({n: a[i] for n, a in batch.items()} for i in range(32))
    for name, array in batch.items():
        np.testing.assert_allclose(from_batch[name], want[name], rtol=1e-14)
        np.testing.assert_allclose(one_by_one[name], want[name], rtol=1e-14)
        assert np.mean(want[name]) > 5 * np.mean(array.mean(axis=0) ** 2)


def test_two_tasks_of_linear_regression_end_at_the_posterior_mean():
    """Orthogonal inputs make the Fisher information diagonal, so that EWC is exact."""
    rng = np.random.default_rng(0)
    tasks = []
    for scale in (np.array([3.0, 0.1, 1.0]), np.array([0.2, 2.0, 1.0])):
        q, _ = np.linalg.qr(rng.standard_normal((40, 3)))
        x = q * scale * np.sqrt(40)
        tasks.append((x, x @ rng.standard_normal(3) + rng.standard_normal(40)))
    (x1, y1), (x2, y2) = tasks
    theta = np.linalg.lstsq(x1, y1, rcond=None)[0]
    # Labels drawn from the model: noise of ±1 has the variance 1 that the likelihood says.
    noise = rng.choice([-1.0, 1.0], 40)
    ewc = EWC(strength=len(x1))
    ewc.add_task({"theta": theta}, fisher_diagonal({"theta": noise[:, None] * x1}))
    rate = 0.9 / (np.linalg.norm(x2, 2) ** 2 + 40 * np.mean(x1**2, axis=0).max())
    for _ in range(3000):
        penalty = ewc.value_and_grad({"theta": theta}).gradients["theta"]
        theta = theta - rate * (x2.T @ (x2 @ theta - y2) + penalty)
    x, y = np.r_[x1, x2], np.r_[y1, y2]
    np.testing.assert_allclose(theta, np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-9)
    alone = np.linalg.lstsq(x2, y2, rcond=None)[0]
    assert np.abs(alone - theta).max() > 0.1


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_state_survives_saving(make, dtype, tmp_path):
    ewc = make()
    for task in range(2):
        ewc.add_task(_params(task, dtype), _squares(task + 10))
    now = _params(7, dtype)
    want = ewc.value_and_grad(now)
    assert all(gradient.dtype == dtype for gradient in want.gradients.values())
    state = ewc.state_dict()
    np.savez(tmp_path / "state.npz", **state["arrays"])
    rest = json.loads(json.dumps({key: state[key] for key in ("settings", "num_tasks")}))
    restored = make()
    with np.load(tmp_path / "state.npz") as arrays:
        restored.load_state_dict(rest | {"arrays": dict(arrays)})
    for twin in (restored, pickle.loads(pickle.dumps(ewc)), copy.deepcopy(ewc)):
        got = twin.value_and_grad(now)
        assert got.value == want.value
        assert all(np.array_equal(got.gradients[n], want.gradients[n]) for n in now)
        assert twin.num_tasks == 2
        twin.add_task(_params(5, dtype), _squares(5))
        assert twin(now) != want.value
    assert ewc(now) == want.value


def test_what_is_remembered_is_a_copy():
    ewc, star, fisher = EWC(), _params(0), _squares(1)
    ewc.add_task(star, fisher)
    before = ewc(_params(2))
    for arrays in (star, fisher, ewc.state_dict()["arrays"]):
        for array in arrays.values():
            array[...] += 1.0
    assert ewc(_params(2)) == before


def test_parameters_that_no_task_knows_are_free():
    ewc = EWC()
    ewc.add_task({"w": np.zeros(2)}, {"w": np.ones(2)})
    value, gradients = ewc.value_and_grad({"w": np.ones(2), "new": np.ones((2, 2))})
    assert value == 1.0
    assert not gradients["new"].any()


W = np.ones(2)
BAD_TASKS = [
    ({"w": W}, {"v": W}, InvalidArgumentError, "fisher names"),
    ({"w": W}, {"w": np.ones(3)}, InvalidArgumentError, "has shape"),
    ({"w": W}, {"w": -W}, InvalidArgumentError, "negative"),
    ({"w": W}, {"w": np.array([1, np.nan])}, InvalidArgumentError, "NaN"),
    ({"w": W * np.inf}, {"w": W}, InvalidArgumentError, "NaN"),
    ({"w": W.astype(np.float32)}, {"w": W * 1e300}, InvalidArgumentError, "infinity"),
    ({"w": "a"}, {"w": W}, InvalidTypeError, "w has dtype"),
    ({"w": W}, {"w": ["a", "b"]}, InvalidTypeError, "fisher"),
]


@pytest.mark.parametrize(("params", "fisher", "error", "message"), BAD_TASKS)
def test_tasks_that_do_not_fit_change_nothing(params, fisher, error, message):
    ewc = EWC()
    ewc.add_task({"w": np.zeros(2)}, {"w": W})
    with pytest.raises(error, match=message):
        ewc.add_task(params, fisher)
    assert ewc.num_tasks == 1
    assert ewc({"w": W}) == 1.0


def test_online_tasks_must_have_the_same_parameters():
    ewc = EWC(decay=1.0)
    ewc.add_task({"w": W}, {"w": W})
    with pytest.raises(InvalidArgumentError, match="equal"):
        ewc.add_task({"w": np.ones(3)}, {"w": np.ones(3)})
    assert ewc({"w": 2 * W}) == 1.0


def test_parameters_that_do_not_fit_are_refused():
    ewc = EWC()
    ewc.add_task({"w": W}, {"w": W})
    for call in (ewc, ewc.value_and_grad):
        with pytest.raises(InvalidArgumentError, match="lacks 'w'"):
            call({"v": W})
        with pytest.raises(InvalidArgumentError, match="has shape"):
            call({"w": np.ones(3)})
        with pytest.raises(InvalidArgumentError, match="NaN"):
            call({"w": np.array([np.nan, 1])})


@pytest.mark.parametrize(
    ("gradients", "error"),
    [
        ([], InvalidArgumentError),
        ({}, InvalidArgumentError),
        ({"w": np.ones(())}, InvalidArgumentError),
        ({"w": np.ones((0, 3))}, InvalidArgumentError),
        ({"w": np.ones((2, 3)), "b": np.ones((3, 3))}, InvalidArgumentError),
        ([{"w": W}, {"v": W}], InvalidArgumentError),
        ([{"w": W}, {"w": np.ones(3)}], InvalidArgumentError),
        ({"w": np.array([[np.nan]])}, InvalidArgumentError),
        ([W], InvalidTypeError),
        ({"w": ["a"]}, InvalidTypeError),
    ],
)
def test_gradients_that_do_not_fit_are_refused(gradients, error):
    with pytest.raises(error):
        fisher_diagonal(gradients)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EWC(-1.0),
        lambda: EWC(np.nan),
        lambda: EWC("a"),
        lambda: EWC(decay=1.5),
        lambda: EWC(decay=-0.1),
        lambda: LayerEWC(-1.0),
        lambda: LayerEWC(bounds=(2.0, 1.0)),
        lambda: LayerEWC(bounds=3.0),
        lambda: LayerEWC(groups={"a": ["w"], "b": ["w"]}),
        lambda: LayerEWC(groups={"a": "w"}),
    ],
)
def test_options_outside_their_range_are_refused(make):
    with pytest.raises((InvalidArgumentError, InvalidTypeError)):
        make()


def test_a_state_of_other_settings_or_parts_is_refused():
    ewc = EWC(2.0)
    ewc.add_task({"w": W}, {"w": W})
    state = ewc.state_dict()
    other = EWC(2.0)
    for bad in (
        {key: state[key] for key in ("settings", "arrays")},
        state | {"settings": EWC(3.0).state_dict()["settings"]},
        state | {"settings": LayerEWC().state_dict()["settings"]},
        state | {"arrays": {"star/0/w": W}},
        state | {"arrays": {"star/0/w": W, "fisher/0/w": np.ones(3)}},
        state | {"arrays": {"other/0/w": W}},
        state | {"arrays": {"star/x/w": W}},
    ):
        with pytest.raises(InvalidArgumentError, match="state"):
            other.load_state_dict(bad)
        assert other.num_tasks == 0
        assert other({"w": np.zeros(2)}) == 0.0
