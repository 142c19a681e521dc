"""What is drawn from a graph: negative edges, nodes by distance, blocks and subgraphs.

All return node numbers, never copies of vectors; the same seed gives the same ones for any number
of threads.
"""

from ruvector.sampling.blocks import Block, SampledBatch
from ruvector.sampling.degrees import DegreeNegatives, degree_negative_edges
from ruvector.sampling.edges import NegativeEdges, random_negative_edges
from ruvector.sampling.graph_miner import (
    GraphMiner,
    GraphNegatives,
    HardEdges,
    hard_negative_edges,
)
from ruvector.sampling.hops import HopLists, hops
from ruvector.sampling.layers import LayerSampler
from ruvector.sampling.neighbors import NeighborSampler
from ruvector.sampling.subgraphs import SampledSubgraph, SubgraphSampler

__all__ = [
    "Block",
    "DegreeNegatives",
    "GraphMiner",
    "GraphNegatives",
    "HardEdges",
    "HopLists",
    "LayerSampler",
    "NegativeEdges",
    "NeighborSampler",
    "SampledBatch",
    "SampledSubgraph",
    "SubgraphSampler",
    "degree_negative_edges",
    "hard_negative_edges",
    "hops",
    "random_negative_edges",
]
