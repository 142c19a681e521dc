"""Nodes that training never saw: what their embeddings lose, and what they cost.

    python benches/new_nodes.py [--seeds 5] [--share 0.1] [GRAPH.npz ...]

Of a graph (Cora without an argument) a share of the nodes, all of them test nodes, is taken out
with their edges; the recipe for nodes is trained on the rest, and a linear probe fitted there. Then
the whole graph is embedded with those weights. Points are percent of the hidden nodes that the
probe tells right, beside those of a recipe and a probe that saw every node; milliseconds are
processor time of the later embedding, of all nodes, over the hidden ones alone.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
import ruvector
from ruvector.recipes import fit_recipe

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


def without(graph, features, hidden):
    """Return the graph of the other nodes, their features and their old numbers."""
    kept = np.flatnonzero(~hidden)
    number = np.cumsum(~hidden) - 1
    edges = graph.edges[~hidden[graph.edges].any(axis=1)]
    return ruvector.Graph.from_edges(number[edges], len(kept)), features.take_rows(kept), kept


def measure(graph, share, seed):
    """Return points with all nodes seen, points of nodes seen later, and milliseconds a node."""
    rng = np.random.default_rng(seed)
    tested = rng.permutation(np.flatnonzero(graph.test_mask))
    hidden = np.zeros(graph.num_nodes, bool)
    hidden[tested[: round(share * graph.num_nodes)]] = True
    masks = (graph.train_mask, graph.val_mask, hidden)

    def points(z):
        return 100 * ruvector.linear_probe(z, graph.labels, *masks).accuracy

    seen = points(ruvector.embed(graph, graph.features, seed=seed))
    part, features, kept = without(graph, graph.features, hidden)
    trainer = fit_recipe(part, features, seed=seed)
    before = trainer.embed()
    started = time.process_time()
    z = trainer.embed(graph, graph.features)
    seconds = time.process_time() - started
    z[kept] = before  # the probe is fitted on what there was
    return seen, points(z), 1e3 * seconds / hidden.sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("RUVECTOR_DATA", DEFAULT))
    parser.add_argument("graphs", nargs="*", default=[data / "cora.npz"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.1)
    given = parser.parse_args()
    print("| graph | seen | seen later | points lost | ms a node |\n|---|---|---|---|---|")
    for path in map(Path, given.graphs):
        graph = ruvector.Graph.load_npz(path)
        runs = [measure(graph, given.share, seed) for seed in range(given.seeds)]
        seen, later, milliseconds = zip(*runs, strict=True)
        lost = np.subtract(seen, later)
        print(
            f"| {path.stem} | {statistics.mean(seen):.2f} | {statistics.mean(later):.2f} | "
            f"{lost.mean():.2f} ± {lost.std():.2f} | {statistics.median(milliseconds):.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
