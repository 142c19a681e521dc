"""The exceptions that ruvector raises.

Each is also the built-in exception that Python code would expect, so ``except ValueError``
keeps working.
"""

__all__ = [
    "BrokenIndexError",
    "ConvergenceError",
    "CorruptFileError",
    "DuplicateIdError",
    "InvalidArgumentError",
    "InvalidTypeError",
    "NotFittedError",
    "ReadOnlyIndexError",
    "RuvectorError",
    "UnsupportedVersionError",
]


class RuvectorError(Exception):
    """What every exception of ruvector derives from."""


class InvalidArgumentError(RuvectorError, ValueError):
    """An argument whose value, shape or content cannot be used."""


class InvalidTypeError(RuvectorError, TypeError):
    """An argument of a type or dtype that has no meaning here."""


class DuplicateIdError(RuvectorError, ValueError):
    """An id that is already stored, or given twice in one call."""


class CorruptFileError(RuvectorError, ValueError):
    """A file that is damaged or was not written by ruvector."""


class BrokenIndexError(RuvectorError, RuntimeError):
    """An index in memory whose change was cut short, by a fork or an internal failure."""


class ConvergenceError(RuvectorError, RuntimeError):
    """An iteration that ended before its result was as exact as asked for."""


class UnsupportedVersionError(RuvectorError, ValueError):
    """A file of a format that this version of ruvector cannot read."""


class ReadOnlyIndexError(RuvectorError, ValueError):
    """A change to an index that was loaded with ``mmap=True``; load it without to change it."""


class NotFittedError(RuvectorError, ValueError, AttributeError):
    """A trainer or model that was asked for results before ``fit``."""
