"""SciPy's sparse product `L @ Z`: half a Laplacian's gradient, without its value."""

import numpy as np
from ruvector.graph import Graph
from ruvector.spectral import laplacian as laplacian_of


def laplacian(inputs, _threads):
    z, ends = inputs
    matrix = laplacian_of(Graph.from_edges(ends, len(z))).astype(np.float32).to_scipy()
    return lambda: matrix @ z
