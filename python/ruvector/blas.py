"""NumPy's linear algebra on one thread, for problems too small to share.

OpenBLAS, which NumPy's wheels bring, hands even a factorisation of some hundred rows to all cores
and lets its threads wait for each other in loops: beside other work that has taken twenty times
the processor time of one thread, which on an idle machine is as fast. Products go through
:func:`ruvector.linalg.matmul` instead; this is for what that does not do.
"""

import functools
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__: list[str] = []

_Threads = tuple[Callable[[], int], Callable[[int], None]]


@functools.cache
def _openblas() -> _Threads | None:
    """Return what reads and what sets OpenBLAS's number of threads; None for other libraries."""
    import ctypes  # noqa: PLC0415 - only who factorises needs it

    try:
        module = importlib.import_module("numpy.linalg._umath_linalg")
        # Finds the functions of the libraries that the module itself was linked to.
        library = ctypes.CDLL(module.__file__)
    except (ImportError, OSError):
        return None
    for prefix in ("scipy_openblas", "openblas"):
        for suffix in ("64_", ""):
            read = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
            write = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
            if read is not None and write is not None:
                read.argtypes, read.restype = [], ctypes.c_int
                write.argtypes, write.restype = [ctypes.c_int], None
                return read, write
    return None


class _Limit:
    """How many blocks are open, and the number of threads before the first of them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks = 0
        self.before = 1

    def enter(self, read: Callable[[], int], write: Callable[[int], None]) -> None:
        with self.lock:
            if self.blocks == 0:
                self.before = read()
                write(1)
            self.blocks += 1

    def leave(self, write: Callable[[int], None]) -> None:
        with self.lock:
            self.blocks -= 1
            if self.blocks == 0:
                write(self.before)


_limit = _Limit()


def _renew_lock() -> None:
    _limit.lock = threading.Lock()


# A child made by fork may inherit a lock whose owner it has not.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let NumPy's OpenBLAS use one thread within the block, whichever threads enter it.

    Does nothing where NumPy was built with another library, or on Windows, where the functions
    cannot be found from Python's modules.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.blas import one_blas_thread
    >>> with one_blas_thread():
    ...     np.linalg.eigvalsh(np.diag([2.0, 1.0]))
    array([1., 2.])
    """
    found = _openblas()
    if found is None:
        yield
        return
    read, write = found
    _limit.enter(read, write)
    try:
        yield
    finally:
        _limit.leave(write)
