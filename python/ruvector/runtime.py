"""Threads, SIMD level and versions of this process."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ruvector import _core
from ruvector.arrays import check_int

__all__ = ["get_num_threads", "set_num_threads", "show_versions", "simd_level", "use_threads"]

_OPTIONAL = ("scipy", "networkx", "scikit-learn", "tqdm")


def set_num_threads(num_threads: int) -> None:
    """Set the number of threads that parallel calls use from now on.

    It holds for the whole process. Results do not depend on it. Without a call the environment
    variable ``RUVECTOR_NUM_THREADS`` decides, and without that the number of cores at hand.

    Parameters
    ----------
    num_threads : int
        1 to 1024. With 1 everything runs on the calling thread.

    Raises
    ------
    InvalidTypeError
        Not an integer.
    InvalidArgumentError
        Out of range.

    Examples
    --------
    >>> from ruvector.runtime import get_num_threads, set_num_threads
    >>> before = get_num_threads()
    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    >>> set_num_threads(before)
    """
    _core.set_num_threads(check_int(num_threads, "num_threads", low=1, high=_core.MAX_THREADS))


@contextmanager
def use_threads(num_threads: int) -> Iterator[None]:
    """Set the number of threads for calls made inside the block by the thread that entered it.

    Other threads keep theirs, so that a server's workers can differ. Results do not depend on it.

    Parameters
    ----------
    num_threads : int
        1 to 1024. With 1 everything runs on the calling thread.

    Raises
    ------
    InvalidTypeError
        Not an integer.
    InvalidArgumentError
        Out of range.

    Examples
    --------
    >>> from ruvector.runtime import get_num_threads, use_threads
    >>> with use_threads(1):
    ...     get_num_threads()
    1
    """
    before = _core.use_threads(check_int(num_threads, "num_threads", low=1, high=_core.MAX_THREADS))
    try:
        yield
    finally:
        _core.use_threads(before)


def get_num_threads() -> int:
    """Return the number of threads that parallel calls use.

    Returns
    -------
    int
        What `use_threads` says around this call, else what `set_num_threads` was given last, else
        what ``RUVECTOR_NUM_THREADS`` says, else the number of cores that this process may run on.

    Examples
    --------
    >>> from ruvector.runtime import get_num_threads
    >>> get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def simd_level() -> str:
    """Return the name of the instructions that the kernels use.

    The best that the processor has, or what the environment variable ``RUVECTOR_SIMD`` said when
    ruvector was imported. Levels add in different orders, so that results may differ between them
    in the last digits; they do not differ at one level.

    Returns
    -------
    str
        ``"scalar"``, ``"neon"``, ``"avx2"`` or ``"avx512"``.

    Examples
    --------
    >>> from ruvector.runtime import simd_level
    >>> simd_level() in ("scalar", "neon", "avx2", "avx512")
    True
    """
    return _core.simd_level()


def show_versions() -> str:
    """Return what a bug report needs: versions, platform, SIMD level and threads.

    Returns
    -------
    str
        One ``name: value`` a line. Optional packages that are missing say so. Nothing is printed.

    Examples
    --------
    >>> from ruvector.runtime import show_versions
    >>> print(show_versions())  # doctest: +ELLIPSIS
    ruvector: ...
    python: ...
    """
    import platform  # noqa: PLC0415 - slow to import, needed nowhere else
    from importlib import metadata  # noqa: PLC0415 - likewise

    def version(package: str) -> str:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "not installed"

    facts = {
        "ruvector": _core.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "numpy": np.__version__,
        **{package: version(package) for package in _OPTIONAL},
        "platform": platform.platform(),
        "simd": f"{_core.simd_level()} (of {', '.join(_core.simd_levels())})",
        "threads": str(_core.get_num_threads()),
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items())
