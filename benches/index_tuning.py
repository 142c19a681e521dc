"""What the index's parameters bring, as figures and tables of docs/index-tuning.md.

    python benches/index_tuning.py measure DATA    measures, DATA being fashion_mnist.npz
    python benches/index_tuning.py write           draws docs/figures/*.svg, fills in the tables

Measuring writes docs/figures/index-tuning.json, from which all numbers of the page come. Speed is
by this process's processor time on one thread, which other processes disturb least.
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
from ruvector.index import HNSW, FlatIndex
from ruvector.runtime import simd_level, use_threads

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "index-tuning.md"
FIGURES = ROOT / "docs" / "figures"
RESULTS = FIGURES / "index-tuning.json"

ROWS, QUERIES, K = 60_000, 500, 10
EFS = (10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 400)
DEFAULT = {"m": 16, "ef_construction": 200, "storage": "float32"}
VARIED = {"m": (8, 32), "ef_construction": (50, 100, 400), "storage": ("float16", "int8")}
SETTINGS = [DEFAULT, *(DEFAULT | {name: value} for name in VARIED for value in VARIED[name])]
PASSES = 7
TARGETS = (0.95, 0.99, 0.999)
# A block of the page that `write` fills in.
BLOCK = re.compile(r"(<!-- measured: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def machine():
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores, SIMD {simd_level()}"


def commit():
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def seconds_of(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def build(vectors, setting):
    index = HNSW(vectors.shape[1], metric="l2", **setting)
    seconds = seconds_of(lambda: index.add(vectors))
    sizes = {k: v for k, v in index.stats()._asdict().items() if k.startswith("bytes_")}
    return index, {**setting, "seconds": seconds, **sizes}


def measure(path):
    with np.load(path) as data:
        vectors = np.asarray(data["x_train"][:ROWS], np.float32).reshape(ROWS, -1)
        queries = np.asarray(data["x_test"][:QUERIES], np.float32).reshape(QUERIES, -1)
    exact = FlatIndex(vectors.shape[1], metric="l2")
    exact.add(vectors)
    with use_threads(1):
        truth = exact.search(queries, K).ids
        built = [build(vectors, setting) for setting in SETTINGS]
        speeds = {}
        # Passes take turns, so that a disturbance meets all settings.
        for _ in range(PASSES):
            for number, (index, _) in enumerate(built):
                for ef in EFS:
                    seconds = seconds_of(lambda ef=ef, index=index: index.search(queries, K, ef=ef))
                    speeds.setdefault((number, ef), []).append(QUERIES / seconds)
        for number, (index, figures) in enumerate(built):
            figures["curve"] = []
            for ef in EFS:
                found = index.search(queries, K, ef=ef).ids
                hits = sum(len(np.intersect1d(*row)) for row in zip(found, truth, strict=True))
                speed = statistics.median(speeds[number, ef])
                point = {"ef": ef, "recall": hits / truth.size, "queries_per_second": speed}
                figures["curve"].append(point)
    return {
        "data": f"the {ROWS:,} training images of Fashion-MNIST, {vectors.shape[1]} dimensions, l2",
        "dim": vectors.shape[1],
        "rows": ROWS,
        "queries": QUERIES,
        "k": K,
        "machine": machine(),
        "commit": commit(),
        "date": f"{datetime.datetime.now():%Y-%m-%d}",
        "builds": [figures for _, figures in built],
    }


def at_recall(build, target):
    """The first point of a curve that reaches the recall."""
    return next((p for p in build["curve"] if p["recall"] >= target), None)


def table(header, rows):
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def speeds(build):
    cells = []
    for target in TARGETS:
        point = at_recall(build, target)
        cells.append(f"{point['queries_per_second']:,.0f} ({point['ef']})" if point else "–")
    return cells


def varying(results, name):
    """The builds that differ from the default in this parameter alone, and the default's."""
    others = {key: value for key, value in DEFAULT.items() if key != name}
    builds = [b for b in results["builds"] if others.items() <= b.items()]
    return sorted(builds, key=lambda b: b[name])


def settings_table(results, name):
    """One row for each value of a parameter."""
    rows = []
    for figures in varying(results, name):
        links = (figures["bytes_links"] + figures["bytes_upper"]) / results["rows"]
        rows.append((figures[name], f"{figures['seconds']:.1f}", f"{links:.0f}", *speeds(figures)))
    names = [f"queries/s at recall {target:g} (ef)" for target in TARGETS]
    return table((f"`{name}`", "build, s", "links, bytes a vector", *names), rows)


def storage_table(results):
    rows = []
    for figures in varying(results, "storage"):
        size = sum(v for k, v in figures.items() if k.startswith("bytes_")) / results["rows"]
        share = size / (4 * results["dim"])
        most = max(point["recall"] for point in figures["curve"])
        rows.append((f'`"{figures["storage"]}"`', f"{size:,.0f}", f"{share:.2f}",
                     f"{figures['seconds']:.1f}", f"{most:.4f}", *speeds(figures)))  # fmt: skip
    names = [f"queries/s at recall {target:g} (ef)" for target in TARGETS]
    sizes = ("bytes a vector", "of float32 vectors")
    return table(("`storage`", *sizes, "build, s", f"recall at ef {EFS[-1]}", *names), rows)


def ef_table(results):
    (figures,) = (f for f in results["builds"] if DEFAULT.items() <= f.items())
    rows = [
        (p["ef"], f"{p['recall']:.4f}", f"{p['queries_per_second']:,.0f}") for p in figures["curve"]
    ]
    return table(("`ef`", f"recall@{results['k']}", "queries/s"), rows)


def source(results):
    return (
        f"Measured on {results['data']}, {results['queries']:,} queries, "
        f"{results['k']} neighbours, one thread in one batch, seconds of processor time; "
        f"{results['machine']}; {results['date']}, commit {results['commit']}.\n"
    )


def memory_table(results):
    rows = []
    for figures in varying(results, "m"):
        parts = {k[6:]: v / results["rows"] for k, v in figures.items() if k.startswith("bytes_")}
        rest = parts["ids"] + parts["nodes"]
        names = ("vectors", "codes", "links", "upper")
        cells = (*(parts[name] for name in names), rest, sum(parts.values()))
        rows.append((figures["m"], *(f"{cell:,.0f}" for cell in cells)))
    parts = ("vectors", "codes", "links of level 0", "links above", "ids, levels")
    return table(("`m`", *parts, "all"), rows)


BLOCKS = {
    "source": source,
    "ef": ef_table,
    "m": lambda results: settings_table(results, "m"),
    "ef-construction": lambda results: settings_table(results, "ef_construction"),
    "storage": storage_table,
    "memory": memory_table,
}


def filled(text, results):
    """The page with its blocks made from `results`."""
    return BLOCK.sub(lambda match: match[1] + BLOCKS[match[2]](results) + match[3], text)


def draw(results):
    import matplotlib as mpl  # noqa: PLC0415 - only drawing needs it

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ruvector"  # equal figures give equal files
    from matplotlib import pyplot as plt  # noqa: PLC0415

    for name in ("m", "ef_construction"):
        figure, axes = plt.subplots(figsize=(6, 4))
        for build in varying(results, name):
            points = [point for point in build["curve"] if point["recall"] < 1]
            lost = [1 - point["recall"] for point in points]
            speed = [point["queries_per_second"] for point in points]
            axes.plot(lost, speed, marker="o", markersize=3, label=f"{name} = {build[name]}")
        marks = (0.2, 0.1, 0.05, 0.01, 0.001, 0.0001)
        axes.set(xscale="log", yscale="log", xlabel=f"recall@{results['k']}")
        axes.set_ylabel("queries a second, one thread")
        axes.set_xticks(marks, [f"{1 - mark:g}" for mark in marks])
        axes.minorticks_off()
        axes.invert_xaxis()
        axes.grid(alpha=0.3)
        axes.legend()
        figure.tight_layout()
        path = FIGURES / f"index-{name.replace('_', '-')}.svg"
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("measure").add_argument("data", type=Path)
    verbs.add_parser("write")
    arguments = parser.parse_args()
    FIGURES.mkdir(parents=True, exist_ok=True)
    if arguments.verb == "measure":
        results = measure(arguments.data)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    else:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
        draw(results)


if __name__ == "__main__":
    main()
