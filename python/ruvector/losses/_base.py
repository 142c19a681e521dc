"""What all losses share: checked options, inputs as arrays, one way into the core."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import as_floats, as_ids, check_choice, check_int, check_real
from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["IndexedGradients", "Loss", "LossResult", "Reduction", "Value"]

Reduction: TypeAlias = Literal["mean", "sum", "none"]
# An array of float64 where reduction is "none", which only the program's run tells.
Value: TypeAlias = float | Any
Array: TypeAlias = npt.NDArray[Any]

# Kinds of inputs that get a gradient; only embeddings may be rows of a table.
_WITH_GRADIENT = ("embeddings", "parameters")

L = TypeVar("L", bound="Loss")
G = TypeVar("G")


class _Input(NamedTuple):
    name: str
    kind: str
    ranks: list[int]
    optional: bool


class _Option(NamedTuple):
    name: str
    domain: str
    choices: list[str]
    low: int

    def check(self, value: object) -> bool | int | float | str:
        """Return `value` as the core takes it."""
        if self.domain == "choice":
            return check_choice(value, self.name, choices=self.choices)
        if self.domain == "integer":
            return check_int(value, self.name, low=self.low)
        if self.domain == "flag":
            if not isinstance(value, (bool, np.bool_)):
                raise InvalidTypeError(f"{self.name} is {value!r} but must be True or False")
            return bool(value)
        low = -np.inf if self.domain == "finite" else 0.0
        return check_real(value, self.name, low=low, open_low=self.domain == "positive")


class _Spec(NamedTuple):
    inputs: list[_Input]
    options: list[_Option]
    reductions: list[str]
    by_number: str  # "rows", "table", or why there is no such form


SPECS = {
    name: _Spec(
        [_Input(*row) for row in inputs], [_Option(*row) for row in options], reductions, by_number
    )
    for name, inputs, options, reductions, by_number in _core.loss_specs()
}


class LossResult(tuple[Value, G]):
    """A loss's value and gradients; unpacks as ``value, gradients``.

    Attributes
    ----------
    value : float or ndarray of float64
        An array with one entry an item where the reduction is ``"none"``.
    gradients : NamedTuple
        One array for each input with a gradient, of its shape and dtype; None where that was None.
    active : int
        Number of items that contributed.
    """

    active: int

    def __new__(cls, value: Value, gradients: G, active: int) -> "LossResult[G]":
        self = super().__new__(cls, (value, gradients))
        self.active = active
        return self

    @property
    def value(self) -> Value:
        return self[0]

    @property
    def gradients(self) -> G:
        return self[1]

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (*self, self.active)

    def __repr__(self) -> str:
        return f"LossResult(value={self[0]!r}, gradients={self[1]!r}, active={self.active})"


class IndexedGradients(NamedTuple):
    """The gradient of a loss on rows of one table."""

    embeddings: Array


class Loss:
    """A differentiable loss with its options.

    Losses are frozen dataclasses: options are checked when one is made, two with equal options are
    equal, and :meth:`replace` makes a changed copy. Inputs of different float dtypes are promoted
    to the widest of those that get a gradient; integers become float32 and lists what NumPy makes
    of them.
    """

    name: ClassVar[str]
    reduction: Reduction

    def __post_init__(self) -> None:
        spec = SPECS[self.name]
        check_choice(self.reduction, "reduction", choices=spec.reductions)
        for option in spec.options:
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))

    def replace(self: L, **changes: Any) -> L:
        """Return a copy with some options changed.

        Raises
        ------
        InvalidArgumentError
            An option that the loss does not have, or a value outside its range.
        """
        known = {field.name for field in dataclasses.fields(cast(Any, self))}
        for name in changes:
            check_choice(name, "option", choices=sorted(known))
        return cast(L, dataclasses.replace(cast(Any, self), **changes))

    def _run(
        self,
        arrays: list[Array | None],
        out: Sequence[Array | None] | None,
        table: Array | None = None,
    ) -> tuple[Value, int]:
        options = [(option.name, getattr(self, option.name)) for option in SPECS[self.name].options]
        values, active = _core.loss(self.name, options, arrays, self.reduction, out, table)
        return (values if self.reduction == "none" else float(values[0])), active

    def _value(self, *arguments: object) -> Value:
        return self._run(_as_arrays(SPECS[self.name], arguments), None)[0]

    def _value_and_grad(
        self, make: type[G], out: Sequence[Array | None] | None, *arguments: object
    ) -> LossResult[G]:
        spec = SPECS[self.name]
        arrays = _as_arrays(spec, arguments)
        inputs = {
            entry.name: array
            for entry, array in zip(spec.inputs, arrays, strict=True)
            if entry.kind in _WITH_GRADIENT
        }
        if out is None:
            buffers = [None if array is None else np.empty_like(array) for array in inputs.values()]
        else:
            buffers = _check_out(out, inputs)
        value, active = self._run(arrays, buffers)
        return LossResult(value, make(*buffers), active)

    def _value_and_grad_indexed(
        self, embeddings: object, out: Array | None, *arguments: object
    ) -> LossResult[IndexedGradients]:
        """Index arrays stand where embedding inputs would; the rest is as it is."""
        return self._indexed(
            IndexedGradients, embeddings, None if out is None else [out], arguments
        )

    def _indexed(
        self,
        make: type[G],
        embeddings: object,
        out: Sequence[Array | None] | None,
        arguments: Sequence[object],
    ) -> LossResult[G]:
        """As above for a loss with parameters, whose gradients follow the table's."""
        spec = SPECS[self.name]
        table, *arrays = _as_arrays(spec, arguments, as_floats(embeddings, "embeddings"))
        inputs = {"embeddings": table} | {
            entry.name: array
            for entry, array in zip(spec.inputs, arrays, strict=True)
            if entry.kind == "parameters"
        }
        if out is None:
            buffers = [None if array is None else np.empty_like(array) for array in inputs.values()]
        else:
            buffers = _check_out(out, inputs)
        value, active = self._run(arrays, buffers, table)
        return LossResult(value, make(*buffers), active)


def _as_arrays(
    spec: _Spec, arguments: Sequence[object], table: Array | None = None
) -> list[Array | None]:
    """Return the arguments as the core takes them; of a table, itself first, then row numbers."""
    single = sum(entry.kind == "embeddings" for entry in spec.inputs) == 1
    arrays: list[Array | None] = []
    for entry, value in zip(spec.inputs, arguments, strict=True):
        if value is None and entry.optional:
            arrays.append(None)
        elif table is not None and entry.kind == "embeddings":
            ranks = [rank - 1 for rank in entry.ranks]
            # Where embeddings are the loss's only such input, methods call their numbers rows.
            arrays.append(as_ids(value, "rows" if single else entry.name, ndim=ranks))
        elif entry.kind == "indices":
            arrays.append(as_ids(value, entry.name, ndim=entry.ranks))
        elif entry.kind == "columns":
            arrays.append(np.ascontiguousarray(cast(Any, value), np.int32))  # those of a CSR
        elif entry.kind == "mask":
            arrays.append(_as_mask(value, entry.name))
        else:
            arrays.append(as_floats(value, entry.name, ndim=entry.ranks))
    # What gets no gradient is cast to what does: a list of weights changes nobody's precision.
    gradients = [
        array
        for entry, array in zip(spec.inputs, arrays, strict=True)
        if array is not None and array.dtype.kind == "f" and entry.kind in _WITH_GRADIENT
    ]
    if table is not None:
        arrays.insert(0, table)
        gradients.append(table)
    widest = np.result_type(*gradients)
    return [
        array.astype(widest, copy=False) if array is not None and array.dtype.kind == "f" else array
        for array in arrays
    ]


def _as_mask(value: object, name: str) -> Array:
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise InvalidTypeError(f"{name} has dtype {array.dtype} but must be bool")
    return np.ascontiguousarray(array)


def _check_out(out: Sequence[Array | None], inputs: dict[str, Array | None]) -> list[Array | None]:
    if len(out) != len(inputs):
        raise InvalidArgumentError(
            f"out holds {len(out)} arrays but needs {len(inputs)}: {', '.join(inputs)}"
        )
    for array, (name, wanted) in zip(out, inputs.items(), strict=True):
        if wanted is None:
            if array is not None:
                raise InvalidArgumentError(f"out holds an array for {name}, which is None")
            continue
        if not isinstance(array, np.ndarray) or array.dtype != wanted.dtype:
            got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise InvalidTypeError(f"out for {name} is {got} but must be {wanted.dtype}")
        if array.shape != wanted.shape:
            raise InvalidArgumentError(
                f"out for {name} has shape {array.shape} but {name} has shape {wanted.shape}"
            )
        if not (array.flags.c_contiguous and array.flags.writeable):
            raise InvalidArgumentError(f"out for {name} must be C-contiguous and writeable")
    return list(out)
