"""What goes on around a training's steps: records, stopping early, checkpoints."""

from ruvector.training.checkpoints import Checkpoints
from ruvector.training.plan import Validation
from ruvector.training.records import EpochRecord
from ruvector.training.stopping import EarlyStop, StopTraining

__all__ = ["Checkpoints", "EarlyStop", "EpochRecord", "StopTraining", "Validation"]
