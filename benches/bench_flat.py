"""Exact search beside the bare matrix product in NumPy, with and without a selection, and faiss.

    python benches/bench_flat.py [threads] [metric]

For each shape the seconds of wall clock and of processor time, the best of some rounds that
alternate between the contestants, and their ratio to ``queries @ vectors.T``. On a machine that
does other work too, compare processor times.
"""

import os
import sys
import time
from functools import partial

THREADS = sys.argv[1] if len(sys.argv) > 1 else "1"
METRIC = sys.argv[2] if len(sys.argv) > 2 else "l2"
# Read when the libraries are loaded.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "RUVECTOR_NUM_THREADS"):
    os.environ[variable] = THREADS

import numpy as np  # noqa: E402
from ruvector.index import FlatIndex  # noqa: E402

SHAPES = [
    (60_000, 784, [1, 16, 1000]),
    (100_000, 128, [1, 16, 4096]),
]
KS = [10, 100]
ROUNDS = 5


def measure(contestants):
    """Best (wall, processor) seconds of each, after one call that does not count."""
    best = {}
    for i in range(ROUNDS + 1):
        for name, call in contestants.items():
            start = time.perf_counter(), time.process_time()
            call()
            took = time.perf_counter() - start[0], time.process_time() - start[1]
            if i == 0:
                continue
            before = best.get(name, took)
            best[name] = min(took[0], before[0]), min(took[1], before[1])
    return best


def select(queries, vectors, k):
    """NumPy's way: the product, distances from it, then a partition."""
    distances = queries @ vectors.T
    distances *= -2
    distances += np.einsum("ij,ij->i", vectors, vectors)
    return np.argpartition(distances, k - 1, axis=1)[:, :k]


def faiss_index(vectors):
    """The same search in faiss, if it is installed."""
    try:
        import faiss  # noqa: PLC0415
    except ImportError:
        return None
    faiss.omp_set_num_threads(int(THREADS))
    kind = faiss.IndexFlatL2 if METRIC == "l2" else faiss.IndexFlatIP
    index = kind(vectors.shape[1])
    index.add(vectors)
    return index


def contestants(vectors, index, other, queries):
    found = {"gemm": lambda: queries @ vectors.T}
    # NumPy's way needs all distances at once.
    if len(vectors) * len(queries) < 1 << 27:
        found["gemm + argpartition k=10"] = lambda: select(queries, vectors, 10)
    for k in KS:
        found[f"ruvector k={k}"] = partial(index.search, queries, k)
        if other is not None:
            found[f"faiss k={k}"] = partial(other.search, queries, k)
    return found


def main():
    rng = np.random.default_rng(0)
    for rows, dim, batches in SHAPES:
        vectors = rng.standard_normal((rows, dim), dtype=np.float32)
        index = FlatIndex(dim, metric=METRIC)
        index.add(vectors)
        other = faiss_index(vectors)
        for count in batches:
            queries = rng.standard_normal((count, dim), dtype=np.float32)
            results = measure(contestants(vectors, index, other, queries))
            wall, processor = results["gemm"]
            print(f"{rows} x {dim}, {count} queries, {THREADS} threads, {METRIC}")
            for name, took in results.items():
                print(
                    f"  {name:26} {took[0] * 1e3:9.1f} ms, processor {took[1] * 1e3:9.1f} ms; "
                    f"{took[0] / wall:5.2f} and {took[1] / processor:5.2f} of gemm",
                    flush=True,
                )


if __name__ == "__main__":
    main()
