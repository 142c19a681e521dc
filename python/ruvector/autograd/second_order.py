"""Gradients as programs of operations, which can be differentiated again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ruvector.autograd.elementwise import add
from ruvector.autograd.variable import Variable, constant, topological
from ruvector.errors import InvalidArgumentError

__all__ = ["gradients"]


def gradients(output: Variable, inputs: Sequence[Variable]) -> list[Variable]:
    """Return the gradient of a scalar as variables, which can be differentiated in turn.

    Nothing is set: unlike :func:`backward`, this is itself a program of operations. What ``grad``
    of its result is, after :func:`backward` of a function of it, is a product with second
    derivatives.

    Parameters
    ----------
    output : Variable
        A scalar.
    inputs : sequence of Variable
        With respect to what; one that `output` does not depend on gets zeros.

    Returns
    -------
    list of Variable
        In the order of `inputs` and of their shapes.

    Raises
    ------
    InvalidArgumentError
        `output` is no scalar, or an operation on the way has no second derivative here, as losses
        and fused kernels have none.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.autograd import Variable, backward, gradients, multiply, total
    >>> x = Variable(np.array([1.0, 2.0]))
    >>> cubes = total(multiply(x, multiply(x, x)))
    >>> (slope,) = gradients(cubes, [x])
    >>> slope.value
    array([ 3., 12.])
    >>> backward(total(slope))
    >>> x.grad
    array([ 6., 12.])
    """
    if output.value.size != 1:
        raise InvalidArgumentError(f"output has shape {output.shape} but must be a scalar")
    found: dict[int, Variable] = {id(output): constant(np.ones_like(output.value))}
    leading = _leading(inputs, output)
    for variable in reversed(leading.values()):
        if not any(id(source) in leading for source in variable._inputs):
            continue
        if variable._again is None:
            raise InvalidArgumentError(
                f"an operation on the way (its result has shape {variable.shape}) has no second "
                "derivative; write it with others, or use first derivatives alone"
            )
        parts = variable._again(found[id(variable)])
        for source, part in zip(variable._inputs, parts, strict=True):
            if id(source) in leading and part is not None:
                held = found.get(id(source))
                found[id(source)] = part if held is None else add(held, part)
    return [found.get(id(x)) or constant(np.zeros_like(x.value)) for x in inputs]


def _leading(inputs: Sequence[Variable], output: Variable) -> dict[int, Variable]:
    """Return by identity what lies between `inputs` and `output`, both with them, in order.

    What lies below the inputs is left out: it need not have second derivatives.
    """
    ends = {id(x) for x in inputs}
    found: dict[int, Variable] = {}
    for variable in topological(output):
        if id(variable) in ends or any(id(source) in found for source in variable._inputs):
            found[id(variable)] = variable
    return found
