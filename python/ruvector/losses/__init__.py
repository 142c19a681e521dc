"""Losses with exact gradients for every embedding input.

Calling a loss gives its value; ``value_and_grad`` gives ``value, gradients`` with one array for
each embedding input, by name.
"""

from ruvector.losses._base import SPECS as _SPECS
from ruvector.losses._base import IndexedGradients, Loss, LossResult, Reduction
from ruvector.losses.adjacency import (
    AdjacencyReconstructionGradients,
    AdjacencyReconstructionLoss,
    EdgeReconstructionGradients,
    EdgeReconstructionLoss,
)
from ruvector.losses.cca_ssg import CCASSGGradients, CCASSGLoss
from ruvector.losses.decorrelation import (
    BarlowTwinsGradients,
    BarlowTwinsLoss,
    VICRegGradients,
    VICRegLoss,
)
from ruvector.losses.features import FeatureReconstructionGradients, FeatureReconstructionLoss
from ruvector.losses.geometric import (
    AnglePreservationGradients,
    AnglePreservationLoss,
    CurvatureGradients,
    CurvatureLoss,
    DistancePreservationGradients,
    DistancePreservationLoss,
)
from ruvector.losses.inbatch import InBatchGradients, InBatchInfoNCELoss
from ruvector.losses.infomax import DeepGraphInfomaxGradients, DeepGraphInfomaxLoss
from ruvector.losses.infonce import InfoNCEGradients, InfoNCELoss
from ruvector.losses.profile import TemperatureProfile, temperature_profile
from ruvector.losses.tasks import (
    EdgeBCEGradients,
    EdgeBCELoss,
    GraphClassificationGradients,
    GraphClassificationLoss,
    NodeClassificationGradients,
    NodeClassificationLoss,
)

__all__ = [
    "AdjacencyReconstructionGradients",
    "AdjacencyReconstructionLoss",
    "AnglePreservationGradients",
    "AnglePreservationLoss",
    "BarlowTwinsGradients",
    "BarlowTwinsLoss",
    "CCASSGGradients",
    "CCASSGLoss",
    "CurvatureGradients",
    "CurvatureLoss",
    "DeepGraphInfomaxGradients",
    "DeepGraphInfomaxLoss",
    "DistancePreservationGradients",
    "DistancePreservationLoss",
    "EdgeBCEGradients",
    "EdgeBCELoss",
    "EdgeReconstructionGradients",
    "EdgeReconstructionLoss",
    "FeatureReconstructionGradients",
    "FeatureReconstructionLoss",
    "GraphClassificationGradients",
    "GraphClassificationLoss",
    "InBatchGradients",
    "InBatchInfoNCELoss",
    "IndexedGradients",
    "InfoNCEGradients",
    "InfoNCELoss",
    "Loss",
    "LossResult",
    "NodeClassificationGradients",
    "NodeClassificationLoss",
    "Reduction",
    "TemperatureProfile",
    "VICRegGradients",
    "VICRegLoss",
    "names",
    "temperature_profile",
]


def names() -> tuple[str, ...]:
    """Return the names of all losses, as in each class's ``name``.

    Examples
    --------
    >>> from ruvector.losses import names
    >>> "infonce" in names()
    True
    """
    return tuple(_SPECS)
