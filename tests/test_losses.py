"""What every registered loss must do, case by case from ``loss_cases``."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from loss_cases import CASES, Sample, samples
from ruvector import _core, losses
from ruvector.errors import InvalidArgumentError, InvalidTypeError

GOLDEN = [(name, case) for name, entry in CASES.items() for case in entry.golden]
NAMES = list(CASES)
# Those of anchors, positives and negatives at a temperature; others have files of their own.
CONTRASTIVE = [name for name in NAMES if "infonce" in name]


def _bits(result):
    arrays = [array for array in result.gradients if array is not None]
    return [np.asarray(result.value).tobytes()] + [array.tobytes() for array in arrays]


def _total(loss, inputs, keywords):
    return float(np.sum(loss(*inputs, **keywords)))


@pytest.mark.parametrize(("name", "case"), GOLDEN)
def test_float64_equals_the_golden_case(name, case):
    golden = CASES[name].golden[case]("")
    value, gradients = golden.loss.value_and_grad(*golden.inputs.values(), **golden.keywords)
    np.testing.assert_allclose(value, golden.value, rtol=1e-10, atol=1e-12)
    for field, want in golden.gradients.items():
        np.testing.assert_allclose(getattr(gradients, field), want, rtol=1e-10, atol=1e-12)
    if golden.items is not None:
        items = golden.loss.replace(reduction="none")(*golden.inputs.values(), **golden.keywords)
        np.testing.assert_allclose(items, golden.items, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "case"), GOLDEN)
def test_float32_equals_the_golden_case(name, case):
    golden = CASES[name].golden[case]("_f32")
    value, gradients = golden.loss.value_and_grad(*golden.inputs.values(), **golden.keywords)
    factor = 2e-5 if getattr(golden.loss, "temperature", 1.0) <= 0.01 else 2e-6
    np.testing.assert_allclose(value, golden.value, rtol=2e-5, atol=1e-6)
    for field, want in golden.gradients.items():
        got = getattr(gradients, field)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=factor * np.abs(want).max())


@pytest.mark.parametrize("name", [name for name in NAMES if CASES[name].reference])
def test_values_equal_the_definition(name):
    for loss, inputs, keywords in samples(name, 150):
        want = CASES[name].reference(loss, inputs, keywords)
        got = loss(*inputs.values(), **keywords)
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_central_differences(name):
    for seed, (loss, inputs, keywords) in enumerate(samples(name, 150)):
        rng = np.random.default_rng(seed)
        gradients = loss.value_and_grad(*inputs.values(), **keywords).gradients._asdict()
        step = 1e-6 * min(1.0, 10 * getattr(loss, "temperature", 1.0))
        for field, array in inputs.items():
            if array is None or array.size == 0:
                continue
            direction = rng.standard_normal(array.shape)
            direction /= np.linalg.norm(direction)
            ends = [
                _total(loss, (inputs | {field: array + sign * step * direction}).values(), keywords)
                for sign in (1, -1)
            ]
            slope = (ends[0] - ends[1]) / (2 * step)
            want = float(np.sum(gradients[field] * direction))
            # Slopes of large values are lost in their last digits.
            tolerance = 1e-5 * max(1.0, np.abs(gradients[field]).max())
            tolerance += 1e-15 * abs(ends[0]) / step
            assert abs(slope - want) < tolerance, (seed, field, loss)


@pytest.mark.parametrize("name", NAMES)
def test_the_value_alone_is_the_same_bit_for_bit(name):
    for loss, inputs, keywords in samples(name, 60):
        for dtype in (np.float32, np.float64):
            arrays = [None if a is None else a.astype(dtype) for a in inputs.values()]
            value = loss(*arrays, **keywords)
            result = loss.value_and_grad(*arrays, **keywords)
            assert np.array_equal(value, result.value)
            for array, gradient in zip(arrays, result.gradients, strict=True):
                if array is None:
                    assert gradient is None
                else:
                    assert gradient.dtype == dtype
                    assert gradient.shape == array.shape


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_reductions_agree(name):
    for loss, inputs, keywords in samples(name, 40):
        arrays = list(inputs.values())
        items, by_none = loss.replace(reduction="none").value_and_grad(*arrays, **keywords)
        total, by_sum = loss.replace(reduction="sum").value_and_grad(*arrays, **keywords)
        mean, by_mean = loss.replace(reduction="mean").value_and_grad(*arrays, **keywords)
        active = loss.value_and_grad(*arrays, **keywords).active
        np.testing.assert_allclose(items.sum(), total, rtol=1e-14)
        np.testing.assert_allclose(mean * max(active, 1), total, rtol=1e-14)
        for a, b, c in zip(by_none, by_sum, by_mean, strict=True):
            if a is not None:
                assert np.array_equal(a, b)
                # One column leaves nothing but rounding of terms as large as 1 / temperature.
                atol = 1e-13 * max(1 / loss.temperature, np.abs(b).max(initial=0))
                np.testing.assert_allclose(c * max(active, 1), b, rtol=1e-12, atol=atol)


def _large(name: str) -> Sample:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 32), np.float32)
    negatives = rng.standard_normal((700, 32), np.float32)
    loss = next(iter(samples(name, 1))).loss.replace(reduction="mean", temperature=0.1)
    return Sample(loss, {"a": x, "p": x + 0.1, "n": negatives}, {})


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_results_do_not_depend_on_the_number_of_threads(name):
    before = _core.get_num_threads()
    loss, inputs, keywords = _large(name)
    try:
        found = []
        for threads in (1, 2):
            _core.set_num_threads(threads)
            found.append(_bits(loss.value_and_grad(*inputs.values(), **keywords)))
    finally:
        _core.set_num_threads(before)
    assert found[0] == found[1]


_LEVEL_SCRIPT = """
import sys, numpy as np
sys.path.insert(0, sys.argv[1])
from loss_cases import CASES, GOLDEN
for entry in CASES.values():
    for read in entry.golden.values():
        g = read("_f32")
        value, gradients = g.loss.value_and_grad(*g.inputs.values(), **g.keywords)
        np.testing.assert_allclose(value, g.value, rtol=2e-5, atol=1e-6)
        for field, want in g.gradients.items():
            atol = 2e-5 * np.abs(want).max()
            np.testing.assert_allclose(getattr(gradients, field), want, rtol=2e-5, atol=atol)
"""


@pytest.mark.parametrize("level", _core.simd_levels())
def test_every_simd_level_gives_the_golden_values(level):
    environment = os.environ | {"RUVECTOR_SIMD": level}
    here = os.path.dirname(__file__)  # noqa: PTH120
    subprocess.run([sys.executable, "-c", _LEVEL_SCRIPT, here], env=environment, check=True)


@pytest.mark.parametrize("name", NAMES)
def test_out_receives_the_gradients_and_saves_nothing_else(name):
    for loss, inputs, keywords in samples(name, 20):
        want = loss.value_and_grad(*inputs.values(), **keywords)
        out = [None if a is None else np.full_like(a, np.nan) for a in inputs.values()]
        got = loss.value_and_grad(*inputs.values(), **keywords, out=out)
        assert _bits(got) == _bits(want)
        assert all(a is b for a, b in zip(got.gradients, out, strict=True))


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_out_that_does_not_fit_is_refused(name):
    loss, inputs, keywords = next(s for s in samples(name, 99) if s.inputs["negatives"] is not None)
    arrays = list(inputs.values())

    def call(first, error):
        out = [first, *(np.empty_like(a) for a in arrays[1:])]
        with pytest.raises(error, match="out"):
            loss.value_and_grad(*arrays, **keywords, out=out)

    good = np.empty_like(arrays[0])
    call(good.astype(np.float32), InvalidTypeError)
    call("text", InvalidTypeError)
    call(np.empty((*good.shape, 2)), InvalidArgumentError)
    call(np.empty((good.shape[0], 2 * good.shape[1]))[:, ::2], InvalidArgumentError)
    call(arrays[0], InvalidArgumentError)
    good.flags.writeable = False
    call(good, InvalidArgumentError)
    with pytest.raises(InvalidArgumentError, match="2 arrays but needs 3"):
        loss.value_and_grad(*arrays, **keywords, out=[good, good])


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_losses_are_values(name):
    for loss, inputs, keywords in samples(name, 10):
        twin = pickle.loads(pickle.dumps(loss))
        assert twin == loss
        assert hash(twin) == hash(loss)
        assert copy.deepcopy(loss) == loss
        namespace = {type(loss).__name__: type(loss)}
        assert eval(repr(loss), namespace) == loss
        other = loss.replace(temperature=0.321)
        assert other != loss
        assert other.temperature == 0.321
        with pytest.raises(AttributeError):
            loss.temperature = 1.0
        result = loss.value_and_grad(*inputs.values(), **keywords)
        again = pickle.loads(pickle.dumps(result))
        assert _bits(again) == _bits(result)
        assert again.active == result.active
        value, gradients = result
        assert value is result.value
        assert gradients is result.gradients


@pytest.mark.parametrize("name", CONTRASTIVE)
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"temperature": 0.0}, InvalidArgumentError),
        ({"temperature": -1}, InvalidArgumentError),
        ({"temperature": float("nan")}, InvalidArgumentError),
        ({"temperature": float("inf")}, InvalidArgumentError),
        ({"temperature": "hot"}, InvalidTypeError),
        ({"temperature": None}, InvalidTypeError),
        ({"reduction": "median"}, InvalidArgumentError),
        ({"reduction": None}, InvalidArgumentError),
        ({"unknown": 1}, InvalidArgumentError),
    ],
)
def test_bad_options_are_refused(name, changes, error):
    loss = next(iter(samples(name, 1))).loss
    with pytest.raises(error, match=next(iter(changes))):
        loss.replace(**changes)


X = np.ones((3, 4))
BAD = [
    ({"anchors": np.ones(4)}, InvalidArgumentError, "anchors has shape"),
    ({"anchors": np.ones((2, 4))}, InvalidArgumentError, "positives has shape"),
    ({"anchors": np.ones((3, 5))}, InvalidArgumentError, "positives has shape"),
    ({"negatives": np.ones((7, 5))}, InvalidArgumentError, "negatives has shape"),
    ({"negatives": np.ones((3, 2, 4, 1))}, InvalidArgumentError, "negatives has shape"),
    ({"anchors": "text"}, InvalidTypeError, "anchors"),
    ({"anchors": X + 1j}, InvalidTypeError, "anchors"),
    ({"anchors": None}, InvalidTypeError, "anchors"),
    ({"anchors": [[1.0], [1.0, 2.0]]}, InvalidArgumentError, "anchors"),
    ({"anchors": np.ones((3, 0)), "positives": np.ones((3, 0))}, InvalidArgumentError, "column"),
    ({"anchors": np.where(np.eye(3, 4), np.nan, 1)}, InvalidArgumentError, "anchors.*row 0"),
    (
        {"positives": np.where(np.eye(3, 4, -1), np.inf, 1)},
        InvalidArgumentError,
        "positives.*row 1",
    ),
    ({"negatives": np.full((7, 4), -np.inf)}, InvalidArgumentError, "negatives.*row 0"),
]


@pytest.mark.parametrize("name", CONTRASTIVE)
@pytest.mark.parametrize(("changes", "error", "message"), BAD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bad_inputs_are_refused(name, changes, error, message, dtype):
    loss = next(iter(samples(name, 1))).loss
    inputs = {"anchors": X, "positives": X, "negatives": np.ones((7, 4))} | changes
    inputs = {
        key: value.astype(dtype) if getattr(value, "dtype", None) == np.float64 else value
        for key, value in inputs.items()
    }
    with pytest.raises(error, match=message):
        loss(*inputs.values())
    with pytest.raises(error, match=message):
        loss.value_and_grad(*inputs.values())


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_other_layouts_and_dtypes_are_converted(name):
    loss = next(iter(samples(name, 1))).loss.replace(reduction="mean")
    x = np.random.default_rng(0).integers(1, 9, (6, 8))
    want = loss(x.astype(np.float32), x[::-1].astype(np.float32))
    assert loss(x, x[::-1]) == want
    assert loss(x.astype(np.float16), x[::-1].astype(np.int8)) == want
    assert loss(np.asfortranarray(x, dtype=np.float32), x[::-1].astype(np.float32)) == want
    double = loss(x.astype(np.float64), x[::-1].astype(np.float64))
    mixed = loss.value_and_grad(x.astype(np.float32), x[::-1].astype(np.float64))
    assert mixed.value == double
    assert mixed.gradients.anchors.dtype == np.float64


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_rows_of_a_table_give_the_scattered_gradient(name):
    rng = np.random.default_rng(5)
    table = rng.standard_normal((7, 5))
    anchors, positives = rng.integers(0, 7, 20), rng.integers(0, 7, 20)
    negatives = rng.integers(0, 7, 9)
    loss = next(iter(samples(name, 1))).loss.replace(reduction="mean", temperature=0.3)
    plain = loss.value_and_grad(table[anchors], table[positives], table[negatives])
    want = np.zeros_like(table)
    for index, gradient in zip((anchors, positives, negatives), plain.gradients, strict=True):
        np.add.at(want, index, gradient)
    out = np.full_like(table, np.nan)
    got = loss.value_and_grad_indexed(table, anchors, positives, negatives, out=out)
    assert got.value == plain.value
    assert got.gradients.embeddings is out
    np.testing.assert_allclose(out, want, rtol=1e-12, atol=1e-14)
    before = out.copy()
    for bad in (-1, 7):
        with pytest.raises(InvalidArgumentError, match=f"{bad} at position 1"):
            loss.value_and_grad_indexed(table, [0, bad], [0, 1], out=out)
    with pytest.raises(InvalidTypeError, match="anchors"):
        loss.value_and_grad_indexed(table, [0.5, 1.0], [0, 1], out=out)
    with pytest.raises(InvalidArgumentError, match="overlaps"):
        loss.value_and_grad_indexed(table, [0], [1], out=table)
    assert np.array_equal(out, before)


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_profile_holds_each_temperatures_value_and_norm(name):
    loss, inputs, keywords = _large(name)
    profile = losses.temperature_profile(
        loss, *inputs.values(), temperatures=[0.05, 0.5], **keywords
    )
    for i, temperature in enumerate((0.05, 0.5)):
        value, gradients = loss.replace(temperature=temperature).value_and_grad(
            *inputs.values(), **keywords
        )
        squares = sum(float(np.sum(np.square(g, dtype=np.float64))) for g in gradients)
        assert profile.values[i] == value
        np.testing.assert_allclose(profile.gradient_norms[i], np.sqrt(squares), rtol=1e-5)
    with pytest.raises(InvalidArgumentError, match="temperature"):
        losses.temperature_profile(loss, *inputs.values(), temperatures=[0.1, 0.0])
    with pytest.raises(InvalidArgumentError, match="reduction"):
        losses.temperature_profile(
            loss.replace(reduction="none"), *inputs.values(), temperatures=[0.1]
        )
