"""Quality of the recommended recipes beside the baselines, over seeds.

    python benches/bench_quality.py [--seeds 5] [GRAPH ...]

Without graphs: Cora, CiteSeer, Amazon Photo and the graphs of MUTAG from RUVECTOR_DATA or
../shared/data. Seed s also chooses the held-out edges; node accuracy is on the graph's own splits.
A file with `graph_ptr` holds many graphs, whose labels are told by a 10-fold linear probe: seed s
takes the s-th stored assignment of folds, the embedding of all graphs looks at no label, the
penalty is chosen within the training folds, and the baseline is the histogram of node labels.
Graphs may also be files and folders of the collections that graph_sets.py knows, whose random
splits and folds are the bench's own.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
import ruvector
from graph_sets import batch_of, graph_data, tu_folder
from ruvector.cross_validation import cross_validated_accuracy
from ruvector.recipes import TASKS

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"
NAMES = ("cora", "citeseer", "amazon_photo", "mutag")
FIGURES = {"node": ("probe_accuracy", "neighbour_accuracy_at_10"), "link": ("link_auc", "link_ap")}


def measure(graph, task, seed):
    """Return the figures of the trained embeddings and of `smooth`, and what training cost."""
    model = ruvector.train_model(graph, task=task, seed=seed)
    visible = graph if model.split is None else model.split.train_graph
    baseline = ruvector.smooth(visible, graph.features, seed=seed)
    return {
        "trained": ruvector.evaluate_embeddings(model.embeddings, graph, split=model.split),
        "smooth": ruvector.evaluate_embeddings(baseline, graph, split=model.split),
        "seconds": {name: cost["train_seconds"] for name, cost in model.details["costs"].items()},
    }


def read(path):
    """Return a graph; or of many a batch, their labels and assignments to folds."""
    if path.is_dir():
        return tu_folder(path)
    with np.load(path) as data:
        if "graph_ptr" in data:
            graphs = batch_of(data["edges"], data["node_labels"], data["graph_ptr"])
            return graphs, data["graph_labels"], data["folds"]
        published = "adj_matrix" in data
    return graph_data(path) if published else ruvector.Graph.load_npz(path)


def measure_graphs(batch, labels, folds, seeds):
    """Return the runs of many graphs, as `measure` returns one."""
    ways = {
        "trained": lambda seed: ruvector.embed(batch, task="graph", seed=seed),
        "smooth": lambda _: batch.pool(batch.graph.features, "mean"),
    }
    runs = []
    for seed in range(seeds):
        run = {"seconds": {}}
        for name, embed in ways.items():
            started = time.perf_counter()
            z = embed(seed)
            run["seconds"][name] = time.perf_counter() - started
            accuracies = cross_validated_accuracy(z, labels, folds[seed % len(folds)])
            run[name] = {"fold_accuracy": float(accuracies.mean())}
        runs.append(run)
    return runs


def print_rows(name, figures, runs):
    costs = [
        statistics.median(run["seconds"][what] for run in runs) for what in ("trained", "smooth")
    ]
    for figure in figures:
        cells = []
        for what in ("trained", "smooth"):
            values = [run[what][figure] for run in runs if figure in run[what]]
            cells.append(f"{statistics.mean(values):.4f} ± {statistics.pstdev(values):.4f}")
        seconds = " / ".join(f"{cost:.2f}" for cost in costs)
        print(f"| {name} | {figure} | {' | '.join(cells)} | {seconds} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graphs", nargs="*")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    data = Path(os.environ.get("RUVECTOR_DATA", DEFAULT))
    paths = [Path(graph) for graph in arguments.graphs] or [data / f"{n}.npz" for n in NAMES]
    print("| graph | figure | trained | smooth | seconds, trained / smooth |")
    print("|---|---|---|---|---|")
    for path in paths:
        graph = read(path)
        if isinstance(graph, tuple):
            print_rows(path.stem, ["fold_accuracy"], measure_graphs(*graph, arguments.seeds))
            continue
        for task in TASKS:
            runs = [measure(graph, task, seed) for seed in range(arguments.seeds)]
            print_rows(path.stem, FIGURES[task], runs)


if __name__ == "__main__":
    main()
