#!/usr/bin/env python3
"""Kills processes that save an index, and fails unless the file they leave is a whole one.

    python tools/kill_saves.py {HNSW,FlatIndex} KILLS [SEED]

Each process saves the new and the old index in turns and says so after each; it is killed with
SIGKILL at a random moment. The file must then load, pass `check` and hold what was saved last or
what was being saved, and the next save must remove the temporary file that was left behind (on
Linux). Needs a Unix system.
"""

import os
import random
import signal
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from ruvector.index import HNSW, FlatIndex

__all__ = ["main"]

DIM = 64
#: Enough for an HNSW to have codes, which a file holds in sections of their own.
ROWS = (4_200, 5_000)


Index: TypeAlias = HNSW | FlatIndex


def _built(kind: str, vectors: npt.NDArray[np.float32]) -> Index:
    index: Index
    index = HNSW(DIM, m=8, ef_construction=16) if kind == "HNSW" else FlatIndex(DIM)
    index.add(vectors)
    return index


def _saved_until_killed(indexes: list[Index], path: Path) -> tuple[int, int]:
    """Return how many saves a child finished and how many it may have finished."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        for index in cycle(indexes):
            index.save(path)
            os.write(writer, b"x")
    os.close(writer)
    started = time.perf_counter()
    os.read(reader, 1)
    time.sleep(random.uniform(0, 3 * (time.perf_counter() - started)))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    finished = 1
    while block := os.read(reader, 4096):
        finished += len(block)
    os.close(reader)
    return finished, finished + 1


def main(arguments: list[str]) -> int:
    """Run as the module says."""
    kind, kills = arguments[0], int(arguments[1])
    seed = int(arguments[2]) if len(arguments) > 2 else time.time_ns()
    random.seed(seed)
    vectors = np.random.default_rng(0).standard_normal((max(ROWS), DIM), dtype=np.float32)
    indexes = [_built(kind, vectors[:rows]) for rows in ROWS]
    later = halfway = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        for number in range(kills):
            done, possible = _saved_until_killed(indexes, path)
            loaded = type(indexes[0]).load(path)
            loaded.check()
            held = len(loaded)
            if held == ROWS[(possible - 1) % 2]:
                later += 1
            elif held != ROWS[(done - 1) % 2]:
                sys.exit(f"seed {seed}, kill {number}: the file is neither of the two")
            halfway += len(list(Path(folder).glob(".index.*.tmp")))
            indexes[0].save(path)
            strays = list(Path(folder).glob(".*"))
            if strays and sys.platform == "linux":
                sys.exit(f"seed {seed}, kill {number}: {strays} stayed")
            for stray in strays:
                stray.unlink()
    print(
        f"seed {seed}: {kills} kills, each file whole; {halfway} amid writing, {later} after the "
        "new file's place was taken but before that was said"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
