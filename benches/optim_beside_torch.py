"""Optimiser steps beside PyTorch's: dense ones over many parameters, sparse ones over few rows.

    python benches/optim_beside_torch.py [--threads 2] [--rounds 7] [--params 100000000] [--only …]

Needs PyTorch in the environment; it is no dependency. Both sides take turns on arrays of their own
with the same gradients; the least of the rounds counts, in processor time for one thread and by
the wall for more: whatever else runs on the machine takes memory bandwidth from both. Dense cases
need 28 bytes a parameter, 2.8 GB as they are. PyTorch steps on NaN; ours looks for it first, so
that nothing is half changed, unless it is told not to ("unchecked").
"""

import argparse
import os
import time

import numpy as np

ROWS, DIM, LISTED = 1_000_000, 64, 4096


def _dense(name, count, *, check=True, both=False, **options):
    """A step beside PyTorch's: without our look for NaN, or with one before each side's."""

    def sides():
        import torch  # noqa: PLC0415 - after the number of threads is set
        from ruvector import optim  # noqa: PLC0415

        gradient = np.random.default_rng(0).standard_normal(count, dtype=np.float32)
        ours = getattr(optim, name)(np.zeros(count, np.float32), 1e-3)
        theirs = torch.nn.Parameter(torch.zeros(count))
        theirs.grad = torch.from_numpy(gradient)
        step = getattr(torch.optim, name)([theirs], lr=1e-3, **options).step

        def checked():
            if not torch.isfinite(theirs.grad).all():
                raise ValueError("NaN or infinity")
            step()

        return lambda: ours.step(gradient, check_finite=check), checked if both else step

    return sides


def _sparse(sort):
    def sides():
        import torch  # noqa: PLC0415
        from ruvector.optim import SparseAdam, SparseRows  # noqa: PLC0415

        rng = np.random.default_rng(0)
        ours = SparseAdam(np.zeros((ROWS, DIM), np.float32), 1e-3)
        theirs = torch.nn.Parameter(torch.zeros(ROWS, DIM))
        optimizer = torch.optim.SparseAdam([theirs], lr=1e-3)
        # Other rows each time, so that they do not lie in the cache already.
        lists = [rng.choice(ROWS, LISTED, replace=False) for _ in range(64)]
        if sort:
            lists = [np.sort(rows) for rows in lists]
        values = rng.standard_normal((LISTED, DIM), dtype=np.float32)
        tensors = [
            torch.sparse_coo_tensor(rows[None], torch.from_numpy(values), (ROWS, DIM))
            for rows in lists
        ]
        turn = iter(range(10**9))
        other = iter(range(10**9))

        def us():
            ours.step(SparseRows(lists[next(turn) % 64], values))

        def them():
            theirs.grad = tensors[next(other) % 64]
            optimizer.step()

        # Every page is there before the clock runs.
        for _ in range(64):
            us()
            them()
        return us, them

    return sides


def cases(count):
    return {
        "Adam, fused": _dense("Adam", count, fused=True),
        "Adam unchecked, fused": _dense("Adam", count, check=False, fused=True),
        "Adam, fused after isfinite": _dense("Adam", count, both=True, fused=True),
        "Adam, default": _dense("Adam", count),
        "AdamW, fused": _dense("AdamW", count, fused=True),
        "AdamW unchecked, fused": _dense("AdamW", count, check=False, fused=True),
        "AdamW, default": _dense("AdamW", count),
        f"SparseAdam, {LISTED} of {ROWS} rows": _sparse(False),
        f"SparseAdam, {LISTED} of {ROWS} rows in order": _sparse(True),
    }


def _seconds(call, clock, least=0.05):
    """Time of one call, repeated until it can be measured."""
    started, calls = clock(), 0
    while calls == 0 or clock() - started < least:
        call()
        calls += 1
    return (clock() - started) / calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--params", type=int, default=100_000_000)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    given = parser.parse_args()
    os.environ["RUVECTOR_NUM_THREADS"] = str(given.threads)
    import torch  # noqa: PLC0415

    torch.sparse.check_sparse_tensor_invariants.disable()  # its default, said aloud
    torch.set_num_threads(given.threads)
    clock = time.process_time if given.threads == 1 else time.perf_counter
    print(f"{given.threads} thread(s), PyTorch {torch.__version__}, least of {given.rounds}")
    for name, sides in cases(given.params).items():
        if not name.startswith(given.only):
            continue
        ours, theirs = sides()
        ours(), theirs()
        pairs = [(_seconds(ours, clock), _seconds(theirs, clock)) for _ in range(given.rounds)]
        us, them = (min(side) for side in zip(*pairs, strict=True))
        print(f"{name:45s} {us * 1e3:9.3f} ms {them * 1e3:9.3f} ms {them / us:7.2f} x", flush=True)


if __name__ == "__main__":
    main()
