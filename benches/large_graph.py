"""A large sparse graph from arrays to figures: time by step and peak memory.

    python benches/large_graph.py [--nodes 60000] [--edges 275000] [--features 8192] [--threads 2]
                                  [--cases node link sampled]

The graph is a planted partition of 40 classes with uneven degrees, four of five edges within a
class; features are bags of about 40 words of which half are drawn from the class's own words.
`node` and `link` run `ruvector.embed`, `sampled` a GraphSAGE by edges on sampled neighbours, each
followed by an HNSW index of the embeddings and by its figures. Needs SciPy.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
from about import say

CLASSES, WORDS, WITHIN, TOPICAL = 40, 40, 0.8, 0.5


def planted(nodes, edges, features, *, words=WORDS, seed=0):
    """Return distinct edges, a SciPy CSR matrix of words, and the classes."""
    from scipy import sparse  # noqa: PLC0415 - children import what they need

    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, CLASSES, nodes))
    starts = np.searchsorted(labels, np.arange(CLASSES + 1))
    # A node's weight falls as a power of its rank in its class: few hubs, many leaves.
    pairs = np.empty((0, 2), np.int64)
    while len(pairs) < edges:
        draws = 2 * edges
        src = rng.integers(0, nodes, draws)
        inside = rng.random(draws) < WITHIN
        group = np.where(inside, labels[src], rng.integers(0, CLASSES, draws))
        size = np.diff(starts)[group]
        dst = starts[group] + (size * rng.random(draws) ** 2).astype(np.int64)
        drawn = np.sort(np.stack([src, dst], axis=1), axis=1)
        pairs = np.concatenate([pairs, drawn[drawn[:, 0] != drawn[:, 1]]])
        _, first = np.unique(pairs[:, 0] * nodes + pairs[:, 1], return_index=True)
        pairs = pairs[np.sort(first)]
    topics = np.stack([rng.permutation(features)[: features // 20] for _ in range(CLASSES)])
    counts = rng.poisson(words, nodes) + 1
    rows = np.repeat(np.arange(nodes), counts)
    common = (features * rng.random(len(rows)) ** 2).astype(np.int64)
    own = topics[labels[rows], rng.integers(0, topics.shape[1], len(rows))]
    columns = np.where(rng.random(len(rows)) < TOPICAL, own, common)
    bags = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (nodes, features))
    bags.sum_duplicates()
    return pairs[:edges], bags, labels


class Steps:
    """Names of steps with their seconds by the wall, of processor time, and the peak so far."""

    def __init__(self):
        self.rows = []

    def __call__(self, name, call):
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        self.rows.append((name, *seconds, peak))
        say(f"{name} {seconds[0]:.2f} s")
        return result


def sampled(graph, features, epochs):
    """Return a trainer of edges whose ends are embedded from sampled neighbours."""
    import ruvector  # noqa: PLC0415
    from ruvector.encoders import GraphSAGE  # noqa: PLC0415

    objective = ruvector.EdgeContrast(batch_size=1024, num_neighbors=(5, 5))
    trainer = ruvector.Trainer(GraphSAGE(dims=(128, 64)), objective, epochs=epochs, seed=0)
    return trainer.fit(graph, features)


def whole_run(case, nodes, edges, features):
    """Go the way of a user, and return the steps and the figures."""
    step = Steps()
    pairs, bags, labels = step("draw the graph", lambda: planted(nodes, edges, features))
    import ruvector  # noqa: PLC0415

    graph = step(
        "Graph", lambda: ruvector.Graph.from_edges(pairs, nodes, features=bags, labels=labels)
    )
    split, visible = None, graph
    if case != "node":
        split = step("split_edges", lambda: ruvector.split_edges(graph, seed=0))
        visible = split.train_graph
    if case == "sampled":
        z = step("train and embed", lambda: sampled(visible, graph.features, 1).embed())
    else:
        z = step(
            "train and embed",
            lambda: ruvector.embed(visible, graph.features, task=case, seed=0),
        )

    def build():
        index = ruvector.HNSW(z.shape[1], metric="cosine", seed=0)
        index.add(z)
        return index

    index = step("HNSW", build)
    found = step("search 2,000", lambda: index.search(z[:2000], 10).ids)
    exact = ruvector.FlatIndex(z.shape[1], metric="cosine")
    exact.add(z)
    true = step("exact search of 2,000", lambda: exact.search(z[:2000], 10).ids)
    figures = {"recall@10": ruvector.metrics.recall_at_k(found, true)}
    figures |= step(
        "evaluate", lambda: ruvector.evaluate_embeddings(z, graph, split=split, index=index)
    )
    return {"steps": step.rows, "figures": figures}


def child(threads, **asked):
    """Run one case in a process of its own, so that its peak of memory is its own."""
    command = [sys.executable, __file__, "--child", json.dumps(asked)]
    environment = {**os.environ, "RUVECTOR_NUM_THREADS": str(threads)}
    environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def show_run(case, told):
    print(f"\n{case}: " + ", ".join(f"{k} {v:.3f}" for k, v in told["figures"].items()))
    print("| step | wall s | CPU s | peak MiB |\n|---|---|---|---|")
    for name, wall, cpu, peak in told["steps"]:
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {peak:.0f} |")
    walls, cpus = (sum(row[i] for row in told["steps"]) for i in (1, 2))
    print(f"| all | {walls:.2f} | {cpus:.2f} | {told['steps'][-1][3]:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=60_000)
    parser.add_argument("--edges", type=int, default=275_000)
    parser.add_argument("--features", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="+", default=["node", "link", "sampled"])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(whole_run(**json.loads(given.child))))
    else:
        for case in given.cases:
            size = {"nodes": given.nodes, "edges": given.edges, "features": given.features}
            show_run(case, child(given.threads, case=case, **size))


if __name__ == "__main__":
    main()
