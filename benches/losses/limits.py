"""How near each loss comes to what the machine can do.

A limit is the time that the loss's products take at the speed of a bare sgemm, its exponentials and
logarithms at that of NumPy's exponentials, and the reading of its inputs and writing of its
gradients at that of a copy, whichever is the longest. A row by index is counted as often as a pass
over the receivers of gradients reads it, as if random rows came as fast as a copy reads.
"""

import inspect
import time
from functools import partial

import numpy as np
from ruvector.graph import Graph

from . import every

ROUNDS = 5


def least(call, rounds=ROUNDS):
    """Return the least processor time of a call."""
    call()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return min(spent)


def machine():
    """Return products, exponentials and bytes a second, on one thread."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 2048, 2048), np.float32)
    product = np.empty_like(a)
    values = -rng.random(1 << 20, np.float32)
    place = np.empty_like(values)
    large = np.ones(1 << 26, np.float32)
    copied = np.empty_like(large)
    return {
        "flops": 2 * 2048**3 / least(partial(np.matmul, a, b, out=product)),
        "exps": values.size / least(partial(np.exp, values, out=place)),
        "bytes": 2 * large.nbytes / least(partial(np.copyto, copied, large)),
    }


def _by_pairs(dim, pairs, products=6):
    """Return flops of dot products of so many pairs with their two gradients."""
    return products * dim * pairs


# Flops and exponentials of the losses whose limit may be other than the bytes, at the sizes of
# `every`; products of a forward and two backward passes count three times.
PRODUCTS = {
    "infonce": (_by_pairs(128, 4096 * 65), 4096 * 65),
    "inbatch_infonce": (8 * 4096**2 * 128, 4096**2),
    "cca_ssg": (2 * 3 * 2 * 4096 * 256**2, 0),
    "barlow_twins": (3 * 2 * 4096 * 256**2, 0),
    "vicreg": (2 * 2 * 2 * 4096 * 256**2, 0),
    "orthogonality": (2 * 2 * 16_384 * 256**2, 0),
    "feature_reconstruction": (3 * 2 * 10_000 * 128 * 1000, 0),
    "adjacency_reconstruction": (2 * 2 * 4096**2 * 128 // 2, 4096**2 // 2),
    "distillation": (0, 2 * 4096 * 128),
    "edge_bce": (0, 2 * 500_000),
    "deep_graph_infomax": (3 * 2 * 2 * 100_000 * 128**2 // 128, 200_000),
    "node_classification": (0, 100_000 * 64),
}


def gathered(loss, inputs):
    """Return how many rows of its table a loss must read by number.

    Each end of an edge reads the other. What a pair's weight depends on the whole row of pairs for
    is read from both sides, and each corner of a triple reads the two others.
    """
    count = {name: array.size for name, array in inputs.items() if isinstance(array, np.ndarray)}
    if loss.name == "neighbor_contrastive":
        nodes = len(inputs["embeddings"])
        return 2 * (inputs["graph"].adjacency().indices.size + nodes * loss.num_negatives)
    if loss.name == "angle_preservation":
        return 6 * count["vertex"]
    if loss.name == "adjacency_reconstruction":
        return 0  # all rows meet all others
    return sum(count.get(name, 0) for name in ("src", "dst", "negative_src", "negative_dst"))


def traffic(loss, inputs, gradients):
    """Return the bytes that must move: inputs read, gradients written, rows by number gathered."""
    arrays = [x for x in inputs.values() if isinstance(x, np.ndarray)]
    arrays += [x.adjacency().indices for x in inputs.values() if isinstance(x, Graph)]
    size = sum(array.nbytes for array in arrays) + sum(array.nbytes for array in gradients)
    return size + gathered(loss, inputs) * arrays[0][:1].nbytes


def measure(say):
    """Return the machine's speeds, and each loss's time beside its limit, on one thread."""
    from ruvector.runtime import set_num_threads  # noqa: PLC0415

    set_num_threads(1)
    speeds, rows = machine(), {}
    for name, make in every.CASES.items():
        loss, inputs = make()
        given, keywords = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
        out = list(loss.value_and_grad(*given, **keywords).gradients)
        seconds = least(partial(loss.value_and_grad, *given, **keywords, out=out), 3)
        named = inspect.signature(loss).bind(*given, **keywords).arguments
        flops, exps = PRODUCTS.get(name, (0, 0))
        moved = traffic(loss, named, [x for x in out if x is not None])
        bounds = {
            "sgemm": flops / speeds["flops"],
            "exp": exps / speeds["exps"],
            "bandwidth": moved / speeds["bytes"],
        }
        limit = max(bounds, key=bounds.get)
        rows[name] = {"seconds": seconds, "limit": limit, "bound": bounds[limit]}
        say(f"{name}: {seconds * 1e3:.1f} ms, {limit} {bounds[limit] * 1e3:.1f} ms")
    return {"speeds": speeds, "rows": rows}


def table(limits):
    speeds = limits["speeds"]
    lines = [
        f"sgemm 2048³ {speeds['flops'] / 1e9:.0f} GFLOP/s, exp of float32 "
        f"{speeds['exps'] / 1e9:.2f} G/s, copy {speeds['bytes'] / 1e9:.1f} GB/s, one thread.",
        "",
        "| loss | ms | limit | ms | times the limit |",
        "|---|---:|---|---:|---:|",
    ]
    for name, row in sorted(limits["rows"].items()):
        took, bound = row["seconds"] * 1e3, row["bound"] * 1e3
        lines.append(
            f"| {name} | {took:,.3g} | {row['limit']} | {bound:.3g} | {took / bound:.1f} |"
        )
    return "\n".join(lines)
