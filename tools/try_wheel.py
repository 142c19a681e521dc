#!/usr/bin/env python3
"""Installs a wheel into empty environments and uses it there.

    python tools/try_wheel.py WHEEL [PYTHON...]

For each interpreter PYTHON, by default this one, with the oldest NumPy that it has wheels of and we
claim, and with the newest. Fails at the first environment where something does not work.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

VERSION = "import sys; print(sys.version_info.minor)"
USE = """
import sys
import numpy as np
import ruvector
from ruvector.losses import InfoNCELoss

assert ruvector.__file__.startswith(sys.prefix), ruvector.__file__
rng = np.random.default_rng(0)
pairs = rng.integers(0, 200, (3000, 2))
graph = ruvector.Graph.from_edges(pairs[pairs[:, 0] % 4 == pairs[:, 1] % 4], num_nodes=200)
embeddings = ruvector.embed(graph, np.eye(200, dtype=np.float32), task="link", seed=0)
index = ruvector.HNSW(embeddings.shape[1], metric="cosine")
index.add(embeddings)
index.save("index.ruv")
found = ruvector.HNSW.load("index.ruv", mmap=True).search(embeddings, k=5).ids
share = (found[:, 1:] % 4 == np.arange(200)[:, None] % 4).mean()
assert share > 0.9, share
value = InfoNCELoss()(embeddings[:8], embeddings[8:16], embeddings[16:24])
assert np.isfinite(value)
print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}: works")
"""


def oldest(minor: int) -> str:
    first = {13: "2.1", 14: "2.3"}  # with wheels of that Python
    return f"numpy=={first.get(min(minor, 14), '1.26')}.*"


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    wheel = Path(sys.argv[1]).resolve()
    for base in sys.argv[2:] or [sys.executable]:
        told = subprocess.run([base, "-c", VERSION], check=True, capture_output=True, text=True)
        for numpy in (oldest(int(told.stdout)), "numpy"):
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([base, "-m", "venv", folder], check=True)
                scripts = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin")
                python = str(scripts / "python")
                pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
                only = ["--only-binary", ":all:", numpy, str(wheel)]
                subprocess.run([*pip, "install", *only], check=True)
                subprocess.run([python, "-c", USE], check=True, cwd=folder)
                subprocess.run([scripts / "ruvector", "--version"], check=True, cwd=folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
