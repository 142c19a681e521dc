"""Reverse-mode differentiation of array programs: what the encoders are written in.

A :class:`Variable` holds an array and remembers which operation made it from which others.
:func:`backward` walks back from one of them and adds up gradients. An operation is a function
that computes its value with NumPy or a kernel and says, in a closure, how the gradient of its
result becomes gradients of its inputs; see :mod:`ruvector.autograd.ops` for the ones there are.
"""

from ruvector.autograd.ops import (
    add,
    concat,
    dropout,
    gather,
    loss_node,
    matmul,
    normalize_rows,
    relu,
    reshape,
    scale,
    sparse_matmul,
    standardize,
    tanh,
)
from ruvector.autograd.variable import Variable, backward, constant, record

__all__ = [
    "Variable",
    "add",
    "backward",
    "concat",
    "constant",
    "dropout",
    "gather",
    "loss_node",
    "matmul",
    "normalize_rows",
    "record",
    "relu",
    "reshape",
    "scale",
    "sparse_matmul",
    "standardize",
    "tanh",
]
