"""What operations ask of the variables that compiled functions read."""

from __future__ import annotations

from ruvector.autograd.variable import Variable
from ruvector.errors import InvalidArgumentError, InvalidTypeError

__all__ = ["check_dtype", "check_matrix", "check_rows", "check_vector"]


def check_matrix(x: Variable, name: str) -> None:
    """Raise unless `x` has rows and columns."""
    if len(x.shape) != 2:
        raise InvalidArgumentError(f"{name} has shape {x.shape} but must have 2 dimensions (n, d)")


def check_rows(x: Variable, name: str) -> None:
    """Raise unless `x` has rows."""
    if not x.shape:
        raise InvalidArgumentError(f"{name} has shape () but needs rows")


def check_vector(x: Variable, name: str) -> None:
    """Raise unless `x` has one dimension."""
    if len(x.shape) != 1:
        raise InvalidArgumentError(f"{name} has shape {x.shape} but must have 1 dimension (d,)")


def check_dtype(x: Variable, name: str, other: Variable, other_name: str) -> None:
    """Raise unless the two have one dtype."""
    if x.value.dtype != other.value.dtype:
        raise InvalidTypeError(
            f"{name} has dtype {x.value.dtype} but {other_name} has {other.value.dtype}; "
            "cast one of them"
        )
