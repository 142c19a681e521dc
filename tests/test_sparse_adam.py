"""Adam on rows of tables: against NumPy, Adam and PyTorch, its state, and what it refuses."""

import json

import numpy as np
import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.optim import Adam, SparseAdam, SparseRows

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def draw(seed, count, table, dtype=np.float64, repeats=True):
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(table), count, replace=repeats)
    return SparseRows(rows, rng.normal(size=(count, table.shape[1])).astype(dtype))


def reference(table, steps, *, lr, betas, eps, decay):
    """The rule in float64, a row at a time."""
    w = table.astype(np.float64)
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, (rows, values) in enumerate(steps, start=1):
        sums = {}
        for row, g in zip(rows, values, strict=True):
            sums[int(row)] = sums.get(int(row), 0.0) + g.astype(np.float64)
        for row, g in sums.items():
            joined = g + decay * w[row]
            m[row] = betas[0] * m[row] + (1 - betas[0]) * joined
            v[row] = betas[1] * v[row] + (1 - betas[1]) * joined**2
            corrected = m[row] / (1 - betas[0] ** t), v[row] / (1 - betas[1] ** t)
            w[row] -= lr * corrected[0] / (np.sqrt(corrected[1]) + eps)
    return w


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [0, 1, 7, 400])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_rule_row_by_row(dtype, count, decay):
    start = np.random.default_rng(0).normal(size=(90, 5)).astype(dtype)
    steps = [draw(seed, count, start, dtype) for seed in range(10)]
    table = start.copy()
    optimizer = SparseAdam(table, 0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=decay)
    for gradient in steps:
        optimizer.step(gradient)
    want = reference(start, steps, lr=0.05, betas=(0.8, 0.95), eps=1e-3, decay=decay)
    np.testing.assert_allclose(table, want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert optimizer.steps == 10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_row_listed_is_adam_bit_by_bit(dtype):
    start = np.random.default_rng(0).normal(size=(300, 7)).astype(dtype)
    sparse, dense = start.copy(), start.copy()
    lazy, eager = SparseAdam(sparse, weight_decay=0.1), Adam(dense, weight_decay=0.1)
    for seed in range(5):
        gradient = draw(seed, 300, start, dtype, repeats=False)
        lazy.step(gradient)
        eager.step(gradient.to_dense(300))
    assert sparse.tobytes() == dense.tobytes()


def test_rows_without_a_gradient_and_their_moments_stay():
    table = np.ones((10, 3))
    optimizer = SparseAdam(table, 0.1)
    optimizer.step(SparseRows([4], np.ones((1, 3))))
    after = table.copy()
    moments = optimizer.state_dict()["arrays"]
    for _ in range(5):
        optimizer.step(SparseRows([7], np.ones((1, 3))))
    np.testing.assert_array_equal(table[4], after[4])
    assert table[4, 0] != 1
    for name, array in optimizer.state_dict()["arrays"].items():
        np.testing.assert_array_equal(array[4], moments[name][4])
    np.testing.assert_array_equal(table[[0, 1, 2, 3, 5, 6, 8, 9]], 1.0)


def test_as_pytorchs_sparse_adam():
    torch = pytest.importorskip("torch", reason="no PyTorch: make test-torch")
    torch.sparse.check_sparse_tensor_invariants.disable()  # its default, which it warns of
    start = np.random.default_rng(0).normal(size=(50, 4))
    table = start.copy()
    # They differ in where eps is added, so that there is as good as none.
    ours = SparseAdam(table, 0.05, eps=1e-20)
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = torch.optim.SparseAdam([theirs], lr=0.05, eps=1e-20)
    for seed in range(20):
        rows, values = gradient = draw(seed, 30, start)
        ours.step(gradient)
        theirs.grad = torch.sparse_coo_tensor(rows[None], torch.from_numpy(values), (50, 4))
        optimizer.step()
    np.testing.assert_allclose(table, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_threads_do_not_change_bits(each_thread_count):
    start = np.random.default_rng(0).normal(size=(20_000, 16)).astype(np.float32)
    found = set()
    for _ in each_thread_count():
        table = start.copy()
        optimizer = SparseAdam({"t": table})
        for seed in range(3):
            optimizer.step({"t": draw(seed, 9000, start, np.float32)})
        found.add(table.tobytes())
    assert len(found) == 1


def test_saved_state_continues_bit_equal():
    table = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    optimizer = SparseAdam(table, 0.1)
    for seed in range(3):
        optimizer.step(draw(seed, 9, table, np.float32))
    copy, state = table.copy(), optimizer.state_dict()
    plain = json.loads(json.dumps({k: v for k, v in state.items() if k != "arrays"}))
    again = SparseAdam(copy, 0.1)
    again.load_state_dict({**plain, "arrays": state["arrays"]})
    for seed in range(3, 6):
        for each in (optimizer, again):
            each.step(draw(seed, 9, table, np.float32))
    assert copy.tobytes() == table.tobytes()
    with pytest.raises(InvalidArgumentError, match="adam"):
        Adam(copy).load_state_dict(state)


def test_several_tables_with_rates_of_their_own():
    tables = {"a": np.zeros((3, 2)), "b": np.zeros((2, 4), np.float32)}
    optimizer = SparseAdam(tables, 0.5, lr_scale={"b": 0.5})
    optimizer.step(
        {"a": SparseRows([1], np.ones((1, 2))), "b": SparseRows([0], np.ones((1, 4), "f4"))}
    )
    np.testing.assert_allclose(tables["a"], [[0, 0], [-0.5, -0.5], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(tables["b"], [[-0.25] * 4, [0] * 4], rtol=1e-6)


def test_a_gradient_that_views_its_table_is_read_before_writing():
    table = np.ones((4, 2))
    SparseAdam(table, 0.5).step(SparseRows([0, 1], table[2:]))
    np.testing.assert_allclose(table, [[0.5, 0.5], [0.5, 0.5], [1, 1], [1, 1]], rtol=1e-6)


ROWS = np.array([0, 2])


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        (SparseRows(ROWS, np.ones((2, 4))), InvalidArgumentError, r"shape \(2, 4\)"),
        (SparseRows(ROWS, np.ones((3, 3))), InvalidArgumentError, r"shape \(3, 3\)"),
        (SparseRows(ROWS, np.ones(6)), InvalidArgumentError, "shape"),
        (SparseRows(ROWS, np.ones((2, 3), "f4")), InvalidTypeError, "float32"),
        (SparseRows(ROWS, [["a"] * 3] * 2), InvalidTypeError, "dtype"),
        (SparseRows([0.5, 1.0], np.ones((2, 3))), InvalidTypeError, "rows"),
        (SparseRows([[0, 1]], np.ones((2, 3))), InvalidArgumentError, "rows"),
        (SparseRows([0, 5], np.ones((2, 3))), InvalidArgumentError, "5"),
        (SparseRows([-1, 0], np.ones((2, 3))), InvalidArgumentError, "-1"),
        (SparseRows(ROWS, np.full((2, 3), np.nan)), InvalidArgumentError, r"nan at \(0, 0\)"),
        (SparseRows(ROWS, np.full((2, 3), np.inf)), InvalidArgumentError, "inf"),
        (np.ones((5, 3)), InvalidTypeError, "SparseRows"),
        ({"0": np.ones((5, 3))}, InvalidTypeError, "SparseRows"),
        ({"other": SparseRows(ROWS, np.ones((2, 3)))}, InvalidArgumentError, "'other'"),
        ({}, InvalidArgumentError, "lacks '0'"),
    ],
)
def test_a_bad_gradient_changes_nothing(gradient, error, message):
    table = np.ones((5, 3))
    optimizer = SparseAdam(table)
    optimizer.step(SparseRows([1], np.ones((1, 3))))
    copy, state = table.copy(), optimizer.state_dict()
    with pytest.raises(error, match=message):
        optimizer.step(gradient)
    np.testing.assert_array_equal(table, copy)
    after = optimizer.state_dict()
    assert after["steps"] == 1
    for name, array in state["arrays"].items():
        np.testing.assert_array_equal(after["arrays"][name], array)


def test_a_bad_gradient_of_one_table_leaves_the_others():
    tables = {"a": np.ones((3, 2)), "b": np.ones((3, 2), np.float32)}
    good, bad = SparseRows([0], np.ones((1, 2))), SparseRows([3], np.ones((1, 2), "f4"))
    with pytest.raises(InvalidArgumentError, match="rows"):
        SparseAdam(tables).step({"a": good, "b": bad})
    np.testing.assert_array_equal(tables["a"], 1.0)


def test_what_is_no_table_is_refused():
    for array in (np.ones(3), np.ones((2, 2, 2)), np.array(1.0)):
        with pytest.raises(InvalidArgumentError, match="table"):
            SparseAdam(array)
    with pytest.raises(InvalidTypeError):
        SparseAdam(np.ones((2, 2), np.int64))
    SparseAdam(np.ones((0, 3))).step(SparseRows([], np.ones((0, 3))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_repeated_rows_whose_sum_is_infinite_change_nothing(dtype):
    tables = {"a": np.ones((3, 2)), "b": np.ones((3, 2), dtype)}
    good = SparseRows([0], np.ones((1, 2)))
    large = np.full((3, 2), 0.9 * np.finfo(dtype).max, dtype)
    with pytest.raises(InvalidArgumentError, match="row 1 add up to infinity"):
        SparseAdam(tables).step({"a": good, "b": SparseRows([1, 0, 1], large)})
    assert all((table == 1).all() for table in tables.values())
    large[2] *= -1
    optimizer = SparseAdam(tables)
    optimizer.step({"a": good, "b": SparseRows([1, 0, 1], large)})
    assert optimizer.state_dict()["steps"] == 1


@pytest.mark.parametrize(
    ("rows", "count", "error"),
    [
        ([-1, 0], 3, InvalidArgumentError),
        ([0, 5], 3, InvalidArgumentError),
        ([0], 3, InvalidArgumentError),
        ([0, 1], -1, InvalidArgumentError),
        ([0.5, 1], 3, InvalidTypeError),
    ],
)
def test_rows_that_make_no_dense_gradient_are_refused(rows, count, error):
    with pytest.raises(error):
        SparseRows(rows, np.ones((2, 2))).to_dense(count)
