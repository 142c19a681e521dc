"""In-batch InfoNCE from a batch of 1,024 to one of 131,072: time and memory."""

from .cases import CASES, Case
from .run import measure as run

SIZES = tuple(1024 << k for k in range(8))
DIM = 128
PEERS_UP_TO = {"torch": 16_384, "jax": 16_384}  # beyond, the logits alone are gigabytes


def measure(*, threads, largest, sides, log, say):
    """Return each side's figures by batch."""
    figures = {}
    for rows in SIZES:
        if rows > largest:
            break
        able = [side for side in ("ours", "torch", "jax") if rows <= PEERS_UP_TO.get(side, rows)]
        case = Case(f"CLIP, B {rows}, d {DIM}", CASES["clip"].kind, (rows, DIM), tuple(able))
        # Where a call takes long, that which tells the memory suffices.
        case = case._replace(rounds=0 if rows > 16_384 else 1 if rows > 8192 else 3)
        figures[str(rows)] = run(case, threads, sides=sides, log=log, say=say)
    return {"threads": threads, "sides": figures}


def table(growth):
    clock = "cpu" if growth["threads"] == 1 else "wall"
    lines = ["| B | library | s | ns a pair | MiB | KiB a row |", "|---:|---|---:|---:|---:|---:|"]
    for rows, sides in growth["sides"].items():
        for side, figures in sides.items():
            if clock in figures:
                count, took, mib = int(rows), figures[clock], figures["mib"]
                cells = f"{took:.3g} | {took / count**2 * 1e9:.2f} | {mib:.4g}"
                lines.append(f"| {count} | {side} | {cells} | {mib * 1024 / count:.2f} |")
    return "\n".join(lines)


def draw(growth, folder):
    """Write losses-growth.svg."""
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ruvector"  # equal figures give equal files
    from matplotlib import pyplot as plt  # noqa: PLC0415

    clock = "cpu" if growth["threads"] == 1 else "wall"
    figure, both = plt.subplots(1, 2, figsize=(11, 4.5))
    for axes, key in zip(both, (clock, "mib"), strict=True):
        for side, style in (("ours", "k-o"), ("torch", "C0--o"), ("jax", "C1--o")):
            points = [
                (int(rows), sides[side][key])
                for rows, sides in growth["sides"].items()
                if key in sides.get(side, {})
            ]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=side)
        axes.set(xscale="log", yscale="log", xlabel=f"batch, d {DIM}")
        axes.set_xticks(SIZES, [f"{size // 1024}k" for size in SIZES])
        axes.xaxis.minorticks_off()
        axes.grid(alpha=0.3)
    both[0].set(ylabel=f"seconds, {growth['threads']} thread(s)")
    both[1].set(ylabel="MiB beyond inputs and gradients")
    both[0].legend()
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "losses-growth.svg", metadata={"Date": None})
    plt.close(figure)
