"""The Laplacian beside SciPy: ``pytest benches/bench_laplacian.py --benchmark-enable``.

Random edges, ten a node, 128 columns, float32. SciPy multiplies `L @ Z` on one thread, which is
half the gradient without the value; making `L`, like making a `Graph`, is left out on both sides.
Sizes: ``RUVECTOR_BENCH_EDGES=100000,1000000,10000000``.
"""

import os

import numpy as np
import pytest
from ruvector.graph import Graph
from ruvector.losses import LaplacianLoss
from ruvector.spectral import laplacian

SIZES = [int(size) for size in os.environ.get("RUVECTOR_BENCH_EDGES", "100000,1000000").split(",")]


@pytest.fixture(scope="module", params=SIZES)
def case(request):
    rng = np.random.default_rng(0)
    nodes = request.param // 10
    ends = rng.integers(0, nodes, (request.param, 2))
    graph = Graph.from_edges(ends, nodes)
    z = rng.standard_normal((nodes, 128), np.float32)
    return graph, z


def test_graph(benchmark, case):
    graph, z = case
    loss = LaplacianLoss()
    out = [np.empty_like(z)]
    loss.value_and_grad(z, graph=graph, out=out)
    benchmark(loss.value_and_grad, z, graph=graph, out=out)


def test_graph_value_alone(benchmark, case):
    graph, z = case
    benchmark(LaplacianLoss(), z, graph=graph)


def test_edges(benchmark, case):
    graph, z = case
    src, dst = graph.edges.T.copy()
    out = [np.empty_like(z)]
    benchmark(LaplacianLoss().value_and_grad, z, src, dst, out=out)


def test_scipy(benchmark, case):
    pytest.importorskip("scipy")
    graph, z = case
    matrix = laplacian(graph).astype(np.float32).to_scipy()
    benchmark(matrix.__matmul__, z)
