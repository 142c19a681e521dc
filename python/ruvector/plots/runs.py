"""Curves over a training: its losses, its schedules, its curriculum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_choice, check_int, check_real
from ruvector.curriculum import Curriculum
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.plots._axes import GREY, axes_or_new, line_style, name_curves
from ruvector.schedules import as_schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["History", "curriculum_stages", "losses", "schedules"]

_SETTINGS = ("temperature", "num_negatives", "num_neighbors", "threshold")


class History(Protocol):
    """Named values over epochs, as a :class:`ruvector.tracking.LossTracker` keeps them."""

    @property
    def names(self) -> list[str]:
        """Everything there is a history of."""
        ...

    @property
    def epochs(self) -> npt.NDArray[np.int64]:
        """Rising."""
        ...

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        """Return one value an epoch, NaN where there is none."""
        ...


def losses(history: History, names: Sequence[str] | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw histories over the epochs.

    Parameters
    ----------
    history : LossTracker
        Or another object with `names`, `epochs` and histories by name.
    names : sequence of str, optional
        All losses by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidArgumentError
        No epoch has one of the names, or there are no epochs.
    InvalidTypeError
        No history, or names that are no list.

    Examples
    --------
    >>> from ruvector import plots
    >>> from ruvector.tracking import LossTracker
    >>> from ruvector.training import EpochRecord
    >>> tracker = LossTracker(EpochRecord(i, {"total": 1 / i}, 0.1) for i in (1, 2, 3))
    >>> ax = plots.losses(tracker)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epoch', 'loss')
    """
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  (optional)

    if not all(hasattr(history, part) for part in ("names", "epochs", "__getitem__")):
        raise InvalidTypeError(
            f"history is a {type(history).__name__} but must be a LossTracker; make one of a "
            "trainer's history with LossTracker(trainer.history)"
        )
    if names is not None and (isinstance(names, str) or not isinstance(names, Iterable)):
        raise InvalidTypeError(f"names is {names!r} but must be a list of names")
    shown = [n for n in history.names if n.startswith("loss/")] if names is None else list(names)
    if not shown:
        raise InvalidArgumentError("there is no history to plot yet; train first")
    curves = {name: history[name] for name in shown}
    axes = axes_or_new(ax)
    start = len(axes.lines)
    for number, (name, values) in enumerate(curves.items(), start):
        there = ~np.isnan(values)
        # A mark at each epoch: a line through a single one would not be seen.
        axes.plot(
            history.epochs[there], values[there], label=name.removeprefix("loss/"),
            marker="o" if there.sum() < 25 else None, markersize=3, **line_style(number),
        )  # fmt: skip
    # A single epoch has one tick, not parts of epochs.
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss" if all(n.startswith("loss/") for n in shown) else "value")
    name_curves(axes)
    return axes


def schedules(
    values: Mapping[str, Any], *, total: float, log: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw schedules over a training of `total` epochs.

    Parameters
    ----------
    values : mapping of str to Schedule or float
        By the names that the legend gives them.
    total : float
        Length of the training in epochs, more than 0.
    log : bool
        A logarithmic axis of values.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidArgumentError
        No schedules, or a `total` that is not positive.
    InvalidTypeError
        Something that is neither a schedule nor a number.

    Examples
    --------
    >>> from ruvector import plots
    >>> from ruvector.schedules import Cosine, WarmUp
    >>> ax = plots.schedules({"lr": WarmUp(Cosine(0.01, 0.0), duration=2)}, total=20)
    >>> ax.get_legend_handles_labels()[1]
    ['lr']
    """
    length = check_real(total, "total", low=0.0, open_low=True)
    if not isinstance(values, Mapping):
        raise InvalidTypeError(f"values is {values!r} but must be a mapping of names to schedules")
    if not values:
        raise InvalidArgumentError("values is empty; give at least one schedule")
    made = {name: as_schedule(value, name) for name, value in values.items()}
    at = np.linspace(0.0, length, 401)
    axes = axes_or_new(ax)
    for number, (name, schedule) in enumerate(made.items()):
        heights = [schedule(float(x), total=length) for x in at]
        axes.plot(at, heights, label=name, **line_style(number))
    if log:
        axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("value")
    name_curves(axes)
    return axes


def curriculum_stages(
    curriculum: Curriculum,
    setting: str = "temperature",
    *,
    last: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Draw a setting of a curriculum over its stages, whose names stand above it.

    Parameters
    ----------
    curriculum : Curriculum
        With stages that are as long as so many epochs.
    setting : {"temperature", "num_negatives", "num_neighbors", "threshold"}
        Stages that leave it to the objective have a gap.
    last : int
        Epochs to draw of a last stage that never ends.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidArgumentError
        An unknown setting, one that no stage has, or a stage that is as long as so many samples,
        whose epochs nobody knows.
    InvalidTypeError
        No curriculum.

    Examples
    --------
    >>> from ruvector import plots
    >>> from ruvector.curriculum import Curriculum
    >>> ax = plots.curriculum_stages(Curriculum.default())
    >>> [text.get_text() for text in ax.texts]
    ['Easy', 'Medium', 'Hard']
    """
    if not isinstance(curriculum, Curriculum):
        raise InvalidTypeError(f"curriculum is {curriculum!r} but must be a Curriculum")
    check_choice(setting, "setting", choices=_SETTINGS)
    rest = check_int(last, "last", low=1)
    edges, heights = [0], []
    for stage in curriculum.stages:
        if stage.samples is not None:
            raise InvalidArgumentError(
                f"stage {stage.name!r} lasts {stage.samples} samples; only epochs can be drawn"
            )
        edges.append(edges[-1] + (rest if stage.epochs is None else stage.epochs))
        value = getattr(stage, setting)
        heights.append(np.nan if value is None else float(value))
    if np.isnan(heights).all():
        raise InvalidArgumentError(f"no stage has a {setting}")
    axes = axes_or_new(ax)
    # Names beside each other where each is narrower than its stage, else slanting.
    widths = np.diff(edges) / edges[-1]
    wide = [0.02 * len(stage.name) for stage in curriculum.stages]
    slant: dict[str, Any] = {"ha": "center"}
    if (widths < wide).any():
        slant = {"ha": "left", "rotation": 45, "rotation_mode": "anchor", "fontsize": "small"}
    axes.stairs(heights, edges, baseline=None, linewidth=2, color=line_style(0)["color"])
    for left, right, stage in zip(edges, edges[1:], curriculum.stages, strict=False):
        axes.axvline(right, color=GREY, linewidth=0.8, linestyle=":")
        axes.annotate(
            stage.name, ((left + right) / 2, 1.0), xycoords=("data", "axes fraction"),
            xytext=(0, 4), textcoords="offset points", **slant,
        )  # fmt: skip
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel(setting.replace("num_", "number of "))
    return axes
