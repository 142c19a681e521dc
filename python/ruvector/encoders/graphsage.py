"""GraphSAGE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ruvector.arrays import check_bool, check_choice
from ruvector.autograd import Variable, add, normalize_rows, relu, segment_max, sparse_matmul
from ruvector.encoders.layers import Rng, Shapes, activate, linear, thinned
from ruvector.encoders.message_passing import LayeredEncoder, own_rows
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["GraphSAGE"]


@dataclass(frozen=True)
class GraphSAGE(LayeredEncoder):
    """GraphSAGE: a node's own state and an aggregate of its neighbours' have weights of their own.

    ``X ← activation(X W_own + aggregate(X) W_near + b)``. It reads whole graphs and, by
    :meth:`block_inputs`, blocks of sampled neighbours.

    Parameters
    ----------
    dims : tuple of int
        Columns after each layer; the last are those of the embedding.
    activation : {"relu", "prelu", "leaky_relu", "elu", "tanh", "none"}
        After every layer but the last.
    dropout : float
        Share of the values read by each layer that training sets to 0.
    activate_last : bool
        Activate after the last layer too.
    aggregator : {"mean", "max"}
        The mean over neighbours, weighted by edges, or each column's maximum over neighbours of
        ``relu(X W_pool + b_pool)``. A node without neighbours has zeros.
    normalize : bool
        Scale rows to length 1 after every layer, as the paper does.

    References
    ----------
    Hamilton, Ying and Leskovec (2017), "Inductive Representation Learning on Large Graphs",
    NeurIPS.
    """

    aggregator: str = "mean"
    normalize: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self.aggregator, "aggregator", choices=("mean", "max"))
        check_bool(self.normalize, "normalize")

    def layer_shapes(self, read: int, made: int) -> Shapes:
        shapes: Shapes = {"own.weight": (read, made), "near.weight": (read, made), "bias": (made,)}
        if self.aggregator == "max":
            shapes |= {"pool.weight": (read, made), "pool.bias": (made,)}
            shapes["near.weight"] = (made, made)
        return shapes

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
        weight = own["near.weight"]
        if self.aggregator == "max":
            pooled = relu(linear(x, own["pool.weight"], own["pool.bias"]))
            near = linear(segment_max(adjacency, pooled), weight)
        elif isinstance(x, Variable) and weight.shape[0] < weight.shape[1]:
            near = linear(sparse_matmul(adjacency, x), weight)
        else:
            near = sparse_matmul(adjacency, linear(x, weight))
        state = linear(own_rows(x, adjacency.shape[0]), own["own.weight"], own["bias"])
        reached = add(state, near)
        if not last or self.activate_last:
            reached = activate(reached, self.activation, own)
        return normalize_rows(reached) if self.normalize else reached
