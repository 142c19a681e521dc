"""What one call of an index's search costs beside the search itself.

    python benches/bench_index_call.py

The same queries one call each and all in one call, on one thread; the difference, a query, is the
call. Seconds are the thread's own, and the least of many short turns: other programs only add.
"""

import time
from collections.abc import Callable

import numpy as np
import ruvector
from ruvector.index import HNSW

ROWS, DIM, QUERIES, TURNS = 5000, 32, 200, 200


def least(job: Callable[[], object]) -> float:
    """Seconds of the fastest of several turns."""
    times = []
    for _ in range(TURNS):
        start = time.thread_time()
        job()
        times.append(time.thread_time() - start)
    return min(times)


def main() -> None:
    """Print one line for each way to hand over a query."""
    ruvector.set_num_threads(1)
    generator = np.random.default_rng(0)
    index = HNSW(DIM, m=8)
    index.add(generator.standard_normal((ROWS, DIM), dtype=np.float32))
    queries = generator.standard_normal((QUERIES, DIM), dtype=np.float32)
    batch = least(lambda: index.search(queries, 1, ef=8))
    print(f"{ROWS} x {DIM}, k 1, ef 8: {batch / QUERIES * 1e6:.2f} us a query in a batch")
    ways = {
        "one row, shape (dim,)": list(queries),
        "one row, shape (1, dim)": [row[None] for row in queries],
        "float64, cast": list(queries.astype(np.float64)),
        "list": [row.tolist() for row in queries],
    }
    for name, rows in ways.items():
        single = least(lambda rows=rows: [index.search(row, 1, ef=8) for row in rows])
        print(f"  {name:24} {(single - batch) / QUERIES * 1e6:6.2f} us more in a call of its own")


if __name__ == "__main__":
    main()
