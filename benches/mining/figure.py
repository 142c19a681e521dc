"""Draws what strategies bring."""

import numpy as np

from mining.strategies import TITLES, columns, order, recalls

#: Marks and colours of the kinds of loss; the marks alone tell them apart.
MARKS = {"": ("D", "#555555"), "InfoNCE": ("o", "#0072b2"), "edges": ("s", "#d55e00"),
         "triplets": ("^", "#009e73")}  # fmt: skip


def draw(results, path):
    """One panel for what is sought in each data set, one line a strategy, uniform as a bar."""
    import matplotlib  # noqa: PLC0415

    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    matplotlib.rcParams["svg.hashsalt"] = "ruvector"
    strategies = order(results)
    sought = columns(results)
    size = (3.2 + 2.3 * len(sought), 1.2 + 0.27 * len(strategies))
    figure, panels = pyplot.subplots(1, len(sought), sharey=True, figsize=size)
    for panel, column in zip(np.atleast_1d(panels), sought, strict=True):
        for place, (kind, title) in enumerate(strategies):
            values = recalls(results, column, (kind, title))
            if not values:
                continue
            mark, colour = MARKS[kind]
            if title == "uniform":
                last = max(i for i, other in enumerate(strategies) if other[0] == kind)
                middle = np.mean(values)
                panel.plot([middle, middle], [place - 0.4, last + 0.4], color=colour, lw=1, ls=":")
            panel.plot([min(values), max(values)], [place, place], color=colour, lw=1.2)
            filled = colour if title == "uniform" else "white"
            panel.plot(np.mean(values), place, mark, color=colour, markerfacecolor=filled, ms=6)
        panel.set_title(f"{TITLES[column[0]]}, {column[1]}", fontsize=9)
        panel.set_xlabel("recall@10", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.grid(axis="y", lw=0.3)
    first = np.atleast_1d(panels)[0]
    first.set_yticks(range(len(strategies)))
    names = [f"{title}  ({kind})" if kind else title for kind, title in strategies]
    first.set_yticklabels(names, fontsize=8)
    first.invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
