"""Arrays that remember how they were made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import MaybeNone
from ruvector.errors import InvalidArgumentError

__all__ = ["Variable", "backward", "constant", "record", "topological"]

Array = npt.NDArray[Any]

#: From the gradient of a result to the gradients of its inputs, in their order. Only the entries
#: of inputs that need one are read.
Pullback = Callable[[Array], Sequence["Array | None"]]

#: The same on variables, written with operations, so that its result can be differentiated again.
PullbackAgain = Callable[["Variable"], Sequence["Variable | None"]]


class Variable:
    """An array in a differentiable program.

    Parameters
    ----------
    value : ndarray
        float32 or float64; not copied.
    needs_grad : bool
        Whether :func:`backward` should leave a gradient here.

    Attributes
    ----------
    grad : ndarray or None
        Set by :func:`backward`; same shape and dtype as `value`.
    """

    __slots__ = ("_again", "_inputs", "_pullback", "grad", "needs_grad", "value")

    def __init__(self, value: Array, *, needs_grad: bool = True) -> None:
        self.value = value
        self.needs_grad = needs_grad
        self.grad: Array | MaybeNone = None
        self._inputs: tuple[Variable, ...] = ()
        self._pullback: Pullback | None = None
        self._again: PullbackAgain | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    def __repr__(self) -> str:
        return f"Variable(shape={self.shape}, dtype={self.value.dtype})"


def constant(value: Array) -> Variable:
    """Return a variable that gets no gradient."""
    return Variable(value, needs_grad=False)


def record(
    value: Array,
    inputs: Sequence[Variable],
    pullback: Pullback,
    again: PullbackAgain | None = None,
) -> Variable:
    """Return `value` as the result of an operation on `inputs`.

    Parameters
    ----------
    value : ndarray
        What the operation computed.
    inputs : sequence of Variable
        What it was computed from.
    pullback : callable
        Takes the gradient of `value` and returns one gradient (or None) an input. It must not
        change what it is given.
    again : callable, optional
        The same written with operations on variables, for second derivatives; without it
        :func:`~ruvector.autograd.gradients` refuses to pass through the operation.

    Examples
    --------
    An operation is a few lines:

    >>> import numpy as np
    >>> from ruvector.autograd import Variable, backward, record
    >>> def square(x):
    ...     return record(x.value**2, [x], lambda g: [2 * g * x.value])
    >>> x = Variable(np.array([1.0, -3.0]))
    >>> backward(square(x), np.ones(2))
    >>> x.grad
    array([ 2., -6.])
    """
    result = Variable(value, needs_grad=any(x.needs_grad for x in inputs))
    if result.needs_grad:
        result._inputs = tuple(inputs)
        result._pullback = pullback
        result._again = again
    return result


def backward(output: Variable, gradient: Array | None = None) -> None:
    """Set ``grad`` of `output` and of every variable at the start that needs it.

    A variable that is used several times gets the sum. Gradients left by an earlier call are
    overwritten, not added to.

    Parameters
    ----------
    output : Variable
        Where to start.
    gradient : ndarray, optional
        Gradient of the quantity of interest with respect to `output`; 1 for a scalar output.
    """
    if gradient is None:
        if output.value.size != 1:
            raise InvalidArgumentError(
                f"output has shape {output.shape}; give its gradient unless it is a scalar"
            )
        gradient = np.ones_like(output.value)
    if gradient.shape != output.shape:
        raise InvalidArgumentError(
            f"gradient has shape {gradient.shape} but output has shape {output.shape}"
        )
    if not output.needs_grad:
        return
    order = topological(output)
    for variable in order:
        variable.grad = None
    output.grad = gradient
    for variable in reversed(order):
        if variable._pullback is None or variable.grad is None:
            continue
        for source, part in zip(variable._inputs, variable._pullback(variable.grad), strict=True):
            if source.needs_grad and part is not None:
                source.grad = part if source.grad is None else source.grad + part
        if variable is not output:
            variable.grad = None


def topological(output: Variable) -> list[Variable]:
    """Everything below `output` that needs a gradient, inputs before results."""
    order: list[Variable] = []
    seen: set[int] = set()
    stack = [(output, False)]
    while stack:
        variable, done = stack.pop()
        if done:
            order.append(variable)
        elif id(variable) not in seen and variable.needs_grad:
            seen.add(id(variable))
            stack.append((variable, True))
            stack.extend((source, False) for source in variable._inputs)
    return order
