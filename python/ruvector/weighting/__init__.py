"""How several named losses become one direction: fixed, scheduled or learned weights, projections.

A weighting is its settings; what a training learns of it lives in the weigher that ``start``
returns. :class:`ruvector.Trainer` takes any weighting; one of your own needs ``start`` alone.
"""

from ruvector.weighting.balanced import BalancedWeights, balance_weights
from ruvector.weighting.base import Combined, Weigher, Weighting, part_gradients
from ruvector.weighting.curves import DEFAULT_WEIGHTS, named_curves, warm_up_weights
from ruvector.weighting.gradnorm import GradNorm
from ruvector.weighting.pcgrad import PCGrad, project_conflicts
from ruvector.weighting.sums import PlainSum, WeightedSum
from ruvector.weighting.uncertainty import UncertaintyLoss, UncertaintyWeights, uncertainty_loss

__all__ = [
    "DEFAULT_WEIGHTS",
    "BalancedWeights",
    "Combined",
    "GradNorm",
    "PCGrad",
    "PlainSum",
    "UncertaintyLoss",
    "UncertaintyWeights",
    "Weigher",
    "WeightedSum",
    "Weighting",
    "balance_weights",
    "named_curves",
    "part_gradients",
    "project_conflicts",
    "uncertainty_loss",
    "warm_up_weights",
]
