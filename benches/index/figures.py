"""Draws recall against speed, and how costs grow with the number of vectors."""

import matplotlib as mpl

from .aims import qps
from .report import measured

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "ruvector"  # equal figures give equal files

from matplotlib import pyplot as plt  # noqa: E402

GROWTH = ("synth50k", "synth200k", "synth1m")
STYLE = {"ruvector": {"color": "black", "linewidth": 2.5}, "ruvector-int8": {"color": "dimgrey"}}


def finish(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def curve(results, path, clock):
    """Recall from 0.8 on, over a scale that spreads what is close to 1."""
    figure, axes = plt.subplots(figsize=(7, 5))
    for name, figures in measured(results).items():
        points = [point for point in figures.get("curve", []) if 0.8 <= point.get("recall", 0) < 1]
        lost = [1 - point["recall"] for point in points]
        speeds = [point["queries"] / point[f"{clock}_s"] for point in points]
        axes.plot(lost, speeds, marker="o", markersize=3, label=name, **STYLE.get(name, {}))
    axes.set(xscale="log", yscale="log", xlabel="recall@10", ylabel="queries a second, one thread")
    marks = (0.2, 0.1, 0.05, 0.01, 0.001, 0.0001)
    axes.set_xticks(marks, [f"{1 - mark:g}" for mark in marks])
    axes.invert_xaxis()
    axes.set_title(f"{results['data']}: {results['rows']:,} × {results['dim']}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    finish(figure, path)


def growth(every, path, clock):
    """Build and search at a recall of .95, over the number of vectors."""
    sizes = [every[name] for name in GROWTH if name in every]
    if len(sizes) < 2:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5))
    for name in sizes[-1]["peers"]:
        with_it = [r for r in sizes if name in measured(r)]
        built = [(r["rows"], r["peers"][name]["build"]["cpu_s"]) for r in with_it]
        found = [(r["rows"], qps(r, name, "0.95 batch", clock)) for r in sizes]
        found = [(rows, 1e6 / speed) for rows, speed in found if speed]
        for axes, points in ((left, built), (right, found)):
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=name, **STYLE.get(name, {}))
    left.set(ylabel="build, processor seconds, one thread")
    right.set(ylabel="µs a query at recall .95, batch, one thread")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="vectors of 128 dimensions, clustered, l2")
        axes.grid(alpha=0.3, which="both")
    left.legend(fontsize="small")
    finish(figure, path)


def draw(every, folder, clock):
    """Write an SVG for each data set, and one for growth where two sizes were measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, results in every.items():
        curve(results, folder / f"index-{name}.svg", clock)
    growth(every, folder / "index-growth.svg", clock)
