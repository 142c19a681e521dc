"""Parts that several encoders are made of: linear maps, activations, weights to start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ruvector.autograd import (
    Variable,
    add,
    constant,
    dropout,
    elu,
    leaky_relu,
    matmul,
    prelu,
    relu,
    sparse_matmul,
    tanh,
)
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["ACTIVATIONS", "Rng", "Shapes", "activate", "initial_weights", "linear", "thinned"]

# A name in quotes, for NumPy imports its generators when they are first asked for.
Rng: TypeAlias = "np.random.Generator | None"

#: Shapes of an encoder's weights by name.
Shapes = dict[str, tuple[int, ...]]

ACTIVATIONS = ("relu", "prelu", "leaky_relu", "elu", "tanh", "none")


def initial_weights(
    shapes: Shapes, seed: int | np.random.SeedSequence
) -> dict[str, npt.NDArray[np.float32]]:
    """Return matrices uniform within Glorot's bounds, biases of 0, scales of 1, slopes of 1/4.

    References
    ----------
    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural
    networks".
    """
    rng = np.random.default_rng(seed)
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for name, shape in shapes.items():
        if len(shape) == 2:
            bound = np.sqrt(6 / sum(shape))
            weights[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
        else:
            start = {"scale": 1.0, "slope": 0.25}.get(name.rpartition(".")[2], 0.0)
            weights[name] = np.full(shape, start, np.float32)
    return weights


def linear(x: Features | Variable, weight: Variable, bias: Variable | None = None) -> Variable:
    """Return ``x @ weight + bias``; sparse features stay sparse."""
    if isinstance(x, CSR):
        product = sparse_matmul(x, weight)
    else:
        product = matmul(x if isinstance(x, Variable) else constant(x), weight)
    return product if bias is None else add(product, bias)


def thinned(x: Features | Variable, rate: float, rng: Rng) -> Features | Variable:
    """Return `x` after dropout, which touches only the stored values of sparse features."""
    if isinstance(x, Variable):
        return dropout(x, rate, rng=rng)
    if rng is None or rate == 0:
        return x
    if isinstance(x, CSR):
        kept = dropout(constant(x.data), rate, rng=rng).value
        return CSR._of(x.indptr, x.indices, kept, x.shape)
    return dropout(constant(x), rate, rng=rng).value


def activate(x: Variable, name: str, own: Mapping[str, Variable]) -> Variable:
    """Return `x` after the activation `name`; ``own["slope"]`` is that of ``"prelu"``."""
    if name == "prelu":
        return prelu(x, own["slope"])
    if name == "none":
        return x
    functions: dict[str, Any] = {
        "relu": relu,
        "leaky_relu": leaky_relu,
        "elu": elu,
        "tanh": tanh,
    }
    activated: Variable = functions[name](x)
    return activated
