"""JAX, jit of value_and_grad."""

import jax
import numpy as np
from jax import numpy as jnp

from ..cases import TEMPERATURE


def _unit(x):
    return x / jnp.sqrt(jnp.maximum((x * x).sum(-1, keepdims=True), 1e-16))


def _infonce(anchors, positives, negatives):
    a, p, n = map(_unit, (anchors, positives, negatives))
    near = (a * p).sum(-1) / TEMPERATURE
    logits = jnp.concatenate([near[:, None], jnp.einsum("bkd,bd->bk", n, a) / TEMPERATURE], 1)
    return (jax.nn.logsumexp(logits, axis=1) - near).mean()


def _indexed(table, *numbers):
    return _infonce(*(table[rows] for rows in numbers))


def _clip(x, y):
    logits = _unit(x) @ _unit(y).T / TEMPERATURE
    own = jnp.diagonal(logits)
    both = jax.nn.logsumexp(logits, axis=1) + jax.nn.logsumexp(logits, axis=0)
    return (both / 2 - own).mean()


def _ntxent(x, y):
    z = _unit(jnp.concatenate([x, y]))
    logits = jnp.where(jnp.eye(len(z), dtype=bool), -jnp.inf, z @ z.T / TEMPERATURE)
    own = jnp.roll(jnp.arange(len(z)), len(x))
    return (jax.nn.logsumexp(logits, axis=1) - logits[jnp.arange(len(z)), own]).mean()


def _laplacian(z, ends):
    return ((z[ends[:, 0]] - z[ends[:, 1]]) ** 2).sum()


def _step(loss, inputs):
    floats = tuple(i for i, array in enumerate(inputs) if array.dtype.kind == "f")
    function = jax.jit(jax.value_and_grad(loss, argnums=floats))
    arrays = [
        jnp.asarray(array if array.dtype.kind == "f" else array.astype(np.int32))
        for array in inputs
    ]
    return lambda: jax.block_until_ready(function(*arrays))


def explicit(inputs, _threads):
    return _step(_infonce, inputs)


def by_index(inputs, _threads):
    return _step(_indexed, inputs)


def clip(inputs, _threads):
    return _step(_clip, inputs)


def ntxent(inputs, _threads):
    return _step(_ntxent, inputs)


def laplacian(inputs, _threads):
    return _step(_laplacian, inputs)
