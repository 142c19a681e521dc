"""What training asks of embeddings: where positives, views and negatives come from."""

from ruvector.objectives.base import Objective, Run, Step
from ruvector.objectives.edges import EdgeContrast
from ruvector.objectives.views import ViewCorrelation

__all__ = ["EdgeContrast", "Objective", "Run", "Step", "ViewCorrelation"]
