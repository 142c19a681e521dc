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


def _ewc():
    return losses.EWCLoss(), (_normal(10_000_000), _normal(10_000_000), _normal(10_000_000) ** 2)


def _laplacian():
    # Beside SciPy, and on larger graphs, in bench_laplacian.py.
    src, dst = np.random.default_rng(1).integers(0, 10_000, (2, 100_000))
    return losses.LaplacianLoss(), (_normal(10_000, 128), src, dst)


def _norm():
    return losses.NormLoss(), (_normal(100_000, 128),)


def _orthogonality():
    return losses.OrthogonalityLoss(), (_normal(16_384, 256),)


def _sparsity():
    return losses.SparsityLoss("huber"), (_normal(100_000, 128),)


CASES = {"infonce": _infonce, "inbatch_infonce": _inbatch, "cca_ssg": _cca_ssg}
CASES |= {
    "ewc": _ewc,
    "laplacian": _laplacian,
    "norm": _norm,
    "orthogonality": _orthogonality,
    "sparsity": _sparsity,
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_grad(benchmark, name):
    loss, inputs = CASES[name]()
    out = list(loss.value_and_grad(*inputs).gradients)
    benchmark(loss.value_and_grad, *inputs, out=out)


@pytest.mark.parametrize("name", CASES)
def test_value(benchmark, name):
    loss, inputs = CASES[name]()
    benchmark(loss, *inputs)
