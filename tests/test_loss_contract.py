"""What every registered loss owes its callers, whatever it computes: one contract, case by case."""

import os
import subprocess
import sys

import numpy as np
import pytest
from loss_cases import CASES, samples
from ruvector import _core, losses
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.losses._base import SPECS

NAMES = list(CASES)
REDUCED = [name for name in NAMES if len(SPECS[name].reductions) > 1]
DTYPES = (np.float32, np.float64)


def filled(name, count):
    """Yield samples of which no input with a gradient is empty."""
    found = (s for s in samples(name, 300) if all(a is None or a.size for a in s.inputs.values()))
    for _, sample in zip(range(count), found, strict=False):
        yield sample


def as_type(inputs, dtype):
    return {name: None if a is None else a.astype(dtype) for name, a in inputs.items()}


def bits(result):
    arrays = [np.asarray(result.value), *(a for a in result.gradients if a is not None)]
    return [array.tobytes() for array in arrays]


@pytest.mark.parametrize("name", REDUCED)
def test_reductions_are_sums_of_the_same_items(name):
    """A mean is the sum over what its items weigh, gradients as well."""
    for loss, inputs, keywords in samples(name, 40):
        results = {
            reduction: loss.replace(reduction=reduction).value_and_grad(**inputs, **keywords)
            for reduction in SPECS[name].reductions
        }
        (total, by_sum), (mean, by_mean) = results["sum"], results["mean"]
        if "none" in results:
            items, by_none = results["none"]
            assert items.dtype == np.float64
            np.testing.assert_allclose(items.sum(), total, rtol=1e-13, atol=1e-13)
            assert all(a is b or np.array_equal(a, b) for a, b in zip(by_none, by_sum, strict=True))
        # Any value but 0 tells what the mean divides by; the gradients are divided by the same.
        if total and mean:
            for a, b in zip(by_mean, by_sum, strict=True):
                if a is not None:
                    # Slopes that cancel leave rounding of this size.
                    scale = np.abs(b).max(initial=0) + 1 / getattr(loss, "temperature", 1.0)
                    scale += len(keywords) * getattr(loss, "scale", 0.0)
                    np.testing.assert_allclose(
                        a * (total / mean), b, rtol=1e-11, atol=1e-13 * scale
                    )


# What a batch without items looks like: shapes of what has a gradient, and the rest as it is.
EMPTY = {
    "infonce": {"anchors": (0, 3), "positives": (0, 3), "negatives": (4, 3)},
    "inbatch_infonce": {"anchors": (0, 3), "positives": (0, 3)},
    "cca_ssg": {"first": (0, 3), "second": (0, 3)},
    "ewc": {"theta": (0,), "theta_star": (0,), "fisher": (0,)},
    "laplacian": {"embeddings": (4, 3), "src": [], "dst": []},
    "norm": {"embeddings": (0, 3)},
    "orthogonality": {"embeddings": (0, 3)},
    "sparsity": {"embeddings": (0, 3)},
    "distillation": {"student_logits": (0, 3), "teacher_logits": (0, 3)},
    "link_prediction": {"embeddings": (4, 3), "src": [], "dst": [], "labels": []},
    "local_contrastive": {
        "embeddings": (4, 3),
        "src": [],
        "dst": [],
        "similar": np.zeros(0, bool),
    },
    "multi_hop": {"anchors": (0, 3), "positives": (0, 2, 3), "hops": np.zeros((0, 2), np.int64)},
    "neighbor_contrastive": {"embeddings": (2, 3), "graph": None, "nodes": []},
    "triplet": {"anchors": (0, 3), "positives": (0, 3), "negatives": (0, 3)},
    "adjacency_reconstruction": {"embeddings": (0, 3), "src": [], "dst": []},
    "edge_reconstruction": {
        "embeddings": (4, 3),
        "src": [],
        "dst": [],
        "negative_src": [],
        "negative_dst": [],
    },
    "angle_preservation": {
        "embeddings": (4, 3),
        "vertex": [],
        "first": [],
        "second": [],
        "cosines": [],
    },
    "barlow_twins": {"first": (0, 3), "second": (0, 3)},
    "graph_classification": {"embeddings": (0, 3), "graphs": [], "labels": []},
    "node_classification": {"logits": (0, 3), "labels": []},
    "edge_bce": {"logits": (0,), "labels": []},
    "feature_reconstruction": {
        "embeddings": (0, 3),
        "weight": (3, 2),
        "bias": (2,),
        "target": np.zeros((0, 2)),
    },
    "deep_graph_infomax": {"states": (0, 3), "corrupted": (0, 3), "weight": (3, 3)},
    "curvature": {"embeddings": (4, 3), "src": [], "dst": [], "curvature": []},
    "distance_preservation": {"embeddings": (4, 3), "src": [], "dst": [], "distances": []},
    "vicreg": {"first": (0, 3), "second": (0, 3)},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_costs_nothing_and_has_no_active_items(name, dtype):
    rng = np.random.default_rng(0)
    sample = next(filled(name, 1))
    arguments = {
        key: rng.standard_normal(value).astype(dtype) if isinstance(value, tuple) else value
        for key, value in EMPTY[name].items()
    }
    if name == "ewc":
        arguments["fisher"] = np.abs(arguments["fisher"])
    if name == "neighbor_contrastive":
        arguments["graph"] = Graph.from_edges(np.empty((0, 2), np.int64), num_nodes=2)
    for reduction in SPECS[name].reductions:
        loss = sample.loss.replace(reduction=reduction)
        result = loss.value_and_grad(**arguments)
        assert result.active == 0
        assert np.array_equal(result.value, [] if reduction == "none" else 0.0)
        assert not np.signbit(result.value).any()  # -0.0 equals 0
        assert np.array_equal(loss(**arguments), result.value)
        for gradient in result.gradients:
            assert gradient is None or (gradient.dtype == dtype and not gradient.any())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_out_that_does_not_fit_is_refused_and_left_alone(name, dtype):
    (sample,) = filled(name, 1)
    loss, keywords = sample.loss, sample.keywords
    inputs = as_type(sample.inputs, dtype)
    first, array = next((n, a) for n, a in inputs.items() if a is not None)
    good = {n: None if a is None else np.full_like(a, 7) for n, a in inputs.items()}
    frozen = np.full_like(array, 7)
    frozen.flags.writeable = False
    other = np.float64 if dtype == np.float32 else np.float32
    bad = [
        (np.full(array.shape, 7, other), InvalidTypeError, f"out for {first} is .* must be"),
        (np.full(array.shape, 7, int), InvalidTypeError, f"out for {first}"),
        ("text", InvalidTypeError, f"out for {first} is str"),
        (None, InvalidTypeError, f"out for {first} is NoneType"),
        (np.full((*array.shape, 1), 7, dtype), InvalidArgumentError, f"out for {first} has shape"),
        (np.full((*array.shape, 2), 7, dtype)[..., 0], InvalidArgumentError, "C-contiguous"),
        (frozen, InvalidArgumentError, "writeable"),
        (array, InvalidArgumentError, "overlaps"),
    ]
    before = {n: None if a is None else a.copy() for n, a in inputs.items()}
    for wrong, error, message in bad:
        if message == "C-contiguous" and wrong.flags.c_contiguous:
            continue  # one value alone leaves no gaps
        with pytest.raises(error, match=message):
            loss.value_and_grad(**inputs, **keywords, out=[*(good | {first: wrong}).values()])
    with pytest.raises(InvalidArgumentError, match="out holds 9 arrays but needs"):
        loss.value_and_grad(**inputs, **keywords, out=[good[first]] * 9)
    for n, a in inputs.items():
        assert a is None or np.array_equal(a, before[n])
        assert a is None or (good[n] == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_results_have_the_same_bits_for_any_number_of_threads(name, dtype, each_thread_count):
    for loss, inputs, keywords in samples(name, 12):
        arrays = as_type(inputs, dtype)
        found = [bits(loss.value_and_grad(**arrays, **keywords)) for _ in each_thread_count()]
        assert found[0] == found[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_values_that_are_no_numbers_are_refused_by_name_and_row(name, dtype):
    for loss, inputs, keywords in filled(name, 3):
        for field, array in inputs.items():
            if array is None:
                continue
            wrong = as_type(inputs, dtype)
            for value in (np.nan, np.inf, -np.inf):
                wrong[field] = array.astype(dtype)
                wrong[field].flat[-1] = value
                for call in (loss, loss.value_and_grad):
                    with pytest.raises(InvalidArgumentError, match=f"{field}.*(row|position)"):
                        call(**wrong, **keywords)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_array_of_numbers_is_refused_by_name(name):
    (sample,) = filled(name, 1)
    loss, inputs, keywords = sample
    for field, array in inputs.items():
        if array is None:
            continue
        for wrong in ("text", array + 1j, array.astype(object), array.astype("U3"), {"a": 1}):
            for call in (loss, loss.value_and_grad):
                with pytest.raises(InvalidTypeError, match=field):
                    call(**(inputs | {field: wrong}), **keywords)
        for wrong in ([[1.0], [1.0, 2.0]], np.ones((1,) * 5), 1.0):
            with pytest.raises(InvalidArgumentError, match=field):
                loss(**(inputs | {field: wrong}), **keywords)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_that_do_not_fit_together_are_refused(name):
    """One column more in one input alone, where another tells how many there are."""
    for loss, inputs, keywords in filled(name, 6):
        for field, array in inputs.items():
            if array is None:
                continue
            if name == "graph_classification" and field == "weight" and inputs["bias"] is None:
                continue  # another column is another class
            wider = np.concatenate([array, array[..., -1:]], axis=-1)
            if sum(a is not None for a in inputs.values()) > 1:
                with pytest.raises(InvalidArgumentError, match="has shape"):
                    loss(**(inputs | {field: wider}), **keywords)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_without_gradient_are_checked(name):
    """Indices, labels and masks of a wrong dtype, length or range."""
    (sample,) = (s for s in filled(name, 1))
    loss, inputs, keywords = sample
    kinds = {entry.name: entry.kind for entry in SPECS[name].inputs}
    for field, array in keywords.items():
        if not isinstance(array, np.ndarray):
            continue
        kind = kinds.get(field)
        wrongs = [("text", (InvalidTypeError, InvalidArgumentError))]
        # Any list of nodes is one, and any number an id.
        if array.size and field != "nodes":
            wrongs.append((array[..., :-1], InvalidArgumentError))
        if array.size and kind == "indices":
            wrongs.append((array + 0.5, InvalidTypeError))
        if array.size and kind == "indices" and field != "ids":
            wrongs.append((array + 10**6, InvalidArgumentError))
            wrongs.append((array - 10**6, InvalidArgumentError))
        if array.size and kind == "floats":
            wrongs.append((array * np.nan, InvalidArgumentError))
        if kind == "mask":
            wrongs.append((array.astype(np.int64), InvalidTypeError))
        for wrong, error in wrongs:
            with pytest.raises(error):
                loss(**inputs, **(keywords | {field: wrong}))


BY_NUMBER = [name for name in NAMES if SPECS[name].by_number == "rows"]
TABLES = [name for name in NAMES if SPECS[name].by_number == "table"]
# Losses without either form, whose reason the registry tells.
NEVER = {"edge_bce", "ewc"}


def class_of(name):
    return type(next(iter(samples(name, 1))).loss)


@pytest.mark.parametrize("name", losses.names())
def test_each_loss_takes_rows_of_a_table_or_tells_why_not(name):
    spec, cls = SPECS[name], class_of(name)
    assert hasattr(cls, "value_and_grad_indexed") == (spec.by_number == "rows")
    kinds = {entry.name: entry.kind for entry in spec.inputs}
    if spec.by_number == "table":
        # One table, of which other inputs name rows.
        assert [n for n, kind in kinds.items() if kind == "embeddings"] == ["embeddings"]
        assert "indices" in kinds.values()
    elif spec.by_number != "rows":
        assert name in NEVER
        assert len(spec.by_number.split()) > 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BY_NUMBER)
def test_rows_of_a_table_may_repeat_and_add_up(name, dtype):
    rng = np.random.default_rng(7)
    for loss, inputs, keywords in filled(name, 12):
        arrays = as_type(inputs, dtype)
        kinds = {entry.name: entry.kind for entry in SPECS[name].inputs}
        fields = [n for n, a in arrays.items() if a is not None and kinds[n] == "embeddings"]
        cols = arrays[fields[0]].shape[-1]
        table = rng.standard_normal((5, cols)).astype(dtype)
        numbers = {n: rng.integers(0, 5, arrays[n].shape[:-1]) for n in fields}
        gathered = arrays | {n: table[index] for n, index in numbers.items()}
        want = loss.value_and_grad(**gathered, **keywords)
        gradient = np.zeros(table.shape)
        for n, index in numbers.items():
            np.add.at(gradient, index, getattr(want.gradients, n))
        # A loss of one embedding input calls their numbers rows.
        single = sum(kind == "embeddings" for kind in kinds.values()) == 1
        rows = {"rows": numbers[fields[0]]} if single else numbers
        given = {n: a for n, a in arrays.items() if n not in fields} | rows | keywords
        parameters = [n for n in arrays if kinds[n] == "parameters"]
        out = [np.full_like(table, np.nan)]
        out += [None if arrays[n] is None else np.full_like(arrays[n], np.nan) for n in parameters]
        whole = out if parameters else out[0]
        got = loss.value_and_grad_indexed(table, **given, out=whole)
        assert np.array_equal(got.value, want.value)
        assert got.active == want.active
        assert all(a is b for a, b in zip(got.gradients, out, strict=True))
        assert got.gradients._fields == ("embeddings", *parameters)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        scale = max(np.abs(g).max(initial=0) for g in want.gradients if g is not None)
        np.testing.assert_allclose(out[0], gradient, rtol=tolerance, atol=tolerance * scale)
        for n, array in zip(parameters, out[1:], strict=True):
            assert array is None or np.array_equal(array, getattr(want.gradients, n))
        again = loss.value_and_grad_indexed(table, **given)
        assert bits(again) == bits(got)
        first = next(iter(rows))
        for bad, error in ((5, InvalidArgumentError), (-1, InvalidArgumentError)):
            wrong = rows[first].copy()
            wrong.flat[-1] = bad
            with pytest.raises(error, match=f"{first} holds {bad}"):
                loss.value_and_grad_indexed(table, **(given | {first: wrong}), out=whole)
        with pytest.raises(InvalidTypeError, match=first):
            loss.value_and_grad_indexed(table, **(given | {first: rows[first] + 0.5}), out=whole)
        assert bits(again) == bits(got)
        with pytest.raises(InvalidArgumentError, match="overlaps"):
            loss.value_and_grad_indexed(
                table, **given, out=[table, *out[1:]] if parameters else table
            )
        if parameters:
            with pytest.raises(InvalidArgumentError, match="out holds 1 arrays but needs"):
                loss.value_and_grad_indexed(table, **given, out=out[:1])


def numbered(name):
    """Return a sample's loss, row numbers and other arguments, and the number of columns."""
    (sample,) = filled(name, 1)
    loss, inputs, keywords = sample
    kinds = {entry.name: entry.kind for entry in SPECS[name].inputs}
    fields = [n for n, a in inputs.items() if a is not None and kinds[n] == "embeddings"]
    rows = {n: np.zeros(inputs[n].shape[:-1], np.int64) for n in fields}
    if sum(kind == "embeddings" for kind in kinds.values()) == 1:
        rows = {"rows": rows[fields[0]]}
    others = {n: a for n, a in inputs.items() if n not in fields} | keywords
    return loss, rows, others, inputs[fields[0]].shape[-1]


@pytest.mark.parametrize("name", BY_NUMBER)
def test_a_bad_row_of_a_table_is_told_by_who_names_it(name):
    loss, rows, others, cols = numbered(name)
    table = np.ones((3, cols))
    table[1, -1] = np.nan
    loss.value_and_grad_indexed(table, **rows, **others)
    table[0, -1] = np.nan
    with pytest.raises(InvalidArgumentError, match=f"embeddings .*row 0, which {next(iter(rows))}"):
        loss.value_and_grad_indexed(table, **rows, **others)


# Losses that compare the number of rows with that of something else.
COUNTED = set(BY_NUMBER) - {"norm", "orthogonality", "sparsity"}
COUNTED -= {"deep_graph_infomax", "feature_reconstruction", "node_classification"}


@pytest.mark.parametrize("name", sorted(COUNTED))
def test_row_numbers_that_do_not_fit_are_told_as_they_were_given(name):
    loss, rows, others, cols = numbered(name)
    first, index = next(iter(rows.items()))
    longer = np.zeros((len(index) + 1, *index.shape[1:]), np.int64)
    shape = str(longer.shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(InvalidArgumentError, match=f"{first} has shape {shape}"):
        loss.value_and_grad_indexed(np.ones((3, cols)), **(rows | {first: longer}), **others)


@pytest.mark.parametrize("name", TABLES)
def test_renaming_the_rows_of_a_table_permutes_its_gradient(name):
    """And rows that nothing names, further down, get none."""
    rng = np.random.default_rng(1)
    for loss, inputs, keywords in filled(name, 8):
        table = inputs["embeddings"]
        order = rng.permutation(len(table))
        place = np.argsort(order)  # where each row comes to lie
        if name == "neighbor_contrastive":
            # Draws go by a node's number; with all others as negatives there is nothing to draw.
            chosen = loss.replace(num_negatives=99)
            ends = np.stack(np.nonzero(np.triu(np.ones((len(table),) * 2), 1)), axis=1)
            ends = ends[rng.random(len(ends)) < 0.4]
            graphs = [Graph.from_edges(e, num_nodes=len(table)) for e in (ends, place[ends])]
            before, after = ({"graph": graph} for graph in graphs)
        else:
            kinds = {entry.name: entry.kind for entry in SPECS[name].inputs}
            chosen, before = loss, keywords
            after = {
                key: place[np.asarray(array, np.int64)] if kinds[key] == "indices" else array
                for key, array in keywords.items()
            }
        want = chosen.value_and_grad(table, **before)
        got = chosen.value_and_grad(table[order], **after)
        np.testing.assert_allclose(np.sum(got.value), np.sum(want.value), rtol=1e-10, atol=1e-12)
        scale = np.abs(want.gradients.embeddings).max(initial=0)
        np.testing.assert_allclose(
            got.gradients.embeddings,
            want.gradients.embeddings[order],
            rtol=1e-9,
            atol=1e-10 * max(scale, 1.0),
        )


_LEVEL = """
import sys, numpy as np
sys.path.insert(0, sys.argv[1])
from loss_cases import CASES, samples
kept = {}
for name in CASES:
    for i, (loss, inputs, keywords) in enumerate(samples(name, 12)):
        for dtype in (np.float32, np.float64):
            arrays = {n: None if a is None else a.astype(dtype) for n, a in inputs.items()}
            value, gradients = loss.value_and_grad(**arrays, **keywords)
            key = f"{name}-{i}-{np.dtype(dtype)}"
            kept[key + "-value"] = np.asarray(value)
            for n, g in gradients._asdict().items():
                if g is not None:
                    kept[f"{key}-{n}"] = g
np.savez(sys.argv[2], **kept)
"""


def test_every_simd_level_agrees(tmp_path):
    levels = _core.simd_levels()
    found = []
    for level in levels:
        path = tmp_path / f"{level}.npz"
        subprocess.run(
            [sys.executable, "-c", _LEVEL, os.path.dirname(__file__), path],  # noqa: PTH120
            env=os.environ | {"RUVECTOR_SIMD": level},
            check=True,
        )
        found.append(dict(np.load(path)))
    for level, arrays in zip(levels[1:], found[1:], strict=True):
        for key, want in found[0].items():
            tolerance = 2e-4 if "float32" in key else 1e-9
            scale = np.abs(want).max(initial=0)
            np.testing.assert_allclose(
                arrays[key],
                want,
                rtol=tolerance,
                atol=tolerance * max(scale, 1.0),
                err_msg=f"{level} {key}",
            )
