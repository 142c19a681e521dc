"""What a layer is computed from."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.sparse import CSR

__all__ = ["Block", "SampledBatch"]


class Block(NamedTuple):
    """The edges of one layer, in numbers of its own.

    Output i of the layer is node ``nodes[i]``, and so is input i: outputs are the first inputs.

    Attributes
    ----------
    indptr : (num_outputs + 1,) int64
        The edges of output i are at ``indptr[i]:indptr[i + 1]``.
    indices : (E,) int32
        The inputs they come from, rising for each output.
    weights : (E,) float32, or None
        Of the edges; where None, every edge counts 1.
    nodes : (num_inputs,) int64
        The inputs' numbers in the graph.
    scale : (num_outputs,) float32, or None
        What rows are multiplied by in a sum, where not all of an output's edges were drawn: their
        number over that of those drawn. Where None, 1.
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32] | None
    nodes: npt.NDArray[np.int64]
    scale: npt.NDArray[np.float32] | None = None

    @property
    def num_outputs(self) -> int:
        """Rows of the block."""
        return len(self.indptr) - 1

    @property
    def num_inputs(self) -> int:
        """Columns of the block."""
        return len(self.nodes)

    def matrix(self, *, mean: bool = False) -> CSR:
        """Return the block as a (num_outputs, num_inputs) matrix, to multiply inputs by.

        The product has the expectation of the whole matrix's: edges that were drawn also stand for
        those that were not.

        Parameters
        ----------
        mean : bool
            Divide rows by the sums of their weights instead, which makes products means over
            neighbours. Rows without edges stay empty.
        """
        counts = np.diff(self.indptr)
        weights: npt.NDArray[Any] | None = self.weights
        if weights is None:
            weights = np.ones(len(self.indices), np.float32)
        factors: npt.NDArray[Any] | None = self.scale
        if mean:
            rows = np.repeat(np.arange(len(counts)), counts)
            sums = np.bincount(rows, weights, len(counts)).astype(np.float64)
            factors = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)
        if factors is not None:
            weights = (weights * np.repeat(factors, counts)).astype(np.float32)
        return CSR._of(
            self.indptr.copy(),
            self.indices.copy(),
            weights.copy(),
            (self.num_outputs, self.num_inputs),
        )


class SampledBatch(NamedTuple):
    """The blocks of all layers for some seeds.

    Attributes
    ----------
    blocks : tuple of Block
        First layer first; each one's inputs are the outputs of the one before.
    positions : (num_seeds,) int64
        Which output of the last block each seed is; repeated seeds share one.
    """

    blocks: tuple[Block, ...]
    positions: npt.NDArray[np.int64]

    @property
    def inputs(self) -> npt.NDArray[np.int64]:
        """The nodes whose features the first layer needs."""
        return self.blocks[0].nodes
