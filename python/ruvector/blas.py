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

__all__ = ["one_blas_thread"]

#: Rows of the largest matrix that gets one thread. An eigendecomposition of these takes one thread
#: 1.4 s, and two beside other work 3 to 8 s; beyond, time grows with the cube and cores may pay.
LARGEST = 2048

_OPENMP = 2

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
            kind = getattr(library, f"{prefix}_get_parallel{suffix}", None)
            if read is not None and write is not None and kind is not None:
                kind.argtypes, kind.restype = [], ctypes.c_int
                read.argtypes, read.restype = [], ctypes.c_int
                write.argtypes, write.restype = [ctypes.c_int], None
                # OpenMP keeps a number for each thread, which the last block to end in another
                # thread would not give back.
                return None if kind() == _OPENMP else (read, write)
    return None


class _Limit:
    """The open blocks with their threads, and the number of threads before the first of them."""

    def __init__(self) -> None:
        # A signal's handler may factorise, too, and a forgotten block may end, within the lock.
        self.lock = threading.RLock()
        self.blocks: dict[object, int] = {}
        self.before: int | None = None

    def enter(self, block: object, read: Callable[[], int], write: Callable[[int], None]) -> None:
        with self.lock:
            # Noted before it is so: whatever Ctrl-C cuts short, `leave` gives the number back.
            self.blocks[block] = threading.get_ident()
            if self.before is None:
                self.before = read()
            write(1)

    def leave(self, block: object, write: Callable[[int], None]) -> None:
        """End a block; where it has ended already, or never quite began, this does no harm."""
        with self.lock:
            self.blocks.pop(block, None)
            if not self.blocks and self.before is not None:
                write(self.before)
                self.before = None

    def after_fork(self) -> None:
        """Forget, in a child, the blocks of threads that it has not, and who held the lock."""
        self.lock = threading.RLock()
        own = threading.get_ident()
        self.blocks = {block: thread for block, thread in self.blocks.items() if thread == own}
        found = _openblas() if self.before is not None else None
        if found is not None:
            # Ends no block, but gives the number back where none is left.
            self.leave(None, found[1])


_limit = _Limit()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limit.after_fork)


@contextmanager
def one_blas_thread(rows: int = 0) -> Iterator[None]:
    """Let NumPy's OpenBLAS use one thread within the block, whichever threads enter it.

    Parameters
    ----------
    rows : int
        Of the square matrix, or the smaller side of another; above 2048 the block does nothing.

    Notes
    -----
    OpenBLAS has one number of threads for the whole process: until the last block ends, what other
    threads compute with NumPy runs on one thread each, too, and a number that somebody else sets
    meanwhile is lost.

    Does nothing where NumPy was built with another library or with an OpenBLAS on OpenMP, whose
    threads have a number each, or on Windows, where the functions cannot be found from Python's
    modules.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector.blas import one_blas_thread
    >>> with one_blas_thread(2):
    ...     np.linalg.eigvalsh(np.diag([2.0, 1.0]))
    array([1., 2.])
    """
    found = _openblas() if rows <= LARGEST else None
    if found is None:
        yield
        return
    read, write = found
    block = object()
    try:
        try:
            _limit.enter(block, read, write)
            yield
        finally:
            _limit.leave(block, write)
    finally:
        # Again, in case that Ctrl-C ended the first.
        _limit.leave(block, write)
