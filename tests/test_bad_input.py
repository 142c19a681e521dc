"""What nobody should pass, passed to every public entry that takes arrays.

Each entry is a call that works when given `good`; each kind of bad array must raise an exception of
ruvector's own, or of the built-in kind that it derives from, never anything else.
"""

import os
import subprocess

import numpy as np
import pytest
import ruvector
from ruvector import heads, losses, mining, objectives, optim, similarity
from ruvector.errors import RuvectorError

GRAPH = ruvector.Graph.from_edges([[i, (i + 1) % 6] for i in range(6)])


def _index(vectors, kind=ruvector.HNSW):
    index = kind(3)
    index.add(vectors)
    return index


def _searched(queries, kind=ruvector.HNSW):
    return _index(np.eye(3, dtype=np.float32), kind).search(queries, 2)


def _fit(features):
    return ruvector.Trainer(ruvector.SmoothedLinear(dim=2), epochs=1).fit(GRAPH, features)


def _views(features):
    trainer = ruvector.Trainer(
        ruvector.PropagatedLinear(dim=2), objectives.ViewCorrelation(), epochs=1
    )
    return trainer.fit(GRAPH, features)


def _step(gradient):
    weights = np.ones((6, 3), np.float32)
    optimizer = optim.Adam({"w": weights})
    try:
        optimizer.step({"w": gradient})
    finally:
        changed = not np.array_equal(weights, np.ones((6, 3)))
    assert changed


FLOATS = {
    "HNSW.add": _index,
    "HNSW.search": _searched,
    "FlatIndex.add": lambda x: _index(x, ruvector.FlatIndex),
    "FlatIndex.search": lambda x: _searched(x, ruvector.FlatIndex),
    "smooth": lambda x: ruvector.smooth(GRAPH, x, dim=2),
    "embed": lambda x: ruvector.embed(GRAPH, x, task="link"),
    "Trainer.fit, edges": _fit,
    "Trainer.fit, views": _views,
    "InfoNCELoss": lambda x: losses.InfoNCELoss()(x, x, x),
    "InfoNCELoss.value_and_grad": lambda x: losses.InfoNCELoss().value_and_grad(x, x, x),
    "InBatchInfoNCELoss": lambda x: losses.InBatchInfoNCELoss()(x, x),
    "InBatchInfoNCELoss.value_and_grad": lambda x: losses.InBatchInfoNCELoss().value_and_grad(x, x),
    "CCASSGLoss": lambda x: losses.CCASSGLoss()(x, x),
    "NodeClassificationLoss": lambda x: losses.NodeClassificationLoss()(x, [0] * 6),
    "GraphClassificationLoss": lambda x: losses.GraphClassificationLoss()(
        x, graphs=[0] * 6, labels=[0]
    ),
    "FeatureReconstructionLoss": lambda x: losses.FeatureReconstructionLoss()(
        x, np.ones((3, 2)), None, np.ones((6, 2))
    ),
    "DeepGraphInfomaxLoss": lambda x: losses.DeepGraphInfomaxLoss()(x, x, np.ones((3, 3))),
    "AdjacencyReconstructionLoss": lambda x: losses.AdjacencyReconstructionLoss()(x, [0], [1]),
    "EdgeReconstructionLoss": lambda x: losses.EdgeReconstructionLoss()(x, [0], [1], [2], [3]),
    "DistancePreservationLoss": lambda x: losses.DistancePreservationLoss()(x, [0], [1], [1.0]),
    "AnglePreservationLoss": lambda x: losses.AnglePreservationLoss()(x, [0], [1], [2], [0.5]),
    "CurvatureLoss": lambda x: losses.CurvatureLoss()(x, [0], [1], [0.1]),
    "BarlowTwinsLoss": lambda x: losses.BarlowTwinsLoss()(x, x),
    "VICRegLoss": lambda x: losses.VICRegLoss()(x, x),
    "heads.linear": lambda x: heads.linear(x, np.ones((3, 2))),
    "heads.pool": lambda x: heads.pool(x, [0] * 6),
    "HardNegativeMiner.mine": lambda x: mining.HardNegativeMiner(k=1).mine(x),
    "cosine_matrix": lambda x: similarity.cosine_matrix(x, x),
    "Adam.step": _step,
}
GOOD = np.arange(18, dtype=np.float32).reshape(6, 3) + 1

BAD_FLOATS = {
    "strings": np.array([["a", "b", "c"]] * 6),
    "objects": np.array([[None, 1, 2]] * 6, dtype=object),
    "ragged": [[1.0, 2.0, 3.0], [1.0]],
    "a number": 1.0,
    "four dimensions": np.ones((2, 2, 2, 2), np.float32),
    "NaN": np.where(np.arange(18).reshape(6, 3) == 7, np.nan, GOOD),
    "infinity": np.where(np.arange(18).reshape(6, 3) == 7, np.inf, GOOD),
    "no columns": np.empty((6, 0), np.float32),
}
# The similarities of vectors without values are 0, as NumPy's product has them.
PASSES = {("no columns", "cosine_matrix")}

EDGES = {
    "strings": np.array([["0", "1"]]),
    "floats": np.array([[0.5, 1.0]]),
    "out of range": [[0, 9]],
    "negative": [[0, -1]],
    "three columns": [[0, 1, 2]],
    "ragged": [[0, 1], [2]],
    "beyond int64": np.array([[0, 2**63]], np.uint64),
    "not an array": {"a": 1},
}


@pytest.mark.parametrize("entry", FLOATS)
def test_every_entry_takes_what_is_good(entry):
    FLOATS[entry](GOOD)


@pytest.mark.parametrize("entry", FLOATS)
@pytest.mark.parametrize("kind", BAD_FLOATS)
def test_bad_floats_are_refused(entry, kind):
    if (kind, entry) in PASSES:
        FLOATS[entry](BAD_FLOATS[kind])
        return
    with pytest.raises(RuvectorError) as caught:
        FLOATS[entry](BAD_FLOATS[kind])
    assert isinstance(caught.value, (ValueError, TypeError))
    if kind in ("NaN", "infinity") and entry != "Adam.step":
        assert "row 2" in str(caught.value)


@pytest.mark.parametrize("kind", EDGES)
def test_bad_edges_are_refused(kind):
    with pytest.raises(RuvectorError):
        ruvector.Graph.from_edges(EDGES[kind], num_nodes=5)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB, unmounted afterwards."""
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"mounting a small disk is not allowed here: {done.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_leaves_what_was_there(small_disk):
    path = small_disk / "index.ruvector"
    small = _index(np.eye(3, dtype=np.float32))
    small.save(path)
    large = ruvector.HNSW(64)
    large.add(np.random.default_rng(0).standard_normal((500, 64), np.float32))
    with pytest.raises(OSError, match="No space left"):
        large.save(path)
    assert len(ruvector.HNSW.load(path)) == len(small)
    graph = ruvector.Graph.from_edges(
        np.random.default_rng(0).integers(0, 99_999, (50_000, 2)), num_nodes=100_000
    )
    with pytest.raises(OSError, match="No space left"):
        graph.save_npz(small_disk / "graph.npz")
    assert os.listdir(small_disk) == ["index.ruvector"]  # noqa: PTH208
