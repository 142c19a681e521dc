"""Each operation's gradient against central differences, and how gradients are passed on."""

import numpy as np
import pytest
from ruvector import autograd
from ruvector.autograd import Variable, backward, constant, ops
from ruvector.errors import InvalidArgumentError
from ruvector.losses import CCASSGLoss, InBatchInfoNCELoss, InfoNCELoss
from ruvector.sparse import CSR

RNG = np.random.default_rng(0)
SPARSE = CSR.from_dense(RNG.standard_normal((5, 4)) * (RNG.random((5, 4)) < 0.5))


def _normal(*shape):
    return RNG.standard_normal(shape)


def _with_zero_row():
    x = _normal(4, 3)
    x[2] = 0
    return x


def _away_from_zero(*shape):
    x = _normal(*shape)
    return x + np.copysign(0.1, x)


def _dropout(x):
    return ops.dropout(x, 0.4, rng=np.random.default_rng(3))


CASES = {
    "matmul": (ops.matmul, [_normal(4, 3), _normal(3, 5)]),
    "sparse_matmul": (lambda x: ops.sparse_matmul(SPARSE, x), [_normal(4, 3)]),
    "add": (ops.add, [_normal(4, 3), _normal(4, 3)]),
    "add-row": (ops.add, [_normal(4, 3), _normal(3)]),
    "add-column": (ops.add, [_normal(4, 1), _normal(4, 3)]),
    "add-outer": (ops.add, [_normal(4, 1), _normal(1, 3)]),
    "add-scalar": (ops.add, [_normal(), _normal(2, 4, 3)]),
    "add-one": (ops.add, [_normal(1, 3), _normal(1, 1)]),
    "scale": (lambda x: ops.scale(x, -2.5), [_normal(4, 3)]),
    "relu": (ops.relu, [_away_from_zero(5, 4)]),
    "tanh": (ops.tanh, [_normal(5, 4)]),
    "gather": (lambda x: ops.gather(x, np.array([3, 0, 3, 3, 1])), [_normal(5, 3)]),
    "gather-none": (lambda x: ops.gather(x, np.array([], np.int64)), [_normal(5, 3)]),
    "reshape": (lambda x: ops.reshape(x, (2, 2, -1)), [_normal(4, 3)]),
    "concat": (lambda *x: ops.concat(x), [_normal(4, 3), _normal(4, 1), _normal(4, 2)]),
    "normalize_rows": (ops.normalize_rows, [_normal(4, 3)]),
    "standardize": (ops.standardize, [_normal(6, 3)]),
    "standardize-eps": (lambda x: ops.standardize(x, eps=0.5), [_normal(6, 3)]),
    "dropout": (_dropout, [_normal(6, 5)]),
    "loss_node": (
        lambda *x: ops.loss_node(InfoNCELoss(0.5), x),
        [_normal(4, 3), _normal(4, 3), _normal(4, 2, 3)],
    ),
    "loss_node-sum": (
        lambda *x: ops.loss_node(InBatchInfoNCELoss(0.5, "sum"), x, ids=[0, 1, 0, 2]),
        [_normal(4, 3), _normal(4, 3)],
    ),
}


def _differences(function, arrays, which, weights, step=1e-6):
    gradient = np.zeros_like(arrays[which])
    for place in np.ndindex(gradient.shape):
        ends = []
        for sign in (1, -1):
            moved = [array.copy() for array in arrays]
            moved[which][place] += sign * step
            ends.append(np.sum(function(*map(constant, moved)).value * weights))
        gradient[place] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def test_every_operation_has_a_case():
    assert {name.partition("-")[0] for name in CASES} == set(ops.__all__)
    assert set(ops.__all__) | {"Variable", "backward", "constant", "record"} == set(
        autograd.__all__
    )


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_central_differences(name):
    function, arrays = CASES[name]
    variables = [Variable(array) for array in arrays]
    output = function(*variables)
    weights = np.random.default_rng(1).standard_normal(output.shape)
    kept = weights.copy()
    backward(output, weights)
    for which, variable in enumerate(variables):
        assert variable.grad.shape == variable.shape
        assert variable.grad.dtype == np.float64
        want = _differences(function, arrays, which, weights)
        np.testing.assert_allclose(variable.grad, want, rtol=1e-6, atol=1e-8)
    assert np.array_equal(weights, kept)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32(name):
    function, arrays = CASES[name]
    variables = [Variable(array.astype(np.float32)) for array in arrays]
    if name == "sparse_matmul":
        output = ops.sparse_matmul(SPARSE.astype(np.float32), *variables)
    else:
        output = function(*variables)
    assert output.value.dtype == np.float32
    backward(output, np.ones_like(output.value))
    assert {variable.grad.dtype for variable in variables} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", CASES)
def test_each_input_alone_gets_the_gradient_it_gets_among_all(name):
    function, arrays = CASES[name]
    together = [Variable(array) for array in arrays]
    output = function(*together)
    backward(output, np.ones_like(output.value))
    for which, array in enumerate(arrays):
        alone = [constant(other) for other in arrays]
        alone[which] = Variable(array)
        output = function(*alone)
        backward(output, np.ones_like(output.value))
        assert np.array_equal(alone[which].grad, together[which].grad)
        assert all(v.grad is None for i, v in enumerate(alone) if i != which)


def test_a_zero_row_stays_zero_and_gets_no_gradient():
    x = Variable(_with_zero_row())
    output = ops.normalize_rows(x)
    np.testing.assert_allclose(np.linalg.norm(output.value, axis=1), [1, 1, 0, 1])
    weights = _normal(4, 3)
    backward(output, weights)
    assert np.array_equal(x.grad[2], np.zeros(3))
    want = _differences(ops.normalize_rows, [x.value], 0, weights)
    np.testing.assert_allclose(x.grad[[0, 1, 3]], want[[0, 1, 3]], atol=1e-8)


def test_the_derivative_of_relu_at_the_kink_is_0():
    x = Variable(np.array([[-1.0, 0.0, 2.0]]))
    backward(ops.relu(x), np.ones((1, 3)))
    assert x.grad.tolist() == [[0, 0, 1]]


def test_standardize_gives_mean_0_and_variance_1():
    x = _normal(50, 4) * [1, 10, 100, 0] + 7
    value = ops.standardize(constant(x)).value
    np.testing.assert_allclose(value.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(value.var(axis=0), [1, 1, 1, 0], rtol=1e-4)


def test_dropout_keeps_the_mean_and_does_nothing_without_a_generator():
    x = Variable(np.ones((200, 50)))
    assert ops.dropout(x, 0.4, rng=None) is x
    assert ops.dropout(x, 0, rng=np.random.default_rng(0)) is x
    value = _dropout(x).value
    assert sorted(set(value.ravel())) == [0, 1 / 0.6]
    assert abs(value.mean() - 1) < 0.03
    assert np.array_equal(value, _dropout(x).value)


def test_a_variable_used_twice_gets_the_sum():
    x = Variable(_normal(3, 3))
    backward(ops.matmul(x, x), np.ones((3, 3)))
    ones = np.ones((3, 3))
    np.testing.assert_allclose(x.grad, ones @ x.value.T + x.value.T @ ones)


def test_a_result_used_twice_passes_on_the_sum():
    arrays = [_normal(4, 3), _normal(3, 3)]

    def function(x, w):
        hidden = ops.tanh(ops.matmul(x, w))
        joined = ops.add(ops.relu(hidden), ops.matmul(hidden, w))
        return ops.add(joined, ops.scale(hidden, 3))

    variables = [Variable(array) for array in arrays]
    weights = _normal(4, 3)
    backward(function(*variables), weights)
    for which, variable in enumerate(variables):
        want = _differences(function, arrays, which, weights)
        np.testing.assert_allclose(variable.grad, want, rtol=1e-6, atol=1e-8)


def test_a_second_call_overwrites_gradients():
    x = Variable(_normal(2, 2))
    output = ops.add(x, x)
    for factor in (1, 5):
        backward(output, np.full((2, 2), float(factor)))
        assert np.array_equal(x.grad, np.full((2, 2), 2.0 * factor))


def test_constants_get_no_gradient():
    x, w = constant(_normal(4, 3)), Variable(_normal(3, 2))
    hidden = ops.tanh(x)
    assert not hidden.needs_grad
    backward(ops.matmul(hidden, w), np.ones((4, 2)))
    assert x.grad is None
    assert hidden.grad is None
    assert w.grad is not None


def test_long_chains_need_no_recursion():
    x = Variable(np.ones((1, 1)))
    output = x
    for _ in range(5000):
        output = ops.scale(output, 1.0)
    backward(output)
    assert x.grad.tolist() == [[1.0]]


def test_only_a_scalar_output_can_do_without_a_gradient():
    x = Variable(_normal(2, 2))
    with pytest.raises(InvalidArgumentError, match=r"shape \(2, 2\)"):
        backward(ops.tanh(x))
    assert x.grad is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loss_node_has_the_gradients_of_its_loss(dtype):
    arrays = [_normal(6, 4).astype(dtype) for _ in range(2)]
    exclude = (np.array([0, 1, 1, 1, 1, 1, 1]), np.array([3]))
    for loss, options in (
        (CCASSGLoss(), {}),
        (InBatchInfoNCELoss(0.3, mode="oneway"), {"exclude": exclude}),
    ):
        variables = [Variable(array) for array in arrays]
        output = ops.loss_node(loss, variables, **options)
        want = loss.value_and_grad(*arrays, **options)
        assert output.shape == ()
        assert output.value == dtype(want.value)
        backward(output)
        for variable, gradient in zip(variables, want.gradients, strict=False):
            assert np.array_equal(variable.grad, gradient)
        backward(ops.scale(output, -2.0))
        for variable, gradient in zip(variables, want.gradients, strict=False):
            assert np.array_equal(variable.grad, -2 * gradient)


def test_operands_that_do_not_fit_raise():
    a, b = Variable(_normal(4, 3)), Variable(_normal(4, 3))
    with pytest.raises(InvalidArgumentError, match="inner dimensions"):
        ops.matmul(a, b)
    with pytest.raises(InvalidArgumentError, match="needs 4 rows"):
        ops.sparse_matmul(SPARSE, Variable(_normal(3, 2)))
