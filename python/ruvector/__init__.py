"""Train embeddings on graphs and search them: NumPy in, NumPy out.

The usual way in: make a :class:`Graph`, :func:`embed` it or train an encoder with
:class:`Trainer`, and put the embeddings into an :class:`HNSW` index.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ruvector._core import __version__

if TYPE_CHECKING:
    from ruvector import (
        autograd,
        curriculum,
        encoders,
        errors,
        heads,
        linalg,
        losses,
        meta,
        metrics,
        mining,
        objectives,
        optim,
        plots,
        report,
        sampling,
        schedules,
        similarity,
        tracking,
        training,
        weighting,
    )
    from ruvector.cross_validation import cross_validated_accuracy
    from ruvector.encoders import (
        GCN,
        MLP,
        Concat,
        Encoder,
        GraphSAGE,
        KNNSmoothed,
        Linear,
        PropagatedLinear,
        RuvectorEncoder,
        SmoothedLinear,
    )
    from ruvector.evaluation import evaluate_embeddings
    from ruvector.graph import Graph
    from ruvector.index import HNSW, FlatIndex, SearchResult
    from ruvector.model import Model
    from ruvector.objectives import EdgeContrast, ViewCorrelation
    from ruvector.probe import linear_probe
    from ruvector.recipes import embed, train_model
    from ruvector.runtime import get_num_threads, set_num_threads, show_versions, simd_level
    from ruvector.smoothing import smooth
    from ruvector.sparse import CSR
    from ruvector.splits import EdgeSplit, split_edges
    from ruvector.trainer import EpochRecord, Trainer
    from ruvector.walk_pairs import WalkPairs

# Loaded when first asked for: a service that only searches need not import the trainer.
_HOMES = {
    "cross_validation": ("cross_validated_accuracy",),
    "encoders": (
        "GCN",
        "MLP",
        "Concat",
        "Encoder",
        "GraphSAGE",
        "KNNSmoothed",
        "Linear",
        "PropagatedLinear",
        "RuvectorEncoder",
        "SmoothedLinear",
    ),
    "evaluation": ("evaluate_embeddings",),
    "graph": ("Graph",),
    "index": ("HNSW", "FlatIndex", "SearchResult"),
    "model": ("Model",),
    "objectives": ("EdgeContrast", "ViewCorrelation"),
    "probe": ("linear_probe",),
    "recipes": ("embed", "train_model"),
    "runtime": ("get_num_threads", "set_num_threads", "show_versions", "simd_level"),
    "smoothing": ("smooth",),
    "sparse": ("CSR",),
    "splits": ("EdgeSplit", "split_edges"),
    "trainer": ("EpochRecord", "Trainer"),
    "walk_pairs": ("WalkPairs",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = frozenset(
    {
        "autograd",
        "curriculum",
        "encoders",
        "errors",
        "heads",
        "linalg",
        "losses",
        "meta",
        "metrics",
        "mining",
        "objectives",
        "optim",
        "plots",
        "report",
        "sampling",
        "schedules",
        "similarity",
        "tracking",
        "training",
        "weighting",
    }
)

__all__ = [
    "CSR",
    "GCN",
    "HNSW",
    "MLP",
    "Concat",
    "EdgeContrast",
    "EdgeSplit",
    "Encoder",
    "EpochRecord",
    "FlatIndex",
    "Graph",
    "GraphSAGE",
    "KNNSmoothed",
    "Linear",
    "Model",
    "PropagatedLinear",
    "RuvectorEncoder",
    "SearchResult",
    "SmoothedLinear",
    "Trainer",
    "ViewCorrelation",
    "WalkPairs",
    "__version__",
    "autograd",
    "cross_validated_accuracy",
    "curriculum",
    "embed",
    "encoders",
    "errors",
    "evaluate_embeddings",
    "get_num_threads",
    "heads",
    "linalg",
    "linear_probe",
    "losses",
    "meta",
    "metrics",
    "mining",
    "objectives",
    "optim",
    "plots",
    "report",
    "sampling",
    "schedules",
    "set_num_threads",
    "show_versions",
    "simd_level",
    "similarity",
    "smooth",
    "split_edges",
    "tracking",
    "train_model",
    "training",
    "weighting",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"ruvector.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ruvector' has no attribute {name!r}")
    value = getattr(import_module(f"ruvector.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
