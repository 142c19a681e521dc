"""How long work shows how far it is: a bar where tqdm is installed, log lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Progress", "progress_bar"]

logger = logging.getLogger(__name__)

#: Seconds between two log lines of the same piece of work.
LOG_INTERVAL = 5.0


class Progress(Protocol):
    """What a loop calls once a step."""

    def __call__(self, steps: int = 1, *, note: str = "") -> None: ...


@contextmanager
def progress_bar(title: str, total: int, *, show: bool = True) -> Iterator[Progress]:
    """Show how many of `total` steps are done while the body runs.

    Parameters
    ----------
    title : str
        What is being done.
    total : int
        Number of steps.
    show : bool
        False shows nothing.

    Yields
    ------
    callable
        ``advance(steps=1, note="")``; the note, such as the present loss, stands beside the bar.

    Examples
    --------
    >>> from ruvector.progress import progress_bar
    >>> with progress_bar("count", 3, show=False) as advance:
    ...     for _ in range(3):
    ...         advance()
    """
    if not show:
        yield _nothing
        return
    try:
        from tqdm import tqdm  # noqa: PLC0415  (optional)
    except ImportError:
        yield _LogLines(title, total)
        return
    with tqdm(total=total, desc=title, leave=False) as bar:

        def advance(steps: int = 1, *, note: str = "") -> None:
            if note:
                bar.set_postfix_str(note, refresh=False)
            bar.update(steps)

        yield advance


def _nothing(steps: int = 1, *, note: str = "") -> None:
    del steps, note


class _LogLines:
    def __init__(self, title: str, total: int) -> None:
        self.title = title
        self.total = total
        self.done = 0
        self.started = self.told = time.monotonic()

    def __call__(self, steps: int = 1, *, note: str = "") -> None:
        self.done += steps
        now = time.monotonic()
        if now - self.told >= LOG_INTERVAL:
            self.told = now
            share = 100 * self.done / max(self.total, 1)
            note = f", {note}" if note else ""
            logger.info(
                "%s: %d of %d (%.0f %%) after %.0f s%s",
                self.title,
                self.done,
                self.total,
                share,
                now - self.started,
                note,
            )
