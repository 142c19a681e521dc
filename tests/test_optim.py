"""Optimisers against the golden trajectories, their state, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
import ruvector._core as core
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.optim import SGD, Adam, AdamW, Optimizer, SparseAdam, clip_by_norm, clip_by_value

GOLDEN = Path(__file__).parent / "golden"
CASES = [
    "sgd",
    "sgd_wd",
    "sgd_momentum",
    "sgd_dampening",
    "sgd_nesterov",
    "sgd_nesterov_wd",
    "adam",
    "adam_betas_eps",
    "adam_wd",
    "amsgrad",
    "amsgrad_betas",
    "adamw",
    "adamw_amsgrad",
]
MAKERS = {
    "sgd": lambda p: SGD(p, 0.1),
    "sgd_momentum": lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p: SGD(p, 0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: Adam(p, 0.1, weight_decay=0.1),
    "amsgrad": lambda p: Adam(p, 0.1, amsgrad=True),
    "adamw": lambda p: AdamW(p, 0.1, amsgrad=True),
}


@pytest.fixture
def threads():
    before = core.get_num_threads()
    yield core.set_num_threads
    core.set_num_threads(before)


def golden(case, suffix):
    with np.load(GOLDEN / f"optimizers{suffix}.npz") as file:
        prefix = f"{case}/"
        return {key.removeprefix(prefix): file[key] for key in file.files if key.startswith(prefix)}


def from_golden(case, data, params):
    lr, decay = float(data["lr"]), float(data["weight_decay"])
    if case.startswith("sgd"):
        return SGD(
            params,
            lr,
            momentum=float(data["momentum"]),
            dampening=float(data["dampening"]),
            nesterov=bool(data["nesterov"]),
            weight_decay=decay,
        )
    return (AdamW if case.startswith("adamw") else Adam)(
        params,
        lr,
        betas=(float(data["beta1"]), float(data["beta2"])),
        eps=float(data["eps"]),
        weight_decay=decay,
        amsgrad=bool(data["amsgrad"]),
    )


def tree(seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    shapes = {"weight": (7, 5), "bias": (5,), "scale": (), "none": (0, 3)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("suffix", "rtol", "atol"), [("", 1e-10, 1e-12), ("_f32", 2e-5, 2e-6)])
def test_golden_trajectories(case, suffix, rtol, atol):
    data = golden(case, suffix)
    weights = data["w0"].copy()
    optimizer = from_golden(case, data, {"w": weights})
    for gradient, expected in zip(data["gradients"], data["weights"], strict=True):
        optimizer.step({"w": gradient})
        np.testing.assert_allclose(weights, expected, rtol=rtol, atol=atol * np.abs(expected).max())
    assert weights.dtype == data["w0"].dtype


def test_every_golden_case_is_tried():
    with np.load(GOLDEN / "optimizers.npz") as file:
        assert {key.split("/")[0] for key in file.files} == set(CASES)


def test_every_compiled_optimizer_has_a_class():
    classes = {cls.name: cls for cls in (SGD, Adam, AdamW, SparseAdam)}
    assert sorted(classes) == sorted(core.optimizer_names())
    assert all(issubclass(cls, Optimizer) and "Examples" in cls.__doc__ for cls in classes.values())


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saved_state_continues_bit_equal(make, dtype):
    params = tree(0, dtype)
    optimizer = make(params)
    for seed in range(3):
        optimizer.step(tree(10 + seed, dtype))
    copies = {name: array.copy() for name, array in params.items()}
    state = optimizer.state_dict()
    plain = json.loads(json.dumps({k: v for k, v in state.items() if k != "arrays"}))
    again = make(copies)
    again.load_state_dict({**plain, "arrays": state["arrays"]})
    for seed in range(3):
        optimizer.step(tree(20 + seed, dtype))
        again.step(tree(20 + seed, dtype))
    assert again.steps == optimizer.steps == 6
    for name, array in params.items():
        assert array.tobytes() == copies[name].tobytes()


def test_saved_state_is_a_copy():
    params = tree(0)
    optimizer = Adam(params)
    optimizer.step(tree(1))
    state = optimizer.state_dict()
    before = {key: array.copy() for key, array in state["arrays"].items()}
    optimizer.step(tree(2))
    for key, array in before.items():
        np.testing.assert_array_equal(state["arrays"][key], array)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_threads_do_not_change_bits(make, threads):
    rng = np.random.default_rng(0)
    start, gradient = rng.normal(size=(2, 300_001)).astype(np.float32)
    results = []
    for count in (1, 2, 3):
        threads(count)
        weights = start.copy()
        optimizer = make(weights)
        for _ in range(3):
            optimizer.step(gradient)
        results.append(weights.tobytes())
    assert len(set(results)) == 1


def test_lists_arrays_and_mixed_dtypes_are_accepted():
    single, double = np.ones(3, np.float32), np.ones((2, 2))
    SGD([single, double], 0.5).step([np.ones(3, np.float32), np.ones((2, 2)).T])
    np.testing.assert_array_equal(single, np.full(3, 0.5, np.float32))
    np.testing.assert_array_equal(double, np.full((2, 2), 0.5))
    scalar = np.array(2.0)
    SGD(scalar, 0.5).step(np.float64(1.0))
    assert scalar == 1.5


def test_rates_can_change_between_steps():
    weights = np.array([1.0])
    optimizer = SGD(weights, 0.5)
    optimizer.lr = 0.25
    optimizer.weight_decay = 1.0
    optimizer.step(np.array([1.0]))
    assert weights[0] == 0.5
    optimizer.lr = 0
    optimizer.step(np.array([1.0]))
    assert weights[0] == 0.5
    for wrong in (-1.0, np.nan):
        with pytest.raises(InvalidArgumentError, match="lr"):
            optimizer.lr = wrong


def test_overrides_by_name():
    params = {"a": np.ones(1), "b": np.ones(1), "c": np.ones(1)}
    optimizer = SGD(params, 0.5, weight_decay=1.0, no_decay=["b"], lr_scale={"c": 0.5})
    optimizer.step({name: np.zeros(1) for name in params})
    assert (params["a"][0], params["b"][0], params["c"][0]) == (0.5, 1.0, 0.75)


def test_adam_survives_zero_gradients_with_tiny_eps():
    weights = np.ones(3, np.float32)
    Adam(weights, eps=1e-37).step(np.zeros(3, np.float32))
    np.testing.assert_array_equal(weights, 1.0)


def test_a_gradient_that_views_its_parameter_is_read_before_writing():
    weights = np.array([1.0, 2.0])
    SGD(weights, 0.5).step(weights[::-1])
    np.testing.assert_array_equal(weights, [0.0, 1.5])


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight": np.full((7, 5), np.nan, np.float32)}, InvalidArgumentError, r"'weight'.*nan"),
        ({"bias": np.float32([0, 0, np.inf, 0, 0])}, InvalidArgumentError, r"inf at \(2,\)"),
        ({"weight": np.zeros((5, 7), np.float32)}, InvalidArgumentError, r"shape \(5, 7\)"),
        ({"weight": np.zeros((7, 5))}, InvalidTypeError, "float64"),
        ({"bias": ["a"] * 5}, InvalidTypeError, "dtype"),
        ({"extra": np.zeros(3)}, InvalidArgumentError, "'extra'"),
        ({"bias": ...}, InvalidArgumentError, "lacks 'bias'"),
    ],
)
def test_a_bad_gradient_changes_nothing(make, change, error, message):
    params = tree(0)
    optimizer = make(params)
    optimizer.step(tree(1))
    copies = {name: array.copy() for name, array in params.items()}
    state = optimizer.state_dict()
    gradients = {k: v for k, v in {**tree(2), **change}.items() if v is not ...}
    with pytest.raises(error, match=message):
        optimizer.step(gradients)
    for name, array in copies.items():
        np.testing.assert_array_equal(params[name], array)
    after = optimizer.state_dict()
    assert after["steps"] == state["steps"] == 1
    for key, array in state["arrays"].items():
        np.testing.assert_array_equal(after["arrays"][key], array)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_an_unchecked_step_has_the_bits_of_a_checked_one(make):
    weights = [np.ones(70_000, np.float32) for _ in range(2)]
    gradient = np.random.default_rng(0).normal(size=70_000).astype(np.float32)
    for array, checked in zip(weights, (True, False), strict=True):
        optimizer = make(array)
        for _ in range(2):
            optimizer.step(gradient, check_finite=checked)
    assert np.array_equal(*weights)
    # What the check would have refused goes into the weights, and into those alone.
    gradient[5] = np.nan
    optimizer.step(gradient, check_finite=False)
    assert np.flatnonzero(~np.isfinite(weights[1])).tolist() == [5]
    with pytest.raises(InvalidTypeError, match="check_finite"):
        optimizer.step(gradient, check_finite="no")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_value_that_is_not_finite_is_found_wherever_it_is(dtype):
    largest = np.finfo(dtype).max
    gradient = np.full(40_000, largest, dtype)
    gradient[1::3], gradient[2::3] = -largest, np.finfo(dtype).smallest_subnormal
    assert core.first_not_finite(gradient) is None
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        for at in (0, 15, 16, 4095, 4096, 16_384, 39_999):
            spoiled = gradient.copy()
            spoiled[at] = spoiled[-1] = bad
            assert core.first_not_finite(spoiled) == at
    for count in range(70):
        spoiled = gradient[:count].copy()
        assert core.first_not_finite(spoiled) is None
        if count:
            spoiled[-1] = np.nan
            assert core.first_not_finite(spoiled) == count - 1


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({}, InvalidArgumentError, "no arrays"),
        ("weights", InvalidTypeError, "str"),
        ({1: np.ones(2)}, InvalidTypeError, "names must be strings"),
        ([[1.0, 2.0]], InvalidTypeError, "NumPy array"),
        ([np.ones(2, np.float16)], InvalidTypeError, "float16"),
        ([np.ones(2, np.int64)], InvalidTypeError, "int64"),
        ([np.ones(2, ">f4")], InvalidTypeError, ">f4"),
        ([np.ones((2, 3)).T], InvalidArgumentError, "C-contiguous"),
        ([np.broadcast_to(np.ones(()), (1,))], InvalidArgumentError, "read-only"),
    ],
)
def test_unusable_parameters_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        Adam(params)


def test_shared_memory_is_refused():
    weights = np.ones(6)
    with pytest.raises(InvalidArgumentError, match="share memory"):
        SGD({"a": weights[:4], "b": weights[3:]}, 0.1)
    SGD({"a": weights[:3], "b": weights[3:]}, 0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, 0.0), "lr"),
        (lambda p: Adam(p, -1.0), "lr"),
        (lambda p: Adam(p, np.nan), "lr"),
        (lambda p: SGD(p, 0.1, momentum=1.0), "momentum"),
        (lambda p: SGD(p, 0.1, momentum=-0.1), "momentum"),
        (lambda p: SGD(p, 0.1, nesterov=True), "nesterov"),
        (lambda p: SGD(p, 0.1, nesterov=True, momentum=0.9, dampening=0.1), "nesterov"),
        (lambda p: SGD(p, 0.1, weight_decay=-1), "weight_decay"),
        (lambda p: Adam(p, betas=(1.0, 0.9)), "betas"),
        (lambda p: Adam(p, betas=(0.9, -0.1)), "betas"),
        (lambda p: Adam(p, betas=(0.9,)), "betas"),
        (lambda p: Adam(p, eps=0.0), "eps"),
        (lambda p: AdamW(p, no_decay=["other"]), "no_decay names 'other'"),
        (lambda p: AdamW(p, lr_scale={"other": 2.0}), "lr_scale names 'other'"),
        (lambda p: AdamW(p, lr_scale={"w": -2.0}), "lr_scale"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make({"w": np.ones(2)})


def test_a_string_is_no_list_of_names():
    with pytest.raises(InvalidTypeError, match="no_decay"):
        AdamW({"w": np.ones(2)}, no_decay="w")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.pop("steps"),
        lambda s: s.update(steps=-1),
        lambda s: s.update(optimizer="adamw"),
        lambda s: s.update(settings=None),
        lambda s: s["settings"].update(amsgrad=True),
        lambda s: s["settings"].update(lr=-1.0),
        lambda s: s["settings"].pop("eps"),
        lambda s: s["arrays"].pop("first_moment/bias"),
        lambda s: s["arrays"].update({"first_moment/bias": np.zeros(4, np.float32)}),
        lambda s: s["arrays"].update({"second_moment/bias": np.zeros(5)}),
        lambda s: s["arrays"].update({"second_moment/bias": np.full(5, np.nan, np.float32)}),
    ],
)
def test_unfit_state_is_refused_and_changes_nothing(spoil):
    optimizer = Adam(tree(0))
    optimizer.step(tree(1))
    before = optimizer.state_dict()
    other = Adam(tree(5))
    other.step(tree(6))
    other.step(tree(7))
    state = other.state_dict()
    spoil(state)
    with pytest.raises(InvalidArgumentError):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["steps"] == 1
    assert after["settings"] == before["settings"]
    for key, array in before["arrays"].items():
        np.testing.assert_array_equal(after["arrays"][key], array)


def test_clip_by_norm_scales_all_together():
    gradients = tree(3, np.float64)
    flat = np.concatenate([g.ravel() for g in gradients.values()])
    clipped = clip_by_norm(gradients, 0.5)
    assert clipped.norm == pytest.approx(np.linalg.norm(flat), rel=1e-14)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(
            clipped.gradients[name], gradient * (0.5 / clipped.norm), rtol=1e-14
        )
    kept = clip_by_norm(gradients, 1e3)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(kept.gradients[name], gradient)


def test_clip_by_norm_of_large_float32_values_does_not_overflow():
    clipped = clip_by_norm([np.full(4, 1e30, np.float32)], 1.0)
    np.testing.assert_allclose(clipped.gradients["0"], 0.5, rtol=1e-6)
    assert clipped.gradients["0"].dtype == np.float32


def test_clip_by_value_limits_both_signs():
    gradients = tree(3)
    clipped = clip_by_value(gradients, 0.25)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(clipped.gradients[name], np.clip(gradient, -0.25, 0.25))
        assert clipped.gradients[name].dtype == np.float32


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value])
def test_clipping_refuses_bad_input(clip):
    with pytest.raises(InvalidArgumentError, match=r"'b'.*nan at \(1,\)"):
        clip({"a": np.ones(2), "b": np.array([0.0, np.nan])}, 1.0)
    with pytest.raises(InvalidTypeError, match="dtype"):
        clip([np.arange(3)], 1.0)
    with pytest.raises(InvalidArgumentError, match="max_"):
        clip([np.ones(3)], 0.0)
