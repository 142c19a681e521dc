"""The layer that gave the package its name: attention over messages, then a gated update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ruvector.arrays import check_int
from ruvector.autograd import (
    Variable,
    add,
    constant,
    dropout,
    edge_products,
    layer_norm,
    multiply,
    scale,
    segment_softmax,
    sigmoid,
    sparse_matmul,
    subtract,
    take_slice,
    tanh,
    weighted_matmul,
)
from ruvector.encoders.layers import Rng, Shapes, linear
from ruvector.encoders.message_passing import LayeredEncoder, own_rows
from ruvector.errors import InvalidArgumentError
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["RuvectorEncoder", "attention", "gru"]


@dataclass(frozen=True)
class RuvectorEncoder(LayeredEncoder):
    """Layers of multi-head attention over neighbours' messages with a gated update.

    In each layer, with every map of its own weights and bias:

    1. ``m = X W_message + b``, the message of every node.
    2. ``a_i``, multi-head attention of m_i over the messages of i's neighbours, plus their mean
       weighted by edges.
    3. ``u_i = GRU(input = a_i W_update + b, state = m_i)``, then dropout in training.
    4. The layer's result is the layer norm of u_i; for a node without neighbours that of m_i.

    Parameters
    ----------
    dims : tuple of int
        Columns after each layer, multiples of `heads`; the last are those of the embedding.
    dropout : float
        Share of the updated values that training sets to 0.
    heads : int
        Heads of the attention.
    activation, activate_last
        Other encoders have them; here gates stand in their place, and only the defaults will do.

    Notes
    -----
    A layer costs 14 n·d² multiplications besides the message map and 4 nnz·d over edges; nothing of
    n × n exists. It reads whole graphs and, by :meth:`block_inputs`, blocks of sampled neighbours.

    References
    ----------
    Vaswani et al. (2017), "Attention Is All You Need", NeurIPS.
    Cho et al. (2014), "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP.

    Examples
    --------
    >>> import numpy as np
    >>> import ruvector
    >>> from ruvector.encoders import RuvectorEncoder
    >>> graph = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]])
    >>> trainer = ruvector.Trainer(RuvectorEncoder(dims=(8, 8), heads=2), epochs=2)
    >>> trainer.fit(graph, np.eye(4)).embed().shape
    (4, 8)
    """

    dims: tuple[int, ...] = (128,)
    activation: str = "none"
    heads: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int(self.heads, "heads", low=1)
        if self.activation != "none" or self.activate_last:
            raise InvalidArgumentError(
                "a RuvectorEncoder's layers have their gates; leave activation at 'none'"
            )
        for dim in self.dims:
            if dim % self.heads:
                raise InvalidArgumentError(
                    f"dims holds {dim}, which {self.heads} heads do not divide"
                )

    def layer_shapes(self, read: int, made: int) -> Shapes:
        shapes: Shapes = {"message.weight": (read, made), "message.bias": (made,)}
        for name in ("query", "key", "value", "attended", "update"):
            shapes |= {f"{name}.weight": (made, made), f"{name}.bias": (made,)}
        for name in ("gru.input", "gru.state"):
            shapes |= {f"{name}.weight": (made, 3 * made), f"{name}.bias": (3 * made,)}
        return shapes | {"norm.scale": (made,), "norm.shift": (made,)}

    def layer(
        self,
        own: Mapping[str, Variable],
        adjacency: CSR,
        x: Features | Variable,
        *,
        last: bool,
        rng: Rng,
    ) -> Variable:
        del last
        count = adjacency.shape[0]
        messages = linear(x, own["message.weight"], own["message.bias"])
        state = own_rows(messages, count)
        assert isinstance(state, Variable)
        attended = attention(own, adjacency, state, messages, heads=self.heads)
        gathered = add(attended, sparse_matmul(adjacency, messages))
        update = linear(gathered, own["update.weight"], own["update.bias"])
        updated = dropout(gru(own, update, state), self.dropout, rng=rng)
        has_neighbors = np.diff(adjacency.indptr) > 0
        if not has_neighbors.all():
            mask = has_neighbors[:, None].astype(state.value.dtype)
            updated = add(multiply(updated, constant(mask)), multiply(state, constant(1 - mask)))
        return layer_norm(updated, own["norm.scale"], own["norm.shift"])


def attention(
    own: Mapping[str, Variable], adjacency: CSR, x: Variable, near: Variable, *, heads: int
) -> Variable:
    """Return scaled dot-product attention of rows of `x` over the rows of `near` they name.

    ``query``, ``key``, ``value`` and ``attended`` of `own` are the maps of x, of near twice and of
    the heads' joined results, each with ``.weight`` and ``.bias``. The pattern is `adjacency`'s;
    its values are not read.
    """
    query = linear(x, own["query.weight"], own["query.bias"])
    key = linear(near, own["key.weight"], own["key.bias"])
    value = linear(near, own["value.weight"], own["value.bias"])
    scores = edge_products(adjacency, query, key, heads=heads)
    shares = segment_softmax(adjacency, scale(scores, (query.shape[1] / heads) ** -0.5))
    joined = weighted_matmul(adjacency, shares, value)
    return linear(joined, own["attended.weight"], own["attended.bias"])


def gru(own: Mapping[str, Variable], x: Variable, state: Variable) -> Variable:
    """Return a gated recurrent unit's next state, as ``torch.nn.GRUCell`` computes it.

    The columns of the weights ``gru.input`` and ``gru.state`` are reset gate, update gate and
    candidate: ``n = tanh(x_n + r · h_n)`` and ``(1 - z) n + z state``.
    """
    width = state.shape[1]
    from_x = linear(x, own["gru.input.weight"], own["gru.input.bias"])
    from_state = linear(state, own["gru.state.weight"], own["gru.state.bias"])

    def part(whole: Variable, number: int) -> Variable:
        return take_slice(whole, (slice(None), slice(number * width, (number + 1) * width)))

    reset = sigmoid(add(part(from_x, 0), part(from_state, 0)))
    keep = sigmoid(add(part(from_x, 1), part(from_state, 1)))
    candidate = tanh(add(part(from_x, 2), multiply(reset, part(from_state, 2))))
    return add(candidate, multiply(keep, subtract(state, candidate)))
