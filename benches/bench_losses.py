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


CASES = {"infonce": _infonce, "inbatch_infonce": _inbatch, "cca_ssg": _cca_ssg}


@pytest.mark.parametrize("name", CASES)
def test_value_and_grad(benchmark, name):
    loss, inputs = CASES[name]()
    out = [None if array is None else np.empty_like(array) for array in inputs]
    benchmark(loss.value_and_grad, *inputs, out=out)


@pytest.mark.parametrize("name", CASES)
def test_value(benchmark, name):
    loss, inputs = CASES[name]()
    benchmark(loss, *inputs)
