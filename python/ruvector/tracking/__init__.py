"""What trainings tell, kept: histories of losses, signs of over-fitting, exports, plots."""

from ruvector.tracking.overfitting import Overfitting, find_overfitting
from ruvector.tracking.tracker import LossTracker

__all__ = ["LossTracker", "Overfitting", "find_overfitting"]
