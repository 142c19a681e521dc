"""pytorch-metric-learning's own NT-Xent, two views by its wrapper."""

from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss

from ..cases import TEMPERATURE
from .torch_ import step


def ntxent(inputs, threads):
    return step(SelfSupervisedLoss(NTXentLoss(TEMPERATURE)), inputs, threads)
