"""Easy things first: stages of training, each with its own temperature, negatives and weights."""

from ruvector.curriculum.curriculum import Curriculum
from ruvector.curriculum.presets import default_stages, linear_stages
from ruvector.curriculum.stage import Stage

__all__ = ["Curriculum", "Stage", "default_stages", "linear_stages"]
