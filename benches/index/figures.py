"""Draws recall against speed, and how costs grow with the number of vectors."""

import matplotlib as mpl

from .aims import OURS, SMALL
from .peers import PEERS
from .report import growth, measured, sizes

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "ruvector"  # equal figures give equal files

from matplotlib import pyplot as plt  # noqa: E402

STYLE = {name: {"color": f"C{i % 10}"} for i, name in enumerate(PEERS)}
STYLE[OURS] = {"color": "black", "linewidth": 2.5}
STYLE[SMALL] = {"color": "black", "linestyle": "--"}


def finish(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def curve(results, path, clock):
    """Recall from 0.8 on, over a scale that spreads what is close to 1."""
    figure, axes = plt.subplots(figsize=(7, 5))
    for name, figures in measured(results).items():
        points = [point for point in figures.get("curve", []) if 0.8 <= point.get("recall", 0) < 1]
        if not points:
            continue
        lost = [1 - point["recall"] for point in points]
        speeds = [point["queries"] / point[f"{clock}_s"] for point in points]
        axes.plot(lost, speeds, marker="o", markersize=3, label=name, **STYLE[name])
    axes.set(xscale="log", yscale="log", xlabel="recall@10", ylabel="queries a second, one thread")
    marks = (0.2, 0.1, 0.05, 0.01, 0.001, 0.0001)
    axes.set_xticks(marks, [f"{1 - mark:g}" for mark in marks])
    axes.invert_xaxis()
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("{x:,.0f}")
    axes.set_title(f"{results['data']}: {results['rows']:,} × {results['dim']}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    finish(figure, path)


def costs(every, path, clock):
    """Build and search at a recall of .95, over the number of vectors."""
    rows = [results["rows"] for results in sizes(every)]
    figure, both = plt.subplots(1, 2, figsize=(11, 4.5))
    for name, built, found in growth(every, clock):
        for axes, values in zip(both, (built, found), strict=True):
            points = [pair for pair in zip(rows, values, strict=True) if pair[1] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=name, **STYLE[name])
    both[0].set(ylabel="build, processor seconds, one thread")
    both[1].set(ylabel="µs a query at recall .95, batch, one thread")
    for axes in both:
        axes.set(xscale="log", yscale="log", xlabel="vectors of 128 dimensions, clustered, l2")
        axes.set_xticks(rows, [f"{count:,}" for count in rows])
        axes.xaxis.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.grid(alpha=0.3)
    both[0].legend(fontsize="small")
    finish(figure, path)


def draw(every, folder, clock):
    """Write an SVG for each data set, and one for growth where two sizes were measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, results in every.items():
        curve(results, folder / f"index-{name}.svg", clock)
    if len(sizes(every)) > 1:
        costs(every, folder / "index-growth.svg", clock)
