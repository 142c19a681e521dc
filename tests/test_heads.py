"""Decoder, discriminator, summary and pooling: by definition, and as losses have them inside."""

import numpy as np
import pytest
from ruvector import heads, losses
from ruvector.errors import InvalidArgumentError, InvalidTypeError, RuvectorError

RNG = np.random.default_rng(0)
Z, WEIGHT, BIAS = RNG.standard_normal((7, 4)), RNG.standard_normal((4, 3)), RNG.standard_normal(3)
SQUARE = RNG.standard_normal((4, 4))
GRAPHS = np.array([2, 0, 2, 2, 4, 0, 4])
POOLINGS = ("mean", "sum", "max")


def check_gradients(forward, backward, inputs):
    """Compare with central differences along each entry, for a random gradient of the result."""
    gradient = RNG.standard_normal(forward(*inputs).shape)
    found = backward(gradient, *inputs)
    for place, (array, got) in enumerate(zip(inputs, found, strict=True)):
        assert got.shape == array.shape
        for at in np.ndindex(array.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [other.copy() for other in inputs]
                moved[place][at] += step
                ends.append(np.sum(gradient * forward(*moved)))
            assert got[at] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-8)


def test_each_is_its_definition():
    np.testing.assert_allclose(heads.linear(Z, WEIGHT, BIAS), Z @ WEIGHT + BIAS, rtol=1e-14)
    np.testing.assert_allclose(heads.linear(Z, WEIGHT), Z @ WEIGHT, rtol=1e-14)
    np.testing.assert_allclose(heads.bilinear(Z, WEIGHT, BIAS), Z @ WEIGHT @ BIAS, rtol=1e-13)
    np.testing.assert_allclose(heads.summary(Z), 1 / (1 + np.exp(-Z.mean(axis=0))), rtol=1e-14)
    assert heads.summary([[-2000.0, 2000.0]]).tolist() == [0.0, 1.0]
    for pooling, function in zip(POOLINGS, (np.mean, np.sum, np.max), strict=True):
        got = heads.pool(Z, GRAPHS, count=6, pooling=pooling)
        for graph in range(6):
            rows = Z[graph == GRAPHS]
            want = function(rows, axis=0) if len(rows) else np.zeros(4)
            np.testing.assert_allclose(got[graph], want, rtol=1e-14, atol=1e-16)
    assert heads.pool(Z, GRAPHS).shape == (5, 4)


def test_gradients_equal_central_differences():
    check_gradients(
        heads.linear, lambda g, z, w, _: heads.linear_backward(g, z, w), (Z, WEIGHT, BIAS)
    )
    check_gradients(heads.bilinear, heads.bilinear_backward, (Z, WEIGHT, BIAS))
    check_gradients(heads.summary, lambda g, z: [heads.summary_backward(g, z)], (Z,))
    for pooling in POOLINGS:
        check_gradients(
            lambda z, how=pooling: heads.pool(z, GRAPHS, pooling=how),
            lambda g, z, how=pooling: [heads.pool_backward(g, z, GRAPHS, pooling=how)],
            (Z,),
        )


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_and_a_decoder_before_node_classification_are_graph_classification(pooling):
    labels = [0, -1, 2, -1, 1]
    want = losses.GraphClassificationLoss(pooling).value_and_grad(
        Z, WEIGHT, BIAS, graphs=GRAPHS, labels=labels
    )
    pooled = heads.pool(Z, GRAPHS, pooling=pooling)
    logits = heads.linear(pooled, WEIGHT, BIAS)
    value, gradients = losses.NodeClassificationLoss().value_and_grad(logits, labels)
    back = heads.linear_backward(gradients.logits, pooled, WEIGHT)
    nodes = heads.pool_backward(back.embeddings, Z, GRAPHS, pooling=pooling)
    assert value == pytest.approx(want.value, rel=1e-14)
    for got, expected in zip((nodes, back.weight, back.bias), want.gradients, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def test_a_summary_and_the_discriminator_before_edge_bce_are_deep_graph_infomax():
    fake = RNG.standard_normal((5, 4))
    want = losses.DeepGraphInfomaxLoss().value_and_grad(Z, fake, SQUARE)
    summary = heads.summary(Z)
    both = np.concatenate([Z, fake])
    logits = heads.bilinear(both, SQUARE, summary)
    value, (slopes,) = losses.EdgeBCELoss().value_and_grad(logits, np.repeat([1.0, 0.0], [7, 5]))
    back = heads.bilinear_backward(slopes, both, SQUARE, summary)
    states = back.states[:7] + heads.summary_backward(back.summary, Z)
    assert value == pytest.approx(want.value, rel=1e-14)
    for got, expected in zip((states, back.states[7:], back.weight), want.gradients, strict=False):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def test_a_decoder_before_squares_is_feature_reconstruction():
    target = RNG.standard_normal((7, 3))
    want = losses.FeatureReconstructionLoss().value_and_grad(Z, WEIGHT, BIAS, target)
    excess = heads.linear(Z, WEIGHT, BIAS) - target
    assert np.mean(excess**2) == pytest.approx(want.value, rel=1e-14)
    back = heads.linear_backward(2 * excess / excess.size, Z, WEIGHT)
    for got, expected in zip(back, want.gradients, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def calls(z, weight, bias, graphs):
    logits, vector, square = z @ weight, z[:, 0], z.T @ z
    yield heads.linear(z, weight, bias)
    yield from heads.linear_backward(logits, z, weight)
    yield heads.bilinear(z, square, z[0])
    yield from heads.bilinear_backward(vector, z, square, z[0])
    yield heads.summary(z)
    yield heads.summary_backward(z[0], z)
    for pooling in POOLINGS:
        pooled = heads.pool(z, graphs, pooling=pooling)
        yield pooled
        yield heads.pool_backward(pooled, z, graphs, pooling=pooling)


def test_results_keep_their_dtype_and_do_not_depend_on_the_number_of_threads(each_thread_count):
    rng = np.random.default_rng(1)
    z, weight = rng.standard_normal((3000, 40), np.float32), rng.standard_normal((40, 30))
    graphs = rng.integers(0, 70, 3000)
    found = []
    for _ in each_thread_count():
        single = list(calls(z, weight.astype(np.float32), np.ones(30, np.float32), graphs))
        assert {array.dtype for array in single} == {np.dtype(np.float32)}
        found.append([array.tobytes() for array in single])
    assert found[0] == found[1]
    assert heads.linear(z, weight).dtype == np.float64


def test_no_rows_give_empty_results_and_zeros():
    none = np.empty((0, 4))
    assert heads.linear(none, WEIGHT).shape == (0, 3)
    back = heads.linear_backward(np.empty((0, 3)), none, WEIGHT)
    assert not back.weight.any()
    assert not back.bias.any()
    assert heads.bilinear(none, WEIGHT, BIAS).shape == (0,)
    assert not heads.bilinear_backward([], none, WEIGHT, BIAS).weight.any()
    assert heads.summary(none).tolist() == [0.5] * 4
    assert heads.pool(none, []).shape == (0, 4)
    assert not heads.pool(none, [], count=2).any()
    assert heads.pool_backward(np.ones((2, 4)), none, []).shape == (0, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: heads.linear(Z, WEIGHT.T), r"weight has shape \(3, 4\) but embeddings"),
        (lambda: heads.linear(Z, WEIGHT, np.ones(4)), r"bias has shape \(4,\) but weight"),
        (lambda: heads.linear(Z[0], WEIGHT), r"embeddings has shape \(4,\)"),
        (lambda: heads.linear(Z * np.nan, WEIGHT), "embeddings has NaN or infinity in row 0"),
        (lambda: heads.linear(Z[:, :0], WEIGHT), "needs columns"),
        (lambda: heads.linear_backward(Z, Z, WEIGHT), r"gradient has shape \(7, 4\) but needs"),
        (lambda: heads.bilinear(Z, WEIGHT, np.ones(4)), r"summary has shape \(4,\) but weight"),
        (lambda: heads.bilinear(Z, WEIGHT, [0, np.inf, 0]), "summary has NaN .* position 1"),
        (lambda: heads.bilinear_backward(BIAS, Z, WEIGHT, BIAS), "gradient has shape"),
        (lambda: heads.summary_backward(BIAS, Z), r"gradient has shape \(3,\) but states"),
        (lambda: heads.pool(Z, GRAPHS[1:]), "graphs has 6 entries but embeddings has 7 rows"),
        (lambda: heads.pool(Z, GRAPHS - 1), "graphs holds -1 at position 1"),
        (lambda: heads.pool(Z, GRAPHS, count=4), "graphs holds 4 at position 4"),
        (lambda: heads.pool(Z, GRAPHS, count=-1), "count is -1"),
        (lambda: heads.pool(Z, GRAPHS, pooling="min"), "pooling is 'min'"),
        (lambda: heads.pool_backward(WEIGHT, Z, GRAPHS), "graphs holds 4 at position 4"),
        (lambda: heads.pool_backward(np.ones((5, 3)), Z, GRAPHS), r"gradient has shape \(5, 3\)"),
    ],
)
def test_what_does_not_fit_is_told(call, message):
    with pytest.raises(InvalidArgumentError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda bad: heads.linear(bad, WEIGHT),
        lambda bad: heads.linear(Z, WEIGHT, bad),
        lambda bad: heads.bilinear(bad, WEIGHT, BIAS),
        heads.summary,
        lambda bad: heads.pool(bad, GRAPHS),
        lambda bad: heads.pool(Z, bad),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(call):
    for bad in ("text", [["a"]], {"a": 1}, [[1j]]):
        with pytest.raises(InvalidTypeError):
            call(bad)
    with pytest.raises(RuvectorError):
        call([[1.0], [1.0, 2.0]])


def test_more_graphs_than_memory_holds_are_refused():
    with pytest.raises(MemoryError):
        heads.pool(Z[:2], [0, 10**12])
    with pytest.raises(InvalidArgumentError, match="count"):
        heads.pool(Z[:2], [0, 1], count=2**62)
