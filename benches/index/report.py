"""Tables in Markdown of what was measured."""

from .aims import OURS, REFERENCE, SMALL, aims, build_of, divided, filtered_qps, qps, verdict
from .run import SHARES, TARGETS

GROWTH = ("synth50k", "synth200k", "synth1m")
BATCHES = [f"{target} batch" for target in TARGETS]


def number(value, form="{:.2f}", absent="–"):
    return absent if value is None else form.format(value)


def thousands(value):
    if value is None:
        return "–"
    return f"{value / 1000:.2f}k" if value < 10_000 else f"{value / 1000:.1f}k"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def measured(results):
    return {name: f for name, f in results["peers"].items() if "knobs" in f}


def best_peer(results, key, clock):
    """Return the most queries per second that a library other than ours does."""
    speeds = [qps(results, name, key, clock) for name in results["peers"]]
    others = zip(results["peers"], speeds, strict=True)
    return max((s for name, s in others if s and name not in (OURS, SMALL)), default=None)


def search_table(results, clock):
    rows = []
    for name, figures in measured(results).items():
        row = [name]
        for target in TARGETS:
            one, batch = (
                qps(results, name, f"{target} {how}", clock) for how in ("single", "batch")
            )
            knob = figures["knobs"][str(target)].get("knob", "–")
            row.append("–" if batch is None else f"{thousands(one)} / {thousands(batch)} ({knob})")
        row.append(thousands(qps(results, name, "0.95 batch, 2 threads", "wall")))
        for beside in (
            lambda key: qps(results, REFERENCE, key, clock),
            lambda key: best_peer(results, key, clock),
        ):
            ratios = [divided(qps(results, name, key, clock), beside(key)) for key in BATCHES]
            row.append(" / ".join(number(ratio) for ratio in ratios))
        rows.append(row)
    targets = [f"recall {target}" for target in TARGETS]
    head = ["library", *targets, "2 threads, .95", "× hnswlib", "× best peer"]
    return table(head, rows)


def build_table(results, clock):
    """Knobs and speeds stand beside the seconds: a cheaper build may have made a worse graph."""
    rows = []
    reference = build_of(results, REFERENCE).get("cpu_s")
    for name, figures in measured(results).items():
        one, same = build_of(results, name), figures.get("same_file")
        walls = [figures["build"].get(threads, {}).get("wall_s") for threads in ("1", "2")]
        rows.append(
            [
                name,
                number(one["cpu_s"]),
                number(divided(one["cpu_s"], reference)),
                " / ".join(map(number, walls)),
                {True: "yes", False: "no", None: "–"}[same],
                f"{one['held_mib']:.0f} ({one['held_mib'] / one['raw_mib']:.2f})",
                f"{one['peak_mib']:.0f}",
                " / ".join(str(knob.get("knob", "–")) for knob in figures["knobs"].values()),
                " / ".join(thousands(qps(results, name, key, clock)) for key in BATCHES),
            ]
        )
    head = ["library", "CPU s", "× hnswlib", "wall s, 1 / 2 threads", "same file"]
    return table([*head, "holds MiB (× raw)", "peak MiB", "knobs", "queries/s"], rows)


def rest_table(results, clock):
    rows = []
    for name, figures in measured(results).items():
        files = figures["files"]
        seconds = [number(files.get(key), "{:.3f}") for key in ("save_s", "load_s", "mapped_s")]
        row = [
            name,
            number(figures["overhead"].get("microseconds")),
            number(files.get("mib"), "{:.0f}"),
        ]
        row += seconds
        for share in SHARES:
            cell = figures["filtered"][str(share)]
            row.append(thousands(filtered_qps(cell, clock)))
        rows.append(row)
    scan = [thousands(filtered_qps(results["scan"].get(str(share)), clock)) for share in SHARES]
    rows.append(["int8 distances alone", "", "", "", "", "", *scan])
    head = ["library", "µs a call", "file MiB", "save s", "load s", "open mapped s"]
    return table([*head, *(f"{share:.1%} filter" for share in SHARES)], rows)


def sizes(every):
    """Return the results of the same data in growing numbers."""
    return [every[name] for name in GROWTH if name in every]


def growth(every, clock):
    """Yield each library with its build seconds and µs a query at .95, for each of the sizes."""
    of_sizes = sizes(every)
    for name in dict.fromkeys(name for results in of_sizes for name in measured(results)):
        built = [build_of(results, name).get("cpu_s") for results in of_sizes]
        speeds = [qps(results, name, "0.95 batch", clock) for results in of_sizes]
        yield name, built, [divided(1e6, speed) for speed in speeds]


def growth_table(every, clock):
    rows = [
        [name, " / ".join(map(number, built)), " / ".join(map(number, found))]
        for name, built, found in growth(every, clock)
    ]
    counts = " / ".join(f"{results['rows']:,}" for results in sizes(every))
    return table([counts, "build, CPU s", "µs a query at .95, batch, one thread"], rows)


def aims_table(every, clock):
    rows = []
    for aim in aims():
        if aim.data in every:
            value = aim.value(every[aim.data], clock)
            bounds = [number(aim.floor, "{:g}"), f"{aim.aim:g}"]
            rows.append([aim.data, aim.what, number(value), *bounds, verdict(aim, value)])
    return table(["data", "what", "figure", "floor", "aim", "reaches"], rows)


def reasons(results):
    """What is missing from the tables, and why."""
    lines = []
    for name, figures in results["peers"].items():
        if "skipped" in figures:
            lines.append(f"- {name}: skipped: {figures['skipped']}")
            continue
        parts = {f"recall {key}": value for key, value in figures["knobs"].items()}
        parts |= {f"filter {float(key):.1%}": value for key, value in figures["filtered"].items()}
        parts |= figures["search"] | {"files": figures["files"], "calls": figures["overhead"]}
        causes = {}
        for what, value in parts.items():
            why = value.get("unsupported") or value.get("error") or value.get("mapped_unsupported")
            if why:
                causes.setdefault(why, []).append(what)
        lines += [f"- {name}, {', '.join(whats)}: {why}" for why, whats in causes.items()]
    return "\n".join(lines) + "\n"


def report(every, clock):
    """Return the whole text for the results of several data sets, by name."""
    parts = ["## The index beside its peers\n"]
    for name, results in every.items():
        parts.append(f"### {name}, {results['rows']:,} × {results['dim']}, {results['metric']}\n")
        parts.append(
            f"{results['machine']}; commit {results['commit']}; {results['date']}; load "
            f"{results['load'][0]:.1f} to {results['load'][1]:.1f}; "
            f"{'wall' if clock == 'wall' else 'processor'} time. Queries a second: one a call / "
            "batch (knob), one thread.\n"
        )
        found = measured(results).items()
        parts.append(", ".join(f"{name} {f['version']}" for name, f in found) + ".\n")
        parts += [
            search_table(results, clock),
            build_table(results, clock),
            rest_table(results, clock),
        ]
        parts += [reasons(results)]
    if len(sizes(every)) > 1:
        parts += ["### Growth\n", growth_table(every, clock)]
    parts += ["### Against floors and aims\n", aims_table(every, clock)]
    return "\n".join(parts)
