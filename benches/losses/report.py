"""Tables of what was measured."""

from .cases import CASES

NAMES = {"ours": "ruvector", "torch": "PyTorch", "compile": "torch.compile", "jax": "JAX"}
NAMES |= {"pml": "pytorch-metric-learning", "scipy": "SciPy `L @ Z`", "simsimd": "SimSIMD"}
NAMES |= {"sgemm": "bare sgemm"}


def seconds(figures, threads):
    """Return the processor's time for one thread, which others disturb least, else the wall's."""
    return figures.get("cpu" if threads == 1 else "wall")


def reached(goal, sides, threads):
    """Return how far a goal is reached, or nothing where a side is missing."""
    ours, peer = sides.get("ours", {}), sides.get(goal.peer, {})
    if goal.what == "MiB":
        return ours.get("mib")
    if goal.what == "seconds":
        return seconds(ours, threads)
    if goal.what == "memory":
        both = peer.get("mib"), ours.get("mib")
        return both[0] / max(both[1], 0.1) if None not in both else None
    both = seconds(peer, threads), seconds(ours, threads)
    return both[0] / both[1] if None not in both else None


def verdict(goal, value):
    def holds(bound):
        return value <= bound if goal.what in ("MiB", "seconds") else value >= bound

    return "aim" if holds(goal.aim) else "floor" if holds(goal.floor) else "below the floor"


def measured(every):
    """Yield case, threads and figures of each side."""
    for name, case in CASES.items():
        for threads in (1, 2):
            if sides := every.get(f"{name} {threads}"):
                yield case, threads, sides


def times(every):
    lines = [
        "| case | threads | library | ms | times ours | MiB beyond inputs and gradients |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for case, threads, sides in measured(every):
        for side, figures in sides.items():
            cells = [case.title, str(threads), NAMES[side]]
            took, own = seconds(figures, threads), seconds(sides.get("ours", {}), threads)
            if took is None:
                why = figures.get("unsupported") or figures.get("error") or "not timed"
                lines.append(f"| {' | '.join(cells)} | {why.splitlines()[0][:90]} | – | – |")
                continue
            ratio = f"{took / own:.3g}" if own else "–"
            cells += [f"{took * 1e3:,.4g}", ratio, f"{figures['mib']:,.4g}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def goals(every):
    lines = [
        "| case | threads | measure | reached | floor | aim | holds |",
        "|---|---:|---|---:|---:|---:|---|",
    ]
    for case, threads, sides in measured(every):
        for goal in case.goals:
            value = reached(goal, sides, threads)
            if goal.threads > threads:
                continue
            what = goal.what if goal.peer == "ours" else f"{goal.what}, {NAMES[goal.peer]} / ours"
            cells = [case.title, str(threads), what]
            if value is None:
                cells += ["–", f"{goal.floor:.3g}", f"{goal.aim:.3g}", "not measured"]
            else:
                holds = verdict(goal, value)
                cells += [f"{value:,.3g}", f"{goal.floor:.3g}", f"{goal.aim:.3g}", holds]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
