"""What encoders of several layers share, and the sparse matrices that their layers read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_choice, check_int, check_real
from ruvector.autograd import Variable, constant, gather, take_slice
from ruvector.encoders.base import Encoder, Weights
from ruvector.encoders.layers import ACTIVATIONS, Rng, Shapes, initial_weights
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["LayeredEncoder", "Messages", "own_rows", "row_normalized"]


class Messages(NamedTuple):
    """What the layers of an encoder read of a graph or of blocks sampled from one.

    Attributes
    ----------
    features : CSR or ndarray of shape (m, f)
        Of the nodes that the first layer reads.
    layers : tuple of CSR
        One a layer, a row for each node that it computes and a column for each that it reads. The
        nodes computed are the first of those read, and those of the next layer's columns.
    """

    features: Features
    layers: tuple[CSR, ...]


@dataclass(frozen=True)
class LayeredEncoder(Encoder):
    """Settings and rules of encoders that are a sequence of layers."""

    dims: tuple[int, ...] = (256,)
    activation: str = "relu"
    dropout: float = 0.0
    activate_last: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.dims, int):
            object.__setattr__(self, "dims", (self.dims,))
        dims = tuple(check_int(dim, "dims", low=1) for dim in self.dims)
        if not dims:
            raise InvalidArgumentError("dims is empty; give the columns of at least one layer")
        object.__setattr__(self, "dims", dims)
        check_choice(self.activation, "activation", choices=ACTIVATIONS)
        check_real(self.dropout, "dropout", low=0, high=np.nextafter(1, 0))

    @abstractmethod
    def layer_shapes(self, read: int, made: int) -> Shapes:
        """Return the shapes of a layer's weights from its columns before and after."""

    @abstractmethod
    def layer(
        self,
        own: Mapping[str, Variable],
        adjacency: CSR,
        x: Features | Variable,
        *,
        last: bool,
        rng: Rng,
    ) -> Variable:
        """Return what a layer makes of what it reads."""

    def coefficients(self, graph: Graph) -> CSR:
        """Return the matrix that every layer reads of a whole graph."""
        return row_normalized(graph.adjacency())

    def sampled_from(self, graph: Graph) -> Graph | CSR:
        """Return what the neighbours of nodes are to be sampled from."""
        return graph

    def block_coefficients(self, block: CSR) -> CSR:
        """Return what a layer reads of a sampled block of edge weights."""
        return row_normalized(block)

    @property
    def trainable(self) -> tuple[str, ...]:
        return tuple(self._shapes(1))

    def initialize(self, graph: Graph, features: Features, *, seed: int) -> Weights:
        del graph
        return initial_weights(self._shapes(features.shape[1]), seed)

    def num_features(self, weights: Weights) -> int:
        first = next(name for name, shape in self._shapes(1).items() if len(shape) == 2)
        return len(weights[first])

    def inputs(self, weights: Weights, graph: Graph, features: Features) -> Messages:
        del weights
        return Messages(features, (self.coefficients(graph),) * len(self.dims))

    def block_inputs(self, blocks: Sequence[CSR], features: Features) -> Messages:
        """Return what :meth:`forward` reads of blocks that neighbour sampling made.

        Parameters
        ----------
        blocks : sequence of CSR
            One a layer, the first layer's first; row i holds the weights of the sampled edges into
            the i-th node that the layer computes. The nodes computed are the first of those read.
        features : CSR or ndarray
            A row for each column of the first block.

        Raises
        ------
        InvalidArgumentError
            Blocks or features that do not follow each other.

        Notes
        -----
        The embeddings of :meth:`forward` have a row for each row of the last block.
        """
        if len(blocks) != len(self.dims):
            raise InvalidArgumentError(
                f"there are {len(blocks)} blocks but {len(self.dims)} layers; give one a layer"
            )
        read, what = features.shape[0], "features has"
        for number, block in enumerate(blocks):
            if block.shape[1] != read or block.shape[0] > read:
                raise InvalidArgumentError(
                    f"block {number} has shape {block.shape} but {what} {read} rows; its columns "
                    "are those rows, and its rows the first of them"
                )
            read, what = block.shape[0], f"block {number} has"
        return Messages(features, tuple(self.block_coefficients(block) for block in blocks))

    def forward(
        self,
        variables: Mapping[str, Variable],
        inputs: Any,
        *,
        rows: npt.NDArray[np.int64] | None = None,
        rng: Rng = None,
    ) -> Variable:
        x: Features | Variable = inputs.features
        for number, adjacency in enumerate(inputs.layers):
            prefix = f"{number}."
            own = {
                name.removeprefix(prefix): variable
                for name, variable in variables.items()
                if name.startswith(prefix)
            }
            x = self.layer(own, adjacency, x, last=number == len(self.dims) - 1, rng=rng)
        assert isinstance(x, Variable)
        return x if rows is None else gather(x, rows)

    def output(self, weights: Weights, graph: Graph, features: Features) -> npt.NDArray[np.float32]:
        variables = {name: constant(weights[name]) for name in self.trainable}
        inputs = self.inputs(weights, graph, features)
        return np.ascontiguousarray(self.forward(variables, inputs).value, np.float32)

    def _shapes(self, width: int) -> Shapes:
        shapes: Shapes = {}
        read = width
        for number, made in enumerate(self.dims):
            own = self.layer_shapes(read, made)
            if self.activation == "prelu" and self._is_activated(number):
                own["slope"] = (1,)
            shapes |= {f"{number}.{name}": shape for name, shape in own.items()}
            read = made
        return shapes

    def _is_activated(self, number: int) -> bool:
        return self.activate_last or number < len(self.dims) - 1


def row_normalized(adjacency: CSR) -> CSR:
    """Return the matrix whose product is the mean over neighbours, weighted by edges."""
    sums = adjacency.row_sums()
    return adjacency.scale_rows(np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0))


def own_rows(x: Features | Variable, count: int) -> Features | Variable:
    """Return the first rows: those of the nodes that a layer computes."""
    if x.shape[0] == count:
        return x
    if isinstance(x, Variable):
        return take_slice(x, slice(0, count))
    return x.take_rows(np.arange(count)) if isinstance(x, CSR) else x[:count]
