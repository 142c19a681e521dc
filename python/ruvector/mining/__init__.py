"""Miners: they choose negatives and return row numbers, which every loss takes."""

from ruvector.mining.debiased import Debiased, DebiasedMined
from ruvector.mining.debiasing import debiased_weights
from ruvector.mining.edges import EdgeTripletMiner, EdgeTriplets
from ruvector.mining.hard import HardNegativeMiner, MinedNegatives
from ruvector.mining.protocol import FunctionMiner, Miner, MiningFunction, as_miner
from ruvector.mining.through_index import FoundNegatives, SearchIndex
from ruvector.mining.triplets import MinedTriplets, TripletMiner

__all__ = [
    "Debiased",
    "DebiasedMined",
    "EdgeTripletMiner",
    "EdgeTriplets",
    "FoundNegatives",
    "FunctionMiner",
    "HardNegativeMiner",
    "MinedNegatives",
    "MinedTriplets",
    "Miner",
    "MiningFunction",
    "SearchIndex",
    "TripletMiner",
    "as_miner",
    "debiased_weights",
]
