"""A fixed number of nodes a layer, by importance."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_choice
from ruvector.graph import Graph
from ruvector.sampling._batches import BatchSampler, Raw
from ruvector.sampling._graph import adjacency_of
from ruvector.sampling.neighbors import layer_sizes
from ruvector.sparse import CSR

__all__ = ["LayerSampler"]


class LayerSampler(BatchSampler):
    """Samples the nodes of a layer together, by their importance for it.

    Where the neighbours of neighbours grow with every layer, these stay as many as asked for.

    Parameters
    ----------
    graph : Graph, or CSR of shape (n, n)
        The matrix that layers multiply by; of a Graph its ``normalized_adjacency()``.
    sizes : sequence of int
        Draws for each layer, that of the seeds first. Nodes may be drawn repeatedly, so that a
        layer has at most so many new ones.
    method : {"ladies", "fastgcn"}
        ``"ladies"``: of the columns in which a row of the outputs has an entry, with probability ∝
        the sum of the squares there. ``"fastgcn"``: of all columns, with probability ∝ the sum of
        squares of the whole column, the same for every layer; rows may be left without entries.
    seed : int
        Same seed, same batches, for any number of threads.

    Raises
    ------
    InvalidArgumentError
        A size or seed out of range, another method, no sizes.
    InvalidTypeError
        No graph.

    Notes
    -----
    Entries of a drawn column are multiplied by how often it was drawn over how often that was to be
    expected: ``block.matrix() @ x[block.nodes]`` has the expectation ``(A @ x)[outputs]``. Outputs
    are inputs too, with entries only where they were drawn. O(entries of the outputs' rows +
    draws · log) a layer, and once O(E) for ``"fastgcn"``.

    References
    ----------
    Chen, Ma and Xiao (2018), "FastGCN: Fast Learning with Graph Convolutional Networks via
    Importance Sampling".
    Zou et al. (2019), "Layer-Dependent Importance Sampling for Training Deep and Large Graph
    Convolutional Networks".

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> from ruvector.sampling import LayerSampler
    >>> ring = Graph.from_edges([[i, (i + 1) % 50] for i in range(50)])
    >>> batch = LayerSampler(ring, [8, 8], seed=1).sample([3, 20, 30])
    >>> [block.num_outputs for block in batch.blocks][-1]
    3
    >>> all(block.num_inputs - block.num_outputs <= 8 for block in batch.blocks)
    True
    """

    def __init__(
        self,
        graph: Graph | CSR,
        sizes: Sequence[int],
        *,
        method: Literal["ladies", "fastgcn"] = "ladies",
        seed: int = 0,
    ) -> None:
        super().__init__(graph, seed)
        self.sizes = layer_sizes(sizes, "sizes", allow_all=False)
        self.method = check_choice(method, "method", choices=("ladies", "fastgcn"))
        matrix = adjacency_of(graph)
        if isinstance(graph, Graph):
            matrix = graph.normalized_adjacency()
        self._parts = (matrix.indptr, matrix.indices)
        self._data = matrix.data.astype(np.float32, copy=False)
        self._importance = (
            _core.column_importance(self._parts, self._data) if method == "fastgcn" else None
        )

    def _sample(self, seeds: tuple[npt.NDArray[np.int64], int, int]) -> Raw:
        sizes = [size for size in self.sizes if size is not None]
        return _core.sample_layers(
            (self._parts, self._data), seeds, sizes, self._importance, self.seed
        )
