"""Losses as PyTorch modules; needs extra ``torch``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

try:
    import torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "ruvector.interop.torch needs PyTorch, which is not installed: pip install torch",
        name=error.name,
    ) from error

from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses import Loss
from ruvector.losses._base import SPECS

__all__ = ["LossModule", "as_module"]

Array = npt.NDArray[Any]

_FLOATS = (torch.float32, torch.float64)

# Inputs whose row i belongs to item i alone, by loss. Rows of any other input are shared between
# items, and what the core returns is the gradient of the items' sum.
_ROW_AN_ITEM = {
    "distillation": ("student_logits",),
    "edge_bce": ("logits",),
    "feature_reconstruction": ("embeddings",),
    "infonce": ("anchors", "positives"),
    "multi_hop": ("anchors", "positives"),
    "node_classification": ("logits",),
    "norm": ("embeddings",),
    "sparsity": ("embeddings",),
    "triplet": ("anchors", "positives", "negatives"),
}


class LossModule(torch.nn.Module):
    """A loss as a module; see `as_module`.

    Attributes
    ----------
    loss : Loss
    indexed : bool
    """

    def __init__(self, loss: Loss, *, indexed: bool = False) -> None:
        super().__init__()
        if not isinstance(loss, Loss):
            raise InvalidTypeError(
                f"loss is {type(loss).__name__} but must be one of ruvector.losses, such as "
                "InfoNCELoss(temperature=0.1)"
            )
        if indexed and not hasattr(loss, "value_and_grad_indexed"):
            raise InvalidArgumentError(
                f"{type(loss).__name__} has no value_and_grad_indexed; leave indexed out, and "
                "index the table in PyTorch"
            )
        self.loss = loss
        self.indexed = bool(indexed)

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the loss as a tensor; arguments are those of the loss, as tensors."""
        arguments, tensors = self._arguments(args, kwargs)
        if torch.is_grad_enabled() and any(t.requires_grad for t in tensors.values()):
            names = tuple(tensors)
            found = _Evaluate.apply(self, arguments, names, *tensors.values())  # type: ignore[no-untyped-call, unused-ignore]
            return cast(torch.Tensor, found[0])
        arguments |= {name: _as_array(tensor) for name, tensor in tensors.items()}
        value = self._value_and_grad(arguments)[0] if self.indexed else self._value(arguments)
        return _as_tensor(value, tensors.values())

    def extra_repr(self) -> str:
        return f"{self.loss!r}{', indexed=True' if self.indexed else ''}"

    def _arguments(
        self, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Return what the loss is called with, and apart from it the tensors with a gradient."""
        given = _signature(cast(Any, type(self.loss)), self.indexed).bind(*args, **kwargs).arguments
        if "out" in given:
            raise InvalidArgumentError("out is not for PyTorch, which keeps the gradients itself")
        if self.indexed:
            graded = {"embeddings", *_names(self.loss, "parameters")}
        else:
            graded = {*_names(self.loss, "embeddings"), *_names(self.loss, "parameters")}
        arguments: dict[str, Any] = {}
        tensors: dict[str, torch.Tensor] = {}
        for name, value in given.items():
            if name not in graded or value is None:
                arguments[name] = _constant(value, name, self.loss)
                continue
            if not isinstance(value, torch.Tensor):
                raise InvalidTypeError(
                    f"{name} is {type(value).__name__} but must be a torch.Tensor; pass "
                    f"torch.as_tensor({name})"
                )
            _check(value, name)
            if value.dtype not in _FLOATS:
                raise InvalidTypeError(
                    f"{name} has dtype {value.dtype} but must be torch.float32 or torch.float64; "
                    f"pass {name}.float()"
                )
            tensors[name] = value
        return arguments, tensors

    def _value(self, arguments: dict[str, Any]) -> Any:
        return self.loss(**arguments)  # type: ignore[operator]

    def _value_and_grad(self, arguments: dict[str, Any]) -> Any:
        if self.indexed:
            return self.loss.value_and_grad_indexed(**arguments)  # type: ignore[attr-defined]
        return self.loss.value_and_grad(**arguments)  # type: ignore[attr-defined]


class _Evaluate(torch.autograd.Function):
    """Computes value and gradients together; going back only scales the gradients.

    Both are results, so that `torch.func` may keep them; the caller takes the value.
    """

    @staticmethod
    def forward(
        module: LossModule,
        arguments: dict[str, Any],
        names: tuple[str, ...],
        *tensors: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        views = {name: _as_array(t) for name, t in zip(names, tensors, strict=True)}
        value, gradients = module._value_and_grad(arguments | views)
        found = (torch.from_numpy(getattr(gradients, name)) for name in names)
        return _as_tensor(value, tensors), *found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        module, arguments, names, *tensors = inputs
        gradients = output[1:]
        ctx.mark_non_differentiable(*gradients)
        ctx.set_materialize_grads(False)
        needed = ctx.needs_input_grad[3:]
        wanted = [k for k, is_needed in enumerate(needed) if is_needed]
        ctx.save_for_backward(*(gradients[k] for k in wanted))
        # Not saved: they may change in place, for what is computed from them is there already.
        ctx.inputs = [tensors[k] for k in wanted]
        ctx.names, ctx.wanted = names, [names[k] for k in wanted]
        ctx.label = type(module.loss).__name__
        ctx.dtypes = {name: t.dtype for name, t in zip(names, tensors, strict=True)}
        ctx.items = {}
        if module.loss.reduction == "none" and not module.indexed:
            given = arguments | dict(zip(names, tensors, strict=True))
            ctx.items = {name: _items(module.loss.name, name, given) for name in ctx.wanted}

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        grad_output = grad_outputs[0]  # of the value
        if grad_output is None:
            return (None,) * (3 + len(ctx.names))
        with torch.no_grad():
            scaled = _scaled(ctx, ctx.saved_tensors, grad_output.detach())
        if torch.is_grad_enabled():  # create_graph=True
            scaled = _Last.apply(ctx.label, len(scaled), *scaled, *ctx.inputs)  # type: ignore[no-untyped-call, unused-ignore]
        found = dict(zip(ctx.wanted, scaled, strict=True))
        return (None, None, None, *(found.get(name) for name in ctx.names))

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        del info, in_dims
        raise InvalidArgumentError(
            f"{type(args[0].loss).__name__} cannot be mapped by torch.func.vmap: it is computed "
            "outside PyTorch; call it in a loop, or once on the whole batch"
        )


class _Last(torch.autograd.Function):
    """Makes gradients depend on the inputs, so that nobody takes them for constants."""

    @staticmethod
    def forward(_label: str, count: int, *tensors: torch.Tensor) -> Any:
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004
        ctx.label = inputs[0]

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> Any:
        raise RuntimeError(
            f"gradients of {ctx.label} cannot be differentiated again: only the first derivative "
            "is known; leave out create_graph=True or detach what was computed from the gradients"
        )


def _scaled(
    ctx: Any, gradients: Sequence[torch.Tensor], grad_output: torch.Tensor
) -> list[torch.Tensor]:
    """Multiply the gradients of the loss by that of what it became part of."""
    if grad_output.ndim and grad_output.numel() and bool((grad_output == grad_output[0]).all()):
        grad_output = grad_output[0]
    scaled = []
    for name, gradient in zip(ctx.wanted, gradients, strict=True):
        factor = grad_output
        if grad_output.ndim:
            items = ctx.items.get(name)
            if items is None:
                raise InvalidArgumentError(
                    f"the items of {ctx.label} were weighed differently, but rows of {name} are "
                    "shared between items, and only the gradient of their sum is known; use "
                    "reduction='mean' or 'sum', weigh all items alike, or call the loss once for "
                    "each weight"
                )
            factor = grad_output[items].reshape(-1, *[1] * (gradient.ndim - 1))
        scaled.append((gradient * factor).to(ctx.dtypes[name]))
    return scaled


def as_module(loss: Loss, *, indexed: bool = False) -> LossModule:
    """Return a loss as a `torch.nn.Module` that takes CPU tensors and takes part in autograd.

    Parameters
    ----------
    loss : Loss
        Any loss of `ruvector.losses`, with its options.
    indexed : bool, default False
        Call the loss's ``value_and_grad_indexed``: the table of embeddings first, then rows of it
        as integer tensors, and one gradient of the table's shape. Losses over edges take a table
        as they are, and have no other form.

    Returns
    -------
    LossModule
        Called with the loss's arguments, by position or by name. Those with a gradient must be
        tensors of float32 or float64 in any memory order; all others may be tensors, arrays, graphs
        or what else the loss takes. The result has the widest dtype among them, no dimension, and
        with ``reduction="none"`` one entry an item.

    Raises
    ------
    InvalidTypeError
        Not a loss; when called, an argument that must be a tensor and is none, or of a dtype other
        than float32 and float64.
    InvalidArgumentError
        `indexed` with a loss that has no such form; when called, a tensor on another device, one
        that requires a gradient where the loss has none, or whatever the loss itself refuses.

    Notes
    -----
    Tensors are read in place and copied only where they are not contiguous or of several dtypes.
    Where a gradient is required the loss computes value and gradients together and keeps the
    gradients until ``backward``, which multiplies them; otherwise the value alone. Items of
    ``reduction="none"`` may be weighed differently where each row belongs to one item, such as
    anchors of `InfoNCELoss`; where rows are shared, ``backward`` raises `InvalidArgumentError`.
    Gradients cannot be differentiated again, which PyTorch says with a RuntimeError.
    `torch.func.grad` takes the module like any function; `torch.func.vmap` of it raises
    `InvalidArgumentError`.

    References
    ----------
    PyTorch, "Extending torch.autograd", https://docs.pytorch.org/docs/stable/notes/extending.html.

    Examples
    --------
    >>> import torch
    >>> from ruvector.interop.torch import as_module
    >>> from ruvector.losses import InfoNCELoss
    >>> criterion = as_module(InfoNCELoss(temperature=0.5))
    >>> anchors = torch.eye(3, dtype=torch.float64, requires_grad=True)
    >>> loss = criterion(anchors, torch.eye(3), torch.ones(4, 3))
    >>> (gradient,) = torch.autograd.grad(loss, anchors)
    >>> gradient.shape
    torch.Size([3, 3])
    >>> rows = as_module(InfoNCELoss(temperature=0.5), indexed=True)
    >>> rows(anchors, torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([0])).ndim
    0
    """
    return LossModule(loss, indexed=indexed)


@functools.cache
def _signature(cls: Any, indexed: bool) -> inspect.Signature:
    """Return what the loss's method takes besides the loss itself."""
    whole = inspect.signature(cls.value_and_grad_indexed if indexed else cls.__call__)
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def _names(loss: Loss, kind: str) -> list[str]:
    return [entry.name for entry in SPECS[loss.name].inputs if entry.kind == kind]


def _constant(value: Any, name: str, loss: Loss) -> Any:
    """Return an argument without gradient as the loss takes it."""
    if isinstance(value, (tuple, list)):
        parts = [_constant(part, name, loss) for part in value]
        return tuple(parts) if type(value) is tuple else parts
    if not isinstance(value, torch.Tensor):
        return value
    _check(value, name)
    if value.requires_grad:
        raise InvalidArgumentError(
            f"{name} requires a gradient but {type(loss).__name__} has none for it; pass "
            f"{name}.detach()"
        )
    if value.is_floating_point() and value.dtype not in _FLOATS:
        raise InvalidTypeError(f"{name} has dtype {value.dtype}; pass {name}.float()")
    return _as_array(value)


def _as_array(tensor: torch.Tensor) -> Array:
    """Return a tensor's values; one marked as negated, such as ``z.conj().imag``, is copied."""
    if tensor.requires_grad or tensor.is_neg():
        tensor = tensor.detach().resolve_neg()
    # Unlike Tensor.numpy it takes what a function given to torch.func found outside.
    array: Array = np.from_dlpack(tensor)
    return array


def _check(tensor: torch.Tensor, name: str) -> None:
    if tensor.layout is not torch.strided:
        raise InvalidArgumentError(
            f"{name} has layout {tensor.layout} but must be dense; pass {name}.to_dense()"
        )
    if tensor.device.type != "cpu":
        raise InvalidArgumentError(
            f"{name} is on device {tensor.device} but losses are computed on the CPU; pass "
            f"{name}.cpu(), through which gradients flow back"
        )


def _items(loss: str, name: str, arguments: dict[str, Any]) -> slice | torch.Tensor | None:
    """Return which item each row of an input belongs to, or None where rows are shared."""
    if name in _ROW_AN_ITEM.get(loss, ()):
        return slice(None)
    if loss in ("infonce", "multi_hop") and name == "negatives" and arguments[name].ndim == 3:
        return slice(None)
    if loss == "graph_classification" and name == "embeddings":
        return torch.from_numpy(np.asarray(arguments["graphs"], np.int64))
    # Without a summary each state takes part in the summary of all.
    if loss == "deep_graph_infomax" and arguments.get("summary") is not None:
        states = len(arguments["states"])
        return {"states": slice(states), "corrupted": slice(states, None)}.get(name)
    # Through the summary of the states no gradient reaches corrupted ones.
    if loss == "deep_graph_infomax" and name == "corrupted":
        return slice(len(arguments["states"]), None)
    return None


def _as_tensor(value: Any, tensors: Any) -> torch.Tensor:
    """Return a loss's value in the widest dtype of its tensors."""
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    dtype = torch.float64 if double else torch.float32
    return torch.as_tensor(value, dtype=dtype)
