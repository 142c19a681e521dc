"""Graph convolutional networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ruvector.arrays import check_choice
from ruvector.autograd import Variable, add, layer_norm, sparse_matmul
from ruvector.encoders.layers import Rng, Shapes, activate, linear, thinned
from ruvector.encoders.message_passing import LayeredEncoder
from ruvector.graph import Graph
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["GCN"]


@dataclass(frozen=True)
class GCN(LayeredEncoder):
    """Graph convolutions: ``X ← activation(Â X W + b)``, layer after layer.

    ``Â`` is the symmetrically normalised adjacency with self-loops. Sparse features are never made
    dense, and a layer multiplies by W or by Â first, whichever leaves fewer columns.

    Parameters
    ----------
    dims : tuple of int
        Columns after each layer; the last are those of the embedding.
    activation : {"relu", "prelu", "leaky_relu", "elu", "tanh", "none"}
        After every layer but the last.
    dropout : float
        Share of the values read by each layer that training sets to 0.
    activate_last : bool
        Activate after the last layer too, as Deep Graph Infomax does.
    norm : {"none", "layer"}
        Normalise the rows before activating.

    References
    ----------
    Kipf and Welling (2017), "Semi-Supervised Classification with Graph Convolutional Networks",
    ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> import ruvector
    >>> from ruvector.encoders import GCN
    >>> from ruvector.objectives import DeepGraphInfomax
    >>> graph = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]])
    >>> trainer = ruvector.Trainer(GCN(dims=(8, 4)), DeepGraphInfomax(), epochs=2)
    >>> trainer.fit(graph, np.eye(4)).embed().shape
    (4, 4)
    """

    norm: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self.norm, "norm", choices=("none", "layer"))

    def layer_shapes(self, read: int, made: int) -> Shapes:
        shapes: Shapes = {"weight": (read, made), "bias": (made,)}
        if self.norm == "layer":
            shapes |= {"norm.scale": (made,), "norm.shift": (made,)}
        return shapes

    def coefficients(self, graph: Graph) -> CSR:
        return graph.normalized_adjacency()

    def sampled_from(self, graph: Graph) -> CSR:
        return graph.normalized_adjacency()

    def block_coefficients(self, block: CSR) -> CSR:
        """Return the block as it is: sample it from :meth:`sampled_from`.

        Samplers scale what they draw, so that a layer before its activation is unbiased.
        """
        return block

    def layer(
        self,
        own: Mapping[str, Variable],
        adjacency: CSR,
        x: Features | Variable,
        *,
        last: bool,
        rng: Rng,
    ) -> Variable:
        x = thinned(x, self.dropout, rng)
        weight = own["weight"]
        if isinstance(x, Variable) and weight.shape[0] < weight.shape[1]:
            reached = linear(sparse_matmul(adjacency, x), weight)
        else:
            reached = sparse_matmul(adjacency, linear(x, weight))
        reached = add(reached, own["bias"])
        if self.norm == "layer":
            reached = layer_norm(reached, own["norm.scale"], own["norm.shift"])
        if last and not self.activate_last:
            return reached
        return activate(reached, self.activation, own)
