"""Gradients that conflict give up what works against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_ids, check_int, check_real
from ruvector.autograd import Variable
from ruvector.errors import InvalidArgumentError
from ruvector.weighting.base import (
    Combined,
    Gradients,
    Weigher,
    check_state,
    named_value,
    part_gradients,
    weighted_sum,
)

__all__ = ["PCGrad", "project_conflicts"]

Floats = npt.NDArray[np.float64]


def project_conflicts(
    gradients: object, *, order: object | None = None, seed: int = 0
) -> npt.NDArray[Any]:
    """Project each gradient off those it conflicts with.

    In turn over the other gradients, where the inner product with one is negative, the part along
    that one, as it was given, is taken away. Their sum is PCGrad's direction.

    Parameters
    ----------
    gradients : array_like of shape (T, n)
        One row a task, float32 or float64.
    order : array_like of shape (T, T - 1), optional
        For each task the others in the order in which it meets them; random by default.
    seed : int
        Of the random order.

    Returns
    -------
    ndarray of shape (T, n)
        Fresh, of the gradients' dtype. A gradient of zeros conflicts with none.

    Raises
    ------
    InvalidArgumentError
        NaN or infinity, or an order that does not list each other task once.

    Notes
    -----
    O(T² n) for the inner products and O(T² n) for the result, accumulated in float64.

    References
    ----------
    Yu, Kumar, Gupta, Levine, Hausman and Finn (2020), "Gradient Surgery for Multi-Task Learning",
    NeurIPS.

    Examples
    --------
    >>> from ruvector.weighting import project_conflicts
    >>> project_conflicts([[1.0, 0.0], [-1.0, 1.0]], order=[[1], [0]])
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    rows = as_floats(gradients, "gradients")
    if not np.isfinite(rows).all():
        raise InvalidArgumentError("gradients has NaN or infinity")
    wide = rows.astype(np.float64)
    if order is None:
        turns = random_order(len(rows), np.random.default_rng(check_int(seed, "seed", low=0)))
    else:
        turns = _checked_order(as_ids(order, "order", ndim=2), len(rows))
    projected: npt.NDArray[Any] = (projection(wide @ wide.T, turns) @ wide).astype(rows.dtype)
    return projected


def random_order(count: int, rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Return for each of `count` tasks the others, shuffled."""
    return [rng.permutation(np.delete(np.arange(count), i)) for i in range(count)]


def _checked_order(order: npt.NDArray[np.int64], count: int) -> list[npt.NDArray[np.int64]]:
    if order.shape != (count, count - 1):
        raise InvalidArgumentError(
            f"order has shape {order.shape} but {count} tasks need ({count}, {count - 1})"
        )
    for i, row in enumerate(order):
        if sorted(row.tolist()) != [k for k in range(count) if k != i]:
            raise InvalidArgumentError(f"order[{i}] must list each task but {i} once")
    return list(order)


def projection(products: Floats, order: Sequence[npt.NDArray[np.int64]]) -> Floats:
    """Return the (T, T) matrix whose rows make each projected gradient of the given ones.

    Only inner products are needed for that: what is taken away lies along given gradients.
    """
    mix = np.eye(len(products))
    for i, others in enumerate(order):
        for k in others:
            along = mix[i] @ products[:, k]
            if along < 0 and products[k, k] > 0:
                mix[i, k] -= along / products[k, k]
    return mix


@dataclass(frozen=True)
class PCGrad:
    """Sum the losses' gradients after :func:`project_conflicts`, in a new random order each step.

    Parameters
    ----------
    weights : mapping of str to float, optional
        What each loss counts for before the projection; all once by default.

    Raises
    ------
    InvalidArgumentError
        A weight below 0, or in training a loss that `weights` does not name.

    Notes
    -----
    One walk back for each loss. The parameters count as one long vector.

    References
    ----------
    Yu, Kumar, Gupta, Levine, Hausman and Finn (2020), "Gradient Surgery for Multi-Task Learning",
    NeurIPS.
    """

    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for name, weight in (self.weights or {}).items():
            check_real(weight, f"weights[{name!r}]", low=0.0)

    def start(self, *, seed: int) -> Weigher:
        return _PCGrad(self, seed)


class _PCGrad:
    def __init__(self, settings: PCGrad, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self.steps = 0

    def combine(
        self,
        parts: Mapping[str, Variable],
        variables: Mapping[str, Variable],
        *,
        at: float,
        total: float,
    ) -> Combined:
        del at, total
        fixed = self.settings.weights
        used = {name: 1.0 if fixed is None else named_value(fixed, name) for name in parts}
        gradients = part_gradients(parts, variables)
        # A stream of its own for each step, so that the number of steps is all there is to save.
        order = random_order(len(parts), np.random.default_rng((self.seed, self.steps)))
        self.steps += 1
        scales = np.array(list(used.values()))
        products = _products(list(gradients.values())) * np.outer(scales, scales)
        factors = projection(products, order).sum(axis=0) * scales
        effective = dict(zip(parts, factors.tolist(), strict=True))
        return Combined(weighted_sum(gradients, effective, variables), used)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_state(state, {"steps"})
        self.steps = check_int(state["steps"], "steps", low=0)


def _products(gradients: Sequence[Gradients]) -> Floats:
    """Inner products of gradients over all their arrays, in float64."""
    products = np.zeros((len(gradients), len(gradients)))
    for name in gradients[0] if gradients else ():
        rows = np.stack([g[name].reshape(-1).astype(np.float64) for g in gradients])
        # Not a matrix product of the library, whose bits may depend on the number of threads.
        for i in range(len(rows)):
            for k in range(i, len(rows)):
                products[i, k] += np.add.reduce(rows[i] * rows[k])
                products[k, i] = products[i, k]
    return products
