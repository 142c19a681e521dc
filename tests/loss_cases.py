"""What the tests of all losses know about each: golden cases and random inputs.

One entry in ``CASES`` for each registered loss.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ruvector import losses
from ruvector.graph import Graph

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
    if loss.mode == "oneway" and rng.integers(2):
        drawn = rows + (0 if inputs["negatives"] is None else extra)
        keywords["sampling_probabilities"] = rng.uniform(0.01, 1, drawn)
    return Sample(loss, inputs, keywords)


def _cca_ssg_sample(rng: np.random.Generator) -> Sample:
    rows, cols = rng.integers([3, 1], [9, 5])
    first, second = rng.standard_normal((2, rows, cols))
    loss = losses.CCASSGLoss(float(rng.choice([0.0, 1e-3, 0.5])))
    return Sample(loss, {"first": first, "second": second}, {})


def _laplacian_golden(case: str, _: dict[str, np.ndarray]) -> losses.Loss:
    form = {"sym": "symmetric", "edge": "edge"}.get(case.partition("_")[2], "none")
    return losses.LaplacianLoss(form)


def _laplacian_sample(rng: np.random.Generator) -> Sample:
    rows, count, cols = rng.integers([1, 0, 1], [12, 30, 20])
    src, dst = rng.integers(0, rows, (2, count))
    loss = losses.LaplacianLoss(
        str(rng.choice(["none", "symmetric", "edge"])), str(rng.choice(["mean", "sum"]))
    )
    keywords = {"src": src, "dst": dst}
    if rng.integers(2):
        keywords["weights"] = rng.integers(0, 4, count).astype(np.float32)
    return Sample(loss, {"embeddings": rng.standard_normal((rows, cols))}, keywords)


def _reduction(rng: np.random.Generator) -> str:
    return str(rng.choice(["mean", "sum", "none"]))


def _rows_sample(make: Callable[[np.random.Generator], losses.Loss]) -> Any:
    def sample(rng: np.random.Generator) -> Sample:
        rows, cols = rng.integers([0, 1], [20, 20])
        return Sample(make(rng), {"embeddings": rng.standard_normal((rows, cols))}, {})

    return sample


def _ewc_sample(rng: np.random.Generator) -> Sample:
    shape = tuple(rng.integers(0, 6, rng.integers(1, 4)))
    keywords = {
        "theta_star": rng.standard_normal(shape).astype(np.float32),
        "fisher": rng.random(shape, np.float32) ** 2,
    }
    loss = losses.EWCLoss(float(rng.choice([0.0, 0.5, 40.0])))
    return Sample(loss, {"theta": rng.standard_normal(shape)}, keywords)


_EMBEDDINGS = {"embeddings": "embeddings"}

REDUCTIONS = ("mean", "sum", "none")
FORMS = ("mean_own", "mean_shared", "log_of_sum")


def _edges_sample(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return a table and pairs of its rows, loops and repeats among them."""
    rows, cols, edges = rng.integers([1, 1, 0], [9, 7, 20])
    src, dst = rng.integers(0, rows, (2, edges))
    return rng.standard_normal((rows, cols)), {"src": src, "dst": dst}


def _local_contrastive_sample(rng: np.random.Generator) -> Sample:
    table, keywords = _edges_sample(rng)
    loss = losses.LocalContrastiveLoss(
        float(rng.choice([0.5, 2.0, 5.0])), str(rng.choice(REDUCTIONS))
    )
    keywords["similar"] = rng.random(len(keywords["src"])) < 0.5
    return Sample(loss, {"embeddings": table}, keywords)


def _link_prediction_sample(rng: np.random.Generator) -> Sample:
    table, keywords = _edges_sample(rng)
    loss = losses.LinkPredictionLoss(
        str(rng.choice(["dot", "cosine"])),
        float(rng.choice([0.5, 1.0, 20.0])),
        str(rng.choice(REDUCTIONS)),
        bias=float(rng.choice([0.0, -2.0])),
    )
    soft = rng.random(len(keywords["src"]))
    keywords["labels"] = soft if rng.integers(2) else soft.round()
    return Sample(loss, {"embeddings": table}, keywords)


def _triplet_sample(rng: np.random.Generator) -> Sample:
    rows, cols = rng.integers([1, 1], [9, 12])
    loss = losses.TripletLoss(
        float(rng.choice([0.0, 0.2, 3.0])),
        str(rng.choice(REDUCTIONS)),
        distance=str(rng.choice(["euclidean", "squared", "cosine"])),
    )
    return Sample(loss, dict(zip(_TRIPLE, rng.standard_normal((3, rows, cols)), strict=True)), {})


def _distillation_sample(rng: np.random.Generator) -> Sample:
    rows, cols = rng.integers([1, 1], [9, 12])
    student, teacher = 2 * rng.standard_normal((2, rows, cols))
    loss = losses.DistillationLoss(float(rng.choice([0.3, 1.0, 4.0])), str(rng.choice(REDUCTIONS)))
    return Sample(loss, {"student_logits": student}, {"teacher_logits": teacher})


def _multi_hop_golden(case: str, suffix: str) -> Golden:
    arrays = arrays_of("multi_hop" + suffix)[case]
    parts = [f"hop{hop}" for hop in (1, 2, 3)]
    hops = np.repeat([1, 2, 3], [len(arrays[part]) for part in parts])

    def joined(prefix: str) -> dict[str, np.ndarray]:
        return {
            "anchors": arrays[f"{prefix}anchor"][None],
            "positives": np.concatenate([arrays[prefix + part] for part in parts])[None],
            "negatives": arrays[f"{prefix}negatives"],
        }

    weights = tuple(map(float, arrays["hop_weights"]))
    temperature = float(arrays["temperature"])
    loss = losses.MultiHopContrastiveLoss(weights, temperature, positives=case)
    value = float(arrays["loss"])
    return Golden(loss, joined(""), {"hops": hops[None]}, value, None, joined("grad_"))


def _multi_hop_sample(rng: np.random.Generator) -> Sample:
    rows, width, cols, count = rng.integers([1, 1, 1, 0], [7, 6, 9, 8])
    loss = losses.MultiHopContrastiveLoss(
        tuple(map(float, rng.choice([0.0, 0.3, 1.0], rng.integers(1, 4)))),
        float(rng.choice(TEMPERATURES)),
        str(rng.choice(REDUCTIONS)),
        positives=str(rng.choice(FORMS)),
    )
    inputs = {
        "anchors": rng.standard_normal((rows, cols)),
        "positives": rng.standard_normal((rows, width, cols)),
        "negatives": [
            None,
            rng.standard_normal((rows, count, cols)),
            rng.standard_normal((count, cols)),
        ][rng.integers(3)],
    }
    return Sample(loss, inputs, {"hops": rng.integers(0, len(loss.hop_weights) + 1, (rows, width))})


def _neighbor_golden(case: str, anchor: int, suffix: str) -> Golden:
    """One anchor of an InfoNCE case as the middle of a star; the negatives are all other nodes."""
    arrays = arrays_of("infonce_multi" + suffix)[case]
    mask = arrays["positive_mask"]

    def table(prefix: str) -> np.ndarray:
        parts = [
            arrays[f"{prefix}anchors"][anchor, None],
            arrays[f"{prefix}positives"][anchor][mask[anchor]],
            arrays[f"{prefix}negatives"][anchor],
        ]
        return np.concatenate(parts)

    count = int(mask[anchor].sum())
    edges = [[0, 1 + p] for p in range(count)]
    graph = Graph.from_edges(edges, num_nodes=1 + count + arrays["negatives"].shape[1])
    loss = losses.NeighborContrastiveLoss(
        float(arrays["temperature"]), num_negatives=99, positives=case
    )
    items = arrays["loss_per_item"][anchor, None]
    gradient = table("grad_") * mask.any(axis=1).sum(dtype=table("grad_").dtype)
    keywords = {"graph": graph, "nodes": np.array([0])}
    embeddings = {"embeddings": table("")}
    return Golden(loss, embeddings, keywords, float(items[0]), items, {"embeddings": gradient})


def _neighbor_sample(rng: np.random.Generator) -> Sample:
    rows, cols, edges = rng.integers([2, 1, 0], [14, 9, 20])
    loss = losses.NeighborContrastiveLoss(
        float(rng.choice(TEMPERATURES)),
        str(rng.choice(REDUCTIONS)),
        num_negatives=int(rng.integers(0, 9)),
        seed=int(rng.integers(0, 99)),
        positives=str(rng.choice(FORMS)),
    )
    ends = rng.integers(0, rows, (edges, 2))
    keywords = {"graph": Graph.from_edges(ends, num_nodes=int(rows))}
    if rng.integers(2):
        keywords["nodes"] = rng.integers(0, rows, rng.integers(0, 9))
    return Sample(loss, {"embeddings": rng.standard_normal((rows, cols))}, keywords)


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
    "ewc": Case(
        golden_of(
            "ewc",
            lambda _, arrays: losses.EWCLoss(float(arrays["strength"])),
            {"theta": "theta"},
            ("theta_star", "fisher"),
        ),
        _ewc_sample,
    ),
    "laplacian": Case(
        golden_of("laplacian", _laplacian_golden, _EMBEDDINGS, ("src", "dst", "weights")),
        _laplacian_sample,
    ),
    "norm": Case(
        golden_of(
            "norm_regulariser",
            lambda _, arrays: losses.NormLoss(float(arrays["target"])),
            _EMBEDDINGS,
        ),
        _rows_sample(lambda rng: losses.NormLoss(float(rng.choice([0, 1, 2.5])), _reduction(rng))),
    ),
    "orthogonality": Case(
        golden_of("orthogonality", lambda case, _: losses.OrthogonalityLoss(case), _EMBEDDINGS),
        _rows_sample(
            lambda rng: losses.OrthogonalityLoss(
                str(rng.choice(["gram_d", "gram_d_raw", "gram_n"]))
            )
        ),
    ),
    "sparsity": Case(
        golden_of(
            "sparsity",
            lambda _, arrays: losses.SparsityLoss(str(arrays["form"]), float(arrays["delta"])),
            _EMBEDDINGS,
        ),
        _rows_sample(
            lambda rng: losses.SparsityLoss(
                str(rng.choice(["l1", "huber"])), float(rng.choice([0.1, 1])), _reduction(rng)
            )
        ),
    ),
    "distillation": Case(
        golden_of(
            "distillation",
            lambda _, arrays: losses.DistillationLoss(float(arrays["temperature"])),
            {"student_logits": "student_logits"},
            ("teacher_logits",),
        ),
        _distillation_sample,
    ),
    "link_prediction": Case(
        golden_of(
            "link_prediction",
            lambda case, arrays: losses.LinkPredictionLoss(
                case.partition("_")[0], float(arrays["scale"])
            ),
            {"embeddings": "embeddings"},
            ("src", "dst", "labels"),
        ),
        _link_prediction_sample,
    ),
    "local_contrastive": Case(
        golden_of(
            "local_contrastive",
            lambda _, arrays: losses.LocalContrastiveLoss(float(arrays["margin"])),
            {"embeddings": "embeddings"},
            ("src", "dst", "similar"),
        ),
        _local_contrastive_sample,
    ),
    "multi_hop": Case(
        {
            f"multi_hop-{case}": lambda suffix, case=case: _multi_hop_golden(case, suffix)
            for case in arrays_of("multi_hop")
        },
        _multi_hop_sample,
    ),
    "neighbor_contrastive": Case(
        {
            f"neighbor-{case}-{anchor}": (
                lambda suffix, case=case, anchor=anchor: _neighbor_golden(case, anchor, suffix)
            )
            for case in FORMS
            for anchor in (0, 3)
        },
        _neighbor_sample,
    ),
    "triplet": Case(
        golden_of(
            "triplet",
            lambda case, arrays: losses.TripletLoss(float(arrays["margin"]), distance=case),
            _TRIPLE,
        ),
        _triplet_sample,
    ),
}

from task_loss_cases import CASES as _TASK_CASES  # noqa: E402 - uses what stands above

CASES |= _TASK_CASES
