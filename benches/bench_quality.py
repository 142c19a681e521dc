"""Quality of the recommended recipes beside the baselines, over seeds.

    python benches/bench_quality.py [--seeds 5] [GRAPH.npz ...]

Without graphs: Cora, CiteSeer and Amazon Photo from RUVECTOR_DATA or ../shared/data. Seed s also
chooses the held-out edges; node accuracy is on the graph's own splits.
"""

import argparse
import os
import statistics
from pathlib import Path

import ruvector
from ruvector.recipes import TASKS

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"
NAMES = ("cora", "citeseer", "amazon_photo")
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
        graph = ruvector.Graph.load_npz(path)
        for task in TASKS:
            runs = [measure(graph, task, seed) for seed in range(arguments.seeds)]
            costs = [
                statistics.median(run["seconds"][name] for run in runs)
                for name in ("trained", "smooth")
            ]
            for figure in FIGURES[task]:
                cells = []
                for name in ("trained", "smooth"):
                    values = [run[name][figure] for run in runs if figure in run[name]]
                    spread = statistics.pstdev(values)
                    cells.append(f"{statistics.mean(values):.4f} ± {spread:.4f}")
                seconds = " / ".join(f"{cost:.2f}" for cost in costs)
                print(f"| {path.stem} | {figure} | {' | '.join(cells)} | {seconds} |", flush=True)


if __name__ == "__main__":
    main()
