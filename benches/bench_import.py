#!/usr/bin/env python3
"""How long `import ruvector` takes, next to `import numpy`.

    python benches/bench_import.py [RUNS]

The package loads its modules when they are first asked for; `ruvector.recipes` imports the trainer,
the index and all that they need, NumPy included. The aim is at most one and a half times NumPy.
Fresh interpreters take turns, so that all see the same machine; what is compared is medians of the
seconds that the import statement took.
"""

import statistics
import subprocess
import sys

MODULES = ("numpy", "ruvector", "ruvector.recipes")
TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module: str) -> float:
    command = [sys.executable, "-c", TIMED.format(module)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for module in MODULES:
        seconds(module)  # fills the file cache
    rounds = [[seconds(module) for module in MODULES] for _ in range(runs)]
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    for module, median, column in zip(MODULES, medians, zip(*rounds, strict=True), strict=True):
        print(f"{module:16} {median * 1e3:6.1f} ms  (fastest of {runs}: {min(column) * 1e3:.1f})")
    for module, median in zip(MODULES[1:], medians[1:], strict=True):
        print(f"{module} takes {median / medians[0]:.2f} times numpy")
    return 0


if __name__ == "__main__":
    sys.exit(main())
