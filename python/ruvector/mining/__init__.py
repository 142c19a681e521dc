"""Miners: they choose negatives and return row numbers, which every loss takes."""

from ruvector.mining.hard import HardNegativeMiner, MinedNegatives

__all__ = ["HardNegativeMiner", "MinedNegatives"]
