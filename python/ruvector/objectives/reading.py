"""What an encoder reads at a step: the whole graph, or what was sampled around some nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int
from ruvector.encoders import Encoder, LayeredEncoder, Weights
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.objectives.base import BlockSampler, read_blocks
from ruvector.sampling import NeighborSampler
from ruvector.smoothing import Features

__all__ = ["Fanouts", "Reader", "check_fanouts", "neighbor_sampler"]

#: Neighbours of a node: for every layer, or one number a layer, that of the batch's nodes first.
Fanouts = int | Sequence[int | None]

Ids = npt.NDArray[np.int64]


def check_fanouts(value: object, name: str = "num_neighbors") -> None:
    """Raise unless `value` is a number of neighbours, or one for each layer."""
    if isinstance(value, (list, tuple)):
        if not value:
            raise InvalidArgumentError(f"{name} is empty but needs a number for each layer")
        for i, count in enumerate(value):
            if count is not None and count != -1:
                check_int(count, f"{name}[{i}]", low=1)
    elif isinstance(value, (int, np.integer)):
        if value != -1:
            check_int(value, name, low=1)
    else:
        raise InvalidTypeError(
            f"{name} is {value!r} but must be a number, or a list with a number for each layer"
        )


def neighbor_sampler(
    encoder: Encoder, graph: Graph, num_neighbors: Fanouts, *, seed: int
) -> NeighborSampler:
    """Return a sampler of the neighbours that the layers of `encoder` read.

    Raises
    ------
    InvalidArgumentError
        The encoder reads whole graphs, or has another number of layers.
    """
    if not isinstance(encoder, LayeredEncoder):
        raise InvalidArgumentError(
            f"{type(encoder).__name__} reads whole graphs; leave num_neighbors out, or take "
            "GraphSAGE"
        )
    layers = len(encoder.dims)
    counts = num_neighbors if isinstance(num_neighbors, Sequence) else [num_neighbors] * layers
    if len(counts) != layers:
        raise InvalidArgumentError(
            f"num_neighbors has {len(counts)} numbers but the encoder {layers} layers; "
            "give one a layer"
        )
    fanouts = [None if count == -1 else count for count in counts]
    return NeighborSampler(encoder.sampled_from(graph), fanouts, seed=seed)


class Reader:
    """Tells what an encoder reads to embed some nodes, and where in its answer they are.

    With `num_neighbors` or a sampler that is a batch around the nodes, else the whole graph.
    """

    def __init__(
        self,
        encoder: Encoder,
        weights: Weights,
        graph: Graph,
        features: Features,
        *,
        num_neighbors: Fanouts | None,
        seed: int,
        sampler: BlockSampler | None = None,
    ) -> None:
        self.encoder = encoder
        self.graph = graph
        self.features = features
        self.seed = seed
        self.num_neighbors = num_neighbors
        self.sampler = sampler
        self.present = num_neighbors
        if num_neighbors is not None:
            self.sampler = neighbor_sampler(encoder, graph, num_neighbors, seed=seed)
        #: What the encoder reads of the whole graph; None where batches are sampled.
        self.whole: Any = None
        if self.sampler is None:
            self.whole = encoder.inputs(weights, graph, features)

    def read(self, nodes: Ids, number: int, features: Features | None = None) -> tuple[Any, Ids]:
        """Return the encoder's inputs and the rows of `nodes`.

        Draw `number` gives the same neighbours again, here of other features if those are given.
        """
        if self.sampler is None:
            return self.whole, nodes
        given = self.features if features is None else features
        return read_blocks(self.sampler, self.encoder, given, nodes, number=number)

    def adjust(self, count: int | None) -> set[str]:
        """Take `count` neighbours at every layer, or the own numbers again."""
        if self.num_neighbors is None:
            return set()
        wanted = self.num_neighbors if count is None else count
        if wanted != self.present:
            self.sampler = neighbor_sampler(self.encoder, self.graph, wanted, seed=self.seed)
            self.present = wanted
        return {"num_neighbors"}
