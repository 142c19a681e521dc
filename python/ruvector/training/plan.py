"""All that a training is told beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ruvector.curriculum import Curriculum
from ruvector.encoders import Encoder, Weights
from ruvector.objectives import Objective
from ruvector.optim import Optimizer
from ruvector.schedules import Schedule
from ruvector.training.checkpoints import Checkpoints
from ruvector.training.records import EpochRecord
from ruvector.training.stopping import EarlyStop
from ruvector.weighting import Weighting

__all__ = ["Plan", "Validation"]

#: From the embeddings of the training graph's nodes to figures by name.
Validation = Callable[[npt.NDArray[np.float32]], Mapping[str, float]]


@dataclass(frozen=True)
class Plan:
    """A trainer's settings, checked."""

    encoder: Encoder
    objective: Objective
    epochs: int
    optimizer: Callable[[Weights], Optimizer]
    weighting: Weighting
    curriculum: Curriculum | None
    lr: Schedule | None
    temperature: Schedule | None
    clip_norm: float | None
    validation: Validation | None
    early_stop: EarlyStop | None
    checkpoints: Checkpoints | None
    seed: int
    callbacks: tuple[Callable[[EpochRecord], object], ...]
    progress: bool
