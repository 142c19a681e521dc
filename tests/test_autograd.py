"""Each operation's gradient against central differences, and how gradients are passed on."""

import numpy as np
import pytest
from loss_cases import samples
from ruvector import autograd as ops
from ruvector import losses
from ruvector.autograd import Variable, backward, constant, record
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses import CCASSGLoss, InBatchInfoNCELoss, InfoNCELoss
from ruvector.sparse import CSR

RNG = np.random.default_rng(0)
SPARSE = CSR.from_dense(RNG.standard_normal((5, 4)) * (RNG.random((5, 4)) < 0.5))
#: Row 2 names nothing, and row 3 of the operand is named by nobody.
GAPPED = CSR([0, 2, 3, 3, 6], [0, 2, 1, 0, 1, 2], None, (4, 4))
PLUMBING = {"Variable", "backward", "constant", "gradients", "record"}


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
    "subtract": (ops.subtract, [_normal(4, 3), _normal(3)]),
    "subtract-column": (ops.subtract, [_normal(4, 1), _normal(4, 3)]),
    "multiply": (ops.multiply, [_normal(4, 3), _normal(4, 3)]),
    "multiply-outer": (ops.multiply, [_normal(4, 1), _normal(3)]),
    "multiply-scalar": (ops.multiply, [_normal(4, 3), _normal()]),
    "divide": (ops.divide, [_normal(4, 3), _away_from_zero(4, 3)]),
    "divide-row": (ops.divide, [_normal(4, 3), _away_from_zero(3)]),
    "divide-column": (ops.divide, [_normal(4, 1), _away_from_zero(4, 3)]),
    "scale": (lambda x: ops.scale(x, -2.5), [_normal(4, 3)]),
    "exp": (ops.exp, [_normal(4, 3)]),
    "log": (ops.log, [RNG.uniform(0.2, 3, (4, 3))]),
    "leaky_relu": (lambda x: ops.leaky_relu(x, 0.2), [_away_from_zero(5, 4)]),
    "prelu": (ops.prelu, [_away_from_zero(5, 4), _normal(4)]),
    "prelu-scalar": (ops.prelu, [_away_from_zero(5, 4), _normal()]),
    "elu": (lambda x: ops.elu(x, 1.3), [_away_from_zero(5, 4)]),
    "sigmoid": (ops.sigmoid, [4 * _normal(5, 4)]),
    "softmax": (ops.softmax, [_normal(5, 4)]),
    "softmax-deep": (ops.softmax, [_normal(2, 3, 4)]),
    "log_softmax": (ops.log_softmax, [_normal(5, 4)]),
    "logsumexp": (ops.logsumexp, [_normal(5, 4)]),
    "layer_norm": (ops.layer_norm, [_normal(5, 9), _normal(9), _normal(9)]),
    "layer_norm-eps": (
        lambda *x: ops.layer_norm(*x, eps=0.5),
        [_normal(1, 3), _normal(3), _normal(3)],
    ),
    "total": (ops.total, [_normal(4, 3)]),
    "total-axis": (lambda x: ops.total(x, axis=0), [_normal(4, 3)]),
    "mean": (ops.mean, [_normal(4, 3)]),
    "mean-axis": (lambda x: ops.mean(x, axis=1), [_normal(4, 3, 2)]),
    "transpose": (ops.transpose, [_normal(4, 3)]),
    "take_slice": (lambda x: ops.take_slice(x, slice(1, 3)), [_normal(4, 3)]),
    "take_slice-columns": (
        lambda x: ops.take_slice(x, (slice(None, None, 2), slice(-2, None))),
        [_normal(5, 4)],
    ),
    "take_slice-one": (lambda x: ops.take_slice(x, (2, slice(None))), [_normal(4, 3)]),
    "bilinear": (ops.bilinear, [_normal(4, 3), _normal(3, 2), _normal(4, 2)]),
    "bilinear-shared": (ops.bilinear, [_normal(4, 3), _normal(3, 2), _normal(2)]),
    "weighted_matmul": (
        lambda w, x: ops.weighted_matmul(SPARSE, w, x),
        [_normal(SPARSE.nnz), _normal(4, 6)],
    ),
    "weighted_matmul-heads": (
        lambda w, x: ops.weighted_matmul(SPARSE, w, x),
        [_normal(SPARSE.nnz, 3), _normal(4, 6)],
    ),
    "edge_products": (
        lambda a, b: ops.edge_products(SPARSE, a, b),
        [_normal(5, 6), _normal(4, 6)],
    ),
    "edge_products-heads": (
        lambda a, b: ops.edge_products(SPARSE, a, b, heads=3),
        [_normal(5, 6), _normal(4, 6)],
    ),
    "segment_softmax": (lambda x: ops.segment_softmax(SPARSE, x), [_normal(SPARSE.nnz)]),
    "segment_softmax-heads": (
        lambda x: ops.segment_softmax(SPARSE, x),
        [3 * _normal(SPARSE.nnz, 3)],
    ),
    "segment_sum": (lambda x: ops.segment_sum(GAPPED, x), [_normal(4, 3)]),
    "segment_mean": (lambda x: ops.segment_mean(GAPPED, x), [_normal(4, 3)]),
    "segment_max": (lambda x: ops.segment_max(GAPPED, x), [_normal(4, 3)]),
    "relu": (ops.relu, [_away_from_zero(5, 4)]),
    "tanh": (ops.tanh, [_normal(5, 4)]),
    "gather": (lambda x: ops.gather(x, np.array([3, 0, 3, 3, 1])), [_normal(5, 3)]),
    "gather-deep": (lambda x: ops.gather(x, np.array([1, 0, 1])), [_normal(2, 3, 2)]),
    "scatter_add": (lambda x: ops.scatter_add(x, np.array([3, 0, 3, 3, 1]), 5), [_normal(5, 3)]),
    "gather-none": (lambda x: ops.gather(x, np.array([], np.int64)), [_normal(5, 3)]),
    "reshape": (lambda x: ops.reshape(x, (2, 2, -1)), [_normal(4, 3)]),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (2, 4, 3)), [_normal(4, 1)]),
    "sum_to": (lambda x: ops.sum_to(x, (4, 1)), [_normal(2, 4, 3)]),
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
    assert {name.partition("-")[0] for name in CASES} == set(ops.__all__) - PLUMBING


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


@pytest.mark.parametrize("name", losses.names())
def test_every_loss_is_a_node(name):
    """Its own gradient is checked with the losses; here they must reach the right variables."""
    seen = 0
    for sample in samples(name, 20):
        if sample.loss.reduction == "none":
            continue
        inputs = {k: None if v is None else Variable(v) for k, v in sample.inputs.items()}
        output = ops.loss_node(sample.loss, list(inputs.values()), **sample.keywords)
        want = sample.loss.value_and_grad(**sample.inputs, **sample.keywords)
        assert float(output.value) == want.value
        backward(output)
        for key, variable in inputs.items():
            if variable is not None:
                assert np.array_equal(variable.grad, getattr(want.gradients, key))
                seen += 1
        fixed = [None if v is None else constant(v.value) for v in inputs.values()]
        output = ops.loss_node(sample.loss, fixed, **sample.keywords)
        assert not output.needs_grad
        assert float(output.value) == want.value
    assert seen


def test_an_operation_can_be_added_in_a_few_lines():
    """The recipe of CONTRIBUTING.md and of `record`."""

    def softplus(x):
        value = np.logaddexp(0, x.value)
        return record(value, [x], lambda g: [g / (1 + np.exp(-x.value))])

    x = Variable(_normal(3, 2))
    weights = _normal(3, 2)
    backward(softplus(x), weights)
    np.testing.assert_allclose(x.grad, _differences(softplus, [x.value], 0, weights), atol=1e-8)


def _segment_work(dtype):
    """What every kernel of segments makes of one large skewed pattern, forwards and backwards."""
    rng = np.random.default_rng(5)
    rows, cols, width, heads = 1500, 1200, 48, 4
    ends = np.unique(
        np.stack(
            [(rng.random(40000) ** 3 * rows).astype(int), rng.integers(0, cols, 40000)], axis=1
        ),
        axis=0,
    )
    indptr = np.searchsorted(ends[:, 0], np.arange(rows + 1))
    pattern = CSR(indptr, ends[:, 1], None, (rows, cols))
    a, b = (Variable(rng.standard_normal((n, width)).astype(dtype)) for n in (rows, cols))
    scale, shift = (Variable(rng.standard_normal(width).astype(dtype)) for _ in range(2))
    shares = ops.segment_softmax(pattern, ops.edge_products(pattern, a, b, heads=heads))
    parts = [
        ops.weighted_matmul(pattern, shares, b),
        ops.segment_max(pattern, b),
        ops.segment_mean(pattern, b),
        ops.segment_sum(pattern, b),
    ]
    value = parts[0]
    for part in parts[1:]:
        value = ops.add(value, part)
    value = ops.layer_norm(value, scale, shift)
    index = rng.integers(0, rows, 3000)
    output = ops.scatter_add(ops.gather(value, index), rng.integers(0, 99, 3000), 99)
    backward(output, rng.standard_normal(output.shape).astype(dtype))
    return [output.value, *(v.grad for v in (a, b, scale, shift))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_segments_have_the_same_bits_for_any_number_of_threads(dtype, each_thread_count):
    one, two = [_segment_work(dtype) for _ in each_thread_count()]
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a, b)
    if dtype == np.float32:
        for a, b in zip(one, _segment_work(np.float64), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-3 * np.abs(b).max())


def test_shares_of_a_segment_add_up_to_1_and_empty_segments_are_0():
    shares = ops.segment_softmax(GAPPED, constant(1e4 * _normal(6, 2))).value
    sums = [shares[0:2].sum(axis=0), shares[2:3].sum(axis=0), shares[3:6].sum(axis=0)]
    np.testing.assert_allclose(sums, np.ones((3, 2)))
    x = constant(_normal(4, 3) - 5)
    for op in (ops.segment_sum, ops.segment_mean, ops.segment_max):
        assert np.array_equal(op(GAPPED, x).value[2], np.zeros(3))
    np.testing.assert_allclose(ops.segment_mean(GAPPED, x).value[3], x.value[:3].mean(axis=0))
    assert np.array_equal(ops.segment_max(GAPPED, x).value[3], x.value[:3].max(axis=0))


def test_large_values_do_not_overflow():
    x = constant(np.array([[1e4, -1e4, 0.0]]))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert ops.sigmoid(x).value.tolist() == [[1, 0, 0.5]]
        assert ops.softmax(x).value.tolist() == [[1, 0, 0]]
        assert ops.log_softmax(x).value.tolist() == [[0, -2e4, -1e4]]
        assert ops.logsumexp(x).value.tolist() == [1e4]
        assert ops.elu(x).value.tolist() == [[1e4, -1, 0]]


def test_segments_that_do_not_fit_raise():
    x = Variable(_normal(4, 6))
    entries = SPARSE.nnz
    with pytest.raises(InvalidArgumentError, match=f"pattern has {entries} entries"):
        ops.segment_softmax(SPARSE, Variable(_normal(entries + 1)))
    with pytest.raises(InvalidArgumentError, match=f"pattern has {entries} entries"):
        ops.weighted_matmul(SPARSE, Variable(_normal(entries - 1)), x)
    with pytest.raises(InvalidArgumentError, match="heads is 4 but must divide the 6 columns"):
        ops.weighted_matmul(SPARSE, Variable(_normal(entries, 4)), x)
    with pytest.raises(InvalidArgumentError, match="heads is 4 but must divide the 6 columns"):
        ops.edge_products(SPARSE, Variable(_normal(5, 6)), x, heads=4)
    with pytest.raises(InvalidArgumentError, match=r"shape \(4, 6\) is needed"):
        ops.edge_products(SPARSE, Variable(_normal(5, 6)), Variable(_normal(3, 6)))
    with pytest.raises(InvalidArgumentError, match="holds 4 at position 1"):
        ops.gather(x, np.array([0, 4]))
    with pytest.raises(InvalidArgumentError, match="holds -1 at position 0"):
        ops.scatter_add(x, np.array([-1, 0, 0, 0]), 3)
    with pytest.raises(InvalidArgumentError, match="integers and slices"):
        ops.take_slice(x, np.array([0, 1]))
    with pytest.raises(InvalidArgumentError, match="scale has 3 values but 6 are needed"):
        ops.layer_norm(x, Variable(_normal(3)), Variable(_normal(6)))


def test_relu_of_minus_infinity_is_0():
    x = Variable(np.array([-np.inf, -1.0, 2.0, np.inf]))
    assert ops.relu(x).value.tolist() == [0, 0, 2, np.inf]


@pytest.mark.parametrize("operation", [ops.segment_sum, ops.segment_mean, ops.segment_max])
def test_segments_need_rows_and_columns(operation):
    for shape in ((4,), (4, 2, 2), ()):
        with pytest.raises(InvalidArgumentError, match="x has shape"):
            operation(SPARSE, Variable(np.zeros(shape)))


def test_shapes_and_dtypes_that_do_not_fit_are_told():
    x, row = Variable(_normal(4, 6)), Variable(_normal(6))
    single = Variable(_normal(6).astype(np.float32))
    for scale, shift in ((single, row), (row, single)):
        with pytest.raises(InvalidTypeError, match="has dtype float32 but x has float64"):
            ops.layer_norm(x, scale, shift)
    with pytest.raises(InvalidArgumentError, match="x has shape"):
        ops.layer_norm(row, row, row)
    with pytest.raises(InvalidArgumentError, match="shift has shape"):
        ops.layer_norm(x, row, x)
    scalar = Variable(np.array(1.0))
    with pytest.raises(InvalidArgumentError, match="needs rows"):
        ops.gather(scalar, np.array([0]))
    with pytest.raises(InvalidArgumentError, match="needs rows"):
        ops.scatter_add(scalar, np.array([0]), 1)
