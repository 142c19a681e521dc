"""Optimisers that update NumPy arrays in place, by the rules of ``torch.optim``."""

from ruvector.optim.adam import Adam, AdamW
from ruvector.optim.base import Optimizer
from ruvector.optim.clip import ClippedGradients, clip_by_norm, clip_by_value
from ruvector.optim.sgd import SGD
from ruvector.optim.sparse import SparseAdam, SparseRows

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "ClippedGradients",
    "Optimizer",
    "SparseAdam",
    "SparseRows",
    "clip_by_norm",
    "clip_by_value",
]
