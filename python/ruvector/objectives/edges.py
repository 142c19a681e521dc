"""Nodes that share an edge should be embedded near each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int
from ruvector.autograd import Variable, constant, gather, loss_node, reshape, take_slice
from ruvector.encoders import Encoder, Weights
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.losses import InBatchInfoNCELoss, InfoNCELoss
from ruvector.mining import HardNegativeMiner, MinedNegatives
from ruvector.objectives.base import Step
from ruvector.smoothing import Features
from ruvector.sparse import CSR

__all__ = ["EdgeContrast"]

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EdgeContrast:
    """Contrast the ends of every edge with other nodes.

    A batch is a set of edges, each turned at random into an anchor and its positive; the other
    positives of the batch are the negatives, except those known to be neighbours of the anchor.

    An edge that is a positive must not also carry messages: an encoder that averages over
    neighbours would find it already near and learn nothing that helps with edges it has not seen.
    So the edges are cut into folds, and a fold's positives are embedded from the graph without it.

    Parameters
    ----------
    loss : InBatchInfoNCELoss
        Between anchors and positives.
    batch_size : int
        Edges a step.
    folds : int
        Parts that the edges are cut into; 1 leaves every edge in the graph it is embedded from.
    miner : HardNegativeMiner, optional
        Finds nodes that are near an anchor without being neighbours. A node's candidates are
        renewed every `refresh` epochs, after a first epoch without any.
    mined_loss : InfoNCELoss, optional
        Between anchors, positives and mined negatives; added to `loss`.
    num_mined : int
        Candidates drawn for an anchor at a step.
    refresh : int
        Epochs between two searches.

    References
    ----------
    van den Oord, Li and Vinyals (2018), "Representation Learning with Contrastive Predictive
    Coding", arXiv:1807.03748.
    """

    loss: InBatchInfoNCELoss = field(
        default_factory=lambda: InBatchInfoNCELoss(temperature=0.1, mode="oneway")
    )
    batch_size: int = 512
    folds: int = 5
    miner: HardNegativeMiner | None = None
    mined_loss: InfoNCELoss = field(default_factory=lambda: InfoNCELoss(temperature=0.1))
    num_mined: int = 8
    refresh: int = 2

    def __post_init__(self) -> None:
        for name in ("batch_size", "folds", "num_mined", "refresh"):
            check_int(getattr(self, name), name, low=1)
        for name in ("loss", "mined_loss"):
            if getattr(self, name).reduction == "none":
                raise InvalidArgumentError(f"{name} has reduction 'none'; use 'mean' or 'sum'")

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Run:
        if graph.num_edges == 0:
            raise InvalidArgumentError(
                "graph has no edges to learn from; use ruvector.smooth, or give edges"
            )
        return _Run(self, encoder, weights, graph, features, np.random.default_rng(seed))


class _Run:
    def __init__(  # noqa: PLR0917  (called once, just above)
        self,
        objective: EdgeContrast,
        encoder: Encoder,
        weights: Weights,
        graph: Graph,
        features: Features,
        rng: np.random.Generator,
    ) -> None:
        self.objective = objective
        self.encoder = encoder
        self.graph = graph
        self.adjacency = graph.adjacency()
        self.rng = rng
        self.whole = encoder.inputs(weights, graph, features)
        self.mined: MinedNegatives | None = None
        folds = min(objective.folds, graph.num_edges)
        order = rng.permutation(graph.num_edges)
        self.folds = np.array_split(order, folds)
        self.inputs = [
            encoder.inputs(weights, graph.without_edges(np.sort(fold)), features)
            if folds > 1
            else self.whole
            for fold in self.folds
        ]
        self.batches = [max(1, round(len(fold) / objective.batch_size)) for fold in self.folds]

    @property
    def steps_per_epoch(self) -> int:
        return sum(self.batches)

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        due = number >= 1 and (number - 1) % self.objective.refresh == 0
        if self.objective.miner is not None and due:
            self.mined = self._mine(weights)
        jobs = [
            (inputs, edges)
            for inputs, fold, batches in zip(self.inputs, self.folds, self.batches, strict=True)
            for edges in np.array_split(self.rng.permutation(fold), batches)
        ]
        for job in self.rng.permutation(len(jobs)):
            yield self._step(*jobs[job])

    def _step(self, inputs: Any, edges: Ids) -> Step:
        ends = self.graph.edges[edges]
        turned = self.rng.random(len(ends)) < 0.5
        anchors = np.where(turned, ends[:, 1], ends[:, 0])
        positives = np.where(turned, ends[:, 0], ends[:, 1])
        exclude = known_pairs(self.adjacency, anchors, positives)
        mined = None if self.mined is None else self._draw(self.mined, anchors)
        if mined is not None and len(mined[0]) == 0:
            mined = None

        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            # One pass through the encoder, whose cost for a whole graph may not depend on rows.
            rows = [anchors, positives, *([] if mined is None else [mined[1].ravel()])]
            z = self.encoder.forward(variables, inputs, rows=np.concatenate(rows), rng=self.rng)
            ends = np.cumsum([0, *map(len, rows)])
            a, p, *others = (take_slice(z, slice(*ends[i : i + 2])) for i in range(len(rows)))
            losses = {"in_batch": loss_node(self.objective.loss, [a, p], exclude=exclude)}
            if mined is not None:
                with_mined, negatives = mined
                losses["mined"] = loss_node(
                    self.objective.mined_loss,
                    [
                        gather(a, with_mined),
                        gather(p, with_mined),
                        reshape(others[0], (*negatives.shape, -1)),
                    ],
                )
            return losses

        return step

    def _mine(self, weights: Weights) -> MinedNegatives:
        miner = self.objective.miner
        assert miner is not None
        variables = {name: constant(weights[name]) for name in self.encoder.trainable}
        embedded = self.encoder.forward(variables, self.whole).value
        exclude = (self.adjacency.indptr, self.adjacency.indices)
        return miner.mine(embedded, exclude=exclude)

    def _draw(self, mined: MinedNegatives, anchors: Ids) -> tuple[Ids, Ids]:
        """Rows of the batch whose anchors have candidates, and some candidates of each."""
        rows = np.flatnonzero(mined.counts[anchors])
        counts = mined.counts[anchors[rows], None]
        columns = self.rng.integers(0, counts, (len(rows), self.objective.num_mined))
        return rows, mined.indices[anchors[rows, None], columns]


def known_pairs(adjacency: CSR, anchors: Ids, positives: Ids) -> tuple[Ids, Ids]:
    """Return which positives of a batch are no negatives of which anchors, as CSR.

    Positive j is none for anchor i ≠ j if it is the anchor itself, a neighbour of the anchor, or
    the anchor's own positive met again.
    """
    count = len(anchors)
    degrees = np.diff(adjacency.indptr)[anchors]
    ends = np.cumsum(degrees)
    offsets = np.arange(ends[-1] if count else 0) - np.repeat(ends - degrees, degrees)
    neighbours = adjacency.indices[np.repeat(adjacency.indptr[anchors], degrees) + offsets]
    numbers = np.arange(count)
    rows = np.concatenate([np.repeat(numbers, degrees), numbers, numbers])
    nodes = np.concatenate([neighbours, anchors, positives])
    order = np.argsort(positives, kind="stable")
    first = np.searchsorted(positives[order], nodes, side="left")
    found = np.searchsorted(positives[order], nodes, side="right") - first
    starts = np.cumsum(found) - found
    inside = np.arange(found.sum()) - np.repeat(starts, found)
    pairs = np.repeat(rows, found) * count + order[np.repeat(first, found) + inside]
    pairs = np.unique(pairs)
    pairs = pairs[pairs // max(count, 1) != pairs % max(count, 1)]
    indptr = np.searchsorted(pairs, np.arange(count + 1) * count)
    return indptr.astype(np.int64), (pairs % max(count, 1)).astype(np.int64)
