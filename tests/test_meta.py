"""Meta-gradients against closed forms and differences, and sinusoids learned from five points."""

import numpy as np
import pytest
from ruvector.autograd import (
    Variable,
    add,
    concat,
    constant,
    matmul,
    mean,
    multiply,
    normalize_rows,
    scale,
    subtract,
    tanh,
    total,
)
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.meta import MAML, MetaTask, Reptile
from ruvector.optim import Adam

NETWORK = {"a": (1, 20), "b": (20,), "c": (20, 20), "d": (20,), "e": (20, 1), "f": (1,)}


def _start(seed):
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(shape) * (shape[0] ** -0.5 if len(shape) == 2 else 0.1)
        for name, shape in NETWORK.items()
    }


def _regression(variables, batch):
    """Mean squared error of a perceptron with two hidden layers."""
    x, y = batch
    hidden = tanh(add(matmul(constant(x), variables["a"]), variables["b"]))
    hidden = tanh(add(matmul(hidden, variables["c"]), variables["d"]))
    off = subtract(add(matmul(hidden, variables["e"]), variables["f"]), constant(y))
    return mean(multiply(off, off))


def _sinusoids(rng, count, points=5):
    """Tasks of Finn et al.: amplitudes 0.1 to 5, phases 0 to π, x from -5 to 5."""
    for _ in range(count):
        amplitude, phase = rng.uniform(0.1, 5), rng.uniform(0, np.pi)
        x = rng.uniform(-5, 5, (2, points, 1))
        y = amplitude * np.sin(x - phase)
        yield MetaTask((x[0], y[0]), (x[1], y[1]))


def _bowl(variables, target):
    """(x - t)ᵀ diag(1, 3) (x - t) / 2."""
    off = subtract(variables["x"], constant(target))
    return scale(total(multiply(constant(np.array([1.0, 3.0])), multiply(off, off))), 0.5)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("first_order", [False, True])
def test_a_bowl_gives_the_product_of_what_its_curvature_leaves(steps, first_order):
    """(I - αH)ᵏ of the query gradient; without the factor in first order."""
    curvature, rate = np.array([1.0, 3.0]), 0.2
    left = (1 - rate * curvature) ** steps
    x, support, query = np.array([[0.5, -1.0], [2.0, 1.0], [1.5, 0.0]])
    adapted = support + left * (x - support)
    want = curvature * (adapted - query) * (1 if first_order else left)
    maml = MAML(_bowl, inner_lr=rate, inner_steps=steps, first_order=first_order)
    result = maml.value_and_grad({"x": x}, [MetaTask(support, query)])
    np.testing.assert_allclose(maml.adapt({"x": x}, support)["x"], adapted, rtol=1e-13)
    np.testing.assert_allclose(result.gradients["x"], want, rtol=1e-13)
    np.testing.assert_allclose(result.value, np.sum(curvature * (adapted - query) ** 2) / 2)
    np.testing.assert_allclose(result.unadapted, np.sum(curvature * (x - query) ** 2) / 2)


def test_the_second_order_gradient_is_that_of_the_adapted_loss():
    weights, tasks = _start(0), list(_sinusoids(np.random.default_rng(1), 3))
    maml = MAML(_regression, inner_lr=0.05, inner_steps=3)
    result = maml.value_and_grad(weights, tasks)
    rng, step = np.random.default_rng(2), 1e-5
    for name, array in weights.items():
        direction = rng.standard_normal(array.shape)
        ends = [
            maml.value_and_grad(weights | {name: array + sign * step * direction}, tasks).value
            for sign in (1, -1)
        ]
        want = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(np.sum(result.gradients[name] * direction), want, rtol=1e-6)
    first = MAML(_regression, inner_lr=0.05, inner_steps=3, first_order=True)
    other = first.value_and_grad(weights, tasks)
    assert other.value == pytest.approx(result.value, rel=1e-12)
    assert not np.allclose(other.gradients["c"], result.gradients["c"], rtol=1e-2)


@pytest.mark.parametrize(
    "learner",
    [
        MAML(_regression, inner_lr=0.05, inner_steps=1),
        MAML(_regression, inner_lr=0.05, inner_steps=3, first_order=True),
        Reptile(_regression, inner_lr=0.05, inner_steps=6),
    ],
)
def test_sinusoids_are_learned_from_five_points(learner):
    weights, rng = _start(0), np.random.default_rng(3)
    new = list(_sinusoids(np.random.default_rng(4), 100))
    before = learner.value_and_grad(weights, new)
    optimizer = Adam(weights, lr=0.01)
    for _ in range(120):
        tasks = list(_sinusoids(rng, 8, points=10))
        optimizer.step(learner.value_and_grad(weights, tasks).gradients)
    after = learner.value_and_grad(weights, new)
    assert after.value < 0.9 * after.unadapted
    assert after.value < 0.9 * before.value


def test_later_steps_need_no_more_derivatives_than_the_first():
    """The gradient of `concat` is a slice, which itself goes only once."""

    def loss(variables, batch):
        off = subtract(concat([variables["a"], variables["b"]]), constant(batch))
        return total(multiply(off, off))

    rng = np.random.default_rng(0)
    weights = {"a": rng.standard_normal((2, 3)), "b": rng.standard_normal((2, 1))}
    support, query = rng.standard_normal((2, 2, 4))
    result = MAML(loss, inner_lr=0.1, inner_steps=3).value_and_grad(
        weights, [MetaTask(support, query)]
    )
    left = (1 - 2 * 0.1) ** 3
    start = np.concatenate([weights["a"], weights["b"]], axis=1)
    want = left * 2 * (support + left * (start - support) - query)
    np.testing.assert_allclose(result.gradients["a"], want[:, :3], rtol=1e-12)
    np.testing.assert_allclose(result.gradients["b"], want[:, 3:], rtol=1e-12)


def test_reptile_points_from_the_mean_of_the_adapted_weights():
    weights, tasks = _start(0), list(_sinusoids(np.random.default_rng(1), 3))
    reptile = Reptile(_regression, inner_lr=0.05, inner_steps=4)
    result = reptile.value_and_grad(weights, tasks)
    adapted = [reptile.adapt(weights, task.support) for task in tasks]
    for name, array in weights.items():
        want = array - np.mean([w[name] for w in adapted], axis=0)
        np.testing.assert_allclose(result.gradients[name], want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("learner", [MAML(_regression), Reptile(_regression)])
def test_weights_stay_as_they_are_and_keep_their_dtype(learner):
    weights = {name: array.astype(np.float32) for name, array in _start(0).items()}
    kept = {name: array.copy() for name, array in weights.items()}
    tasks = [
        MetaTask(*(tuple(a.astype(np.float32) for a in batch) for batch in task))
        for task in _sinusoids(np.random.default_rng(1), 2)
    ]
    result = learner.value_and_grad(weights, tasks)
    for name, array in kept.items():
        assert np.array_equal(weights[name], array)
        assert result.gradients[name].dtype == np.float32
    assert learner.adapt(weights, tasks[0].support)["a"].dtype == np.float32


def test_a_weight_that_the_loss_does_not_read_stays():
    weights = {"x": np.ones(2), "idle": np.ones(3)}
    task = MetaTask(np.zeros(2), np.zeros(2))
    for learner in (MAML(_bowl), MAML(_bowl, first_order=True), Reptile(_bowl)):
        assert np.array_equal(learner.adapt(weights, task.support)["idle"], np.ones(3))
        assert not np.shares_memory(learner.adapt(weights, task.support)["idle"], weights["idle"])
        gradients = learner.value_and_grad(weights, [task]).gradients
        assert np.array_equal(gradients["idle"], np.zeros(3))


def test_an_operation_without_second_derivative_needs_first_order():
    def loss(variables, batch):
        return total(multiply(normalize_rows(variables["x"]), constant(batch)))

    weights, task = {"x": np.eye(2) + 1}, MetaTask(np.eye(2), np.eye(2))
    with pytest.raises(InvalidArgumentError, match="no second derivative"):
        MAML(loss).value_and_grad(weights, [task])
    assert np.any(MAML(loss, first_order=True).value_and_grad(weights, [task]).gradients["x"])


@pytest.mark.parametrize("learner", [MAML(_bowl), Reptile(_bowl)])
def test_what_cannot_be_learned_from_is_refused(learner):
    with pytest.raises(InvalidArgumentError, match="tasks is empty"):
        learner.value_and_grad({"x": np.zeros(2)}, [])
    with pytest.raises(InvalidArgumentError, match="loss is nan"):
        learner.adapt({"x": np.zeros(2)}, np.full(2, np.nan))
    vectors = type(learner)(lambda _, batch: Variable(batch))
    with pytest.raises(InvalidArgumentError, match=r"shape \(2,\) but must be a scalar"):
        vectors.adapt({"x": np.zeros(2)}, np.zeros(2))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"x": np.zeros(2, int)}, r"weights\['x'\] is of int64"),
        ({"x": np.zeros(2, np.float16)}, "float16 .* float32 or float64"),
        ({"x": np.zeros(2), "idle": [1.0]}, r"weights\['idle'\] is a list"),
        ([np.zeros(2)], "weights is a list"),
    ],
)
@pytest.mark.parametrize("learner", [MAML(_bowl), MAML(_bowl, first_order=True), Reptile(_bowl)])
def test_weights_are_floats_by_name(learner, weights, message):
    with pytest.raises(InvalidTypeError, match=message):
        learner.adapt(weights, np.ones(2))
    with pytest.raises(InvalidTypeError, match=message):
        learner.value_and_grad(weights, [MetaTask(np.ones(2), np.ones(2))])


@pytest.mark.parametrize("kind", [MAML, Reptile])
@pytest.mark.parametrize(
    "options",
    [{"inner_lr": -1.0}, {"inner_lr": np.inf}, {"inner_lr": "a"}, {"inner_steps": 0}, {"loss": 3}],
)
def test_options_outside_their_range_are_refused(kind, options):
    with pytest.raises((InvalidArgumentError, InvalidTypeError), match=next(iter(options))):
        kind(**({"loss": _bowl} | options))
