"""Measures cases: every side a process, the sides taking turns."""

import json
import os
import time

from processes import Worker

PINNED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RUVECTOR_NUM_THREADS")
PAUSE = 0.5  # seconds


def start(case, side, threads, log):
    """Start a side; its first answer is its memory or why it cannot."""
    environment = os.environ | dict.fromkeys(PINNED, str(threads))
    arguments = (side, case.kind, json.dumps(case.size), str(threads))
    if not case.rounds:
        arguments += ("cold",)
    if threads == 1:
        # It counts the processors instead of reading variables.
        environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return Worker("losses.worker", *arguments, log=log, environment=environment)


def measure(case, threads, *, sides, log, say):
    """Return each side's least time and its memory, or why it has none."""
    figures, workers = {}, {}
    try:
        for side in case.sides:
            if side not in sides:
                continue
            worker = start(case, side, threads, log)
            figures[side] = dict(worker.first)
            say(f"{case.title}, {threads}: {side} {worker.first}")
            if "mib" in worker.first:
                workers[side] = worker
            else:
                worker.stop()
        for _ in range(case.rounds):
            for side, worker in workers.items():
                # Threads of the side before may spin for a while, waiting for more work.
                time.sleep(PAUSE)
                answer = worker.ask("time")
                if "error" in answer:
                    figures[side] = answer
                    continue
                for clock in ("wall", "cpu"):
                    least = min(answer[clock], figures[side].get(clock, float("inf")))
                    figures[side][clock] = least
    finally:
        for worker in workers.values():
            worker.stop()
    return figures
