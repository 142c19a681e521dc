"""Adam, AMSGrad and AdamW."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ruvector import _core
from ruvector.arrays import check_real
from ruvector.errors import InvalidArgumentError
from ruvector.optim.base import Optimizer
from ruvector.optim.parameters import Array, Arrays

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam, with AMSGrad on request; weight decay joins the gradient.

    The rule of ``torch.optim.Adam``: ``g += weight_decay · w``; ``m`` and ``v`` are the running
    means of ``g`` and ``g²``; ``w -= lr · m̂ / (√v̂ + eps)`` with ``m̂ = m / (1 - β₁ᵗ)`` and
    ``v̂ = v / (1 - β₂ᵗ)``. AMSGrad takes the running maximum of the raw ``v`` and corrects it
    afterwards, as PyTorch does; the paper has no correction.

    Parameters
    ----------
    params : mapping of str to ndarray, list of ndarray, or ndarray
        float32 or float64, C-contiguous, updated in place.
    lr : float
        Learning rate, greater than 0.
    betas : (float, float)
        Decay of the running means, each in 0 to 1, 1 excluded.
    eps : float
        Added to the root; at least float32's smallest normal number.
    weight_decay : float
        Added to the gradient times the weights.
    amsgrad : bool
        Never let the denominator shrink.
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
    One pass over memory: 28 bytes a float32 value, 36 with AMSGrad, and 4 to check the gradient,
    which ``step(…, check_finite=False)`` saves.
    The same bits for any number of threads.

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization.
    Reddi, Kale and Kumar (2018), On the convergence of Adam and beyond.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.optim import Adam
    >>> params = {"weight": np.array([1.0, 2.0])}
    >>> optimizer = Adam(params, lr=0.5)
    >>> optimizer.step({"weight": np.array([4.0, -4.0])})
    >>> params["weight"].round(6)
    array([0.5, 2.5])
    """

    name: ClassVar[str] = "adam"
    _decoupled: ClassVar[bool] = False

    def __init__(
        self,
        params: Arrays,
        lr: float = 1e-3,
        *,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        no_decay: Iterable[str] = (),
        lr_scale: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(
            params, lr, weight_decay=weight_decay, no_decay=no_decay, lr_scale=lr_scale
        )
        if not isinstance(betas, Sequence) or len(betas) != 2:
            raise InvalidArgumentError(f"betas is {betas!r} but must be two numbers")
        first, second = (check_real(b, f"betas[{i}]", low=0.0) for i, b in enumerate(betas))
        if max(first, second) >= 1.0:
            raise InvalidArgumentError(f"betas is ({first:g}, {second:g}) but must lie below 1")
        self._betas = (first, second)
        # Smaller ones vanish in float32 and leave 0 / 0.
        self._eps = check_real(eps, "eps", low=float(np.finfo(np.float32).tiny))
        self._amsgrad = bool(amsgrad)
        self._first, self._second = self._zeros(), self._zeros()
        self._largest = self._zeros() if self._amsgrad else {}

    def _sweep(self, gradients: Mapping[str, Array]) -> None:
        items = [
            (
                param.reshape(-1),
                gradients[name],
                self._first[name],
                self._second[name],
                self._largest.get(name),
                *self._rates(name),
            )
            for name, param in self._params.items()
        ]
        _core.adam_step(items, self._steps, self._betas, self._eps, self._decoupled)

    def _buffers(self) -> dict[str, dict[str, Array]]:
        buffers = {"first_moment": self._first, "second_moment": self._second}
        return {**buffers, "largest_moment": self._largest} if self._amsgrad else buffers

    def _settings(self) -> dict[str, Any]:
        return {"betas": list(self._betas), "eps": self._eps, "amsgrad": self._amsgrad}


class AdamW(Adam):
    """Adam whose weight decay multiplies the weights instead of joining the gradient.

    The rule of ``torch.optim.AdamW``: ``w *= 1 - lr · weight_decay``, then Adam's step without
    decay in the gradient. (The paper multiplies by the schedule's factor alone, not by ``lr``.)

    Parameters
    ----------
    params : mapping of str to ndarray, list of ndarray, or ndarray
        float32 or float64, C-contiguous, updated in place.
    lr : float
        Learning rate, greater than 0.
    betas : (float, float)
        Decay of the running means, each in 0 to 1, 1 excluded.
    eps : float
        Added to the root; at least float32's smallest normal number.
    weight_decay : float
        Share of the weights, times `lr`, that each step takes away.
    amsgrad : bool
        Never let the denominator shrink.
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
    Costs what `Adam` costs.

    References
    ----------
    Loshchilov and Hutter (2019), Decoupled weight decay regularization.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.optim import AdamW
    >>> params = {"weight": np.ones(2), "bias": np.ones(1)}
    >>> optimizer = AdamW(params, lr=0.1, weight_decay=0.5, no_decay=["bias"])
    >>> optimizer.step({"weight": np.zeros(2), "bias": np.zeros(1)})
    >>> params["weight"], params["bias"]
    (array([0.95, 0.95]), array([1.]))
    """

    name: ClassVar[str] = "adamw"
    _decoupled: ClassVar[bool] = True

    def __init__(
        self,
        params: Arrays,
        lr: float = 1e-3,
        *,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        no_decay: Iterable[str] = (),
        lr_scale: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            no_decay=no_decay,
            lr_scale=lr_scale,
        )
