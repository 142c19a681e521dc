"""python -m index [--data fashion,glove,…] [--peers ruvector,hnswlib,…] [--quick] [--clock cpu]

Measures, keeps the figures as JSON in --results, a file a data set, and prints the tables of all
that lie there (with --report: only prints; with --figures FOLDER: draws).
"""

import argparse
import datetime
import json
import os
from pathlib import Path

from about import commit, machine, names, say

from . import data
from .peers import PEERS
from .report import report
from .run import Bench

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"rows": 5000, "rounds": 1, "seconds": 0.02, "builds": [2, 1]}
FULL = {"rows": None, "rounds": 3, "seconds": 0.5, "builds": [2, 1]}


def measure(name, peers, results, settings):
    given = data.load(name, settings["rows"])
    load = os.getloadavg()[0]
    say(f"{name}: {len(given.vectors)} × {given.vectors.shape[1]}")
    with (results / "libraries.log").open("a") as log:
        figures = Bench(name, peers, say=say, log=log, **settings).run()
    rows, dim = given.vectors.shape
    figures = {
        "data": name,
        "rows": rows,
        "dim": dim,
        "metric": given.metric,
        "machine": machine(),
        "commit": commit(ROOT),
        "date": f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        "load": [load, os.getloadavg()[0]],
        "settings": settings,
        **figures,
    }
    (results / f"{name}.json").write_text(json.dumps(figures, indent=1))


def main():
    parser = argparse.ArgumentParser(prog="index", description=__doc__)
    parser.add_argument("--data", default="", help=", ".join(data.NAMES))
    parser.add_argument("--peers", default="", help=", ".join(PEERS))
    parser.add_argument("--quick", action="store_true", help="few rows: tries the bench itself")
    parser.add_argument("--rows", type=int, help="take only the first ones")
    parser.add_argument("--one-build", action="store_true", help="with two threads alone")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="for the tables")
    parser.add_argument("--results", type=Path, default=ROOT / ".bench" / "index")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--figures", type=Path, help="draw into this folder")
    arguments = parser.parse_args()
    results = arguments.results / "quick" if arguments.quick else arguments.results
    results.mkdir(parents=True, exist_ok=True)
    settings = dict(QUICK if arguments.quick else FULL)
    if arguments.rows:
        settings["rows"] = arguments.rows
    if arguments.one_build:
        settings["builds"] = [2]
    if not arguments.report and not arguments.figures:
        for name in names(arguments.data, data.NAMES):
            measure(name, names(arguments.peers, PEERS), results, settings)
    files = [results / f"{name}.json" for name in data.NAMES]
    every = {path.stem: json.loads(path.read_text()) for path in files if path.exists()}
    if arguments.figures:
        from .figures import draw  # noqa: PLC0415 - matplotlib is slow to import

        draw(every, arguments.figures, arguments.clock)
    else:
        text = report(every, arguments.clock)
        (results / "report.md").write_text(text)
        print(text)


if __name__ == "__main__":
    main()
