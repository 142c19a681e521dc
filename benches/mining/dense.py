"""Triplets of a batch and negatives of a pool beside PyTorch, pytorch-metric-learning and Faiss.

    cd benches && python -m mining.dense [--threads 1,2] [--rounds 3] [--only NAME,…]

Peers that are not installed are left out. One side of a case is one process. Ratios are of
processor time of one thread (two threads: of wall time), best of the rounds. The table gives
the floor and the aim of each; memory is what a call takes beyond its input.
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from mining.measure import in_process, measure


def batch(rows, dim=128, each=4):
    """Unit rows, `each` of a class, in random order."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((rows, dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, rng.permutation(np.arange(rows) // each)


def ours(strategy, rows, distance="cosine", margin=None):
    from ruvector.mining import TripletMiner  # noqa: PLC0415

    vectors, labels = batch(rows)
    miner = TripletMiner(strategy, distance=distance, margin=margin)
    return lambda: miner.mine(vectors, labels)


def metric_learning(name, rows, **options):
    import torch  # noqa: PLC0415
    from pytorch_metric_learning import miners  # noqa: PLC0415

    vectors, labels = map(torch.from_numpy, batch(rows))
    miner = getattr(miners, name)(**options)
    return lambda: miner(vectors, labels)


def torch_batch_hard(rows):
    import torch  # noqa: PLC0415

    vectors, labels = map(torch.from_numpy, batch(rows))

    def call():
        near = vectors @ vectors.T
        same = labels[:, None] == labels
        negatives = near.masked_fill(same, -torch.inf).max(1)
        same.fill_diagonal_(False)
        return near.masked_fill(~same, torch.inf).min(1), negatives

    return call


def torch_semi_hard(rows):
    import torch  # noqa: PLC0415

    vectors, labels = map(torch.from_numpy, batch(rows))

    def call():
        near = vectors @ vectors.T
        same = labels[:, None] == labels
        a, p = torch.nonzero(same.clone().fill_diagonal_(False), as_tuple=True)
        candidates = near.masked_fill(same, -torch.inf)[a]
        return candidates.masked_fill_(candidates >= near[a, p][:, None], -torch.inf).max(1)

    return call


K, ANCHORS = 16, 4096


def pool(rows, clustered=False):
    """Anchors, pool, their classes, and each anchor's positive."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((rows, 128), dtype=np.float32)
    labels = rng.integers(0, 100, rows)
    if clustered:
        # Ten centres a class, and rows around them.
        centres = rng.standard_normal((1000, 128), dtype=np.float32)
        vectors = centres[labels * 10 + rng.integers(0, 10, rows)] + 0.8 * vectors
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = rng.choice(rows, ANCHORS, replace=False)
    near = rng.standard_normal((ANCHORS, 128), dtype=np.float32)
    anchors = vectors[chosen] + near / 40
    anchors /= np.linalg.norm(anchors, axis=1, keepdims=True)
    return anchors, vectors, labels[chosen], labels, chosen


def our_pool(rows, clustered):
    from ruvector.mining import HardNegativeMiner  # noqa: PLC0415

    anchors, vectors, own, labels, positives = pool(rows, clustered)
    miner = HardNegativeMiner("hardest", k=K)
    return lambda: miner.mine(anchors, vectors, positives=positives, labels=own, pool_labels=labels)


def torch_pool(rows, clustered):
    return torch_chunks(*pool(rows, clustered))


def torch_chunks(*given):
    import torch  # noqa: PLC0415

    anchors, vectors, own, labels, positives = map(torch.from_numpy, given)

    def call():
        found = []
        for start in range(0, len(anchors), 256):
            part = slice(start, start + 256)
            near = anchors[part] @ vectors.T
            near.masked_fill_(own[part][:, None] == labels, -torch.inf)
            near[torch.arange(len(near)), positives[part]] = -torch.inf
            found.append(near.topk(K, 1))
        return found

    return call


def faiss_nearest(anchors, vectors, k):
    import faiss  # noqa: PLC0415

    index = faiss.IndexFlatIP(128)
    index.add(vectors)
    return lambda: index.search(anchors, k)


def faiss_pool(rows, clustered):
    anchors, vectors, own, labels, positives = pool(rows, clustered)
    search = faiss_nearest(anchors, vectors, 4 * K)

    def call():
        near, found = search()
        bad = (labels[found] == own[:, None]) | (found == positives[:, None])
        first = np.argsort(bad, axis=1, kind="stable")[:, :K]
        return np.take_along_axis(near, first, 1), np.take_along_axis(found, first, 1)

    return call


def bare_product(rows, clustered):
    anchors, vectors, *_ = pool(rows, clustered)
    out = np.empty((256, rows), np.float32)

    def call():
        for start in range(0, ANCHORS, 256):
            np.matmul(anchors[start : start + 256], vectors.T, out=out)

    return call


# Of a pool of a million, anchors of which exact answers are made; their time is multiplied.
SOME = 512


def saved(kind, rows):
    """Where what takes long to make is kept."""
    return Path(tempfile.gettempdir()) / f"ruvector-mining-{rows}.{kind}"


def sheets(rows):
    """Anchors and pool of the index bench's clusters, ten a class, their classes, anchors' rows."""
    from index import synthetic  # noqa: PLC0415

    if saved("npy", rows).exists():
        vectors = np.load(saved("npy", rows))
    else:
        vectors = synthetic.make(rows)
        np.save(saved("npy", rows), vectors)
    size = synthetic.CHUNK
    # The generator draws a chunk's classes first.
    chunks = [
        np.random.default_rng([synthetic.SEED, 0, c]).integers(synthetic.CLASSES, size=size)
        for c in range(-(-rows // size))
    ]
    labels = np.concatenate(chunks)[:rows] % 100
    chosen = np.random.default_rng(2).choice(rows, ANCHORS, replace=False)
    return vectors[chosen], vectors, labels[chosen], labels, chosen


def exact_sheets(rows):
    from ruvector.mining import HardNegativeMiner  # noqa: PLC0415

    anchors, vectors, own, labels, positives = sheets(rows)
    miner = HardNegativeMiner("hardest", k=K)
    return lambda: miner.mine(anchors, vectors, positives=positives, labels=own, pool_labels=labels)


def times(call, factor):
    """A call that stands for several."""
    call.times = factor
    return call


def some_sheets(rows):
    anchors, vectors, own, labels, positives = sheets(rows)
    return anchors[:SOME], vectors, own[:SOME], labels, positives[:SOME]


def torch_sheets(rows):
    return times(torch_chunks(*some_sheets(rows)), ANCHORS / SOME)


def faiss_sheets(rows):
    # Without exclusion: an anchor's class fills any number of places that one could fetch.
    return times(faiss_nearest(*some_sheets(rows)[:2], K), ANCHORS / SOME)


def product_sheets(rows):
    """Our own exact answer without bytes."""
    from ruvector.mining import HardNegativeMiner  # noqa: PLC0415

    anchors, vectors, own, labels, positives = some_sheets(rows)
    miner = HardNegativeMiner("hardest", k=K)

    def call():
        # So few anchors at a time that bytes do not pay.
        for start in range(0, SOME, 64):
            part = slice(start, start + 64)
            given = {"positives": positives[part], "labels": own[part]}
            miner.mine(anchors[part], vectors, pool_labels=labels, **given)

    return times(call, ANCHORS / SOME)


def through_index(rows, ef):
    from ruvector.index import HNSW  # noqa: PLC0415
    from ruvector.mining import HardNegativeMiner  # noqa: PLC0415

    anchors, vectors, own, labels, positives = sheets(rows)
    if saved("index", rows).exists():
        index = HNSW.load(saved("index", rows))
    else:
        index = HNSW(vectors.shape[1], metric="cosine")
        index.add(vectors)
        index.save(saved("index", rows))
    miner = HardNegativeMiner("hardest", k=K)
    given = {"positives": positives, "labels": own, "pool_labels": labels}
    some = {"positives": positives[:SOME], "labels": own[:SOME], "pool_labels": labels}

    def call():
        return miner.mine(anchors, index, ef=ef, **given)

    def note():
        exact = miner.mine(anchors[:SOME], vectors, **some).indices
        found = call().indices[:SOME]
        return f"recall {(exact[:, :, None] == found[:, None]).any(2).mean():.3f}"

    call.note = note
    return call


def indexed(rows):
    # The first finds 95 %.
    sides = {f"index, ef {ef}": partial(through_index, rows, ef) for ef in (34, 40)}
    exact = {
        "ours": exact_sheets,
        "our product": product_sheets,
        "torch": torch_sheets,
        "faiss, class not excluded": faiss_sheets,
    }
    return sides | {side: partial(make, rows) for side, make in exact.items()}


def pools(clustered):
    return {
        side: partial(make, 100_000, clustered)
        for side, make in {
            "ours": our_pool,
            "torch": torch_pool,
            "faiss": faiss_pool,
            "numpy product": bare_product,
        }.items()
    }


# Of each case: its sides; the least and the wanted ratio to each peer; the most and wanted MiB.
CASES = {
    "batch-hard, N 4096": (
        {
            "ours": partial(ours, "batch_hard", 4096),
            "pml": partial(metric_learning, "BatchHardMiner", 4096),
            "torch": partial(torch_batch_hard, 4096),
        },
        {"pml": (10, 30), "torch": (2.5, 8)},
        None,
    ),
    "batch-hard, N 4096, Euclidean": (
        {
            "ours": partial(ours, "batch_hard", 4096, "euclidean"),
            "pml": partial(metric_learning, "BatchHardMiner", 4096),
            "torch": partial(torch_batch_hard, 4096),
        },
        {"pml": (10, 30), "torch": (2.5, 8)},
        None,
    ),
    "batch-hard, N 16384": ({"ours": partial(ours, "batch_hard", 16_384)}, {}, (64, 16)),
    "semi-hard, N 1024": (
        {
            "ours": partial(ours, "semi_hard", 1024),
            "pml": partial(
                metric_learning, "TripletMarginMiner", 1024, type_of_triplets="semihard"
            ),
            "torch": partial(torch_semi_hard, 1024),
        },
        {"pml": (200, 600), "torch": (3, 3)},
        None,
    ),
    "all semi-hard, N 1024": (
        {
            "ours": partial(ours, "all_semi_hard", 1024, "euclidean", 0.2),
            "pml": partial(
                metric_learning, "TripletMarginMiner", 1024, type_of_triplets="semihard"
            ),
        },
        {},
        None,
    ),
    "semi-hard, N 16384": ({"ours": partial(ours, "semi_hard", 16_384)}, {}, (32, 32)),
    "pool of 100,000": (pools(False), {"torch": (2, 2), "faiss": (1.1, 3)}, (32, 32)),
    "pool of 100,000, clustered": (pools(True), {"torch": (2, 2), "faiss": (1.1, 3)}, (32, 32)),
    # The index should be 20 (50) times as fast as the exact answers at a recall of 0.95. The first
    # run builds it, in some 200 s, and keeps it.
    "through an index, 1,000,000": (
        indexed(1_000_000),
        {"torch": (20, 50), "faiss, class not excluded": (20, 50), "our product": (20, 50)},
        None,
    ),
}


def told(figures, side, clock):
    """Times and memory of one side as a line of the table."""
    if "failed" in figures:
        return [side, figures["failed"], "", ""]
    if "note" in figures:
        side = f"{side}, {figures['note']}"
    return [side, f"{figures[clock] * 1e3:,.1f}", f"{figures['mib']:,.1f}"]


def report(name, threads, rounds):
    sides, ratios, memory = CASES[name]
    clock = "cpu" if threads == 1 else "wall"
    figures = {side: in_process("mining.dense", name, side, threads, rounds) for side in sides}
    first = "ours" if not name.startswith("through") else next(iter(sides))
    own = figures[first]
    for side, other in figures.items():
        ratio, needed, aim = "", "", ""
        if side != first and clock in own and clock in other:
            ratio = f"{other[clock] / own[clock]:,.1f}"
        if side in ratios:
            needed, aim = (f"{bound:g} ×" for bound in ratios[side])
        elif side == "ours" and memory:
            needed, aim = (f"{bound} MiB" for bound in memory)
        cells = [name, str(threads), *told(other, side, clock), ratio, needed, aim]
        print(f"| {' | '.join(cells)} |", flush=True)


def main(given=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", help="cases, by the beginnings of their names, between semicolons"
    )
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.case:
        make = CASES[arguments.case][0][arguments.side]
        print(json.dumps(measure(make, int(arguments.threads), arguments.rounds)))
        return
    print("| case | threads | side | ms | MiB | ours (the index) is × faster | floor | aim |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    wanted = tuple(arguments.only.split(";")) if arguments.only else ("",)
    for name in filter(lambda name: name.startswith(wanted), CASES):
        # A million rows are looked at for long enough on one thread.
        for threads in arguments.threads.split(",")[: 1 if name.startswith("through") else None]:
            report(name, int(threads), arguments.rounds)


if __name__ == "__main__":
    main()
