"""Reverse-mode differentiation of array programs: what the encoders are written in.

A :class:`Variable` holds an array and remembers which operation made it from which others.
:func:`backward` walks back from one of them and adds up gradients. An operation is a function
that computes its value with NumPy or a kernel and says, in a closure, how the gradient of its
result becomes gradients of its inputs; :func:`record` shows one. A function that calls operations
needs no gradient of its own. :func:`gradients` writes the way back in operations too, where these
allow it, for second derivatives.
"""

from ruvector.autograd.elementwise import (
    add,
    divide,
    dropout,
    elu,
    exp,
    leaky_relu,
    log,
    multiply,
    prelu,
    relu,
    scale,
    sigmoid,
    subtract,
    tanh,
)
from ruvector.autograd.losses import loss_node
from ruvector.autograd.products import (
    bilinear,
    edge_products,
    matmul,
    sparse_matmul,
    weighted_matmul,
)
from ruvector.autograd.rows import (
    layer_norm,
    log_softmax,
    logsumexp,
    mean,
    normalize_rows,
    softmax,
    standardize,
    total,
)
from ruvector.autograd.second_order import gradients
from ruvector.autograd.segments import segment_max, segment_mean, segment_softmax, segment_sum
from ruvector.autograd.shapes import (
    broadcast_to,
    concat,
    gather,
    reshape,
    scatter_add,
    sum_to,
    take_slice,
    transpose,
)
from ruvector.autograd.variable import Variable, backward, constant, record

__all__ = [
    "Variable",
    "add",
    "backward",
    "bilinear",
    "broadcast_to",
    "concat",
    "constant",
    "divide",
    "dropout",
    "edge_products",
    "elu",
    "exp",
    "gather",
    "gradients",
    "layer_norm",
    "leaky_relu",
    "log",
    "log_softmax",
    "logsumexp",
    "loss_node",
    "matmul",
    "mean",
    "multiply",
    "normalize_rows",
    "prelu",
    "record",
    "relu",
    "reshape",
    "scale",
    "scatter_add",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
    "sigmoid",
    "softmax",
    "sparse_matmul",
    "standardize",
    "subtract",
    "sum_to",
    "take_slice",
    "tanh",
    "total",
    "transpose",
    "weighted_matmul",
]
