"""Seeds in batches, several at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_bool, check_int
from ruvector.graph import Graph
from ruvector.sampling._graph import node_list
from ruvector.sampling.blocks import Block, SampledBatch
from ruvector.sparse import CSR

__all__ = ["BatchSampler"]

Raw = list[
    tuple[
        npt.NDArray[np.int64],
        list[
            tuple[
                npt.NDArray[np.int64],
                npt.NDArray[np.int32],
                npt.NDArray[np.float32] | None,
                npt.NDArray[np.int64],
                npt.NDArray[np.float32] | None,
            ]
        ],
    ]
]

# Batches that are sampled in one call, and kept until they are asked for.
_AHEAD = 16


class BatchSampler(ABC):
    """What samplers of blocks have in common: the way seeds become batches."""

    def __init__(self, graph: Graph | CSR, seed: int) -> None:
        self.graph = graph
        self.seed = check_int(seed, "seed", low=0, high=2**64 - 1)

    @abstractmethod
    def _sample(self, seeds: tuple[npt.NDArray[np.int64], int, int]) -> Raw: ...

    def sample(self, seeds: npt.ArrayLike, *, number: int = 0) -> SampledBatch:
        """Sample the blocks that the outputs of `seeds` are computed from.

        Parameters
        ----------
        seeds : array_like of int, shape (S,)
            Nodes; may repeat.
        number : int
            Which draw this is: another number gives other neighbours, below 2⁵⁶.

        Returns
        -------
        SampledBatch
            Fresh arrays.

        Raises
        ------
        InvalidArgumentError
            Nodes that do not exist, a number out of range.
        InvalidTypeError
            Ids that are no integers.
        """
        nodes = node_list(seeds, self.graph, "seeds")
        key = check_int(number, "number", low=0, high=2**56 - 1)
        if not len(nodes):
            # Cut into batches, no seeds would be no batch; and an empty block needs no graph.
            raw = self._sample((np.zeros(1, np.int64), 1, key))
            empty = [
                Block(np.zeros(1, np.int64), np.zeros(0, np.int32), None, nodes)
                for _ in raw[0][1]
            ]  # fmt: skip
            return SampledBatch(tuple(empty), nodes)
        return _batch(self._sample((nodes, len(nodes), key)))[0]

    def batches(
        self,
        nodes: npt.ArrayLike | None = None,
        *,
        batch_size: int = 1024,
        shuffle: bool = True,
        epoch: int = 0,
    ) -> Iterator[tuple[npt.NDArray[np.int64], SampledBatch]]:
        """Go through nodes once, in batches of seeds.

        Parameters
        ----------
        nodes : array_like of int, optional
            The seeds; all nodes without it.
        batch_size : int
            Seeds of a batch; the last may have fewer.
        shuffle : bool
            Go through them in a random order, another one each epoch.
        epoch : int
            Another epoch gives other neighbours.

        Yields
        ------
        seeds : (S,) int64
        batch : SampledBatch
            16 batches are sampled in one call, on all threads. The same seed, epoch and nodes give
            the same batches for any number of threads.

        Raises
        ------
        InvalidArgumentError, InvalidTypeError
            As :meth:`sample`, before the first batch.
        """
        seeds = node_list(nodes, self.graph).copy()
        size = check_int(batch_size, "batch_size", low=1)
        first = check_int(epoch, "epoch", low=0, high=2**24 - 1) << 32
        if check_bool(shuffle, "shuffle"):
            np.random.Generator(np.random.PCG64([self.seed, epoch])).shuffle(seeds)
        return self._run(seeds, size, first)

    def _run(
        self, seeds: npt.NDArray[np.int64], size: int, first: int
    ) -> Iterator[tuple[npt.NDArray[np.int64], SampledBatch]]:
        step = size * _AHEAD
        for start in range(0, len(seeds), step):
            part = seeds[start : start + step]
            sampled = _batch(self._sample((part, size, first + start // size)))
            for i, batch in enumerate(sampled):
                yield part[i * size : (i + 1) * size], batch


def _batch(raw: Raw) -> list[SampledBatch]:
    return [
        SampledBatch(tuple(Block(*block) for block in blocks), positions)
        for positions, blocks in raw
    ]
