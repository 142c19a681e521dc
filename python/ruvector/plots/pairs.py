"""How well similarities tell pairs that belong together from those that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, check_int
from ruvector.errors import InvalidArgumentError
from ruvector.metrics import roc_auc
from ruvector.plots._axes import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["similarity_distributions"]


def similarity_distributions(
    positives: object,
    negatives: object,
    *,
    bins: int = 50,
    what: str = "cosine similarity",
    ax: Axes | None = None,
) -> Axes:
    """Draw the similarities of positive and of negative pairs, each as a density.

    Parameters
    ----------
    positives, negatives : array_like of shape (p,) and (q,)
        Similarities; larger is nearer.
    bins : int
        Of equal width, the same for both; around values that lie too close for so many, wider.
    what : str
        The label of the axis.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Its title is the probability that a positive pair is the more similar one (ROC-AUC).

    Raises
    ------
    InvalidArgumentError
        An empty array, NaN or infinity, or values whose difference float64 cannot hold.

    Examples
    --------
    >>> from ruvector import plots
    >>> ax = plots.similarity_distributions([0.8, 0.9], [0.1, 0.3, 0.85], bins=5)
    >>> ax.get_title()
    'ROC-AUC 0.8333'
    """
    check_int(bins, "bins", low=1)
    sides = {}
    for name, given in (("positives", positives), ("negatives", negatives)):
        values = as_floats(given, name, ndim=1).astype(np.float64)
        if not len(values):
            raise InvalidArgumentError(f"{name} is empty")
        if not np.isfinite(values).all():
            raise InvalidArgumentError(f"{name} holds NaN or infinity")
        sides[name] = values
    both = np.concatenate(list(sides.values()))
    edges = _edges(both, bins)
    axes = axes_or_new(ax)
    for number, (name, values) in enumerate(sides.items()):
        density = np.histogram(values, edges, density=True)[0]
        colour = COLOURS[number]
        label = f"{name} ({len(values):,})"
        axes.stairs(density, edges, fill=True, alpha=0.3, color=colour)
        axes.stairs(density, edges, color=colour, linewidth=1.5, label=label,
                    linestyle="-" if number == 0 else "--")  # fmt: skip
    truth = np.arange(len(both)) < len(sides["positives"])
    axes.set_title(f"ROC-AUC {roc_auc(truth, both):.4f}", fontsize="medium")
    axes.set_xlabel(what)
    axes.set_ylabel("density")
    axes.set_ylim(bottom=0)
    axes.legend()
    return axes


def _edges(values: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.float64]:
    """Return the ends of bins that float64 can tell from each other."""
    low, high = float(values.min()), float(values.max())
    if high / 2 - low / 2 > np.finfo(np.float64).max / 4:
        raise InvalidArgumentError(
            f"similarities reach from {low:g} to {high:g}, too far apart to draw; scale them"
        )
    # A few roundings a bin; less than the floor makes densities infinite.
    least = bins * 1e-15 * max(abs(low), abs(high), 1e-280)
    if high - low < least:
        middle, half = (low + high) / 2, max(0.5, least)
        low, high = middle - half, middle + half
    return np.histogram_bin_edges(values, bins, range=(low, high))
