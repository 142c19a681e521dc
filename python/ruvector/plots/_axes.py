"""Where plots are drawn, and in which colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "GREY", "LINES", "MARKERS", "axes_or_new", "line_style", "name_curves"]

# Okabe and Ito (2008), "Color Universal Design", less the yellow, which white swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#9A9A9A"
LINES = ("-", "--", "-.", ":")
MARKERS = "os^Dv*Pp"


def axes_or_new(ax: Axes | None) -> Axes:
    """Return `ax`, or the Axes of a new figure."""
    # Not pyplot: it keeps every figure and asks for a display.
    from matplotlib.figure import Figure  # noqa: PLC0415  (optional)

    return Figure(figsize=(6.0, 4.0), layout="constrained").add_subplot() if ax is None else ax


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the curve with this number: curves differ without colours, too."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number % len(LINES)]}


def name_curves(axes: Axes) -> None:
    """Draw the legend: among the curves where it is short, else beside them."""
    if len(axes.lines) <= 6:
        axes.legend()
    else:
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
