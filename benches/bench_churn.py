#!/usr/bin/env python3
"""Constant change: how an index stands after 30 days beside one built that day.

    RUVECTOR_DATA=… RUVECTOR_NUM_THREADS=1 python benches/bench_churn.py [--rows 20000] [--days 30]

Fashion-MNIST in 128 principal components of day 0, squared Euclidean. Each day 5 % of the rows go
and as many come: five classes leave, the other five arrive, no row comes twice. Queries are 1,000
held-out images in the classes' live shares ("iid"), and the same turned by 90° ("ood").

Recall@10 is against exact search among the live rows. Latencies are of one query a call, the best
of four passes, so that other work on the machine counts less. An index and its fresh control take
turns. Lost are stored rows that do not find themselves. hnswlib, where installed, reuses the
places of deleted rows (`replace_deleted`).
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from ruvector.index import HNSW, FlatIndex

K, M, EF_CONSTRUCTION, PASSES, SHARE = 10, 16, 200, 4, 0.05


class Ours:
    name = "ruvector"

    def __init__(self, vectors, ids):
        self.index = HNSW(vectors.shape[1], metric="l2", m=M, ef_construction=EF_CONSTRUCTION)
        self.index.add(vectors, ids=ids)

    def change(self, gone, vectors, ids):
        self.index.remove(gone)
        self.index.add(vectors, ids=ids)

    def search(self, queries, ef):
        return self.index.search(queries, K, ef=ef).ids

    def bytes(self):
        return sum(n for name, n in self.index.stats()._asdict().items() if "bytes" in name)

    def note(self):
        stats = self.index.stats()
        self.index.check()
        return f"unreachable {stats.unreachable}, degree {stats.degree_mean:.1f}"


class Hnswlib:
    name = "hnswlib replace"

    def __init__(self, vectors, ids):
        import hnswlib  # noqa: PLC0415

        self.index = hnswlib.Index("l2", vectors.shape[1])
        self.index.init_index(
            len(vectors), ef_construction=EF_CONSTRUCTION, M=M, allow_replace_deleted=True
        )
        self.index.set_num_threads(1)
        self.index.add_items(vectors, ids)

    def change(self, gone, vectors, ids):
        for id_ in gone:
            self.index.mark_deleted(id_)
        self.index.add_items(vectors, ids, replace_deleted=True)

    def search(self, queries, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, K)[0]

    def bytes(self):
        return self.index.index_file_size()

    def note(self):
        return ""


class Stream:
    """Which rows are live, day by day."""

    def __init__(self, rows, seed=0):
        default = Path(__file__).parents[2] / "shared" / "data"
        with np.load(Path(os.environ.get("RUVECTOR_DATA", default)) / "fashion_mnist.npz") as file:
            images, self.labels = file["x_train"], file["y_train"]
            tests, self.test_labels = file["x_test"], file["y_test"]
        self.rng = np.random.default_rng(seed)
        leaving = self.rng.permutation(np.flatnonzero(self.labels < 5))
        self.arriving = self.rng.permutation(np.flatnonzero(self.labels >= 5)).tolist()
        self.live = leaving[:rows]
        flat = images.reshape(len(images), -1).astype(np.float32)
        mean = flat[self.live].mean(axis=0)
        axes = np.linalg.svd(flat[self.live] - mean, full_matrices=False)[2][:128].T
        self.vectors = np.ascontiguousarray((flat - mean) @ axes)
        turned = np.rot90(tests, axes=(1, 2))
        self.queries = [
            np.ascontiguousarray((x.reshape(len(x), -1).astype(np.float32) - mean) @ axes)
            for x in (tests, turned)
        ]

    def day(self):
        """The rows that go and those that come."""
        count = int(len(self.live) * SHARE)
        # Those of the leaving classes first.
        order = np.lexsort((self.rng.random(len(self.live)), self.labels[self.live] >= 5))
        gone, stay = self.live[order[:count]], self.live[order[count:]]
        fresh = np.array([self.arriving.pop() for _ in range(count)])
        self.live = np.concatenate([stay, fresh])
        return gone, fresh

    def asked(self, count=1000):
        """Queries in the live shares of the classes, and the same turned."""
        shares = np.bincount(self.labels[self.live], minlength=10) / len(self.live)
        weights = shares[self.test_labels]
        rng = np.random.default_rng(1)
        picked = rng.choice(len(weights), count, replace=False, p=weights / weights.sum())
        return [queries[picked] for queries in self.queries]


def latencies(engines, queries, ef):
    """Microseconds of each query, for each engine."""
    best = np.full((len(engines), len(queries)), np.inf)
    for _ in range(PASSES):
        for engine, row in zip(engines, best, strict=True):
            for i, query in enumerate(queries):
                start = time.perf_counter()
                engine.search(query, ef)
                row[i] = min(row[i], time.perf_counter() - start)
    return best * 1e6


def report(day, stream, engines, ef):
    exact = FlatIndex(128, metric="l2")
    exact.add(stream.vectors[stream.live], ids=stream.live)
    kinds = stream.asked()
    truths = [exact.search(queries, K).ids for queries in kinds]
    times = latencies([engine for _, engine in engines], kinds[0], ef)
    for (name, engine), micros in zip(engines, times, strict=True):
        recalls = [
            np.mean([len(set(a) & set(b)) / K for a, b in zip(found, truth, strict=True)])
            for found, truth in (
                (engine.search(q, ef), t) for q, t in zip(kinds, truths, strict=True)
            )
        ]
        stored = stream.vectors[stream.live]
        lost = [
            (stream.vectors[engine.search(stored, e)[:, 0]] != stored).any(axis=1).sum()
            for e in (ef, 64)
        ]
        p50, p95, p99 = np.percentile(micros, [50, 95, 99])
        print(
            f"{day:>3} | {name:<24} | {recalls[0]:.4f} | {recalls[1]:.4f} | {p50:4.0f} {p95:4.0f} "
            f"{p99:4.0f} | {lost[0]:>3} {lost[1]:>3} | {engine.bytes() / 1e6:5.1f} | "
            f"{engine.note()}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--ef", type=int, default=32)
    arguments = parser.parse_args()
    stream = Stream(arguments.rows)
    kinds = [Ours]
    try:
        import hnswlib  # noqa: F401, PLC0415

        kinds.append(Hnswlib)
    except ImportError:
        print("hnswlib is not installed and left out")
    start = stream.vectors[stream.live]
    engines = [(kind.name, kind(start, stream.live)) for kind in kinds]
    print(f"{arguments.rows} rows, ef={arguments.ef}, bytes in MB, latency in µs, one thread each")
    print("day | index | recall iid | ood | p50 p95 p99 | lost at ef, at 64 | MB | notes")
    report(0, stream, engines, arguments.ef)
    seconds = dict.fromkeys(kinds, 0.0)
    for _ in range(arguments.days):
        gone, fresh = stream.day()
        for kind, (_, engine) in zip(kinds, engines, strict=True):
            begun = time.process_time()
            engine.change(gone, stream.vectors[fresh], fresh)
            seconds[kind] += time.process_time() - begun
    rebuilt = []
    for kind in kinds:
        begun = time.process_time()
        rebuilt.append((f"{kind.name}, fresh", kind(stream.vectors[stream.live], stream.live)))
        built = time.process_time() - begun
        print(f"{kind.name}: changes {seconds[kind]:.1f} s of processor, one build {built:.1f} s")
    report(arguments.days, stream, engines + rebuilt, arguments.ef)


if __name__ == "__main__":
    main()
