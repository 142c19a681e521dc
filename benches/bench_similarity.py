"""Similarities beside NumPy, SimSIMD and torch (where they are installed), one thread each.

    OPENBLAS_NUM_THREADS=1 RUVECTOR_NUM_THREADS=1 \\
        pytest benches/bench_similarity.py --benchmark-enable --benchmark-group-by=group

Times are processor times, so that other work on the machine counts little. ``sgemm`` is NumPy's
bare product of the same two matrices, into an array that is there already.
"""

import time
from functools import cache, partial

import numpy as np
import pytest
from ruvector import similarity

ONE_TO_MANY = [(1, 1_000_000, 128), (8, 1_000_000, 128), (1, 100_000, 768)]
MANY_TO_MANY = [(2048, 2048, 128), (4096, 4096, 128), (4096, 4096, 768)]
TOP = [(1024, 100_000, 128)]

pytestmark = pytest.mark.benchmark(
    timer=time.process_time, min_rounds=5, max_time=0.5, warmup=True, warmup_iterations=1
)


@cache
def sides(n, m, d, dtype):
    rng = np.random.default_rng(0)
    if dtype == "int8":
        return rng.integers(-127, 128, (n, d), np.int8), rng.integers(-127, 128, (m, d), np.int8)
    a, b = rng.standard_normal((n, d), np.float32), rng.standard_normal((m, d), np.float32)
    return a.astype(dtype), b.astype(dtype)


def ours(metric, _dtype, a, b):
    return partial(getattr(similarity, f"{metric}_matrix"), a, b)


def numpy_way(metric, dtype, a, b):
    if dtype != "float32":
        pytest.skip("NumPy has no fast product of this type")

    def call():
        products = a @ b.T
        if metric == "cosine":
            products /= np.linalg.norm(a, axis=1)[:, None]
            products /= np.linalg.norm(b, axis=1)
        elif metric == "squared_l2":
            products *= -2
            products += np.einsum("ij,ij->i", a, a)[:, None]
            products += np.einsum("ij,ij->i", b, b)
        return products

    return call


def sgemm(metric, dtype, a, b):
    if (metric, dtype) != ("dot", "float32"):
        pytest.skip("a product of float32 alone")
    return partial(np.matmul, a, b.T, out=np.empty((len(a), len(b)), np.float32))


def simsimd_way(metric, _dtype, a, b):
    simsimd = pytest.importorskip("simsimd")
    names = {"dot": "inner", "cosine": "cosine", "squared_l2": "sqeuclidean"}
    return partial(simsimd.cdist, a, b, metric=names[metric], threads=1)


def torch_way(metric, dtype, a, b):
    torch = pytest.importorskip("torch")
    if dtype != "float32":
        pytest.skip("torch has no fast product of this type here")
    torch.set_num_threads(1)
    a, b = torch.from_numpy(a), torch.from_numpy(b)
    normal = torch.nn.functional.normalize
    return {
        "dot": lambda: a @ b.T,
        "cosine": lambda: normal(a) @ normal(b).T,
        "squared_l2": lambda: torch.cdist(a, b).square_(),
    }[metric]


SIDES = {
    "ours": ours,
    "numpy": numpy_way,
    "sgemm": sgemm,
    "simsimd": simsimd_way,
    "torch": torch_way,
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("metric", ["dot", "cosine", "squared_l2"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("shape", ONE_TO_MANY + MANY_TO_MANY, ids=str)
def test_matrix(benchmark, shape, dtype, metric, side):
    if shape in MANY_TO_MANY and side == "simsimd" and shape != MANY_TO_MANY[0]:
        pytest.skip("it compares pair by pair, so its time follows from the smallest shape")
    call = SIDES[side](metric, dtype, *sides(*shape, dtype))
    benchmark.group = f"{metric} {dtype} {shape}"
    n, m, d = shape
    benchmark(call)
    if benchmark.stats:
        benchmark.extra_info["gflops"] = 2e-9 * n * m * d / benchmark.stats["min"]


def top_by_numpy(metric, dtype, a, b, k):
    scores = numpy_way(metric, dtype, a, b)

    def call():
        values = scores()
        if metric != "squared_l2":
            values *= -1
        places = np.argpartition(values, k - 1, axis=1)[:, :k]
        return np.take_along_axis(values, places, 1)

    return call


def top_by_us(metric, _dtype, a, b, k):
    return partial(similarity.top_k, a, b, k, metric=metric)


@pytest.mark.parametrize("side", [top_by_us, top_by_numpy], ids=["ours", "numpy"])
@pytest.mark.parametrize("metric", ["dot", "cosine", "squared_l2"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("shape", TOP, ids=str)
def test_top(benchmark, shape, dtype, metric, side):
    call = side(metric, dtype, *sides(*shape, dtype), 10)
    benchmark.group = f"top 10 {metric} {dtype} {shape}"
    benchmark(call)
