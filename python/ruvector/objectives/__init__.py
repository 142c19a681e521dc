"""What training asks of embeddings: where positives, views and negatives come from."""

from ruvector.objectives.base import BlockSampler, Knobs, Objective, Run, Step
from ruvector.objectives.classes import GraphClassification, NodeClassification
from ruvector.objectives.edges import EdgeContrast
from ruvector.objectives.infomax import DeepGraphInfomax
from ruvector.objectives.reconstruction import Reconstruction
from ruvector.objectives.together import Together
from ruvector.objectives.views import ViewCorrelation
from ruvector.objectives.whole import WholeGraph

__all__ = [
    "BlockSampler",
    "DeepGraphInfomax",
    "EdgeContrast",
    "GraphClassification",
    "Knobs",
    "NodeClassification",
    "Objective",
    "Reconstruction",
    "Run",
    "Step",
    "Together",
    "ViewCorrelation",
    "WholeGraph",
]
