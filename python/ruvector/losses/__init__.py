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
from ruvector.losses.consolidation import EWC, EWCResult, LayerEWC, fisher_diagonal
from ruvector.losses.decorrelation import (
    BarlowTwinsGradients,
    BarlowTwinsLoss,
    VICRegGradients,
    VICRegLoss,
)
from ruvector.losses.distillation import DistillationGradients, DistillationLoss
from ruvector.losses.ewc import EWCGradients, EWCLoss
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
from ruvector.losses.infomax import (
    DeepGraphInfomaxGradients,
    DeepGraphInfomaxLoss,
    IndexedInfomaxGradients,
)
from ruvector.losses.infonce import InfoNCEGradients, InfoNCELoss
from ruvector.losses.laplacian import LaplacianGradients, LaplacianLoss
from ruvector.losses.links import LinkPredictionLoss, LocalContrastiveLoss
from ruvector.losses.neighbors import (
    MultiHopContrastiveLoss,
    MultiHopGradients,
    NeighborContrastiveLoss,
)
from ruvector.losses.norm import NormLoss, project_to_sphere
from ruvector.losses.orthogonality import OrthogonalityLoss
from ruvector.losses.profile import TemperatureProfile, temperature_profile
from ruvector.losses.rows import RowGradients
from ruvector.losses.sparsity import SparsityLoss
from ruvector.losses.tasks import (
    EdgeBCEGradients,
    EdgeBCELoss,
    GraphClassificationGradients,
    GraphClassificationLoss,
    NodeClassificationGradients,
    NodeClassificationLoss,
)
from ruvector.losses.triplet import TripletGradients, TripletLoss

__all__ = [
    "EWC",
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
    "DistillationGradients",
    "DistillationLoss",
    "EWCGradients",
    "EWCLoss",
    "EWCResult",
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
    "IndexedInfomaxGradients",
    "InfoNCEGradients",
    "InfoNCELoss",
    "LaplacianGradients",
    "LaplacianLoss",
    "LayerEWC",
    "LinkPredictionLoss",
    "LocalContrastiveLoss",
    "Loss",
    "LossResult",
    "MultiHopContrastiveLoss",
    "MultiHopGradients",
    "NeighborContrastiveLoss",
    "NodeClassificationGradients",
    "NodeClassificationLoss",
    "NormLoss",
    "OrthogonalityLoss",
    "Reduction",
    "RowGradients",
    "SparsityLoss",
    "TemperatureProfile",
    "TripletGradients",
    "TripletLoss",
    "VICRegGradients",
    "VICRegLoss",
    "fisher_diagonal",
    "names",
    "project_to_sphere",
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
