"""Floors and aims of the index, each a figure of one data set.

A figure is worked out of the results of a data set by `value`; it is None where what it needs was
not measured. `lower` tells that less is better.
"""

from typing import NamedTuple

OURS, SMALL, REFERENCE = "ruvector", "ruvector-int8", "hnswlib"


class Aim(NamedTuple):
    data: str
    what: str
    value: object
    floor: float | None
    aim: float
    lower: bool = False


def qps(results, peer, key, clock):
    cell = results["peers"].get(peer, {}).get("search", {}).get(key, {})
    return cell.get(f"qps_{clock}")


def divided(a, b):
    return None if a is None or not b else a / b


def speed(target, beside=REFERENCE, ours=OURS):
    """Queries per second, one thread, batch, over another library's."""
    key = f"{target} batch"
    return lambda results, clock: divided(
        qps(results, ours, key, clock), qps(results, beside, key, clock)
    )


def build_of(results, peer):
    """Return the figures of the build by one thread, or of the only one."""
    builds = results["peers"].get(peer, {}).get("build", {})
    return builds.get("1") or next(iter(builds.values()), {})


def build(results, _clock):
    """Processor seconds over the reference's."""
    return divided(*(build_of(results, name).get("cpu_s") for name in (OURS, REFERENCE)))


def build_threads(results, _clock):
    """By the least of each: what else the machine has to do slows two threads more."""
    least = results["peers"].get(OURS, {}).get("least_build_s", {})
    return divided(*(least.get(threads) for threads in ("1", "2")))


def search_threads(results, _clock):
    """By the wall: processor time does not fall with threads."""
    one, two = (qps(results, OURS, f"0.95 batch{more}", "wall") for more in ("", ", 2 threads"))
    return divided(two, one)


def same_graph(results, _clock):
    """1 where one thread and two write the same file."""
    same = results["peers"].get(OURS, {}).get("same_file")
    return None if same is None else float(same)


def memory(peer):
    def value(results, _clock):
        built = build_of(results, peer)
        return divided(built.get("held_mib"), built.get("raw_mib"))

    return value


def filtered_qps(cell, clock):
    return divided((cell or {}).get("queries"), (cell or {}).get(f"{clock}_s"))


def filtered(share, beside=None):
    """Queries per second behind a filter, or over those of a scan of what passes."""

    def value(results, clock):
        ours = results["peers"].get(OURS, {}).get("filtered", {}).get(share)
        if beside is None:
            return filtered_qps(ours, clock)
        scan = filtered_qps(results.get(beside, {}).get(share), clock)
        return divided(filtered_qps(ours, clock), scan)

    return value


def overhead(results, _clock):
    return results["peers"].get(OURS, {}).get("overhead", {}).get("microseconds")


def mapped(results, _clock):
    seconds = results["peers"].get(OURS, {}).get("files", {}).get("mapped_s")
    return None if seconds is None else 1000 * seconds


def aims():
    """Yield the table of the issue, row by row."""
    for target, floor, aim in (("0.95", 2.2, 5.0), ("0.99", 2.2, 5.5), ("0.999", 3.0, 9.0)):
        yield Aim("fashion", f"speed at {target} / hnswlib", speed(target), floor, aim)
        beside = speed(target, "rabitqlib")
        yield Aim("fashion", f"speed at {target} / SymphonyQG", beside, None, 1.25)
    for target, floor, aim in (("0.95", 1.8, 3.2), ("0.99", 1.6, 3.5)):
        yield Aim("glove", f"speed at {target} / hnswlib", speed(target), floor, aim)
        yield Aim("glove", f"speed at {target} / ScaNN", speed(target, "scann"), None, 1.0)
    for name in ("synth200k", "synth1m"):
        yield Aim(name, "speed at 0.95 / hnswlib", speed("0.95"), 2.2, 2.2)
        yield Aim(name, "speed at 0.95 / SymphonyQG", speed("0.95", "rabitqlib"), None, 1.25)
    for name in ("fashion", "glove", "synth200k", "synth1m"):
        yield Aim(name, "build, CPU s / hnswlib", build, 0.9, 0.35, lower=True)
        yield Aim(name, "build, 2 threads against 1", build_threads, 1.8, 1.9)
        yield Aim(name, "same graph with 2 threads", same_graph, 1, 1)
        yield Aim(name, "batch search, 2 threads against 1", search_threads, 1.8, 1.9)
        # The links of m = 16 alone take .64 of 50 float32 values and .25 of 128.
        floor = None if name == "glove" else 1.6
        less = 0.45 if name == "fashion" else None
        yield Aim(name, "memory / raw vectors", memory(OURS), floor, 1.6, lower=True)
        yield Aim(name, "small mode, memory / raw vectors", memory(SMALL), less, 0.40, lower=True)
        small = speed("0.95", ours=SMALL)
        yield Aim(name, "small mode, speed at 0.95 / hnswlib", small, None, 1.5)
    yield Aim("fashion", "10 % filter, queries/s", filtered("0.1"), 6000, 10_000)
    for share in ("0.01", "0.001"):
        yield Aim(
            "fashion", f"{float(share):.1%} filter / int8 scan", filtered(share, "scan"), None, 1.0
        )
    yield Aim("fashion", "one query a call, overhead, µs", overhead, 2.5, 1.5, lower=True)
    yield Aim("fashion", "open a saved index mapped, ms", mapped, 50, 20, lower=True)


def verdict(aim, value):
    """Return what the figure reaches: `aim`, `floor` or neither."""
    if value is None:
        return "not measured"
    reached = (lambda bound: value <= bound) if aim.lower else (lambda bound: value >= bound)
    if reached(aim.aim):
        return "aim"
    if aim.floor is None:
        return "short of the aim"
    return "floor" if reached(aim.floor) else "below"
