"""What the trainer needs from an objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ruvector.autograd import Variable
from ruvector.encoders import Encoder, LayeredEncoder, Messages, Weights
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["BlockSampler", "Knobs", "Objective", "Run", "Step", "read_blocks"]

#: From the trainable arrays to the loss of one batch, by name; the total is their sum.
Step = Callable[[Mapping[str, Variable]], dict[str, Variable]]


class Knobs(NamedTuple):
    """What a training may change of an objective while it goes on; None is the objective's own.

    Attributes
    ----------
    temperature : float or None
    num_negatives : int or None
        Mined negatives of an anchor.
    num_neighbors : int or None
        Neighbours sampled of a node.
    threshold : float or None
        The difficulty, 0 to 1, above which items are left out.
    """

    temperature: float | None = None
    num_negatives: int | None = None
    num_neighbors: int | None = None
    threshold: float | None = None


class Run(Protocol):
    """One training: an objective with its graph, encoder and random streams.

    A training without schedules, curriculum and checkpoints calls only :meth:`epoch`.

    Attributes
    ----------
    parameters : dict of str to ndarray
        Weights of its own, by names that begin with ``objective.``. The trainer trains them along
        with the encoder's and keeps them beside those.
    """

    parameters: Weights

    @property
    def steps_per_epoch(self) -> int:
        """How many steps :meth:`epoch` yields."""
        ...

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        """Yield the steps of epoch `number`, counted from 0; `weights` are those at its start.

        What is random is drawn before a step is yielded, not when it is called: a training that
        goes on in the middle of an epoch passes over steps without calling them.
        """
        ...

    @property
    def samples_per_epoch(self) -> int:
        """How many items an epoch shows."""
        ...

    def adjust(self, knobs: Knobs) -> set[str]:
        """Go on with these settings; return the names of those that mean something here."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what the next epochs depend on: plain JSON values, and arrays in ``arrays``."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        ...


class Objective(Protocol):
    """Where batches come from and which losses they pay."""

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> Run:
        """Prepare a training; the same seed gives the same one."""
        ...


class BlockSampler(Protocol):
    """Draws the surroundings that the embeddings of some nodes are computed from."""

    def sample(self, seeds: npt.NDArray[np.int64], *, number: int) -> Any:
        """Return ``blocks``, ``inputs`` and ``positions`` of draw `number`.

        ``block.matrix()`` of each block, the first layer's first, is what
        :meth:`LayeredEncoder.block_inputs` takes; ``inputs`` are the nodes that the first layer
        reads, and ``positions`` tells for each seed its row of the last block.
        """
        ...


def read_blocks(
    sampler: BlockSampler,
    encoder: Encoder,
    features: Features,
    nodes: npt.NDArray[np.int64],
    *,
    number: int,
) -> tuple[Messages, npt.NDArray[np.int64]]:
    """Return what the encoder reads to embed `nodes`, and their rows in what it returns."""
    if not isinstance(encoder, LayeredEncoder):
        raise InvalidArgumentError(
            f"{type(encoder).__name__} reads whole graphs; leave sampler out, or take GraphSAGE"
        )
    batch = sampler.sample(nodes, number=number)
    rows = features.take_rows(batch.inputs) if isinstance(features, CSR) else features[batch.inputs]
    return encoder.block_inputs([block.matrix() for block in batch.blocks], rows), batch.positions
