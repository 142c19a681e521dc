"""What an index finds against how fast it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ruvector.arrays import check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.plots._axes import COLOURS, LINES, MARKERS, axes_or_new, name_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["recall_speed"]


def recall_speed(
    curves: Mapping[str, Sequence[Mapping[str, Any]]], *, k: int = 10, ax: Axes | None = None
) -> Axes:
    """Draw recall against queries a second, on a scale that spreads what is close to 1.

    Parameters
    ----------
    curves : mapping of str to list of mappings
        By the names of the legend; each point holds ``"recall"``, 0 to 1, and
        ``"queries_per_second"``, as those of :func:`ruvector.evaluation.recall_curve` and of
        ``ruvector index tune --json`` do.
    k : int
        Neighbours the recall was measured with, for the label.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Its x values are ``1 - recall``; points at a recall of 1 stand at the mark "1" on the
        right edge.

    Raises
    ------
    InvalidArgumentError
        No curves, no points, a recall outside 0 to 1 or a speed that is not positive.

    Examples
    --------
    >>> from ruvector import plots
    >>> points = [{"recall": 0.9, "queries_per_second": 9e3},
    ...           {"recall": 1.0, "queries_per_second": 2e3}]
    >>> ax = plots.recall_speed({"HNSW": points})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('recall@10', 'queries a second')
    """
    check_int(k, "k", low=1)
    if not isinstance(curves, Mapping):
        raise InvalidTypeError(f"curves is {curves!r} but must be a mapping of names to points")
    lost, speeds = {}, {}
    for name, points in curves.items():
        try:
            recall = np.array([point["recall"] for point in points], np.float64)
            speed = np.array([point["queries_per_second"] for point in points], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidTypeError(
                f"curves[{name!r}] must be a list of points with 'recall' and "
                f"'queries_per_second' ({error!r})"
            ) from None
        if not len(recall):
            raise InvalidArgumentError(f"curves[{name!r}] has no points")
        if not ((recall >= 0) & (recall <= 1)).all():
            raise InvalidArgumentError(f"curves[{name!r}] has a recall outside 0 to 1")
        if not (np.isfinite(speed) & (speed > 0)).all():
            raise InvalidArgumentError(f"curves[{name!r}] has a speed that is not positive")
        lost[name], speeds[name] = 1 - recall, speed
    if not lost:
        raise InvalidArgumentError("curves is empty; give at least one")
    every = np.concatenate(list(lost.values()))
    some = every[every > 0]
    # A recall of 1 loses nothing, which has no logarithm: it stands half a decade past the least.
    whole = min(float(some.min()) / 3, 0.003) if len(some) else 0.003
    axes = axes_or_new(ax)
    for number, name in enumerate(lost):
        axes.plot(
            np.where(lost[name] > 0, lost[name], whole), speeds[name], label=name,
            color=COLOURS[number % len(COLOURS)], linestyle=LINES[number % len(LINES)],
            marker=MARKERS[number % len(MARKERS)], markersize=4,
        )  # fmt: skip
    most = max(float(every.max()), 3 * whole)
    axes.set_xlim(most * 1.3, whole / 1.3)  # before scaling by itself, which equal recalls forbid
    axes.set(xscale="log", yscale="log", xlabel=f"recall@{k}", ylabel="queries a second")
    # As many marks as fit side by side.
    for steps in ((5, 2, 1), (5, 1), (1,)):
        marks = [step * 10.0**-power for power in range(1, 9) for step in steps]
        marks = [mark for mark in marks if 1.5 * whole < mark <= most * 1.01]
        if len(marks) <= 6:
            break
    axes.set_xticks([*marks, whole], [*(f"{1 - mark:.7g}" for mark in marks), "1"])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:,.0f}")
    low, high = axes.get_ylim()
    # One mark alone would tell no distance.
    for finer in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        marks = [step * 10.0**power for power in range(-1, 9) for step in finer]
        marks = [mark for mark in marks if low <= mark <= high]
        if len(marks) > 1:
            break
    axes.set_yticks(marks)
    axes.grid(alpha=0.3)
    name_curves(axes)
    return axes
