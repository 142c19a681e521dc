"""Stochastic gradient descent."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ruvector import _core
from ruvector.arrays import check_real
from ruvector.errors import InvalidArgumentError
from ruvector.optim.base import Optimizer
from ruvector.optim.parameters import Array, Arrays

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent with momentum, dampening and Nesterov's look-ahead.

    The rule of ``torch.optim.SGD``: ``g += weight_decay · w``; the velocity is ``g`` at the first
    step and then ``momentum · velocity + (1 - dampening) · g``; the step is ``lr`` times the
    velocity, ``g + momentum · velocity`` (Nesterov), or ``g`` without momentum.

    Parameters
    ----------
    params : mapping of str to ndarray, list of ndarray, or ndarray
        float32 or float64, C-contiguous, updated in place.
    lr : float
        Learning rate, greater than 0.
    momentum : float
        In 0 to 1, 1 excluded.
    dampening : float
        In 0 to 1; must be 0 with Nesterov.
    nesterov : bool
        Needs momentum.
    weight_decay : float
        Added to the gradient times the weights.
    no_decay : iterable of str
        Names of parameters without decay.
    lr_scale : mapping of str to float, optional
        Factors on the learning rate by name.

    Raises
    ------
    InvalidArgumentError
        A setting out of range; a parameter that is read-only or not contiguous.
    InvalidTypeError
        A parameter that is no float32 or float64 array.

    Notes
    -----
    One pass over memory: 20 bytes a float32 value with momentum, 12 without. The same bits for
    any number of threads.

    References
    ----------
    Sutskever, Martens, Dahl and Hinton (2013), On the importance of initialization and momentum
    in deep learning.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.optim import SGD
    >>> weights = np.array([1.0, 2.0])
    >>> optimizer = SGD(weights, lr=0.5)
    >>> optimizer.step(np.array([1.0, -1.0]))
    >>> weights
    array([0.5, 2.5])
    """

    name: ClassVar[str] = "sgd"

    def __init__(
        self,
        params: Arrays,
        lr: float = 1e-2,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        no_decay: Iterable[str] = (),
        lr_scale: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(
            params, lr, weight_decay=weight_decay, no_decay=no_decay, lr_scale=lr_scale
        )
        self._momentum = check_real(momentum, "momentum", low=0.0, high=1.0)
        self._dampening = check_real(dampening, "dampening", low=0.0, high=1.0)
        self._nesterov = bool(nesterov)
        if self._momentum == 1.0:
            raise InvalidArgumentError("momentum is 1 but must be below 1, or steps grow for ever")
        if self._nesterov and (self._momentum == 0.0 or self._dampening != 0.0):
            raise InvalidArgumentError("nesterov needs momentum greater than 0 and dampening 0")
        self._velocity = self._zeros() if self._momentum else {}

    def _sweep(self, gradients: Mapping[str, Array]) -> None:
        items = [
            (param.reshape(-1), gradients[name], self._velocity.get(name), *self._rates(name))
            for name, param in self._params.items()
        ]
        _core.sgd_step(items, self._steps, self._momentum, self._dampening, self._nesterov)

    def _buffers(self) -> dict[str, dict[str, Array]]:
        return {"velocity": self._velocity} if self._momentum else {}

    def _settings(self) -> dict[str, Any]:
        return {
            "momentum": self._momentum,
            "dampening": self._dampening,
            "nesterov": self._nesterov,
        }
