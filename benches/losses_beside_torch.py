"""Value and gradient of losses beside PyTorch: time, and memory beyond inputs and gradients.

    python benches/losses_beside_torch.py [--threads 1,2] [--rounds 5] [--only NAME,…]

Needs PyTorch in the environment; it is no dependency. Each case runs in a process of its own, both
sides taking turns, and the best of the rounds counts, in processor time for one thread and by the
wall for more. What PyTorch cannot hold is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

TEMPERATURE = 0.07


def _normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _rows(count, *shape):
    return np.random.default_rng(1).integers(0, count, shape)


def _ours(inputs):
    from ruvector.losses import InfoNCELoss  # noqa: PLC0415 - after the number of threads is set

    loss = InfoNCELoss(TEMPERATURE)
    out = [np.empty_like(array) for array in inputs]
    return lambda: loss.value_and_grad(*inputs, out=out)


def _torch_infonce(anchors, positives, negatives):
    import torch  # noqa: PLC0415 - only this side needs it
    from torch.nn import functional  # noqa: PLC0415

    a, p, n = (functional.normalize(rows, dim=-1) for rows in (anchors, positives, negatives))
    near = (a * p).sum(-1, keepdim=True)
    far = torch.bmm(n, a[..., None])[..., 0]
    logits = torch.cat([near, far], 1) / TEMPERATURE
    return functional.cross_entropy(logits, torch.zeros(len(a), dtype=torch.long))


def _torch(make, *inputs):
    import torch  # noqa: PLC0415

    leaves = [torch.from_numpy(array).requires_grad_() for array in inputs]

    def call():
        for leaf in leaves:
            leaf.grad = None
        make(*leaves).backward()

    return call


def explicit():
    inputs = _normal(4096, 128), _normal(4096, 128), _normal(4096, 64, 128)
    return _ours(inputs), lambda: _torch(_torch_infonce, *inputs)


def by_index():
    from ruvector.losses import InfoNCELoss  # noqa: PLC0415

    table = _normal(100_000, 128)
    rows = [_rows(100_000, *shape) for shape in ((4096,), (4096,), (4096, 64))]
    loss, out = InfoNCELoss(TEMPERATURE), np.empty_like(table)

    def theirs():
        import torch  # noqa: PLC0415

        picked = [torch.from_numpy(index) for index in rows]
        return _torch(lambda z: _torch_infonce(*(z[index] for index in picked)), table)

    return lambda: loss.value_and_grad_indexed(table, *rows, out=out), theirs


def _in_batch(rows, dim, mode="symmetric"):
    from ruvector.losses import InBatchInfoNCELoss  # noqa: PLC0415

    inputs = _normal(rows, dim), _normal(rows, dim)[::-1].copy()
    loss = InBatchInfoNCELoss(TEMPERATURE, mode=mode)
    # Those of the inputs, and none for further negatives.
    out = [*map(np.empty_like, inputs), None]

    def clip(x, y):
        import torch  # noqa: PLC0415
        from torch.nn import functional  # noqa: PLC0415

        x, y = functional.normalize(x, dim=-1), functional.normalize(y, dim=-1)
        if mode == "ntxent":
            z = torch.cat([x, y])
            logits = z @ z.T / TEMPERATURE
            logits.fill_diagonal_(-torch.inf)
            return functional.cross_entropy(logits, torch.arange(2 * rows).roll(rows))
        logits, own = x @ y.T / TEMPERATURE, torch.arange(rows)
        one_way = functional.cross_entropy(logits, own), functional.cross_entropy(logits.T, own)
        return sum(one_way) / 2

    return lambda: loss.value_and_grad(*inputs, out=out), lambda: _torch(clip, *inputs)


CASES = {
    "InfoNCE, B 4096, K 64, d 128": explicit,
    "InfoNCE by index, 100,000 rows": by_index,
    "CLIP, B 16384, d 128": lambda: _in_batch(16_384, 128),
    "CLIP, B 4096, d 768": lambda: _in_batch(4096, 768),
    "CLIP, B 65536, d 128": lambda: (_in_batch(65_536, 128)[0], None),
    "NT-Xent, B 512, d 128": lambda: _in_batch(512, 128, "ntxent"),
}


def peak_of(call):
    """MiB that a call takes beyond what was there."""
    Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text

    def kib(field):
        return int(status().split(field)[1].split()[0])

    before = kib("VmRSS:")
    call()
    return (kib("VmHWM:") - before) / 1024


def measure(name, threads, rounds):
    """Seconds and MiB of each side of a case, in this process."""
    from ruvector.runtime import set_num_threads  # noqa: PLC0415

    set_num_threads(threads)
    ours, theirs = CASES[name]()
    sides = {"ours": ours}
    if theirs is not None:
        import torch  # noqa: PLC0415

        torch.set_num_threads(threads)
        sides["torch"] = theirs()
    clock = time.process_time if threads == 1 else time.perf_counter
    figures = {}
    for side, call in sides.items():
        call()
        figures[side] = {"seconds": np.inf, "mib": peak_of(call)}
    for _ in range(rounds if theirs is not None else 1):
        for side, call in sides.items():
            start = clock()
            call()
            figures[side]["seconds"] = min(figures[side]["seconds"], clock() - start)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="names of cases, by their beginnings")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        figures = measure(arguments.case, int(arguments.threads), arguments.rounds)
        print(json.dumps(figures))
        return
    print("| case | threads | ours, ms | PyTorch, ms | ratio | ours, MiB | PyTorch, MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    wanted = tuple(arguments.only.split(",")) if arguments.only else ("",)
    for name in filter(lambda name: name.startswith(wanted), CASES):
        for threads in arguments.threads.split(","):
            command = [sys.executable, __file__, "--case", name, "--threads", threads]
            command += ["--rounds", str(arguments.rounds)]
            environment = os.environ | {"OMP_NUM_THREADS": threads}
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment, check=False
            )
            if done.returncode:
                print(f"| {name} | {threads} | failed: {done.stderr.strip().splitlines()[-1]} |")
                continue
            figures = json.loads(done.stdout)
            ours, torch = figures["ours"], figures.get("torch")
            cells = [f"{ours['seconds'] * 1e3:,.1f}", "–", "–", f"{ours['mib']:,.1f}", "–"]
            if torch:
                cells[1] = f"{torch['seconds'] * 1e3:,.1f}"
                cells[2] = f"{torch['seconds'] / ours['seconds']:.1f}"
                cells[4] = f"{torch['mib']:,.1f}"
            print(f"| {name} | {threads} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
