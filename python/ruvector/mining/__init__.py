"""Miners: they choose negatives and return row numbers, which every loss takes."""

from ruvector.mining.hard import HardNegativeMiner, MinedNegatives
from ruvector.mining.triplets import MinedTriplets, TripletMiner

__all__ = ["HardNegativeMiner", "MinedNegatives", "MinedTriplets", "TripletMiner"]
