"""Gradients that are themselves programs: their values and their own gradients."""

import numpy as np
import pytest
from ruvector.autograd import (
    Variable,
    add,
    backward,
    constant,
    gradients,
    matmul,
    multiply,
    softmax,
    tanh,
    total,
)
from ruvector.errors import InvalidArgumentError
from test_autograd import CASES

ONCE = {  # fused kernels, and operations that nobody has differentiated twice so far
    "edge_products",
    "elu",
    "layer_norm",
    "loss_node",
    "normalize_rows",
    "prelu",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
    "standardize",
    "take_slice",
    "weighted_matmul",
}
TWICE = [name for name in CASES if name.partition("-")[0] not in ONCE]


def _weighted(function, variables, weights):
    return total(multiply(function(*variables), constant(weights)))


def _slopes(function, arrays, weights):
    variables = [Variable(array) for array in arrays]
    backward(_weighted(function, variables, weights))
    return [variable.grad for variable in variables]


@pytest.mark.parametrize("name", TWICE)
def test_second_derivatives_equal_differences_of_first_ones(name):
    function, arrays = CASES[name]
    rng = np.random.default_rng(2)
    weights = rng.standard_normal(function(*map(constant, arrays)).shape)
    directions = [rng.standard_normal(array.shape) for array in arrays]
    variables = [Variable(array) for array in arrays]
    slopes = gradients(_weighted(function, variables, weights), variables)
    for slope, want in zip(slopes, _slopes(function, arrays, weights), strict=True):
        np.testing.assert_allclose(slope.value, want, rtol=1e-12, atol=1e-14)
    along = constant(np.zeros(()))
    for slope, direction in zip(slopes, directions, strict=True):
        along = add(along, total(multiply(slope, constant(direction))))
    backward(along)
    step = 1e-6
    ahead, behind = (
        _slopes(
            function,
            [a + sign * step * d for a, d in zip(arrays, directions, strict=True)],
            weights,
        )
        for sign in (1, -1)
    )
    for variable, after, before in zip(variables, ahead, behind, strict=True):
        got = np.zeros(variable.shape) if variable.grad is None else variable.grad
        np.testing.assert_allclose(got, (after - before) / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", sorted(set(CASES) - set(TWICE)))
def test_operations_that_go_only_once_say_so(name):
    function, arrays = CASES[name]
    variables = [Variable(array) for array in arrays]
    with pytest.raises(InvalidArgumentError, match="no second derivative"):
        gradients(total(function(*variables)), variables)


def test_the_product_with_the_hessian_of_a_network():
    """Against the whole matrix of second differences."""
    rng = np.random.default_rng(0)
    x, start = rng.standard_normal((6, 3)), rng.standard_normal((3, 2))
    direction = rng.standard_normal((3, 2))

    def output(w):
        hidden = tanh(matmul(constant(x), w))
        return total(multiply(softmax(hidden), hidden))

    w = Variable(start)
    (slope,) = gradients(output(w), [w])
    backward(total(multiply(slope, constant(direction))))
    step, want = 1e-4, np.zeros_like(start)
    for i in np.ndindex(start.shape):
        for j in np.ndindex(start.shape):
            corners = 0.0
            for a in (1, -1):
                for b in (1, -1):
                    moved = start.copy()
                    moved[i] += a * step
                    moved[j] += b * step
                    corners += a * b * float(output(constant(moved)).value)
            want[i] += corners / (4 * step**2) * direction[j]
    np.testing.assert_allclose(w.grad, want, rtol=1e-5, atol=1e-6)


def test_an_input_that_does_not_matter_gets_zeros_and_none_is_changed():
    x, y = Variable(np.ones(2)), Variable(np.ones((2, 3)))
    slopes = gradients(total(multiply(x, x)), [y, x])
    assert np.array_equal(slopes[0].value, np.zeros((2, 3)))
    assert np.array_equal(slopes[1].value, [2.0, 2.0])
    assert x.grad is None


def test_an_input_may_be_made_of_another():
    x = Variable(np.array([3.0]))
    y = multiply(x, x)
    slopes = gradients(total(multiply(y, x)), [x, y])
    assert [slope.value.tolist() for slope in slopes] == [[27.0], [3.0]]


def test_only_scalars_have_gradients():
    x = Variable(np.ones(2))
    with pytest.raises(InvalidArgumentError, match=r"shape \(2,\) but must be a scalar"):
        gradients(multiply(x, x), [x])
