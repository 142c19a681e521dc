"""What all optimisers share: parameters, overrides by name, state."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ruvector.arrays import check_bool, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.optim.parameters import Array, Arrays, matching, writable, zeros_beside

__all__ = ["Optimizer"]


class Optimizer(ABC):
    """Updates named arrays in place.

    Subclasses keep one or more state arrays a parameter and call one compiled sweep a step.

    Parameters
    ----------
    params : mapping of str to ndarray, list of ndarray, or ndarray
        float32 or float64 arrays of any shape, C-contiguous and writable. They are updated in
        place: keep using the same arrays. A list's names are "0", "1", …; a single array is "0".
    lr : float
        Learning rate, greater than 0.
    weight_decay : float
        At least 0.
    no_decay : iterable of str
        Names of parameters without decay. As in PyTorch everything decays unless named here;
        biases and temperatures usually should be.
    lr_scale : mapping of str to float, optional
        Factors on the learning rate by name; others have 1.
    """

    name: ClassVar[str]

    def __init__(
        self,
        params: Arrays,
        lr: float,
        *,
        weight_decay: float,
        no_decay: Iterable[str] = (),
        lr_scale: Mapping[str, float] | None = None,
    ) -> None:
        self._params = writable(params)
        self._lr = check_real(lr, "lr", low=0.0, open_low=True)
        self._weight_decay = check_real(weight_decay, "weight_decay", low=0.0)
        if isinstance(no_decay, str):
            raise InvalidTypeError(f"no_decay is {no_decay!r} but must be a list of names")
        self._no_decay = frozenset(self._known(no_decay, "no_decay"))
        scales = dict(lr_scale or {})
        self._known(scales, "lr_scale")
        self._lr_scale = {
            name: check_real(scale, f"lr_scale[{name!r}]", low=0.0)
            for name, scale in scales.items()
        }
        # An array, because the compiled step advances it together with the weights.
        self._steps = np.zeros(1, dtype=np.int64)

    def _known(self, names: Iterable[str], what: str) -> list[str]:
        listed = list(names)
        for name in listed:
            if name not in self._params:
                raise InvalidArgumentError(
                    f"{what} names {name!r}, which is none of the parameters"
                )
        return listed

    def _zeros(self) -> dict[str, Array]:
        return {name: zeros_beside(p) for name, p in self._params.items()}

    @property
    def params(self) -> dict[str, Array]:
        """The arrays that are updated, by name."""
        return dict(self._params)

    @property
    def steps(self) -> int:
        """Steps made so far."""
        return int(self._steps[0])

    @property
    def lr(self) -> float:
        """Learning rate; schedules set it between steps and may end at 0."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = check_real(value, "lr", low=0.0)

    @property
    def weight_decay(self) -> float:
        """Weight decay of the parameters that `no_decay` does not name."""
        return self._weight_decay

    @weight_decay.setter
    def weight_decay(self, value: float) -> None:
        self._weight_decay = check_real(value, "weight_decay", low=0.0)

    def _rates(self, name: str) -> tuple[float, float]:
        decay = 0.0 if name in self._no_decay else self._weight_decay
        return self._lr * self._lr_scale.get(name, 1.0), decay

    def step(self, gradients: Arrays, *, check_finite: bool = True) -> None:
        """Move every parameter once.

        Everything is checked before the first write: after an exception parameters and state
        are as before.

        Parameters
        ----------
        gradients : mapping of str to ndarray, list of ndarray, or ndarray
            Of the parameters' structure, shapes and dtypes; finite.
        check_finite : bool
            Look for NaN and infinity first, a pass over the gradients that takes about a quarter
            of Adam's step where they do not fit into the cache. Leave it out for gradients that
            are known to be finite, such as those of :func:`clip_by_norm`: others spoil parameters
            and state for good.

        Raises
        ------
        InvalidArgumentError
            A name missing or unknown, another shape, NaN or infinity.
        InvalidTypeError
            Another dtype.
        """
        checked = check_bool(check_finite, "check_finite")
        self._sweep(matching(gradients, self._params, finite=checked))

    @abstractmethod
    def _sweep(self, gradients: Mapping[str, Array]) -> None:
        """Call the compiled step with flat, checked gradients."""

    @abstractmethod
    def _buffers(self) -> dict[str, dict[str, Array]]:
        """State arrays by kind and parameter, flat; written through on loading."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Settings beside rates that decide what the state means."""

    def state_dict(self) -> dict[str, Any]:
        """Copy everything a bit-equal continuation needs, except the parameters themselves.

        Returns
        -------
        dict
            ``optimizer`` (its name), ``steps``, ``settings`` (plain numbers and strings, fit for
            JSON) and ``arrays``: "kind/parameter" to an array of the parameter's shape, fit for
            ``numpy.savez`` or safetensors.
        """
        arrays = {
            f"{kind}/{name}": flat.reshape(self._params[name].shape).copy()
            for kind, buffers in self._buffers().items()
            for name, flat in buffers.items()
        }
        return {
            "optimizer": self.name,
            "steps": self.steps,
            "settings": self._all_settings(),
            "arrays": arrays,
        }

    def _all_settings(self) -> dict[str, Any]:
        return {
            "lr": self._lr,
            "weight_decay": self._weight_decay,
            "no_decay": sorted(self._no_decay),
            "lr_scale": dict(self._lr_scale),
            **self._settings(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, for the same parameters and settings.

        Learning rate and weight decay are taken from `state`; all other settings must be equal.

        Raises
        ------
        InvalidArgumentError
            Another optimiser, other settings, parameters or shapes, or something missing;
            nothing is changed.
        """
        if not isinstance(state, Mapping):
            raise InvalidTypeError(f"state is a {type(state).__name__} but must be a mapping")
        lacking = {"optimizer", "steps", "settings", "arrays"} - set(state)
        if lacking:
            raise InvalidArgumentError(
                f"state lacks {sorted(lacking)}; give what state_dict returned"
            )
        if state["optimizer"] != self.name:
            raise InvalidArgumentError(f"state is of {state['optimizer']!r}, not of {self.name!r}")
        steps = state["steps"]
        if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
            raise InvalidArgumentError(f"state has {steps!r} steps but needs a count")
        settings = self._same_settings(state["settings"])
        buffers = self._same_arrays(state["arrays"])
        lr = check_real(settings["lr"], "lr", low=0.0)
        decay = check_real(settings["weight_decay"], "weight_decay", low=0.0)
        for target, values in buffers:
            target[:] = values
        self._lr, self._weight_decay = lr, decay
        self._steps[0] = int(steps)

    def _same_settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        own = self._all_settings()
        if not isinstance(given, Mapping) or set(given) != set(own):
            raise InvalidArgumentError(f"state's settings must be {sorted(own)}")
        for key, value in own.items():
            # JSON turns tuples into lists.
            other = list(given[key]) if isinstance(given[key], tuple) else given[key]
            if key not in ("lr", "weight_decay") and other != value:
                raise InvalidArgumentError(
                    f"state was saved with {key}={given[key]!r} but this optimiser has {value!r}"
                )
        return dict(given)

    def _same_arrays(self, given: Mapping[str, Any]) -> list[tuple[Array, Array]]:
        targets = {
            f"{kind}/{name}": (flat, self._params[name])
            for kind, buffers in self._buffers().items()
            for name, flat in buffers.items()
        }
        if not isinstance(given, Mapping) or set(given) != set(targets):
            got = sorted(given) if isinstance(given, Mapping) else type(given).__name__
            raise InvalidArgumentError(f"state has the arrays {got} but needs {sorted(targets)}")
        pairs = []
        for key, (flat, param) in targets.items():
            values = np.asarray(given[key])
            if values.shape != param.shape or values.dtype != param.dtype:
                raise InvalidArgumentError(
                    f"state's {key!r} is {values.dtype} of shape {values.shape} but the parameter "
                    f"is {param.dtype} of shape {param.shape}"
                )
            if not np.isfinite(values).all():
                raise InvalidArgumentError(f"state's {key!r} has NaN or infinity")
            pairs.append((flat, values.reshape(-1)))
        return pairs
