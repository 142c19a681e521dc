"""The rows of the table of losses: sizes, who takes part, floors and aims."""

from typing import NamedTuple

import numpy as np

TEMPERATURE = 0.07


class Goal(NamedTuple):
    """What is wanted of us beside a peer.

    `what` is "time" or "memory", how many times less than the peer's, or for us alone "MiB" and
    "seconds", which are to stay below.
    """

    what: str
    peer: str
    floor: float
    aim: float
    threads: int = 1


class Case(NamedTuple):
    title: str
    kind: str
    size: tuple[int, ...]
    sides: tuple[str, ...]
    goals: tuple[Goal, ...] = ()
    rounds: int = 5


CASES = {
    "explicit": Case(
        "InfoNCE, own negatives, B 4096, K 64, d 128",
        "explicit",
        (4096, 64, 128),
        ("ours", "torch", "compile", "jax"),
        (Goal("time", "torch", 30, 70), Goal("time", "jax", 5, 9), Goal("MiB", "ours", 8, 1)),
    ),
    "by_index": Case(
        "InfoNCE by index into 100,000 × 128, B 4096, K 64",
        "by_index",
        (100_000, 4096, 64, 128),
        ("ours", "torch", "compile", "jax"),
        (Goal("time", "torch", 15, 50), Goal("time", "jax", 5, 15)),
    ),
    "clip": Case(
        "CLIP, B 16384, d 128",
        "clip",
        (16_384, 128),
        ("ours", "torch", "compile", "jax"),
        (
            Goal("time", "torch", 4, 6),
            Goal("time", "compile", 1.3, 1.7),
            Goal("memory", "torch", 40, 100),
        ),
        rounds=2,
    ),
    "clip_wide": Case(
        "CLIP, B 4096, d 768",
        "clip",
        (4096, 768),
        ("ours", "torch", "compile", "jax"),
        (Goal("time", "torch", 1.2, 1.35),),
    ),
    "clip_large": Case(
        "CLIP, B 65536, d 128",
        "clip",
        (65_536, 128),
        ("ours",),
        (Goal("MiB", "ours", 200, 200), Goal("seconds", "ours", 29, 29, threads=2)),
        rounds=1,
    ),
    "ntxent": Case(
        "NT-Xent, B 512, d 128",
        "ntxent",
        (512, 128),
        ("ours", "torch", "compile", "jax", "pml"),
    ),
    "ntxent_small": Case(
        "NT-Xent, B 256, d 128",
        "ntxent",
        (256, 128),
        ("ours", "torch", "pml"),
        (Goal("time", "pml", 1000, 1000), Goal("memory", "pml", 500, 500)),
        rounds=2,
    ),
    "laplacian": Case(
        "Laplacian, 1,000,000 edges, 100,000 nodes, d 128",
        "laplacian",
        (1_000_000, 100_000, 128),
        ("ours", "scipy", "torch", "jax"),
        (Goal("time", "scipy", 3, 8), Goal("time", "torch", 40, 40)),
    ),
    "laplacian_value": Case(
        "its value alone", "laplacian_value", (1_000_000, 100_000, 128), ("ours",)
    ),
    "laplacian_large": Case(
        "Laplacian, 10,000,000 edges, 1,000,000 nodes, d 128 (Z: 488 MiB)",
        "laplacian",
        (10_000_000, 1_000_000, 128),
        ("ours",),
        (Goal("MiB", "ours", 977, 977),),
        rounds=2,
    ),
    "one_to_many": Case(
        "cosine of one with 1,000,000 × 128",
        "cosine",
        (1, 1_000_000, 128),
        ("ours", "simsimd", "torch"),
        (Goal("time", "simsimd", 1, 1.5),),
    ),
    "many_to_many": Case(
        "cosine of 4096 × 128 with 16,384 × 128",
        "cosine",
        (4096, 16_384, 128),
        ("ours", "sgemm"),
        (Goal("time", "sgemm", 1 / 1.15, 1 / 1.15),),
    ),
    "many_to_many_wide": Case(
        "cosine of 4096 × 768 with 4096 × 768",
        "cosine",
        (4096, 4096, 768),
        ("ours", "sgemm"),
        (Goal("time", "sgemm", 1 / 1.15, 1 / 1.15),),
    ),
}


def inputs_of(kind, size):
    """Return the arrays that every side gets."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape, np.float32)

    if kind == "explicit":
        rows, negatives, dim = size
        return normal(rows, dim), normal(rows, dim), normal(rows, negatives, dim)
    if kind == "by_index":
        nodes, rows, negatives, dim = size
        numbers = (rng.integers(0, nodes, shape) for shape in (rows, rows, (rows, negatives)))
        return (normal(nodes, dim), *numbers)
    if kind in ("clip", "ntxent"):
        return normal(*size), normal(*size)
    if kind.startswith("laplacian"):
        edges, nodes, dim = size
        return normal(nodes, dim), rng.integers(0, nodes, (edges, 2))
    few, many, dim = size
    return normal(few, dim), normal(many, dim)
