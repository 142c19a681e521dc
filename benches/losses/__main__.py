"""python -m losses [--cases explicit,clip,…] [--sides ours,torch,…] [--threads 1,2]

Measures value and gradients of losses beside other libraries and prints the tables; figures are
kept as JSON in --results, so that a part can be measured anew (with --report: only prints).
"""

import argparse
import json
import os
from pathlib import Path

from about import commit, machine, names, say

from . import growth, limits
from .cases import CASES
from .report import goals, times
from .run import measure
from .sides import MODULES

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("cases", "limits", "growth")


def report(figures):
    parts = [
        f"{figures.get('machine')}, commit {figures.get('commit')}, load {os.getloadavg()[0]:.1f}"
    ]
    if figures.get("cases"):
        parts += [times(figures["cases"]), goals(figures["cases"])]
    if figures.get("limits"):
        parts.append(limits.table(figures["limits"]))
    if figures.get("growth"):
        parts.append(growth.table(figures["growth"]))
    return "\n\n".join(parts)


def main():
    parser = argparse.ArgumentParser(prog="losses", description=__doc__)
    parser.add_argument("--cases", default="", help=", ".join(CASES))
    parser.add_argument("--sides", default="", help=", ".join(MODULES))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, help="instead of those of the cases")
    parser.add_argument("--parts", default="", help=", ".join(PARTS))
    parser.add_argument("--largest", type=int, default=131_072, help="batch of the growth")
    parser.add_argument("--results", type=Path, default=ROOT / ".bench" / "losses")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--figures", type=Path, help="draw into this folder")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    kept = arguments.results / "figures.json"
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    parts = arguments.parts or ("cases" if arguments.cases else "")
    sides, parts = names(arguments.sides, MODULES), names(parts, PARTS)
    threads = [int(count) for count in arguments.threads.split(",")]
    if not arguments.report:
        figures |= {"machine": machine(), "commit": commit(ROOT)}
        with (arguments.results / "libraries.log").open("a") as log:
            for name in names(arguments.cases, CASES) if "cases" in parts else ():
                case = CASES[name]
                case = case._replace(rounds=arguments.rounds or case.rounds)
                for count in threads:
                    found = measure(case, count, sides=sides, log=log, say=say)
                    known = figures.setdefault("cases", {}).setdefault(f"{name} {count}", {})
                    known |= found
                    kept.write_text(json.dumps(figures, indent=1))
            if "limits" in parts:
                figures["limits"] = limits.measure(say)
            if "growth" in parts:
                options = {"threads": threads[-1], "largest": arguments.largest}
                figures["growth"] = growth.measure(sides=sides, log=log, say=say, **options)
        kept.write_text(json.dumps(figures, indent=1))
    if arguments.figures and figures.get("growth"):
        growth.draw(figures["growth"], arguments.figures)
    text = report(figures)
    (arguments.results / "report.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
