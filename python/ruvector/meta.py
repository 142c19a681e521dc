"""Weights from which a few steps suffice: meta-learning over tasks.

A task has examples to adapt to and others to be judged by. What a network should compute, and how
well it did, is one function of its weights and a batch, written with :mod:`ruvector.autograd`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int, check_real
from ruvector.autograd import Variable, backward, constant, gradients, scale, subtract
from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["MAML", "MetaResult", "MetaTask", "Reptile"]

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]
TaskLoss = Callable[[Mapping[str, Variable], Any], Variable]


class MetaTask(NamedTuple):
    """Batches of one task, each whatever the loss function takes."""

    support: Any
    query: Any


class MetaResult(NamedTuple):
    """What a set of tasks says about weights.

    Attributes
    ----------
    value : float
        Mean over tasks of the loss on the query batch *after* adapting to the support batch.
    gradients : dict of ndarray
        For an optimiser, which subtracts them; shapes and dtypes of the weights.
    unadapted : float
        Mean loss on the query batches before adapting.
    """

    value: float
    gradients: dict[str, Array]
    unadapted: float


@dataclass(frozen=True)
class _InnerSteps:
    """Plain gradient steps on the support batch of a task."""

    loss: TaskLoss
    inner_lr: float = 0.01
    inner_steps: int = 1

    def __post_init__(self) -> None:
        if not callable(self.loss):
            raise InvalidArgumentError(
                f"loss is {self.loss!r} but must be a function of variables by name and a batch"
            )
        check_real(self.inner_lr, "inner_lr", low=0)
        check_int(self.inner_steps, "inner_steps", low=1)

    def adapt(self, weights: Weights, support: Any) -> dict[str, Array]:
        """Return the weights after the inner steps on `support` in arrays of their own.

        Parameters
        ----------
        weights : mapping of str to ndarray of float
        support : object
            A batch for the loss function.

        Raises
        ------
        InvalidArgumentError
            The loss is no finite scalar.
        InvalidTypeError
            Weights that are not arrays of floats by name.
        """
        # Copies: a weight that the loss does not read must not be the caller's own array.
        now = {name: np.array(array) for name, array in _checked(weights).items()}
        for _ in range(self.inner_steps):
            variables = {name: Variable(array) for name, array in now.items()}
            backward(_scalar(self.loss(variables, support)))
            for name, variable in variables.items():
                if variable.grad is not None:
                    rate = variable.value.dtype.type(self.inner_lr)
                    now[name] = variable.value - rate * variable.grad
        return now

    def _query(self, weights: Weights, query: Any) -> float:
        fixed = {name: constant(array) for name, array in weights.items()}
        return float(_scalar(self.loss(fixed, query)).value)


@dataclass(frozen=True)
class MAML(_InnerSteps):
    """Weights whose loss after a few steps on a new task is small [1]_.

    Parameters
    ----------
    loss : callable
        Takes a mapping of names to variables and a batch and returns a scalar variable.
    inner_lr : float, default 0.01
        Length of an inner step, α.
    inner_steps : int, default 1
    first_order : bool, default False
        Take the gradient at the adapted weights as that at the start, leaving out the factor
        ``Π (I - α H)`` (FOMAML): half the time, and any operation will do.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    The second order is exact: inner gradients are programs of operations (see
    :func:`ruvector.autograd.gradients`) and the query loss is differentiated through them, so the
    loss must be written with operations that have a second derivative. Memory grows with the
    number of inner steps.

    References
    ----------
    .. [1] Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep
       Networks", ICML 2017. arXiv:1703.03400

    Examples
    --------
    Tasks are points; the loss is the squared distance. Half-way steps leave half of it to the
    start, whose best place is the mean of the tasks.

    >>> import numpy as np
    >>> from ruvector.autograd import constant, multiply, subtract, total
    >>> from ruvector.meta import MAML, MetaTask
    >>> def loss(variables, point):
    ...     off = subtract(variables["x"], constant(point))
    ...     return total(multiply(off, off))
    >>> tasks = [MetaTask(p, p) for p in np.array([[1.0, 3.0], [3.0, 1.0]])]
    >>> result = MAML(loss, inner_lr=0.25).value_and_grad({"x": np.zeros(2)}, tasks)
    >>> result.unadapted, result.value, result.gradients["x"].tolist()
    (10.0, 2.5, [-1.0, -1.0])
    """

    first_order: bool = False

    def value_and_grad(self, weights: Weights, tasks: Sequence[MetaTask]) -> MetaResult:
        """Return the mean adapted query loss of `tasks` and its gradient.

        Parameters
        ----------
        weights : mapping of str to ndarray of float
        tasks : sequence of MetaTask
            At least one.

        Raises
        ------
        InvalidArgumentError
            No tasks, a loss that is no finite scalar, or one with an operation that has no second
            derivative.
        InvalidTypeError
            Weights that are not arrays of floats by name.
        """
        _check_tasks(tasks)
        _checked(weights)
        sums = {name: np.zeros_like(array) for name, array in weights.items()}
        value = unadapted = 0.0
        for support, query in tasks:
            unadapted += self._query(weights, query)
            at = self.adapt(weights, support) if self.first_order else weights
            start = {name: Variable(array) for name, array in at.items()}
            adapted = start if self.first_order else self._adapted(start, support)
            output = _scalar(self.loss(adapted, query))
            backward(output)
            value += float(output.value)
            for name, variable in start.items():
                if variable.grad is not None:
                    sums[name] += variable.grad / len(tasks)
        return MetaResult(value / len(tasks), sums, unadapted / len(tasks))

    def _adapted(self, start: Mapping[str, Variable], support: Any) -> dict[str, Variable]:
        """The inner steps, as operations on the weights they start from."""
        now = dict(start)
        for _ in range(self.inner_steps):
            slopes = gradients(_scalar(self.loss(now, support)), list(now.values()))
            now = {
                name: subtract(variable, scale(slope, self.inner_lr))
                for (name, variable), slope in zip(now.items(), slopes, strict=True)
            }
        return now


@dataclass(frozen=True)
class Reptile(_InnerSteps):
    """Weights near those that tasks adapt to, found without second derivatives [1]_.

    Parameters
    ----------
    loss : callable
        Takes a mapping of names to variables and a batch and returns a scalar variable.
    inner_lr : float, default 0.01
        Length of an inner step.
    inner_steps : int, default 1
        With one step the direction is that of training on all tasks at once.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    References
    ----------
    .. [1] Nichol, Achiam and Schulman, "On First-Order Meta-Learning Algorithms", 2018.
       arXiv:1803.02999
    """

    def value_and_grad(self, weights: Weights, tasks: Sequence[MetaTask]) -> MetaResult:
        """Return the mean adapted query loss of `tasks` and the way from adapted weights back.

        An optimiser that subtracts the latter, times its learning rate, moves towards the mean of
        the adapted weights. It is no gradient of the value.

        Parameters
        ----------
        weights : mapping of str to ndarray of float
        tasks : sequence of MetaTask
            At least one.

        Raises
        ------
        InvalidArgumentError
            No tasks, or a loss that is no finite scalar.
        InvalidTypeError
            Weights that are not arrays of floats by name.
        """
        _check_tasks(tasks)
        _checked(weights)
        sums = {name: np.zeros_like(array) for name, array in weights.items()}
        value = unadapted = 0.0
        for support, query in tasks:
            unadapted += self._query(weights, query)
            adapted = self.adapt(weights, support)
            value += self._query(adapted, query)
            for name, array in weights.items():
                sums[name] += (array - adapted[name]) / len(tasks)
        return MetaResult(value / len(tasks), sums, unadapted / len(tasks))


def _check_tasks(tasks: Sequence[MetaTask]) -> None:
    if len(tasks) == 0:
        raise InvalidArgumentError("tasks is empty; give at least one")


def _checked(weights: Weights) -> Weights:
    if not isinstance(weights, Mapping):
        raise InvalidTypeError(
            f"weights is a {type(weights).__name__} but must be a mapping of names to arrays"
        )
    for name, array in weights.items():
        dtype = getattr(array, "dtype", None)
        if dtype not in (np.float32, np.float64):
            what = f"a {type(array).__name__}" if dtype is None else f"of {dtype}"
            raise InvalidTypeError(
                f"weights[{name!r}] is {what} but must be an array of float32 or float64; convert "
                "it with numpy.asarray(…, numpy.float32)"
            )
    return weights


def _scalar(output: Variable) -> Variable:
    if output.value.size != 1:
        raise InvalidArgumentError(f"the loss has shape {output.shape} but must be a scalar")
    if not math.isfinite(float(output.value)):
        raise InvalidArgumentError(
            f"the loss is {float(output.value)}; a smaller inner_lr may keep it finite"
        )
    return output
