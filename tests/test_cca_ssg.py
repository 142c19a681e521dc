"""CCA-SSG, and the false negatives that in-batch InfoNCE leaves out."""

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses import CCASSGLoss, InBatchInfoNCELoss

MODES = ["oneway", "symmetric", "ntxent"]


def _standard(x):
    centred = x - x.mean(axis=0)
    deviation = centred.std(axis=0)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-9)


def _cca(first, second, decorrelation):
    n, d = first.shape
    z1, z2 = _standard(first), _standard(second)
    penalty = sum(np.sum((z.T @ z / n - np.eye(d)) ** 2) for z in (z1, z2))
    return -np.sum(z1 * z2) / n + decorrelation * penalty


def _views(rows, cols, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((rows, cols)) @ rng.standard_normal((cols, cols)) + 3
    return (
        mixed.astype(dtype),
        (mixed + 0.5 * rng.standard_normal((rows, cols))).astype(dtype),
    )


def _lists(allowed):
    """CSR lists of what a matrix of bool does not allow."""
    rows, columns = np.nonzero(~allowed)
    return np.searchsorted(rows, np.arange(len(allowed) + 1)), columns


def _random_lists(count, seed, share=0.2):
    rng = np.random.default_rng(seed)
    return rng.random((count, count)) < share


def _lse(logits):
    top = logits.max()
    return top + np.log(np.sum(np.exp(logits - top)))


def _in_batch(x, y, extra, excluded, *, temperature, mode):
    """Each pair's value, term by term."""
    x, y, extra = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y, extra))
    count = len(x)

    def value(anchor, positive, negatives):
        logits = np.array([anchor @ positive] + [anchor @ n for n in negatives]) / temperature
        return _lse(logits) - logits[0]

    values = []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        forth = [j for j in others if not excluded[i, j]]
        back = [j for j in others if not excluded[j, i]]
        both = [j for j in others if not (excluded[i, j] or excluded[j, i])]
        if mode == "ntxent":
            negatives = [*x[both], *y[both], *extra]
            values.append((value(x[i], y[i], negatives) + value(y[i], x[i], negatives)) / 2)
            continue
        one = value(x[i], y[i], [*y[forth], *extra])
        values.append(one if mode == "oneway" else (one + value(y[i], x[i], x[back])) / 2)
    return np.array(values)


def _check_slopes(loss, inputs, keywords, count=3):
    rng = np.random.default_rng(9)
    gradients = loss.value_and_grad(*inputs, **keywords).gradients
    for which, gradient in enumerate(gradients[: len(inputs)]):
        for _ in range(count):
            direction = rng.standard_normal(gradient.shape)
            direction /= np.linalg.norm(direction)
            ends = []
            for sign in (1, -1):
                moved = list(inputs)
                moved[which] = inputs[which] + sign * 1e-6 * direction
                ends.append(loss(*moved, **keywords))
            slope = (ends[0] - ends[1]) / 2e-6
            np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("decorrelation", [0.0, 1e-3, 2.0])
@pytest.mark.parametrize("shape", [(2, 1), (7, 3), (128, 5), (300, 17), (5, 40)])
def test_cca_value_equals_the_formula(shape, decorrelation):
    first, second = _views(*shape)
    loss = CCASSGLoss(decorrelation)
    result = loss.value_and_grad(first, second)
    np.testing.assert_allclose(result.value, _cca(first, second, decorrelation), rtol=1e-9)
    assert result.value == loss(first, second)
    assert result.active == shape[0]
    single = loss(*_views(*shape, dtype=np.float32))
    np.testing.assert_allclose(single, result.value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("decorrelation", [0.0, 1e-3, 2.0])
@pytest.mark.parametrize("shape", [(7, 3), (129, 5), (300, 17), (5, 12)])
def test_cca_gradients_equal_central_differences(shape, decorrelation):
    _check_slopes(CCASSGLoss(decorrelation), _views(*shape), {})


def test_cca_ignores_where_a_column_lies_and_how_far_it_spreads():
    first, second = _views(50, 4)
    loss = CCASSGLoss(0.1)
    moved = first * [1, 2, 30, 0.5] + [5, -6, 0, 100]
    np.testing.assert_allclose(loss(moved, second), loss(first, second), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, -3.7, 1234.5])
def test_cca_constant_columns_become_0_and_get_no_gradient(dtype, constant):
    first, second = _views(300, 4, dtype=dtype)
    first[:, 2] = constant
    value, gradients = CCASSGLoss(0.1).value_and_grad(first, second)
    want = _cca(first.astype(np.float64), second.astype(np.float64), 0.1)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    assert np.array_equal(gradients.first[:, 2], np.zeros(300))
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert np.abs(gradients.first[:, 0]).max() > 0


def test_cca_one_row_is_constant():
    value, gradients = CCASSGLoss(0.5).value_and_grad(np.ones((1, 3)), np.zeros((1, 3)))
    assert value == 0.5 * 6
    assert not gradients.first.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cca_has_the_same_bits_for_any_number_of_threads(each_thread_count, dtype):
    views = _views(2000, 48, dtype=dtype)
    found = []
    for _ in each_thread_count():
        value, gradients = CCASSGLoss(0.1).value_and_grad(*views)
        found.append([np.float64(value).tobytes(), *(g.tobytes() for g in gradients)])
    assert found[0] == found[1]


def test_cca_refuses_what_does_not_fit():
    x = np.ones((4, 3))
    bad = np.ones((4, 3))
    bad[2, 1] = np.nan
    for first, second in ((x, x[:3]), (x, x[:, :2]), (x[0], x[0]), (x, bad), (x[:, :0], x[:, :0])):
        with pytest.raises(InvalidArgumentError):
            CCASSGLoss()(first, second)
    with pytest.raises(InvalidTypeError):
        CCASSGLoss()(np.full((4, 3), "x"), x)
    for decorrelation in (-1.0, np.nan, np.inf):
        with pytest.raises(InvalidArgumentError):
            CCASSGLoss(decorrelation)
    for reduction in ("sum", "none"):
        with pytest.raises(InvalidArgumentError):
            CCASSGLoss(reduction=reduction)


@pytest.mark.parametrize("extra", [0, 5])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 2, 9, 130, 300])
def test_excluded_value_equals_the_reference(count, mode, extra):
    rng = np.random.default_rng(count)
    x, y, more = (rng.standard_normal((n, 6)) for n in (count, count, extra))
    excluded = _random_lists(count, count)
    np.fill_diagonal(excluded, False)
    loss = InBatchInfoNCELoss(0.3, "none", mode=mode)
    got = loss(x, y, more, exclude=_lists(~excluded))
    want = _in_batch(x, y, more, excluded, temperature=0.3, mode=mode)
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
    if count > 2:
        assert not np.allclose(got, loss(x, y, more))


@pytest.mark.parametrize("temperature", [0.01, 0.3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [9, 130, 300])
def test_excluded_gradients_equal_central_differences(count, mode, temperature):
    rng = np.random.default_rng(count)
    x = rng.standard_normal((count, 8))
    y = x + rng.standard_normal((count, 8))
    keywords = {"exclude": _lists(~_random_lists(count, 4))}
    _check_slopes(InBatchInfoNCELoss(temperature, mode=mode), [x, y], keywords)
    more = rng.standard_normal((4, 8))
    _check_slopes(InBatchInfoNCELoss(temperature, mode=mode), [x, y, more], keywords)


@pytest.mark.parametrize("mode", MODES)
def test_excluding_nothing_changes_nothing(mode):
    x, y = _views(150, 6)
    loss = InBatchInfoNCELoss(0.3, mode=mode)
    nothing = (np.zeros(151, np.int64), np.zeros(0, np.int64))
    plain, listed = loss.value_and_grad(x, y), loss.value_and_grad(x, y, exclude=nothing)
    assert plain.value == listed.value
    assert all(map(np.array_equal, plain.gradients[:2], listed.gradients[:2]))


@pytest.mark.parametrize("mode", MODES)
def test_ids_can_be_said_as_lists_and_both_add_up(mode):
    x, y = _views(40, 6)
    ids = np.random.default_rng(1).integers(0, 12, 40)
    same = (ids[:, None] == ids) & ~np.eye(40, dtype=bool)
    others = _random_lists(40, 2)
    loss = InBatchInfoNCELoss(0.3, mode=mode)
    np.testing.assert_allclose(loss(x, y, exclude=_lists(~same)), loss(x, y, ids=ids), rtol=1e-12)
    np.testing.assert_allclose(
        loss(x, y, exclude=_lists(~(same | others))),
        loss(x, y, ids=ids, exclude=_lists(~others)),
        rtol=1e-12,
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_pair_with_everything_excluded_costs_nothing(mode):
    x, y = _views(6, 5)
    everything = _lists(np.zeros((6, 6), dtype=bool))
    value, gradients = InBatchInfoNCELoss(0.3, mode=mode).value_and_grad(x, y, exclude=everything)
    np.testing.assert_allclose(value, 0, atol=1e-12)
    for gradient in gradients[:2]:
        np.testing.assert_allclose(gradient, 0, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_order_and_repeats_in_a_list_do_not_matter(mode):
    x, y = _views(5, 4)
    loss = InBatchInfoNCELoss(0.3, mode=mode)
    tidy = ([0, 2, 2, 3, 3, 3], [1, 3, 0])
    untidy = ([0, 4, 4, 5, 5, 5], [3, 1, 3, 1, 0])
    assert loss(x, y, exclude=tidy) == loss(x, y, exclude=untidy)


@pytest.mark.parametrize("mode", MODES)
def test_exclusion_by_rows_of_a_table(mode):
    table = np.random.default_rng(0).standard_normal((30, 6))
    anchors, positives = np.random.default_rng(1).integers(0, 30, (2, 20))
    exclude = _lists(~_random_lists(20, 3))
    loss = InBatchInfoNCELoss(0.3, mode=mode)
    direct = loss.value_and_grad(table[anchors], table[positives], exclude=exclude)
    value, gradients = loss.value_and_grad_indexed(table, anchors, positives, exclude=exclude)
    want = np.zeros_like(table)
    np.add.at(want, anchors, direct.gradients.anchors)
    np.add.at(want, positives, direct.gradients.positives)
    assert value == direct.value
    np.testing.assert_allclose(gradients.embeddings, want, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", MODES)
def test_exclusion_has_the_same_bits_for_any_number_of_threads(each_thread_count, mode, dtype):
    x, y = _views(700, 24, dtype=dtype)
    exclude = _lists(~_random_lists(700, 5, share=0.02))
    found = []
    for _ in each_thread_count():
        loss = InBatchInfoNCELoss(0.1, mode=mode)
        value, gradients = loss.value_and_grad(x, y, exclude=exclude)
        found.append([np.float64(value).tobytes(), *(g.tobytes() for g in gradients[:2])])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("exclude", "error"),
    [
        (([0, 1, 1, 1], [1]), InvalidArgumentError),
        (([0, 1, 1, 1, 1, 1], [1]), InvalidArgumentError),
        (([0, 1, 1, 1, 2], [1]), InvalidArgumentError),
        (([0, 1, 1, 1, 1], [1, 2]), InvalidArgumentError),
        (([1, 1, 1, 1, 1], [1]), InvalidArgumentError),
        (([0, 2, 1, 2, 2], [1, 2]), InvalidArgumentError),
        (([0, -1, 1, 1, 1], [1]), InvalidArgumentError),
        (([0, 1, 1, 1, 1], [4]), InvalidArgumentError),
        (([0, 1, 1, 1, 1], [-1]), InvalidArgumentError),
        (([0, 1, 1, 1, 1], [[1]]), InvalidArgumentError),
        (([0, 1, 1, 1, 1], [1.5]), InvalidTypeError),
        (([0, 1, 1, 1, 1], ["a"]), InvalidTypeError),
        (([0, 1, 1, 1, 1],), InvalidTypeError),
        (([0], [1], [2]), InvalidTypeError),
        (7, InvalidTypeError),
    ],
)
def test_lists_that_do_not_fit_the_batch_are_refused(exclude, error):
    x, y = _views(4, 3)
    with pytest.raises(error):
        InBatchInfoNCELoss()(x, y, exclude=exclude)


def test_lists_of_no_length_are_refused_and_not_taken_for_none():
    x = np.eye(3)
    with pytest.raises(InvalidArgumentError, match="indptr"):
        InBatchInfoNCELoss()(x, x, exclude=([], [2]))


def test_a_large_constant_column_counts_as_constant():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 300, 3))
    first[:, 1] = second[:, 1] = 1e12 / 3
    _, gradients = CCASSGLoss().value_and_grad(first, second)
    assert not gradients.first[:, 1].any()


def test_a_column_of_small_numbers_is_no_constant():
    first = np.random.default_rng(0).standard_normal((300, 3)).astype(np.float32)
    np.testing.assert_allclose(
        CCASSGLoss()(first * np.float32(1e-7), first), CCASSGLoss()(first, first), rtol=1e-4
    )
