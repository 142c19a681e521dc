"""Some neighbours of each node, layer by layer."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ruvector import _core
from ruvector.arrays import check_int
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.graph import Graph
from ruvector.sampling._batches import BatchSampler, Raw
from ruvector.sampling._graph import adjacency_of
from ruvector.sparse import CSR

__all__ = ["NeighborSampler"]

_ALL = 2**62


class NeighborSampler(BatchSampler):
    """Samples neighbours uniformly, without replacement, for each layer anew.

    Parameters
    ----------
    graph : Graph, or CSR of shape (n, n)
        A matrix is a directed graph: row i holds what node i is computed from. Blocks keep the
        weights of edges and the values of a matrix.
    fanouts : sequence of int or None
        Neighbours a node, a number for each layer, that of the seeds first; None for all of them.
        A node with no more neighbours than that gets all of them.
    seed : int
        Same seed, same batches, for any number of threads.

    Raises
    ------
    InvalidArgumentError
        A fan-out or seed out of range, no fan-outs.
    InvalidTypeError
        No graph.

    Notes
    -----
    O(1) an edge drawn, whatever the degree (Floyd's subset sampling). Every node that a layer needs
    is an output of the layer before, with neighbours of its own: so a block's outputs are all
    inputs of the next. A node without neighbours has an empty row.

    Of a node with 10 neighbours of which 4 are drawn, ``block.matrix()`` multiplies the weights by
    10/4: its product has the expectation of the whole matrix's, as that of
    :class:`LayerSampler` has. So sample for a :class:`~ruvector.encoders.GCN` from
    ``graph.normalized_adjacency()``. ``block.matrix(mean=True)``, and encoders that divide rows by
    their sums themselves, estimate the mean over all neighbours; without weights that is unbiased.

    Memory: 4 bytes a node of the graph and thread, beside the batches.

    References
    ----------
    Hamilton, Ying and Leskovec (2017), "Inductive Representation Learning on Large Graphs".

    Examples
    --------
    >>> from ruvector.graph import Graph
    >>> from ruvector.sampling import NeighborSampler
    >>> ring = Graph.from_edges([[i, (i + 1) % 6] for i in range(6)])
    >>> batch = NeighborSampler(ring, [None, 1]).sample([3, 3])
    >>> batch.positions.tolist()
    [0, 0]
    >>> batch.blocks[-1].nodes.tolist(), batch.blocks[-1].indptr.tolist()
    ([3, 2, 4], [0, 2])
    >>> batch.blocks[0].matrix().shape[0]
    3
    """

    def __init__(self, graph: Graph | CSR, fanouts: Sequence[int | None], *, seed: int = 0) -> None:
        super().__init__(graph, seed)
        matrix = adjacency_of(graph)
        plain = graph.weights is None if isinstance(graph, Graph) else (matrix.data == 1).all()
        weights = None if plain else matrix.data.astype(np.float32, copy=False)
        self._parts = ((matrix.indptr, matrix.indices), weights)
        self.fanouts = layer_sizes(fanouts, "fanouts", allow_all=True)

    def _sample(self, seeds: tuple[npt.NDArray[np.int64], int, int]) -> Raw:
        sizes = [_ALL if fanout is None else fanout for fanout in self.fanouts]
        return _core.sample_neighbors(self._parts, seeds, sizes, self.seed)


def layer_sizes(sizes: object, name: str, *, allow_all: bool) -> tuple[int | None, ...]:
    """Return a size for each layer."""
    if not isinstance(sizes, (list, tuple, np.ndarray)):
        raise InvalidTypeError(
            f"{name} is a {type(sizes).__name__} but must be a list with a number for each layer"
        )
    if len(sizes) == 0:
        raise InvalidArgumentError(f"{name} is empty but needs a number for each layer")
    return tuple(
        None
        if size is None and allow_all
        else check_int(size, f"{name}[{i}]", low=0 if allow_all else 1, high=2**31)
        for i, size in enumerate(sizes)
    )
