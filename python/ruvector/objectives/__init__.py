"""What training asks of embeddings: where positives, views and negatives come from."""

from ruvector.objectives.base import Knobs, Objective, Run, Step
from ruvector.objectives.edges import EdgeContrast
from ruvector.objectives.together import Together
from ruvector.objectives.views import ViewCorrelation
from ruvector.objectives.whole import WholeGraph

__all__ = [
    "EdgeContrast",
    "Knobs",
    "Objective",
    "Run",
    "Step",
    "Together",
    "ViewCorrelation",
    "WholeGraph",
]
