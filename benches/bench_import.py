#!/usr/bin/env python3
"""What `import ruvector` takes, in time and memory, next to `import numpy` and to other stacks.

    python benches/bench_import.py [RUNS]
    python benches/bench_import.py RUNS PYTHON=MODULE,MODULE...

The package loads its modules when they are first asked for; `ruvector.recipes` imports the trainer,
the index and all that they need, NumPy included. Further arguments name another environment's
interpreter and what it imports one after the other, such as
``/path/bin/python=torch,pytorch_metric_learning.losses,faiss``. Fresh interpreters take turns, so
that all see the same machine. Printed are the median of the seconds that the imports took, the
least of the processor's seconds, and the most memory that the process had in RAM; the first line
has the bare interpreter's memory. The aim is at most one and a half times NumPy.
"""

import json
import os
import statistics
import subprocess
import sys

# Without bytecode each import would compile; what pip installs has it.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
MODULES = ("", "numpy", "ruvector", "ruvector.recipes")
TIMED = """
import json, sys, time
start = time.perf_counter(), time.process_time()
for name in filter(None, sys.argv[1].split(",")):
    __import__(name)
took = time.perf_counter() - start[0], time.process_time() - start[1]
try:
    import resource
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
except ModuleNotFoundError:  # Windows
    most = 0
print(json.dumps([*took, most / 1024 / (1024 if sys.platform == "darwin" else 1)]))
"""


def measured(python: str, modules: str) -> list[float]:
    """Seconds, the processor's seconds, MB."""
    command = [python, "-c", TIMED, modules]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    return [float(x) for x in json.loads(done.stdout.splitlines()[-1])]


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    cases = [(sys.executable, modules) for modules in MODULES]
    for argument in sys.argv[2:]:
        python, _, modules = argument.partition("=")
        cases.append((python, modules))
    for case in cases:
        measured(*case)  # fills the file cache
    rounds = [[measured(*case) for case in cases] for _ in range(runs)]
    print(f"{'import':45} {'ms':>8} {'CPU ms':>8} {'MB':>7}   of {runs} runs")
    least = [min(one[1] for one in column) for column in zip(*rounds, strict=True)]
    for (_, modules), column in zip(cases, zip(*rounds, strict=True), strict=True):
        wall, processor, memory = zip(*column, strict=True)
        figures = f"{statistics.median(wall) * 1e3:8.1f} {min(processor) * 1e3:8.1f}"
        print(f"{modules or 'nothing':45} {figures} {min(memory):7.1f}")
    for name, seconds in zip(MODULES[2:], least[2:], strict=False):
        print(f"{name} takes {seconds / least[1]:.2f} times numpy's processor time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
