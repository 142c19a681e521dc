"""What is particular to the two InfoNCE losses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses import InBatchInfoNCELoss, InfoNCELoss
from ruvector.runtime import get_num_threads, set_num_threads

FORMS = ["mean_own", "mean_shared", "log_of_sum"]
MODES = ["oneway", "symmetric", "ntxent"]
RNG = np.random.default_rng(3)


def _normal(*shape):
    return RNG.standard_normal(shape)


def _slope_at_row(loss, inputs, field, row, gradient):
    """Compare a zero row's gradient with differences inside the floored region."""
    direction = np.zeros_like(inputs[field])
    direction[row] = RNG.standard_normal(direction[row].shape)
    step = 1e-12
    up, down = (
        loss(*(inputs | {field: inputs[field] + sign * step * direction}).values())
        for sign in (1, -1)
    )
    want = float(np.sum(gradient * direction))
    np.testing.assert_allclose((up - down) / (2 * step), want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("temperature", [0.005, 0.07, 1.0, 100.0])
@pytest.mark.parametrize("shape", [(4, 3, 6), (5, 6)], ids=["own", "shared"])
def test_zero_vectors_have_the_floored_gradient(temperature, shape):
    loss = InfoNCELoss(temperature)
    for field in ("anchors", "positives", "negatives"):
        inputs = {
            "anchors": _normal(4, 6),
            "positives": _normal(4, 6),
            "negatives": _normal(*shape),
        }
        inputs[field][1] = 0
        value, gradients = loss.value_and_grad(*inputs.values())
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in gradients)
        if temperature >= 0.07:
            _slope_at_row(loss, inputs, field, 1, getattr(gradients, field))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("extra", [False, True])
def test_zero_vectors_in_a_batch_have_the_floored_gradient(mode, extra):
    loss = InBatchInfoNCELoss(0.5, mode=mode)
    fields = ("anchors", "positives", "negatives")[: 3 if extra else 2]
    for field in fields:
        inputs = {name: _normal(5, 6) for name in fields}
        inputs[field][1] = 0
        value, gradients = loss.value_and_grad(*inputs.values())
        assert np.isfinite(value)
        _slope_at_row(loss, inputs, field, 1, getattr(gradients, field))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [0.005, 0.07, 100.0])
def test_identical_vectors_and_extreme_lengths_stay_finite(dtype, temperature):
    same = np.ones((4, 6), dtype)
    for scale in (1e-30, 1e-15, 1.0, 1e15, 1e30):
        x = (same * scale).astype(dtype)
        for loss in (
            *(InfoNCELoss(temperature, positives=form) for form in FORMS),
            *(InBatchInfoNCELoss(temperature, mode=mode) for mode in MODES),
        ):
            value, gradients = loss.value_and_grad(x, x, x)
            assert np.isfinite(value)
            assert all(np.isfinite(g).all() for g in gradients), (scale, loss)


@pytest.mark.parametrize("form", FORMS)
def test_own_negatives_repeated_equal_shared_ones(form):
    anchors, positives, negatives = _normal(7, 9), _normal(7, 2, 9), _normal(300, 9)
    loss = InfoNCELoss(0.2, positives=form)
    shared = loss.value_and_grad(anchors, positives, negatives)
    repeated = np.broadcast_to(negatives, (7, 300, 9))
    own = loss.value_and_grad(anchors, positives, repeated)
    np.testing.assert_allclose(shared.value, own.value, rtol=1e-12)
    np.testing.assert_allclose(shared.gradients.anchors, own.gradients.anchors, atol=1e-13)
    np.testing.assert_allclose(shared.gradients.positives, own.gradients.positives, atol=1e-13)
    summed = own.gradients.negatives.sum(axis=0)
    np.testing.assert_allclose(shared.gradients.negatives, summed, atol=1e-13)


def _others(count, ids):
    """For each pair, the pairs that are its negatives, padded with repeats dropped by weight."""
    return [[j for j in range(count) if ids[j] != ids[i]] for i in range(count)]


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 1]])
@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize("mode", MODES)
def test_a_batch_equals_explicit_negatives(ids, extra, mode):
    x, y, more = _normal(5, 6), _normal(5, 6), _normal(extra, 6)
    loss = InBatchInfoNCELoss(0.3, "none", mode=mode)
    explicit = InfoNCELoss(0.3, "sum")
    result = loss.value_and_grad(x, y, more, ids=ids)
    grad_x, grad_y, grad_more = np.zeros_like(x), np.zeros_like(y), np.zeros_like(more)
    share = 1.0 if mode == "oneway" else 0.5

    def direction(i, a, b, pools):
        """Add one row's loss; `pools` are (rows, gradient, indices)."""
        stacked = np.concatenate([rows[index] for rows, _, index in pools])
        value, parts = explicit.value_and_grad(a[0][i : i + 1], b[0][i : i + 1], stacked[None])
        a[1][i] += share * parts.anchors[0]
        b[1][i] += share * parts.positives[0]
        start = 0
        for _, gradient, index in pools:
            stop = start + len(index)
            np.add.at(gradient, index, share * parts.negatives[0, start:stop])
            start = stop
        return share * value

    everything = np.arange(extra)
    for i, others in enumerate(_others(5, ids)):
        index = np.array(others, dtype=int)
        to_x, to_y = (x, grad_x), (y, grad_y)
        tail = (more, grad_more, everything)
        if mode == "ntxent":
            pools = [(*to_x, index), (*to_y, index), tail]
            value = direction(i, to_x, to_y, pools) + direction(i, to_y, to_x, pools)
        else:
            value = direction(i, to_x, to_y, [(*to_y, index), tail])
            if mode == "symmetric":
                value += direction(i, to_y, to_x, [(*to_x, index)])
        np.testing.assert_allclose(result.value[i], value, rtol=1e-12, atol=1e-13)
    for got, want in zip(result.gradients, (grad_x, grad_y, grad_more), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 0.02, 0.002])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_larger_than_a_tile_equal_numpy(mode, dtype, temperature):
    x = _normal(333, 16).astype(dtype)
    y = (x + 0.5 * _normal(333, 16)).astype(dtype)
    ids = np.arange(333) // 2
    z = np.concatenate([x, y]).astype(np.float64)
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    s = u @ u.T / temperature
    same = np.tile(ids, 2)[:, None] == np.tile(ids, 2)
    index = np.arange(666)
    partner = (index + 333) % 666
    same[index, partner] = False
    masked = np.where(same, -np.inf, s)

    def rows(block):
        top = block.max(axis=1)
        return top + np.log(np.exp(block - top[:, None]).sum(axis=1))

    own = s[index, partner]
    want = {
        "oneway": rows(masked[:333, 333:]) - own[:333],
        "symmetric": 0.5
        * (rows(masked[:333, 333:]) + rows(masked[333:, :333]) - own[:333] - own[333:]),
        "ntxent": 0.5 * (rows(masked) - own).reshape(2, 333).sum(axis=0),
    }[mode]
    got = InBatchInfoNCELoss(temperature, "none", mode=mode)(x, y, ids=ids)
    rounding = (1e-14 if dtype == np.float64 else 1e-6) / temperature
    np.testing.assert_allclose(got, want, rtol=10 * rounding, atol=rounding)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("temperature", [0.1, 0.002])
def test_gradients_of_several_tiles_equal_differences(mode, temperature):
    loss = InBatchInfoNCELoss(temperature, mode=mode)
    inputs = [_normal(300, 8), _normal(300, 8), _normal(290, 8)]
    inputs[0][7] = inputs[1][260] = 0
    ids = np.arange(300) // 3
    _, gradients = loss.value_and_grad(*inputs, ids=ids)
    step = 1e-6 * temperature
    for k, gradient in enumerate(gradients):
        direction = _normal(*inputs[k].shape)
        direction[~inputs[k].any(axis=1)] = 0
        ends = []
        for sign in (1, -1):
            moved = list(inputs)
            moved[k] = inputs[k] + sign * step * direction
            ends.append(loss(*moved, ids=ids))
        want = np.sum(gradient * direction)
        np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), want, rtol=1e-4, atol=1e-4)


def _dense(x, y, more, probabilities, taken_out):
    """Values of pairs from all logits at temperature 0.3, less the logarithms of probabilities."""
    x, keys = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, np.concatenate([y, more])))
    logits = x @ keys.T / 0.3 - np.log(probabilities)
    own = np.diagonal(logits)
    return np.log(np.exp(np.where(taken_out, -np.inf, logits)).sum(axis=1)) - own


@pytest.mark.parametrize("count", [4, 300])
@pytest.mark.parametrize("extra", [0, 3, 270])
def test_sampling_probabilities_are_taken_off_the_logits(count, extra):
    x, y, more = _normal(count, 6), _normal(count, 6), _normal(extra, 6)
    probabilities = RNG.uniform(1e-3, 1, count + extra)
    taken_out = np.zeros((count, count + extra), bool)
    taken_out[2, 1] = taken_out[0, 3] = True
    exclude = np.r_[0, 1, 1, np.full(count - 2, 2)], np.array([3, 1])
    loss = InBatchInfoNCELoss(0.3, "none", mode="oneway")
    options = {"exclude": exclude, "sampling_probabilities": probabilities}
    values, gradients = loss.value_and_grad(x, y, more, **options)
    want = _dense(x, y, more, probabilities, taken_out)
    np.testing.assert_allclose(values, want, rtol=1e-12, atol=1e-13)
    for k, gradient in enumerate(gradients):
        direction = _normal(*gradient.shape)
        ends = []
        for sign in (1, -1):
            moved = [x, y, more]
            moved[k] = moved[k] + sign * 1e-6 * direction
            ends.append(_dense(*moved, probabilities, taken_out).sum())
        want = np.sum(gradient * direction)
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, want, rtol=1e-6, atol=1e-6)
    # Only their ratios count; equal ones change nothing, and low precision bears small ones.
    scaled = loss(x, y, more, exclude=exclude, sampling_probabilities=1e-6 * probabilities)
    np.testing.assert_allclose(scaled, values, rtol=1e-12, atol=1e-13)
    equal = loss(x, y, more, sampling_probabilities=np.full(count + extra, 0.3))
    np.testing.assert_allclose(equal, loss(x, y, more), rtol=1e-12, atol=1e-13)
    single = loss(*(a.astype(np.float32) for a in (x, y, more)), **options)
    np.testing.assert_allclose(single, values, rtol=2e-5, atol=2e-5)


def test_rows_of_a_table_have_sampling_probabilities_too():
    table, rows, more = _normal(9, 4), RNG.integers(0, 9, (2, 6)), RNG.integers(0, 9, 3)
    probabilities = RNG.uniform(0.1, 1, 9)
    loss = InBatchInfoNCELoss(0.2, mode="oneway")
    value, gradients = loss.value_and_grad(
        *table[rows], table[more], sampling_probabilities=probabilities
    )
    by_number, of_table = loss.value_and_grad_indexed(
        table, *rows, more, sampling_probabilities=probabilities
    )
    want = np.zeros_like(table)
    for numbers, gradient in zip((*rows, more), gradients, strict=True):
        np.add.at(want, numbers, gradient)
    np.testing.assert_allclose(by_number, value, rtol=1e-13)
    np.testing.assert_allclose(of_table.embeddings, want, rtol=1e-12, atol=1e-14)


def test_sampling_probabilities_must_be_some():
    x = _normal(3, 4)
    loss = InBatchInfoNCELoss(mode="oneway")
    for wrong in (0.0, -0.5, np.nan, np.inf):
        with pytest.raises(InvalidArgumentError, match="sampling_probabilities"):
            loss(x, x, sampling_probabilities=[0.5, wrong, 0.5])
    with pytest.raises(InvalidArgumentError, match="has 3 entries but there are 5"):
        loss(x, x, x[:2], sampling_probabilities=np.ones(3))
    for mode in ("symmetric", "ntxent"):
        with pytest.raises(InvalidArgumentError, match="mode 'oneway'"):
            InBatchInfoNCELoss(mode=mode)(x, x, sampling_probabilities=np.ones(3))


@pytest.mark.parametrize("loss", [InfoNCELoss(), *(InBatchInfoNCELoss(mode=m) for m in MODES)])
def test_one_row_without_negatives_is_exactly_zero(loss):
    value, gradients = loss.value_and_grad(_normal(1, 8), _normal(1, 8))
    assert value == 0.0
    assert not gradients.anchors.any()
    assert not gradients.positives.any()
    assert gradients.negatives is None


@pytest.mark.parametrize("loss", [InfoNCELoss(), *(InBatchInfoNCELoss(mode=m) for m in MODES)])
def test_an_empty_batch_is_zero(loss):
    empty = np.empty((0, 4))
    result = loss.value_and_grad(empty, empty, np.ones((3, 4)))
    assert result.value == 0.0
    assert result.active == 0
    assert not result.gradients.negatives.any()


def test_all_pairs_of_one_id_have_no_negatives():
    for mode in MODES:
        loss = InBatchInfoNCELoss(mode=mode)
        value, gradients = loss.value_and_grad(_normal(4, 3), _normal(4, 3), ids=[7, 7, 7, 7])
        assert value == 0.0
        assert not gradients.anchors.any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(FORMS), st.sampled_from([(6, 3, 5), (9, 5)]))
def test_gradients_stand_upright_on_their_rows(seed, form, shape):
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal(s) for s in ((6, 5), (6, 2, 5), shape)]
    _, gradients = InfoNCELoss(0.1, positives=form).value_and_grad(*inputs)
    for array, gradient in zip(inputs, gradients, strict=True):
        along = np.sum(array * gradient, axis=-1)
        assert np.abs(along).max() < 1e-12 * max(1.0, np.abs(gradient).max())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(MODES))
def test_permuting_a_batch_permutes_its_gradient(seed, mode):
    rng = np.random.default_rng(seed)
    x, y, order = rng.standard_normal((9, 4)), rng.standard_normal((9, 4)), rng.permutation(9)
    ids = rng.integers(0, 6, 9)
    loss = InBatchInfoNCELoss(0.2, mode=mode)
    value, gradients = loss.value_and_grad(x, y, ids=ids)
    moved, permuted = loss.value_and_grad(x[order], y[order], ids=ids[order])
    np.testing.assert_allclose(moved, value, rtol=1e-12)
    np.testing.assert_allclose(permuted.anchors, gradients.anchors[order], atol=1e-12)
    np.testing.assert_allclose(permuted.positives, gradients.positives[order], atol=1e-12)
    negatives = rng.standard_normal((9, 3, 4))
    explicit = InfoNCELoss(0.2)
    plain = explicit.value_and_grad(x, y, negatives).gradients
    after = explicit.value_and_grad(x[order], y[order], negatives[order]).gradients
    assert np.array_equal(np.sign(after.negatives), np.sign(plain.negatives[order]))
    np.testing.assert_allclose(after.negatives, plain.negatives[order], rtol=1e-13)


def test_anchors_without_positives_stay_out_of_the_mean():
    anchors, positives, negatives = _normal(4, 5), _normal(4, 2, 5), _normal(4, 3, 5)
    mask = np.array([[True, True], [False, False], [False, True], [False, False]])
    for form in FORMS:
        loss = InfoNCELoss(0.1, positives=form)
        result = loss.value_and_grad(anchors, positives, negatives, positive_mask=mask)
        rest = loss(
            anchors[[0, 2]], positives[[0, 2]], negatives[[0, 2]], positive_mask=mask[[0, 2]]
        )
        np.testing.assert_allclose(result.value, rest, rtol=1e-14)
        assert result.active == 2
        assert not result.gradients.anchors[[1, 3]].any()
        assert not result.gradients.negatives[[1, 3]].any()
        assert not result.gradients.positives[~mask].any()
        assert result.gradients.positives[mask].all()


def test_masks_and_ids_must_fit():
    x = _normal(3, 4)
    with pytest.raises(InvalidArgumentError, match=r"positive_mask has shape \(2, 1\)"):
        InfoNCELoss()(x, x, positive_mask=np.ones((2, 1), bool))
    with pytest.raises(InvalidTypeError, match="positive_mask has dtype"):
        InfoNCELoss()(x, x, positive_mask=np.ones((3, 1)))
    with pytest.raises(InvalidArgumentError, match=r"ids has shape \(2,\)"):
        InBatchInfoNCELoss()(x, x, ids=[1, 2])
    with pytest.raises(InvalidTypeError, match="ids"):
        InBatchInfoNCELoss()(x, x, ids=[0.5, 1.0, 2.0])
    with pytest.raises(InvalidArgumentError, match="positives"):
        InfoNCELoss(positives="all")
    with pytest.raises(InvalidArgumentError, match="mode"):
        InBatchInfoNCELoss(mode="clip")


def test_gradient_descent_separates_a_batch():
    x, y = _normal(16, 8), _normal(16, 8)
    loss = InBatchInfoNCELoss(0.1)
    first = loss(x, y)
    for _ in range(50):
        _, gradients = loss.value_and_grad(x, y)
        x, y = x - gradients.anchors, y - gradients.positives
    assert loss(x, y) < 0.1 * first


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("temperature", [0.5, 0.02])
@pytest.mark.parametrize("side", [0, 1])
def test_a_zero_row_changes_the_gradient_of_no_other_row(mode, temperature, side):
    # A zero row's own gradient is divided by 1e-8; rows of the next strips once took it over.
    inputs = np.random.default_rng(0).standard_normal((2, 300, 5)).astype(np.float32)
    inputs[side, 3] = 0
    loss = InBatchInfoNCELoss(temperature, mode=mode)
    gradients = loss.value_and_grad(*inputs)[1]
    others = np.delete(gradients[side], 3, axis=0)
    inputs[side, 3] = 1e-3  # the zero row's cosines are 0; a short row's are not, and that is all
    gentle = np.delete(loss.value_and_grad(*inputs)[1][side], 3, axis=0)
    assert np.abs(others).max() < 2 * np.abs(gentle).max()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*(st.integers(1, top) for top in (60, 40, 3, 9, 70))),
    form=st.sampled_from(FORMS),
    dtype=st.sampled_from([np.float32, np.float64]),
    scale=st.sampled_from([0, 1e-30, 1e-9, 1, 1e15, 1e30]),
)
def test_rows_of_a_table_equal_their_copies(seed, shape, form, dtype, scale):
    rows, batch, width, count, dim = shape
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((rows, dim)).astype(dtype)
    table[rng.integers(0, rows, 2)] *= dtype(scale)
    shapes = (batch,), (batch, width), (batch, count)
    indices = [rng.integers(0, rows, shape) for shape in shapes]
    mask = rng.random((batch, width)) < 0.7
    loss = InfoNCELoss(0.3, "none", positives=form)
    copies = loss.value_and_grad(*(table[index] for index in indices), positive_mask=mask)
    want = np.zeros((rows, dim))
    # What a cosine's two parts, which may cancel, are at most.
    lengths = np.linalg.norm(table.astype(np.float64), axis=1)
    part = np.divide(2 / loss.temperature, lengths, out=np.zeros(rows), where=lengths > 0)
    size = np.zeros(rows)
    for index, gradient in zip(indices, copies.gradients, strict=True):
        np.add.at(want, index, gradient)
        np.add.at(size, index, np.linalg.norm(gradient.astype(np.float64), axis=-1) + part[index])
    got = loss.value_and_grad_indexed(table, *indices, positive_mask=mask)
    assert np.array_equal(got.value, copies.value)
    assert got.active == copies.active
    difference = np.linalg.norm(got.gradients.embeddings - want, axis=1)
    assert (difference <= 30 * np.finfo(dtype).eps * size + np.finfo(dtype).tiny).all()


def test_rows_of_a_table_have_one_result_on_any_number_of_threads():
    table = RNG.standard_normal((3000, 24), np.float32)
    table[5] = 0
    indices = [RNG.integers(0, len(table), shape) for shape in ((700,), (700, 2), (700, 12))]
    loss, threads = InfoNCELoss(), get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            set_num_threads(count)
            results.append(loss.value_and_grad_indexed(table, *indices))
    finally:
        set_num_threads(threads)
    for result in results[1:]:
        assert result.value == results[0].value
        assert np.array_equal(result.gradients.embeddings, results[0].gradients.embeddings)


def test_rows_that_do_not_fit_are_named():
    table, loss = _normal(9, 4), InfoNCELoss()
    out = np.full_like(table, 7)
    for arguments, message in [
        (([0], [1], [[9]]), "negatives holds 9 at position 0"),
        (([0, 1], [1], [[2]]), "positives has shape"),
        (([0, 1], [1, 2], [[2]]), r"negatives has shape \(1, 1\) but anchors has shape \(2,\)"),
        (([0], [1], [[[2]]]), r"negatives has shape \(1, 1, 1\) but must have 1 or 2 dim"),
        (([[0]], [1], [[2]]), "anchors"),
    ]:
        with pytest.raises(InvalidArgumentError, match=message):
            loss.value_and_grad_indexed(table, *arguments, out=out)
    assert (out == 7).all()
    with pytest.raises(InvalidArgumentError, match="positive_mask has shape"):
        loss.value_and_grad_indexed(table, [0], [1], [[2]], positive_mask=[[True, True]])
    table[3, 2] = np.nan
    assert np.isfinite(loss.value_and_grad_indexed(table, [0], [1], [[2]]).value)
    with pytest.raises(InvalidArgumentError, match=r"embeddings .*row 3, which negatives names"):
        loss.value_and_grad_indexed(table, [0], [1], [[2, 3]])
