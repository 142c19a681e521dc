"""Time and memory of calls, each in a process of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def peak_of(call):
    """MiB that a call takes beyond what was there, its result included."""
    Path("/proc/self/clear_refs").write_text("5")

    def kib(field):
        return int(Path("/proc/self/status").read_text().split(field)[1].split()[0])

    before = kib("VmRSS:")
    call()
    return (kib("VmHWM:") - before) / 1024


def set_threads(threads):
    """Give every library that is there so many threads."""
    from ruvector.runtime import set_num_threads  # noqa: PLC0415

    set_num_threads(threads)


def is_due(done, seconds, rounds):
    """Whether to call again: short calls are repeated for a while, very long ones not at all."""
    return not done or (done < rounds and seconds < 20) or (done < 10 * rounds and seconds < 0.2)


def measure(make, threads, rounds):
    """Best processor and wall seconds of some calls, and their MiB."""
    set_threads(threads)
    call = make()
    # The first call: later ones find memory that it freed and the allocator kept.
    figures = {"mib": peak_of(call), "cpu": np.inf, "wall": np.inf}
    done = 0
    while is_due(done, done and done * figures["cpu"], rounds):
        done += 1
        cpu, wall = time.process_time(), time.perf_counter()
        call()
        figures["cpu"] = min(figures["cpu"], time.process_time() - cpu)
        figures["wall"] = min(figures["wall"], time.perf_counter() - wall)
    # A call on a part of the work tells how many of it make the whole.
    for clock in ("cpu", "wall"):
        figures[clock] *= getattr(call, "times", 1)
    if hasattr(call, "note"):
        figures["note"] = call.note()
    return figures


def in_process(module, case, side, threads, rounds):
    """The figures of `module --case …` in a process of its own, or why there are none."""
    command = [sys.executable, "-m", module, "--case", case, "--side", side]
    command += ["--threads", str(threads), "--rounds", str(rounds)]
    root = Path(__file__).resolve().parents[1]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=root, check=False
    )
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])
