import os
import subprocess
import sys

import numpy as np
import pytest
from loss_cases import arrays_of
from ruvector import _core, runtime, similarity
from ruvector.errors import InvalidArgumentError, InvalidTypeError

REFERENCE = {
    "dot": lambda a, b: a @ b,
    "cosine": lambda a, b: a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-8),
    "squared_l2": lambda a, b: np.sum((a - b) ** 2),
}


@pytest.mark.parametrize(("suffix", "rtol"), [("", 1e-10), ("_f32", 2e-5)])
def test_cosine_equals_the_golden_case(suffix, rtol):
    golden = arrays_of(f"cosine{suffix}")[""]
    a, b = golden["a"], golden["b"]
    atol = 1e-12 if suffix == "" else 1e-6
    np.testing.assert_allclose(similarity.cosine(a, b), golden["cos"], rtol=rtol, atol=atol)
    np.testing.assert_allclose(
        similarity.cosine_matrix(a, b), golden["matrix"], rtol=rtol, atol=atol
    )
    value, grad_a, grad_b = similarity.cosine_and_grad(a, b)
    np.testing.assert_allclose(value, golden["cos"], rtol=rtol, atol=atol)
    for got, want in zip(grad_a, golden["grad_a"], strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol * max(1.0, np.abs(want).max()))
    swapped = similarity.cosine_and_grad(b, a)
    for got, want in zip(swapped.grad_b, golden["grad_a"], strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol * max(1.0, np.abs(want).max()))
    assert grad_b.shape == b.shape


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-12)])
def test_pairs_and_matrix_equal_numpy(name, dtype, tolerance):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((70, 33)).astype(dtype), rng.standard_normal((5, 33)).astype(dtype)
    a[3] = 0
    wide = [[REFERENCE[name](x, y) for y in b.astype(float)] for x in a.astype(float)]
    matrix = getattr(similarity, f"{name}_matrix")
    got = matrix(a, b)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wide, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(matrix(a[0], b), wide[:1], rtol=tolerance, atol=tolerance)
    pairs = getattr(similarity, name)
    np.testing.assert_allclose(pairs(a[:5], b), np.diagonal(wide), rtol=tolerance, atol=tolerance)
    assert np.isclose(pairs(a[1], b[0]), wide[1][0], rtol=tolerance, atol=tolerance)
    assert matrix(a[:0], b).shape == (0, 5)
    assert matrix(a, b[:0]).shape == (70, 0)


def test_cosines_stay_within_one():
    x = np.random.default_rng(1).standard_normal((500, 3)).astype(np.float32)
    assert np.abs(similarity.cosine_matrix(x, x)).max() <= 1
    assert np.abs(similarity.cosine(x, -2 * x)).max() <= 1


@pytest.mark.parametrize("name", REFERENCE)
def test_bad_inputs_are_refused(name):
    x = np.ones((3, 4))
    for function in (getattr(similarity, name), getattr(similarity, f"{name}_matrix")):
        with pytest.raises(InvalidArgumentError, match=r"b has shape \(3, 5\)"):
            function(x, np.ones((3, 5)))
        with pytest.raises(InvalidArgumentError, match="a has shape"):
            function(np.ones((2, 3, 4)), x)
        with pytest.raises(InvalidTypeError, match="a has dtype"):
            function("text", x)
        with pytest.raises(InvalidArgumentError, match="b has NaN or infinity in row 2"):
            function(x, np.where(np.eye(3, 4, -2), np.nan, 1))
    with pytest.raises(InvalidArgumentError, match=f"{name}_matrix"):
        getattr(similarity, name)(x, x[:2])


def _side(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    if dtype == np.int8:
        return rng.integers(-128, 128, shape, np.int8)
    return rng.standard_normal(shape).astype(dtype)


def _oracle(name, a, b):
    """All pairs in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    if name == "squared_l2":
        return ((a[:, None] - b[None]) ** 2).sum(-1)
    if name == "dot":
        return a @ b.T
    lengths = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    return a @ b.T / np.maximum(lengths, 1e-8)


# One row, few rows, and many rows are compared in different ways.
SHAPES = [(1, 200, 100), (200, 3, 37), (8, 9, 16), (90, 77, 300), (20, 40, 1)]
TYPES = [
    (np.float16, np.float16, np.float32),
    (np.float32, np.float16, np.float32),
    (np.float16, np.float32, np.float32),
    (np.float64, np.float16, np.float64),
    (np.int8, np.int8, np.float32),
    (np.int8, np.float32, np.float32),
    (np.float16, np.int8, np.float32),
    (np.float32, np.float64, np.float64),
]


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize(("left", "right", "result"), TYPES)
def test_every_pair_of_types_equals_the_oracle(name, left, right, result):
    matrix, pairs = getattr(similarity, f"{name}_matrix"), getattr(similarity, name)
    for n, m, d in SHAPES:
        a, b = _side(0, (n, d), left), _side(1, (m, d), right)
        a[n // 2] = 0
        want = _oracle(name, a, b)
        size = 1.0 if name == "cosine" else np.abs(a.astype(float)).max() ** 2 * d + np.abs(want)
        # Beyond 2**24 an exact integer is still rounded to float32.
        tolerance = 1e-12 if result == np.float64 else 1e-6
        got = matrix(a, b)
        assert got.dtype == result
        assert np.all(np.abs(got - want) <= tolerance * size)
        both = min(n, m)
        got = pairs(a[:both], b[:both])
        assert got.dtype == result
        assert np.all(
            np.abs(got - np.diagonal(want)) <= (tolerance * size + np.zeros((n, m)))[0, 0]
        )


def test_products_of_bytes_are_exact():
    a, b = _side(0, (40, 1000), np.int8), _side(1, (30, 1000), np.int8)
    a[0], b[0] = -128, -128
    wide = a.astype(np.int64) @ b.astype(np.int64).T
    np.testing.assert_array_equal(similarity.dot_matrix(a, b), wide.astype(np.float32))
    squared = ((a[:, None].astype(np.int64) - b[None]) ** 2).sum(-1)
    np.testing.assert_array_equal(similarity.squared_l2_matrix(a, b), squared.astype(np.float32))
    assert similarity.cosine(a[0], b[0]) == 1
    assert similarity.cosine(a[0], 0 * b[0]) == 0


def test_bytes_whose_sums_could_overflow_are_refused():
    longest = np.full((1, 2**17 - 1), -128, np.int8)
    assert similarity.dot(longest, longest) == np.float32(2**14 * (2**17 - 1))
    beyond = np.zeros((1, 2**17), np.int8)
    calls = {
        "a": (similarity.dot, similarity.cosine_matrix),
        "queries": (lambda a, b: similarity.top_k(a, b, 1),),
    }
    for name, functions in calls.items():
        for call in functions:
            match = rf"^{name} has 131072 columns of int8.*float32"
            with pytest.raises(InvalidArgumentError, match=match):
                call(beyond, beyond)


@pytest.mark.parametrize("name", REFERENCE)
def test_halves_that_are_not_finite_are_refused(name):
    good = np.ones((20, 4), np.float16)
    bad = good.copy()
    bad[13, 1] = np.inf
    for function in (getattr(similarity, name), getattr(similarity, f"{name}_matrix")):
        with pytest.raises(InvalidArgumentError, match="b has NaN or infinity in row 13"):
            function(good, bad)
        with pytest.raises(InvalidArgumentError, match="a has NaN or infinity in row 13"):
            function(bad, good)
    with pytest.raises(InvalidArgumentError, match="b has NaN or infinity in row 13"):
        getattr(similarity, f"{name}_matrix")(good[:1], bad)


def test_near_points_keep_their_distance():
    a = np.full((20, 64), 1000.0, np.float32)
    b = a + np.float32(2**-10)
    want = np.full((20, 20), 64 * 2.0**-20, np.float32)
    np.testing.assert_array_equal(similarity.squared_l2_matrix(a, b), want)
    np.testing.assert_array_equal(similarity.squared_l2_matrix(a[:1], b), want[:1])


@pytest.mark.parametrize("scales", [(1e-30, 1e30), (1e-9, 1e-9), (1e-42, 1.0), (1e-5, 1e-5)])
def test_cosines_of_extreme_lengths(scales):
    rng = np.random.default_rng(3)
    for n, m in [(1, 40), (30, 40)]:
        a = (rng.standard_normal((n, 12)) * scales[0]).astype(np.float32)
        b = (rng.standard_normal((m, 12)) * scales[1]).astype(np.float32)
        got = similarity.cosine_matrix(a, b)
        np.testing.assert_allclose(got, _oracle("cosine", a, b), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", REFERENCE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int8])
@pytest.mark.parametrize(("n", "m", "k"), [(1, 5000, 10), (7, 300, 3), (600, 90, 90), (30, 700, 1)])
def test_top_k_is_the_top_of_the_matrix(metric, dtype, n, m, k):
    queries, base = _side(0, (n, 6), dtype), _side(1, (m, 6), dtype)
    base[m - 20 :] = base[:20]
    matrix = getattr(similarity, f"{metric}_matrix")(queries, base)
    sign = 1 if metric == "squared_l2" else -1
    want = np.argsort(sign * matrix, axis=1, kind="stable")[:, :k]
    found = similarity.top_k(queries, base, k, metric=metric)
    assert found.rows.dtype == np.int64
    np.testing.assert_array_equal(found.rows, want)
    np.testing.assert_array_equal(found.scores, np.take_along_axis(matrix, want, 1))


def test_results_do_not_depend_on_the_number_of_threads():
    cases = [
        (_side(0, (n, 40), dtype), _side(1, (m, 40), dtype))
        for n, m in [(2, 30_000), (700, 900)]
        for dtype in (np.float32, np.float16, np.int8)
    ]

    def results(threads):
        before = runtime.get_num_threads()
        runtime.set_num_threads(threads)
        try:
            return [
                array
                for a, b in cases
                for name in REFERENCE
                for array in (
                    getattr(similarity, f"{name}_matrix")(a, b),
                    *similarity.top_k(a, b, 20, metric=name),
                )
            ]
        finally:
            runtime.set_num_threads(before)

    one = results(1)
    for threads in (2, 3):
        for got, want in zip(results(threads), one, strict=True):
            np.testing.assert_array_equal(got, want)


def test_top_k_of_little():
    x = np.eye(3, dtype=np.float32)
    assert similarity.top_k(x[0], x, 5).rows.tolist() == [[0, 1, 2]]
    assert similarity.top_k(x[:0], x, 2).rows.shape == (0, 2)
    assert similarity.top_k(x, x[:0], 2).scores.shape == (3, 0)
    assert similarity.top_k(np.zeros((2, 0)), np.zeros((3, 0)), 2).rows.tolist() == [[0, 1]] * 2


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((np.ones((2, 3)), np.ones((2, 4)), 1), InvalidArgumentError, r"base has shape \(2, 4\)"),
        ((np.ones((2, 3)), np.ones((2, 3)), 0), InvalidArgumentError, "k is 0"),
        ((np.ones((2, 3)), np.ones((2, 3)), 1.5), InvalidTypeError, "k is 1.5"),
        ((np.ones((2, 3)), np.ones((2, 3)), True), InvalidTypeError, "k is True"),
        (("text", np.ones((2, 3)), 1), InvalidTypeError, "queries has dtype"),
        ((np.ones((2, 3)), np.full((2, 3), np.nan), 1), InvalidArgumentError, "base has NaN"),
        ((np.full((9, 3), np.inf), np.ones((9, 3)), 1), InvalidArgumentError, "queries has NaN"),
        (
            (np.ones((2, 3), "f2").reshape(1, 2, 3), np.ones((2, 3)), 1),
            InvalidArgumentError,
            "queries has shape",
        ),
    ],
)
def test_top_k_refuses_bad_input(arguments, error, match):
    with pytest.raises(error, match=match):
        similarity.top_k(*arguments)


@pytest.mark.parametrize(("n", "m"), [(3, 5000), (40, 700)])
def test_products_that_overflow_come_last(n, m):
    rng = np.random.default_rng(0)
    base = rng.standard_normal((m, 16)).astype(np.float32)
    base[::3] *= np.float32(1e25)
    base[::6, 1:] = 0
    queries = (rng.standard_normal((n, 16)) * 1e25).astype(np.float32)
    matrix = similarity.dot_matrix(queries, base)
    # With many queries a sum is one chain of fused steps, which stays at the first infinity.
    assert np.isnan(matrix).any() or n > 3
    assert np.isinf(matrix).any()
    # As numbers, and NaN last, also in NumPy.
    want = np.argsort(-matrix, axis=1, kind="stable")
    for k in (1, 3, 15, m):
        found = similarity.top_k(queries, base, k, metric="dot")
        np.testing.assert_array_equal(found.rows, want[:, :k])
        np.testing.assert_array_equal(found.scores, np.take_along_axis(matrix, want[:, :k], 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int8])
def test_too_many_results_are_refused(dtype):
    x = np.ones((20_000, 2), dtype)
    with pytest.raises(InvalidArgumentError, match="k asks for 20000 rows for each of 20000"):
        similarity.top_k(x, x, 10**9)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory")
def test_results_beyond_memory_are_a_memory_error():
    program = """
import resource
import numpy as np
from ruvector.similarity import top_k

x = np.ones((16_000, 2), np.float32)
top_k(x[:2], x, 1)
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, resource.getrlimit(resource.RLIMIT_AS)[1]))
try:
    top_k(x, x, 16_000)
except MemoryError:
    print("refused")
print(top_k(x[:2], x, 1).rows.tolist())
"""
    arguments = [sys.executable, "-c", program]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.stdout.split("\n")[:2] == ["refused", "[[0], [0]]"], result.stderr[-2000:]


def test_top_k_refuses_an_unknown_metric():
    with pytest.raises(InvalidArgumentError, match="metric is 'l3' but must be one of"):
        similarity.top_k(np.ones((2, 3)), np.ones((2, 3)), 1, metric="l3")


def test_rows_with_gaps_and_other_byte_orders_are_read():
    a = _side(0, (20, 30), np.float16)
    b = _side(1, (25, 30), np.float16)
    want = similarity.dot_matrix(a[::2, ::3].copy(), b[:, ::3].copy())
    np.testing.assert_array_equal(similarity.dot_matrix(a[::2, ::3], b[:, ::3]), want)
    swapped = a[::2, ::3].astype(">f2")
    np.testing.assert_allclose(
        similarity.dot_matrix(swapped, b[:, ::3]), want, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("level", _core.simd_levels()[:-1])
def test_lower_levels_pass_the_same_tests(level):
    environment = os.environ | {"RUVECTOR_SIMD": level}
    names = "oracle or exact or top_of"
    arguments = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__, "-k", names]
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:]
