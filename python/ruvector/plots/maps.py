"""Embeddings on a plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import as_floats, as_labels, check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.plots._axes import COLOURS, GREY, MARKERS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PrincipalAxes", "embedding_map", "principal_axes"]

#: The most classes that get a colour and a mark; the rest are drawn as one.
MOST_CLASSES = 14


class PrincipalAxes(NamedTuple):
    """Rows along the directions in which they vary most.

    Attributes
    ----------
    points : (n, k) float64
        Centred.
    shares : (k,) float64
        Of the whole variance, falling.
    """

    points: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]


def principal_axes(embeddings: object, *, k: int = 2) -> PrincipalAxes:
    """Return rows along their `k` principal axes.

    Parameters
    ----------
    embeddings : array_like of shape (n, d)
        Finite.
    k : int
        At most d.

    Returns
    -------
    PrincipalAxes
        The sign of each axis is the one in which its largest weight is positive.

    Raises
    ------
    InvalidArgumentError
        No rows, NaN or infinity, or `k` above d.

    Notes
    -----
    From the d × d covariance: O(n d² + d³) time, one copy of the rows in float64.

    References
    ----------
    Pearson (1901), "On Lines and Planes of Closest Fit to Systems of Points in Space".

    Examples
    --------
    >>> from ruvector.plots import principal_axes
    >>> found = principal_axes([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]], k=1)
    >>> found.points.round(3).ravel().tolist(), found.shares.round(3).tolist()
    ([-2.828, 0.0, 2.828], [1.0])
    """
    rows = as_floats(embeddings, "embeddings").astype(np.float64)
    if not len(rows):
        raise InvalidArgumentError("embeddings has no rows")
    if not np.isfinite(rows).all():
        raise InvalidArgumentError("embeddings holds NaN or infinity")
    count = check_int(k, "k", low=1, high=rows.shape[1])
    rows -= rows.mean(axis=0)
    variances, directions = np.linalg.eigh(rows.T @ rows)
    main = directions[:, ::-1][:, :count]
    largest = np.abs(main).argmax(axis=0)
    main = main * np.where(main[largest, np.arange(count)] < 0, -1.0, 1.0)
    whole = max(float(variances.sum()), np.finfo(np.float64).tiny)
    return PrincipalAxes(rows @ main, np.maximum(variances[::-1][:count], 0.0) / whole)


def embedding_map(
    embeddings: object,
    labels: object | None = None,
    *,
    names: Mapping[int, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw embeddings along the two directions in which they vary most.

    Parameters
    ----------
    embeddings : array_like of shape (n, d)
        d of 2 or more; larger ones are projected by :func:`principal_axes`.
    labels : array_like of int, shape (n,), optional
        Classes, each with a colour and a mark of its own; -1 for none. The 14 most frequent are
        told apart, the others drawn as one.
    names : mapping of int to str, optional
        What the classes are called.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The labels of its axes tell their shares of the variance.

    Raises
    ------
    InvalidArgumentError
        No rows, NaN or infinity, d below 2, or another number of labels than rows.
    InvalidTypeError
        Names that are no mapping.

    Examples
    --------
    >>> import numpy as np
    >>> from ruvector import plots
    >>> rows = np.random.default_rng(0).standard_normal((30, 8))
    >>> ax = plots.embedding_map(rows, np.arange(30) % 2, names={0: "even", 1: "odd"})
    >>> ax.get_legend_handles_labels()[1]
    ['even', 'odd']
    """
    rows = as_floats(embeddings, "embeddings")
    if rows.shape[1] < 2:
        raise InvalidArgumentError(f"embeddings has {rows.shape[1]} columns; a map needs 2")
    classes = None if labels is None else as_labels(labels, "labels", count=len(rows))
    if names is not None and not isinstance(names, Mapping):
        raise InvalidTypeError(
            f"names is a {type(names).__name__} but must be a mapping of classes to names, such as "
            "dict(enumerate(names))"
        )
    points, shares = principal_axes(rows)
    axes = axes_or_new(ax)
    # Small marks where there are many.
    size = float(np.clip(15_000 / len(points), 3, 30))
    look: dict[str, Any] = {"s": size, "linewidths": 0, "alpha": 0.75}
    if classes is None:
        axes.scatter(*points.T, color=COLOURS[0], **look)
    else:
        _draw_classes(axes, points, classes, names or {}, look)
    for put, number in ((axes.set_xlabel, 0), (axes.set_ylabel, 1)):
        put(f"principal axis {number + 1} ({shares[number]:.0%} of the variance)")
    axes.set_aspect("equal", adjustable="datalim")
    return axes


def _draw_classes(
    axes: Axes,
    points: npt.NDArray[np.float64],
    classes: npt.NDArray[np.int64],
    names: Mapping[int, str],
    look: Mapping[str, Any],
) -> None:
    found, counts = np.unique(classes[classes >= 0], return_counts=True)
    told = np.sort(found[np.argsort(-counts, kind="stable")[:MOST_CLASSES]])
    none = classes < 0
    others = ~none & ~np.isin(classes, told)
    for rest, label, marker in ((none, "no class", "."), (others, "others", "X")):
        if rest.any():
            axes.scatter(*points[rest].T, color=GREY, marker=marker, label=label, **look)
    for number, class_ in enumerate(told.tolist()):
        axes.scatter(
            *points[classes == class_].T, color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)], label=names.get(class_, str(class_)), **look,
        )  # fmt: skip
    scale = float(np.sqrt(30 / look["s"]))
    axes.legend(markerscale=scale, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
