"""Quality of the recommended recipes beside the baselines, over seeds.

    python benches/bench_quality.py [--seeds 5] [GRAPH.npz ...]

Without graphs: Cora, CiteSeer, Amazon Photo and the graphs of MUTAG from RUVECTOR_DATA or
../shared/data. Seed s also chooses the held-out edges; node accuracy is on the graph's own splits.
A file with `graph_ptr` holds many graphs, whose labels are told by a 10-fold linear probe: seed s
takes the s-th stored assignment of folds, the embedding of all graphs looks at no label, the
penalty is chosen within the training folds, and the baseline is the histogram of node labels.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
import ruvector
from ruvector.cross_validation import cross_validated_accuracy
from ruvector.graph_batch import GraphBatch
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


def measure_graphs(path, seeds):
    """Return the runs of a file of many graphs, as `measure` returns one."""
    with np.load(path) as data:
        kinds = np.eye(int(data["node_labels"].max()) + 1, dtype=np.float32)
        features = kinds[data["node_labels"]]
        graph = ruvector.Graph.from_edges(data["edges"], len(features), features=features)
        batch = GraphBatch(graph, data["graph_ptr"])
        labels, folds = data["graph_labels"], data["folds"]
    ways = {
        "trained": lambda seed: ruvector.embed(batch, task="graph", seed=seed),
        "smooth": lambda _: batch.pool(features, "mean"),
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
        if "graph_ptr" in np.load(path):
            print_rows(path.stem, ["fold_accuracy"], measure_graphs(path, arguments.seeds))
            continue
        graph = ruvector.Graph.load_npz(path)
        for task in TASKS:
            runs = [measure(graph, task, seed) for seed in range(arguments.seeds)]
            print_rows(path.stem, FIGURES[task], runs)


if __name__ == "__main__":
    main()
