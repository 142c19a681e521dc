"""What elastic weight consolidation remembers of earlier tasks."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_numbers, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses._base import Array
from ruvector.losses.ewc import EWCLoss

__all__ = ["EWC", "EWCResult", "LayerEWC", "fisher_diagonal"]

Named = Mapping[str, npt.ArrayLike]


def fisher_diagonal(gradients: Named | Iterable[Named]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the mean over samples of squared gradients of the log-likelihood.

    Parameters
    ----------
    gradients : mapping of str to array_like, or iterable of such mappings
        Either one mapping whose arrays have the samples as first axis, or one mapping a sample.
        Each entry is the gradient of one sample's log-likelihood: squaring the mean gradient of a
        batch of B gives about 1/B of it.

    Returns
    -------
    dict of str to ndarray of float64
        Of the parameters' shapes.

    Raises
    ------
    InvalidArgumentError
        No samples, names or shapes that differ between samples, NaN or infinity.
    InvalidTypeError
        Something that is no mapping, arrays that are not numeric.

    Notes
    -----
    With labels drawn from the model's own predictions this is the Fisher information; with the
    true labels it is the empirical Fisher, which is not the same [1]_. For a contrastive loss the
    likelihood is the softmax over the candidates. An iterable is read once, in memory of twice the
    parameters.

    References
    ----------
    .. [1] Kunstner, Balles and Hennig, "Limitations of the Empirical Fisher Approximation for
       Natural Gradient Descent", NeurIPS 2019. arXiv:1905.12558

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import fisher_diagonal
    >>> fisher_diagonal({"w": np.array([[1.0, 2.0], [3.0, 0.0]])})["w"].tolist()
    [5.0, 2.0]
    """
    if isinstance(gradients, Mapping):
        samples = cast("Named", gradients)
        batch = {name: _finite(array, name) for name, array in samples.items()}
        counts = {len(array) if array.ndim else 0 for array in batch.values()}
        if len(counts) != 1 or 0 in counts:
            shapes = {name: array.shape for name, array in batch.items()}
            raise InvalidArgumentError(
                f"gradients has shapes {shapes} but all first axes must be one number of samples"
            )
        return {
            name: np.mean(np.square(array, dtype=np.float64), axis=0)
            for name, array in batch.items()
        }
    totals: dict[str, npt.NDArray[np.float64]] = {}
    count = 0
    for sample in gradients:
        if not isinstance(sample, Mapping):
            raise InvalidTypeError(
                f"gradients holds a {type(sample).__name__} but must hold one mapping a sample"
            )
        squares = {
            name: np.square(_finite(array, name), dtype=np.float64)
            for name, array in sample.items()
        }
        if count and {n: a.shape for n, a in squares.items()} != {
            n: a.shape for n, a in totals.items()
        }:
            raise InvalidArgumentError(
                f"gradients of sample {count} have other names or shapes than those before"
            )
        for name, square in squares.items():
            totals[name] = totals[name] + square if count else square
        count += 1
    if not count:
        raise InvalidArgumentError("gradients is empty; at least one sample is needed")
    return {name: np.asarray(total / count) for name, total in totals.items()}


def _finite(value: npt.ArrayLike, name: str) -> Array:
    array = as_numbers(value, name)
    if not np.isfinite(array).all():
        raise InvalidArgumentError(f"{name} has NaN or infinity")
    return array


class EWCResult(NamedTuple):
    """A penalty and its gradient by parameter, each of the parameter's shape and dtype."""

    value: float
    gradients: dict[str, Array]


class _Task(NamedTuple):
    """Flat copies by parameter, and how strongly each parameter is held."""

    stars: dict[str, Array]
    fishers: dict[str, Array]
    strengths: dict[str, float]


class _Consolidation(ABC):
    """Quadratic penalties around the parameters of earlier tasks."""

    def __init__(self, *, decay: float | None) -> None:
        self._decay = None if decay is None else check_real(decay, "decay", low=0.0, high=1.0)
        self._tasks: list[_Task] = []
        self._added = 0

    @abstractmethod
    def _strengths(self, fishers: Mapping[str, Array]) -> dict[str, float]:
        """How strongly each parameter is held."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What a saved state must agree with."""

    @property
    def num_tasks(self) -> int:
        """Tasks added so far."""
        return self._added

    def add_task(self, params: Named, fisher: Named) -> None:
        """Remember a task that has just been learned.

        Parameters
        ----------
        params : mapping of str to array_like of float
            The parameters it ended with; copied.
        fisher : mapping of str to array_like of float
            Their importance, as from :func:`fisher_diagonal`: the same names and shapes, at least
            0; stored in the parameters' dtype.

        Raises
        ------
        InvalidArgumentError
            Other names or shapes than the parameters', with a decay also than those of earlier
            tasks; negative importance, NaN or infinity. Nothing is remembered then.
        InvalidTypeError
            Arrays that are not numeric.
        """
        stars = {name: _flat(_finite(array, name)) for name, array in params.items()}
        if set(fisher) != set(stars):
            raise InvalidArgumentError(
                f"fisher names {sorted(fisher)} but params names {sorted(stars)}"
            )
        fishers = {}
        for name, star in stars.items():
            importance = _finite(fisher[name], f"fisher[{name!r}]")
            if importance.shape != np.shape(params[name]):
                raise InvalidArgumentError(
                    f"fisher[{name!r}] has shape {importance.shape} but params[{name!r}] has "
                    f"shape {np.shape(params[name])}"
                )
            if (importance < 0).any():
                raise InvalidArgumentError(f"fisher[{name!r}] must not be negative")
            with np.errstate(over="ignore"):
                fishers[name] = _finite(_flat(importance, star.dtype), f"fisher[{name!r}]")
        if self._decay is not None and self._tasks:
            before = self._tasks[0].fishers
            sizes = {name: array.size for name, array in before.items()}
            if sizes != {name: array.size for name, array in fishers.items()}:
                raise InvalidArgumentError(
                    f"params has sizes { {n: a.size for n, a in fishers.items()} } but earlier "
                    f"tasks had {sizes}; with a decay they must be equal"
                )
            fishers = {
                name: (array + array.dtype.type(self._decay) * before[name]).astype(array.dtype)
                for name, array in fishers.items()
            }
        task = _Task(stars, fishers, self._strengths(fishers))
        self._tasks = [task] if self._decay is not None else [*self._tasks, task]
        self._added += 1

    def __call__(self, params: Named) -> float:
        """Return the penalty.

        Parameters
        ----------
        params : mapping of str to array_like of float
            The current parameters: all that a task was added with; others cost nothing.

        Raises
        ------
        InvalidArgumentError
            A parameter missing or of another size, NaN or infinity.
        """
        arrays = self._checked(params)
        value = 0.0
        for task in self._tasks:
            for name, star in task.stars.items():
                loss = EWCLoss(task.strengths[name])
                value += float(loss(_flat(arrays[name]), star, task.fishers[name]))
        return value

    def value_and_grad(self, params: Named) -> EWCResult:
        """Return the penalty, bit for bit as calling gives it, and its gradient.

        Parameters
        ----------
        params
            As for calling.

        Returns
        -------
        EWCResult
            Gradients for all of `params`, zeros for those that no task knows.
        """
        arrays = self._checked(params)
        gradients = {name: np.zeros_like(array) for name, array in arrays.items()}
        value = 0.0
        for task in self._tasks:
            for name, star in task.stars.items():
                loss = EWCLoss(task.strengths[name])
                result = loss.value_and_grad(_flat(arrays[name]), star, task.fishers[name])
                value += float(result.value)
                part = result.gradients.theta.reshape(arrays[name].shape)
                gradients[name] += part.astype(arrays[name].dtype, copy=False)
        return EWCResult(value, gradients)

    def _checked(self, params: Named) -> dict[str, Array]:
        arrays = {name: as_floats(array, name, ndim=range(65)) for name, array in params.items()}
        for task in self._tasks:
            for name, star in task.stars.items():
                if name not in arrays:
                    raise InvalidArgumentError(
                        f"params lacks {name!r}, which a task was added with"
                    )
                if arrays[name].size != star.size:
                    raise InvalidArgumentError(
                        f"params[{name!r}] has shape {arrays[name].shape} but the task had "
                        f"{star.size} values"
                    )
        return arrays

    def state_dict(self) -> dict[str, Any]:
        """Copy all that is remembered.

        Returns
        -------
        dict
            ``settings`` (plain values, fit for JSON), ``num_tasks`` and ``arrays``, fit for
            ``numpy.savez`` or safetensors: "star/task/parameter" and "fisher/task/parameter" to
            flat arrays.
        """
        arrays = {}
        for number, task in enumerate(self._tasks):
            for name, star in task.stars.items():
                arrays[f"star/{number}/{name}"] = star.copy()
                arrays[f"fisher/{number}/{name}"] = task.fishers[name].copy()
        return {"settings": self._settings(), "num_tasks": self._added, "arrays": arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned.

        Raises
        ------
        InvalidArgumentError
            Settings other than these, or parts missing. Nothing is changed then.
        """
        for key in ("settings", "num_tasks", "arrays"):
            if key not in state:
                raise InvalidArgumentError(f"state lacks {key!r}")
        if state["settings"] != self._settings():
            raise InvalidArgumentError(
                f"state has settings {state['settings']} but this has {self._settings()}"
            )
        parts: dict[int, dict[str, dict[str, Array]]] = {}
        for key, array in state["arrays"].items():
            kind, _, rest = key.partition("/")
            number, _, name = rest.partition("/")
            if kind not in ("star", "fisher") or not number.isdigit():
                raise InvalidArgumentError(f"state holds {key!r}, which is no part of it")
            task = parts.setdefault(int(number), {"star": {}, "fisher": {}})
            task[kind][name] = _flat(_finite(array, key))
        tasks = []
        for number in sorted(parts):
            stars, fishers = parts[number]["star"], parts[number]["fisher"]
            sizes = [{n: a.size for n, a in arrays.items()} for arrays in (stars, fishers)]
            if sizes[0] != sizes[1]:
                raise InvalidArgumentError(
                    f"state has stars and fishers of task {number} that differ"
                )
            tasks.append(_Task(stars, fishers, self._strengths(fishers)))
        self._tasks = tasks
        self._added = int(state["num_tasks"])


def _flat(array: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """Return a flat float copy."""
    if dtype is None:
        dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.float32
    return np.array(array, dtype).reshape(-1)


class EWC(_Consolidation):
    """Elastic weight consolidation over several tasks and named parameters [1]_.

    Parameters
    ----------
    strength : float, default 1.0
        λ of each task's ``(λ/2) Σ F (θ - θ*)²``. The Fisher diagonal is a mean over samples: their
        number, as λ, weighs the task as its data did.
    decay : float, optional
        None keeps the parameters and importance of every task: the penalty is the sum of their
        quadratics, memory grows with each. A γ between 0 and 1 is online EWC [2]_: importance
        becomes ``γ F̃ + F``, the parameters those of the latest task, and memory stays that of one.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type.

    Notes
    -----
    One sweep over the parameters a task kept; see :class:`EWCLoss`. It can be pickled.

    References
    ----------
    .. [1] Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 114,
       2017. arXiv:1612.00796
    .. [2] Schwarz et al., "Progress & Compress: A scalable framework for continual learning", ICML
       2018. arXiv:1805.06370

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import EWC
    >>> ewc = EWC(strength=2.0)
    >>> ewc.add_task({"w": np.array([0.0, 1.0])}, {"w": np.array([1.0, 4.0])})
    >>> value, gradients = ewc.value_and_grad({"w": np.array([3.0, 2.0])})
    >>> value, gradients["w"].tolist()
    (13.0, [6.0, 8.0])
    """

    def __init__(self, strength: float = 1.0, *, decay: float | None = None) -> None:
        super().__init__(decay=decay)
        self._strength = check_real(strength, "strength", low=0.0)

    @property
    def strength(self) -> float:
        """λ."""
        return self._strength

    def _strengths(self, fishers: Mapping[str, Array]) -> dict[str, float]:
        return dict.fromkeys(fishers, self._strength)

    def _settings(self) -> dict[str, Any]:
        return {"kind": "ewc", "strength": self._strength, "decay": self._decay}


class LayerEWC(_Consolidation):
    """Elastic weight consolidation with a strength for each group of parameters.

    The strength of a group is ``base`` times the mean of its importance, within bounds, so that
    layers which mattered more are also held more firmly.

    Parameters
    ----------
    base : float, default 1.0
        At least 0.
    groups : mapping of str to sequence of str, optional
        Names of parameters by group; those in none are groups of their own, as all are without.
    bounds : tuple of two floats, default (0.0, 1e6)
        The least and the greatest strength.
    decay : float, optional
        As for :class:`EWC`.

    Raises
    ------
    InvalidArgumentError, InvalidTypeError
        An option outside its range or of a wrong type, a parameter in two groups.

    Notes
    -----
    A strength in proportion to F makes the penalty grow as F²: it depends on the scale of the
    loss, which is what the bounds are for. Divide the importance by its mean, or use :class:`EWC`,
    to be rid of that. With several tasks each has strengths of its own; with a decay they follow
    the accumulated importance.

    References
    ----------
    Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 114, 2017.
    arXiv:1612.00796

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.losses import LayerEWC
    >>> ewc = LayerEWC(10.0, groups={"head": ["w", "b"]}, bounds=(1.0, 25.0))
    >>> params = {"w": np.zeros(3), "b": np.zeros(1), "deep": np.zeros(2)}
    >>> ewc.add_task(params, {"w": np.ones(3), "b": np.full(1, 5.0), "deep": np.full(2, 9.0)})
    >>> ewc.strengths[0]
    {'w': 20.0, 'b': 20.0, 'deep': 25.0}
    """

    def __init__(
        self,
        base: float = 1.0,
        *,
        groups: Mapping[str, Sequence[str]] | None = None,
        bounds: tuple[float, float] = (0.0, 1e6),
        decay: float | None = None,
    ) -> None:
        super().__init__(decay=decay)
        self._base = check_real(base, "base", low=0.0)
        if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
            raise InvalidTypeError(f"bounds is {bounds!r} but must be (least, greatest)")
        low = check_real(bounds[0], "bounds[0]", low=0.0)
        self._bounds = (low, check_real(bounds[1], "bounds[1]", low=low))
        self._groups: dict[str, list[str]] = {}
        taken: dict[str, str] = {}
        for group, names in (groups or {}).items():
            if isinstance(names, str):
                raise InvalidTypeError(
                    f"groups[{group!r}] is {names!r} but must be a list of names"
                )
            self._groups[group] = list(names)
            for name in self._groups[group]:
                if name in taken:
                    raise InvalidArgumentError(
                        f"{name!r} is in groups {taken[name]!r} and {group!r}; one is allowed"
                    )
                taken[name] = group

    @property
    def strengths(self) -> list[dict[str, float]]:
        """The strength of each parameter, for each task that is kept."""
        return [dict(task.strengths) for task in self._tasks]

    def _strengths(self, fishers: Mapping[str, Array]) -> dict[str, float]:
        groups = [[n for n in names if n in fishers] for names in self._groups.values()]
        grouped = {name for names in groups for name in names}
        groups += [[name] for name in fishers if name not in grouped]
        strengths = {}
        for names in groups:
            total = sum(float(np.sum(fishers[name], dtype=np.float64)) for name in names)
            count = sum(fishers[name].size for name in names)
            strength = float(np.clip(self._base * total / max(count, 1), *self._bounds))
            strengths.update(dict.fromkeys(names, strength))
        return strengths

    def _settings(self) -> dict[str, Any]:
        return {
            "kind": "layer_ewc",
            "base": self._base,
            "groups": self._groups,
            "bounds": list(self._bounds),
            "decay": self._decay,
        }
