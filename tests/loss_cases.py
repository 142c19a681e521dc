"""What the tests of all losses know about each: golden cases and random inputs.

One entry in ``CASES`` for each registered loss.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ruvector import losses

GOLDEN = Path(__file__).parent / "golden"
TEMPERATURES = (0.005, 0.07, 1.0, 100.0)


class Golden(NamedTuple):
    """A loss, what it is called with and what must come out."""

    loss: losses.Loss
    inputs: dict[str, np.ndarray]
    keywords: dict[str, Any]
    value: float
    items: np.ndarray | None
    gradients: dict[str, np.ndarray]


class Sample(NamedTuple):
    loss: losses.Loss
    inputs: dict[str, np.ndarray | None]
    keywords: dict[str, Any]


class Case(NamedTuple):
    golden: dict[str, Callable[[str], Golden]]
    sample: Callable[[np.random.Generator], Sample]
    # The value of a sample by the definition, for losses without golden cases.
    reference: Callable[..., Any] | None = None


def arrays_of(name: str) -> dict[str, dict[str, np.ndarray]]:
    """Return a golden file's arrays, by case."""
    cases: dict[str, dict[str, np.ndarray]] = {}
    with np.load(GOLDEN / f"{name}.npz") as file:
        for key in file.files:
            case, _, array = key.rpartition("/")
            cases.setdefault(case, {})[array] = file[key]
    return cases


def golden_of(
    file: str,
    make: Callable[[str, dict[str, np.ndarray]], losses.Loss],
    inputs: dict[str, str],
    keywords: tuple[str, ...] = (),
) -> dict[str, Callable[[str], Golden]]:
    """Return a reader for each case of a file; it takes "" or "_f32".

    `inputs` maps the loss's names of its embedding inputs to the file's.
    """

    def read(case: str, suffix: str) -> Golden:
        arrays = arrays_of(file + suffix)[case]
        return Golden(
            make(case, arrays),
            {name: arrays[stored] for name, stored in inputs.items()},
            {name: arrays[name] for name in keywords},
            float(arrays["loss"]),
            arrays.get("loss_per_item"),
            {name: arrays[f"grad_{stored}"] for name, stored in inputs.items()},
        )

    return {
        f"{file}-{case}": lambda suffix, case=case: read(case, suffix) for case in arrays_of(file)
    }


def samples(name: str, count: int) -> Iterator[Sample]:
    """Yield random calls of one loss, the same ones every time."""
    for seed in range(count):
        yield CASES[name].sample(np.random.default_rng(seed))


def _infonce_golden(case: str, arrays: dict[str, np.ndarray]) -> losses.Loss:
    reduction = "sum" if case.endswith("_sum") and case.startswith("t0") else "mean"
    form = case if case in ("log_of_sum", "mean_shared", "mean_own") else "mean_own"
    return losses.InfoNCELoss(float(arrays["temperature"]), reduction, positives=form)


def _infonce_sample(rng: np.random.Generator) -> Sample:
    rows, count, cols = rng.integers(1, [9, 4, 12])
    several = bool(rng.integers(2))
    mask = rng.random((rows, count if several else 1)) < 0.7
    anchors = rng.standard_normal((rows, cols))
    positives = rng.standard_normal((rows, count, cols) if several else (rows, cols))
    width = int(rng.integers(0, 9))
    negatives = [
        None,
        rng.standard_normal((rows, width, cols)),
        rng.standard_normal((width, cols)),
    ][rng.integers(3)]
    loss = losses.InfoNCELoss(
        float(rng.choice(TEMPERATURES)),
        str(rng.choice(["mean", "sum", "none"])),
        positives=str(rng.choice(["mean_own", "mean_shared", "log_of_sum"])),
    )
    keywords = {"positive_mask": mask} if rng.integers(2) else {}
    return Sample(
        loss, {"anchors": anchors, "positives": positives, "negatives": negatives}, keywords
    )


def _inbatch_sample(rng: np.random.Generator) -> Sample:
    rows, extra, cols = rng.integers([1, 0, 1], [9, 4, 12])
    loss = losses.InBatchInfoNCELoss(
        float(rng.choice(TEMPERATURES)),
        str(rng.choice(["mean", "sum", "none"])),
        mode=str(rng.choice(["symmetric", "oneway", "ntxent"])),
    )
    inputs = {
        "anchors": rng.standard_normal((rows, cols)),
        "positives": rng.standard_normal((rows, cols)),
        "negatives": rng.standard_normal((extra, cols)) if rng.integers(2) else None,
    }
    keywords = {"ids": rng.integers(0, 4, rows)} if rng.integers(2) else {}
    return Sample(loss, inputs, keywords)


def _cca_ssg_sample(rng: np.random.Generator) -> Sample:
    rows, cols = rng.integers([3, 1], [9, 5])
    first, second = rng.standard_normal((2, rows, cols))
    loss = losses.CCASSGLoss(float(rng.choice([0.0, 1e-3, 0.5])))
    return Sample(loss, {"first": first, "second": second}, {})


_TRIPLE = {name: name for name in ("anchors", "positives", "negatives")}

CASES: dict[str, Case] = {
    "infonce": Case(
        golden_of("infonce_single", _infonce_golden, _TRIPLE)
        | golden_of("infonce_shared_negatives", _infonce_golden, _TRIPLE)
        | golden_of("infonce_multi", _infonce_golden, _TRIPLE, ("positive_mask",)),
        _infonce_sample,
    ),
    "inbatch_infonce": Case(
        golden_of(
            "inbatch",
            lambda case, arrays: losses.InBatchInfoNCELoss(
                float(arrays["temperature"]), mode=case.rpartition("_")[2]
            ),
            {"anchors": "x", "positives": "y"},
        ),
        _inbatch_sample,
    ),
    "cca_ssg": Case(
        golden_of(
            "cca_ssg",
            lambda _, arrays: losses.CCASSGLoss(float(arrays["decorrelation"])),
            {"first": "first", "second": "second"},
        ),
        _cca_ssg_sample,
    ),
}

from task_loss_cases import CASES as _TASK_CASES  # noqa: E402 - uses what stands above

CASES |= _TASK_CASES
