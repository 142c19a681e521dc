"""Value and gradients of each loss: ``pytest benches/bench_losses.py --benchmark-enable``."""

import numpy as np
import pytest
from ruvector import losses


def _normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _infonce():
    return losses.InfoNCELoss(), (_normal(4096, 128), _normal(4096, 128), _normal(4096, 64, 128))


def _inbatch():
    return losses.InBatchInfoNCELoss(), (_normal(4096, 128), _normal(4096, 128), None)


def _cca_ssg():
    return losses.CCASSGLoss(), (_normal(4096, 256), _normal(4096, 256))


def _rows(count, *shape):
    """Row numbers below `count`."""
    return np.random.default_rng(1).integers(0, count, shape)


def _named(loss, shapes, indices):
    """Return a loss with float inputs of these shapes and row numbers below and of a length."""
    return lambda: (
        loss,
        {name: _normal(*shape) for name, shape in shapes.items()}
        | {name: _rows(*size) for name, size in indices.items()},
    )


NODES, EDGES = 100_000, 500_000
TABLE = {"embeddings": (NODES, 128)}
ENDS = {"src": (NODES, EDGES), "dst": (NODES, EDGES)}
VIEWS = {"first": (4096, 256), "second": (4096, 256)}

CASES = {"infonce": _infonce, "inbatch_infonce": _inbatch, "cca_ssg": _cca_ssg}
CASES |= {
    loss.name: _named(loss, shapes, indices)
    for loss, shapes, indices in [
        (
            losses.AdjacencyReconstructionLoss(),
            {"embeddings": (4096, 128)},
            {"src": (4096, 20_000), "dst": (4096, 20_000)},
        ),
        (
            losses.EdgeReconstructionLoss(),
            TABLE,
            ENDS | {"negative_src": (NODES, EDGES), "negative_dst": (NODES, EDGES)},
        ),
        (
            losses.FeatureReconstructionLoss(),
            {"embeddings": (10_000, 128), "weight": (128, 1000), "bias": (1000,)}
            | {"target": (10_000, 1000)},
            {},
        ),
        (
            losses.DeepGraphInfomaxLoss(),
            {"states": (NODES, 128), "corrupted": (NODES, 128), "weight": (128, 128)},
            {},
        ),
        (losses.NodeClassificationLoss(), {"logits": (NODES, 64)}, {"labels": (64, NODES)}),
        (
            losses.GraphClassificationLoss(),
            TABLE | {"weight": (128, 10), "bias": (10,)},
            {"graphs": (1000, NODES), "labels": (10, 1000)},
        ),
        (losses.EdgeBCELoss(), {"logits": (EDGES,)}, {"labels": (2, EDGES)}),
        (losses.DistancePreservationLoss(), TABLE, ENDS | {"distances": (5, EDGES)}),
        (
            losses.AnglePreservationLoss(),
            TABLE,
            dict.fromkeys(("vertex", "first", "second"), (NODES, EDGES)) | {"cosines": (2, EDGES)},
        ),
        (losses.CurvatureLoss(), TABLE, ENDS | {"curvature": (2, EDGES)}),
        (losses.BarlowTwinsLoss(), VIEWS, {}),
        (losses.VICRegLoss(), VIEWS, {}),
    ]
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_grad(benchmark, name):
    loss, inputs = CASES[name]()
    if isinstance(inputs, dict):
        benchmark(loss.value_and_grad, **inputs)
        return
    out = [None if array is None else np.empty_like(array) for array in inputs]
    benchmark(loss.value_and_grad, *inputs, out=out)


@pytest.mark.parametrize("name", CASES)
def test_value(benchmark, name):
    loss, inputs = CASES[name]()
    if isinstance(inputs, dict):
        benchmark(loss, **inputs)
        return
    benchmark(loss, *inputs)
