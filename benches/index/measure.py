"""The measurements, made inside a library's own process."""

import statistics
import time

import numpy as np

from . import data
from .exact import recall
from .peers.base import UnsupportedError

K = data.K
LEAST_PASSES = 3
FILTER_QUERIES = 300
MOST_FILTERED = 2048


class Clock:
    """Seconds by the wall and of this process's processor time, all threads together."""

    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self):
        return {
            "wall_s": time.perf_counter() - self.wall,
            "cpu_s": time.process_time() - self.cpu,
        }


def median_of(work, seconds):
    """Return the median wall and processor seconds of one `work()`, after one to warm up."""
    work()
    start, passes = time.perf_counter(), []
    while len(passes) < LEAST_PASSES or time.perf_counter() - start < seconds:
        clock = Clock()
        work()
        passes.append(clock.read())
    return {key: statistics.median(figures[key] for figures in passes) for key in passes[0]}


def least_reaching(reached, least, most):
    """Return the smallest knob for which `reached(knob)`, by doubling and bisection, or None."""
    low, high = least - 1, least
    while not reached(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if reached(middle):
            high = middle
        else:
            low = middle
    return high


def smallest_knob(peer, given, target):
    """Return the fastest shape of search that reaches the recall, with its smallest knob."""

    def found(knob):
        return recall(peer.search(given.queries, K, knob, 1), given.truth)

    best = {"unsupported": f"recall@10 stays below {target}"}
    for shape in peer.shapes:
        peer.shape = shape
        knob = least_reaching(lambda knob: found(knob) >= target, peer.least, peer.most)
        if knob is None:
            continue
        setting = {"knob": knob, "shape": shape}
        cost = speed(peer, given, **setting, threads=1, how="batch", seconds=0)["cpu_s"]
        if cost < best.get("cost", float("inf")):
            best = {**setting, "cost": cost, "recall": found(knob)}
    return best


def speed(peer, given, *, knob, shape, threads, how, seconds):
    """Return what all queries cost, in one batch or one query per call."""
    peer.shape = shape

    def work():
        if how == "batch":
            peer.search(given.queries, K, knob, threads)
        else:
            peer.one(given.queries, K, knob)

    return {**median_of(work, seconds), "queries": len(given.queries)}


def point(peer, given, *, knob, shape, seconds):
    """Return recall and speed of a batch on one thread."""
    costs = speed(peer, given, knob=knob, shape=shape, threads=1, how="batch", seconds=seconds)
    found = peer.search(given.queries, K, knob, 1)
    return {"knob": knob, "recall": recall(found, given.truth), **costs}


def passing(given, share):
    """Return the mask of a filter, its queries and their true neighbours."""
    mask, truth = data.allowed(given, share)
    if mask.sum() < K:
        raise UnsupportedError(f"the filter passes {mask.sum()} rows alone")
    return mask, given.queries[:FILTER_QUERIES], truth[:FILTER_QUERIES]


def filtered(peer, given, share, target, seconds):
    """Return what a batch costs among a random share of the rows, at the smallest knob."""
    mask, queries, truth = passing(given, share)

    def found(knob):
        try:
            return recall(peer.filtered(queries, K, knob, mask), truth)
        except RuntimeError:  # hnswlib, when it finds fewer than k
            return 0.0

    least = max(K, peer.least)
    knob = least_reaching(lambda knob: found(knob) >= target, least, MOST_FILTERED)
    if knob is None:
        raise UnsupportedError(f"recall@10 stays below {target} up to a knob of {MOST_FILTERED}")
    costs = median_of(lambda: peer.filtered(queries, K, knob, mask), seconds)
    return {**costs, "queries": len(queries), "knob": knob, "recall": found(knob)}


def scan(given, share, seconds):
    """Return what the int8 distances to all rows that a filter passes cost, without choosing."""
    try:
        import numkong  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError("numkong is not installed") from error
    mask, queries, _ = passing(given, share)
    scale = 127 / np.abs(given.vectors).max()
    rows, queries = (
        np.ascontiguousarray((part * scale).astype(np.int8))
        for part in (given.vectors[mask], queries)
    )
    costs = median_of(lambda: numkong.cdist(queries, rows, "sqeuclidean"), seconds)
    return {**costs, "queries": len(queries), "rows": len(rows)}


def files(peer, given, path, repeats):
    """Return seconds to save, load and open mapped, by the wall, the file in the page cache."""
    kind, vectors, metric = type(peer), given.vectors, given.metric
    clock = Clock()
    peer.save(path)
    figures = {"save_s": clock.read()["wall_s"]}
    parts = path.rglob("*") if path.is_dir() else [path]
    figures["mib"] = sum(part.stat().st_size for part in parts) / 2**20
    for name, way in (("load_s", kind.load), ("mapped_s", kind.open_mapped)):
        try:
            runs = []
            for _ in range(repeats):
                clock = Clock()
                opened = way(path, vectors, metric)
                runs.append(clock.read()["wall_s"])
                opened.search(given.queries[:1], K, 64, 1)
                figures[name.replace("_s", "_and_query_s")] = clock.read()["wall_s"]
                del opened
            figures[name] = statistics.median(runs)
        except UnsupportedError as reason:
            figures[name.replace("_s", "_unsupported")] = str(reason)
    return figures


def overhead(kind, given, seconds):
    """Return what a call costs beside the search: one a call less one of a batch, a small index."""
    if not kind.batches:
        raise UnsupportedError("has no call for several queries to compare with")
    peer = kind()
    peer.build(given.vectors[:1000], given.metric, 1)
    setting = {"knob": peer.least, "shape": peer.shape, "threads": 1, "seconds": seconds}
    single, batch = (speed(peer, given, how=how, **setting)["cpu_s"] for how in ("single", "batch"))
    return {"microseconds": (single - batch) / len(given.queries) * 1e6}
