"""How an epoch's cost grows with a graph's edges and features: processor time of one thread.

    python benches/graph_growth.py [--nodes 15000] [--edges 60000] [--words 40] [--columns 8192]
                                   [--figures docs/figures]

One of three sizes goes from a quarter to four times its value while the others stay: edges, words
a node (the features' values) and columns of the features. Each cell is the least of an objective's
epochs but the first, on the graph of `large_graph.py`. The last column is the largest share by
which a cell lies off the straight line that fits its row best. `--figures` also draws them, with
Matplotlib. Needs SciPy.
"""

import argparse
import os
import time
from pathlib import Path

for variable in ("RUVECTOR_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402 - reads the variables
import ruvector  # noqa: E402
from about import say  # noqa: E402
from large_graph import planted  # noqa: E402
from ruvector.encoders import GCN, PropagatedLinear  # noqa: E402
from ruvector.objectives import DeepGraphInfomax, Reconstruction  # noqa: E402

SHARES = (0.25, 0.5, 1.0, 2.0, 4.0)
EPOCHS = 6

PARTS = {
    "EdgeContrast, linear": lambda: (ruvector.SmoothedLinear(), ruvector.EdgeContrast()),
    "ViewCorrelation, linear": lambda: (PropagatedLinear(), ruvector.ViewCorrelation()),
    "DeepGraphInfomax, GCN": lambda: (GCN(dims=(128,), activate_last=True), DeepGraphInfomax()),
    "Reconstruction, GCN": lambda: (GCN(dims=(32, 16)), Reconstruction()),
}


def measure(size):
    """Return each objective's seconds of an epoch on a graph of that size."""
    pairs, bags, _ = planted(size["nodes"], size["edges"], size["columns"], words=size["words"])
    graph = ruvector.Graph.from_edges(pairs, size["nodes"])
    seconds = {}
    for name, parts in PARTS.items():
        marks = [time.process_time()]
        callbacks = [lambda _, marks=marks: marks.append(time.process_time())]
        ruvector.Trainer(*parts(), epochs=EPOCHS, callbacks=callbacks).fit(graph, bags)
        seconds[name] = float(min(np.diff(marks)[1:]))
    return seconds


def off_the_line(sizes, seconds):
    """Return the largest share by which a value lies off its row's line."""
    # By shares, not seconds, so that small sizes count as much as large ones.
    design = np.stack([np.ones(len(sizes)), sizes], axis=1) / np.array(seconds)[:, np.newaxis]
    line = np.linalg.lstsq(design, np.ones(len(sizes)))[0]
    return float(np.abs(design @ line - 1).max())


def table(axis, sizes, cells):
    lines = [
        "| objective | " + " | ".join(f"{size:,} {axis}" for size in sizes) + " | off the line |"
    ]
    lines.append("|---" + "|---:" * (len(sizes) + 1) + "|")
    for name in PARTS:
        row = [cell[name] for cell in cells]
        told = " | ".join(f"{seconds:.3f}" for seconds in row)
        lines.append(f"| {name} | {told} | {off_the_line(sizes, row):.0%} |")
    return "\n".join(lines)


def draw(results, folder):
    """Write graphs-growth.svg."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ruvector"  # equal figures give equal files
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(1, len(results), figsize=(12, 4), sharey=True)
    for axes, (axis, (sizes, cells)) in zip(panels, results.items(), strict=True):
        for name in PARTS:
            axes.plot(sizes, [cell[name] for cell in cells], "-o", markersize=4, label=name)
        axes.set(xlabel=axis, xlim=(0, None), ylim=(0, None))
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="seconds of an epoch, one thread")
    panels[0].legend()
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "graphs-growth.svg", metadata={"Date": None})
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=15_000)
    parser.add_argument("--edges", type=int, default=60_000)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--columns", type=int, default=8192)
    parser.add_argument("--figures", type=Path)
    given = parser.parse_args()
    usual = {key: getattr(given, key) for key in ("nodes", "edges", "words", "columns")}
    print(f"CPU seconds of an epoch, one thread; otherwise {usual}")
    middle = measure(usual)
    results = {}
    for axis, told in {"edges": "edges", "words": "words a node", "columns": "columns"}.items():
        sizes = [int(usual[axis] * share) for share in SHARES]
        cells = []
        for size in sizes:
            cells.append(middle if size == usual[axis] else measure({**usual, axis: size}))
            say(f"{size} {told}: {sum(cells[-1].values()):.2f} s")
        results[told] = sizes, cells
        print(f"\n{table(told, sizes, cells)}", flush=True)
    if given.figures:
        draw(results, given.figures)


if __name__ == "__main__":
    main()
