import numpy as np
import pytest
from loss_cases import arrays_of
from ruvector import similarity
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
