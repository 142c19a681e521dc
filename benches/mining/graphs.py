"""Sampling on graphs beside SciPy and NumPy: ``python benches/mining/graphs.py [--quick]``.

Each case runs in this process on 1 thread and on 2, in turn with its peer; the median of three CPU
times (user and system) counts. Amazon Photo is looked for in ``RUVECTOR_DATA``. The large graph is
random: 1 M nodes, 10 M edges (a tenth of both with ``--quick``). Peers: powers of a `scipy.sparse`
matrix and `argpartition` of a NumPy product for hops and mining; NumPy draws with `searchsorted`
for edges; a NumPy sampler that permutes each node's neighbours. PyG's loader needs pyg-lib and is
not among them.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import ruvector
from ruvector.graph import Graph
from ruvector.sampling import (
    GraphMiner,
    LayerSampler,
    NeighborSampler,
    SubgraphSampler,
    degree_negative_edges,
    hard_negative_edges,
    hops,
    random_negative_edges,
)

THREADS = (1, 2)
ROUNDS = 3


def cost(job):
    """CPU seconds, wall seconds and the result."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = job()
    return time.process_time() - cpu, time.perf_counter() - wall, result


def row(case, count, unit, ours, peer=None, bar=""):  # noqa: PLR0917
    """Print the medians: what was done a second, on each number of threads and by the peer."""
    taken = {threads: [] for threads in (*THREADS, 0)}
    amount = count
    for _ in range(ROUNDS):
        for threads in THREADS:
            ruvector.set_num_threads(threads)
            cpu, wall, result = cost(ours)
            taken[threads].append((cpu, wall))
            amount = count(result) if callable(count) else count
        if peer is not None:
            cpu, wall, _ = cost(peer[0])
            taken[0].append((cpu * peer[1], wall * peer[1]))
    middle = {t: np.median(values, axis=0) for t, values in taken.items() if values}
    figures = [
        f"{t} thread{'s' * (t > 1)} {middle[t][0]:.3f} CPU s, {middle[t][1]:.3f} s wall, "
        f"{amount / middle[t][0] / 1e6:.1f} M {unit}/CPU s"
        for t in THREADS
    ]
    against = ""
    if peer is not None:
        against = f"; peer {middle[0][0]:.2f} CPU s, {middle[0][0] / middle[1][0]:.1f} x"
    print(f"{case}: {'; '.join(figures)}{against}; {bar}", flush=True)


def scipy_hops(adjacency, most):
    from scipy.sparse import eye  # noqa: PLC0415

    whole = adjacency + eye(adjacency.shape[0], format="csr", dtype=np.float32)
    power = whole
    for _ in range(most - 1):
        power = power @ whole
    return power


def scipy_mining(adjacency, unit, k):
    """The k most similar nodes at 2 to 3 hops of each node."""
    near, direct = scipy_hops(adjacency, 3), scipy_hops(adjacency, 1)
    chosen = np.empty((len(unit), k), np.int64)
    for start in range(0, len(unit), 512):
        part = slice(start, start + 512)
        scores = unit[part] @ unit.T
        scores[near[part].toarray() == 0] = -np.inf
        scores[direct[part].toarray() != 0] = -np.inf
        chosen[part] = np.argpartition(-scores, k, axis=1)[:, :k]
    return chosen


def numpy_edges(graph, count, rng):
    """Distinct pairs that are no edge, drawn until there are enough."""
    n = graph.num_nodes
    taken = graph.edges[:, 0] * n + graph.edges[:, 1]
    keys = np.empty(0, np.int64)
    while len(keys) < count:
        ends = np.sort(rng.integers(0, n, (count + count // 50, 2)), axis=1)
        fresh = (ends[:, 0] * n + ends[:, 1])[ends[:, 0] != ends[:, 1]]
        fresh = np.unique(np.concatenate([keys, fresh]))
        places = np.minimum(np.searchsorted(taken, fresh), len(taken) - 1)
        keys = fresh[taken[places] != fresh]
    return keys[:count]


def numpy_blocks(adjacency, seeds, fanouts, rng):
    outputs = seeds
    for fanout in fanouts:
        rows = []
        for node in outputs:
            begin, end = adjacency.indptr[node], adjacency.indptr[node + 1]
            row = adjacency.indices[begin:end]
            rows.append(row if len(row) <= fanout else rng.choice(row, fanout, replace=False))
        drawn = np.concatenate(rows)
        outputs = np.concatenate([outputs, np.setdiff1d(drawn, outputs)])
        local = np.argsort(outputs)
        local[np.searchsorted(outputs, drawn, sorter=local)].sum()
    return outputs


def photo():
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    graph = Graph.load_npz(Path(os.environ.get("RUVECTOR_DATA", beside)) / "amazon_photo.npz")
    vectors = np.random.default_rng(0).standard_normal((graph.num_nodes, 128), np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    adjacency = graph.adjacency().to_scipy()
    miner = GraphMiner(k=16, strategy="hardest", least=2, most=3)
    pairs = graph.num_nodes**2
    bar = "floor 20 x, aim 50 x"
    row("Photo, 3-hop exclusion of all nodes", pairs, "pairs", lambda: hops(graph, most=3, least=0),
        (lambda: scipy_hops(adjacency, 3), 1), bar)  # fmt: skip
    row("Photo, 16 hardest at 2 to 3 hops", pairs, "pairs", lambda: miner.mine(vectors, graph),
        (lambda: scipy_mining(adjacency, unit, 16), 1), bar)  # fmt: skip
    row("Photo, both in turn", pairs, "pairs",
        lambda: (hops(graph, most=3, least=0), miner.mine(vectors, graph)),
        (lambda: (scipy_hops(adjacency, 3), scipy_mining(adjacency, unit, 16)), 1),
        bar)  # fmt: skip
    row("Photo, hard edges beyond 2 hops", graph.num_nodes, "nodes",
        lambda: hard_negative_edges(graph, vectors, k=4))  # fmt: skip
    row("Photo, degree-matched", graph.num_edges, "pairs", lambda: degree_negative_edges(graph))


def large(scale):
    rng = np.random.default_rng(0)
    nodes = 1_000_000 // scale
    graph = Graph(num_nodes=nodes, edges=random_edges(nodes, 10 * nodes, rng))
    count = 10 * nodes
    row("random negative edges", count, "pairs", lambda: random_negative_edges(graph, count),
        (lambda: numpy_edges(graph, count, rng), 1), "floor 10 M, aim 30 M a core")  # fmt: skip
    adjacency = graph.adjacency()
    sampler = NeighborSampler(graph, [15, 10])
    seeds = rng.permutation(nodes)

    def blocks_of(batches):
        edges = 0
        for _, batch in batches:
            edges += sum(len(block.indices) for block in batch.blocks)
        return edges

    # The peer takes one batch of a tenth of the size; its time is multiplied.
    part = seeds[:102]
    times = nodes / len(part)
    row("neighbours 15, 10 of all nodes", lambda edges: edges, "edges",
        lambda: blocks_of(sampler.batches()),
        (lambda: numpy_blocks(adjacency, part, (15, 10), rng), times),
        "floor 5 M, aim 20 M a core; peer's time of 102 seeds multiplied")  # fmt: skip
    some = seeds[: nodes // 10]
    for method in ("ladies", "fastgcn"):
        layered = LayerSampler(graph, [2048, 2048], method=method)
        row(f"layers of 2048, {method}, a tenth of the nodes", lambda edges: edges, "edges",
            lambda layered=layered: blocks_of(layered.batches(some)))  # fmt: skip
    for method in ("walks", "edges", "nodes"):
        saint = SubgraphSampler(graph, method, size=2000, length=2, runs=50)
        saint.sample(0)
        row(f"subgraphs, {method}", lambda kept: kept, "nodes",
            lambda saint=saint: sum(len(s.nodes) for s in saint.batches(100)))  # fmt: skip


def random_edges(nodes, count, rng):
    ends = np.sort(rng.integers(0, nodes, (count + count // 50, 2)), axis=1)
    keys = np.unique(ends[:, 0] * nodes + ends[:, 1])
    keys = keys[keys // nodes != keys % nodes]
    keys = np.sort(rng.permutation(keys)[:count])
    return np.stack([keys // nodes, keys % nodes], axis=1)


def main(given=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the large graph")
    parser.add_argument("--only", choices=("photo", "large"), help="a part")
    options = parser.parse_args(given)
    if options.only != "large":
        photo()
    if options.only != "photo":
        large(10 if options.quick else 1)


if __name__ == "__main__":
    main()
