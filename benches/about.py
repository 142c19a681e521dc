"""What benches say of machine and commit, and how they speak while they run."""

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path


def machine():
    """Return the processor, with the numbers that tell one EPYC from another."""
    pairs = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines()]
    told = {pair[0].strip(): pair[1].strip() for pair in reversed(pairs) if len(pair) == 2}
    name = told.get("model name", platform.machine())
    kind = f"family {told.get('cpu family', '?')}, model {told.get('model', '?')}"
    return f"{name} ({kind}), {os.cpu_count()} cores, Python {platform.python_version()}"


def commit(root):
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def names(text, known):
    """Return the names that a comma separates, or all."""
    chosen = text.split(",") if text else list(known)
    for name in chosen:
        if name not in known:
            sys.exit(f"{name} is not among {', '.join(known)}")
    return chosen


def say(text):
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)
