"""Nodes that share an edge should be embedded near each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_bool, check_int
from ruvector.autograd import Variable, constant, gather, loss_node, reshape, take_slice
from ruvector.encoders import Encoder, Weights
from ruvector.errors import InvalidArgumentError
from ruvector.graph import Graph
from ruvector.losses import InBatchInfoNCELoss, InfoNCELoss
from ruvector.mining import MinedNegatives, Miner, as_miner
from ruvector.mining.protocol import MiningFunction
from ruvector.objectives.base import Knobs, Step
from ruvector.objectives.random_state import SeededRun
from ruvector.objectives.reading import Fanouts, Reader, check_fanouts
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
        Between anchors and positives. A schedule or curriculum may replace its temperature, and
        that of `mined_loss`.
    batch_size : int
        Edges of a step, about: folds are cut into steps of equal size.
    folds : int
        Parts that the edges are cut into; 1 leaves every edge in the graph it is embedded from.
    miner : HardNegativeMiner, other miner or function, optional
        Finds nodes that are near an anchor without being neighbours. A node's candidates are
        renewed every `refresh` epochs, after a first epoch without any. A function is called with
        the embeddings and None for labels and returns nodes, as :class:`~ruvector.mining.
        FunctionMiner` has it; neighbours among them are dropped.
    mined_loss : InfoNCELoss, optional
        Between anchors, positives and mined negatives; added to `loss`.
    num_mined : int
        Candidates drawn for an anchor at a step; a curriculum's number of negatives replaces it.
        Its threshold leaves out candidates that are more similar to the anchor.
    refresh : int
        Epochs between two searches.
    num_neighbors : int or sequence of int, optional
        Embed a step's nodes from so many sampled neighbours at each layer of the encoder, in a list
        one number a layer, that of the step's own nodes first; -1 for all. A curriculum's number
        replaces them. Without it every step reads the whole graph. Searches read it in any case.
    correct_sampling : bool
        Make up for that a node is a negative of a batch as often as it has edges: its degree is
        what `loss` takes for its sampling probability. A similarity then tells how likely an edge
        is, also for having nodes of many edges, and without it how much likelier than their
        degrees say. For losses of mode ``"oneway"``; `mined_loss` is not corrected.

    References
    ----------
    van den Oord, Li and Vinyals (2018), "Representation Learning with Contrastive Predictive
    Coding", arXiv:1807.03748.

    Yi et al. (2019), "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations", RecSys, for `correct_sampling`.
    """

    loss: InBatchInfoNCELoss = field(
        default_factory=lambda: InBatchInfoNCELoss(temperature=0.1, mode="oneway")
    )
    batch_size: int = 512
    folds: int = 5
    miner: Miner | MiningFunction | None = None
    mined_loss: InfoNCELoss = field(default_factory=lambda: InfoNCELoss(temperature=0.1))
    num_mined: int = 8
    refresh: int = 2
    num_neighbors: Fanouts | None = None
    correct_sampling: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "folds", "num_mined", "refresh"):
            check_int(getattr(self, name), name, low=1)
        if self.num_neighbors is not None:
            check_fanouts(self.num_neighbors)
        for name in ("loss", "mined_loss"):
            if getattr(self, name).reduction == "none":
                raise InvalidArgumentError(f"{name} has reduction 'none'; use 'mean' or 'sum'")
        check_bool(self.correct_sampling, "correct_sampling")
        if self.correct_sampling and self.loss.mode != "oneway":
            raise InvalidArgumentError(
                f"correct_sampling needs a loss of mode 'oneway' but loss has {self.loss.mode!r}"
            )

    def start(
        self, encoder: Encoder, weights: Weights, graph: Graph, features: Features, *, seed: int
    ) -> _Run:
        if graph.num_edges == 0:
            raise InvalidArgumentError(
                "graph has no edges to learn from; use ruvector.smooth, or give edges"
            )
        return _Run(self, encoder, weights, graph, features, seed)


class _Run(SeededRun):
    def __init__(  # noqa: PLR0917  (called once, just above)
        self,
        objective: EdgeContrast,
        encoder: Encoder,
        weights: Weights,
        graph: Graph,
        features: Features,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.objective = objective
        self.encoder = encoder
        self.graph = graph
        self.adjacency = graph.adjacency()
        self.degrees = graph.degrees if objective.correct_sampling else None
        self.features = features
        self.whole: Any = None
        self.loss = objective.loss
        self.mined_loss = objective.mined_loss
        self.num_mined = objective.num_mined
        self.threshold: float | None = None
        self.mined: MinedNegatives | None = None
        folds = min(objective.folds, graph.num_edges)
        order = self.rng.permutation(graph.num_edges)
        self.folds = np.array_split(order, folds)
        self.readers = [
            Reader(
                encoder,
                weights,
                graph.without_edges(np.sort(fold)) if folds > 1 else graph,
                features,
                num_neighbors=objective.num_neighbors,
                seed=seed,
            )
            for fold in self.folds
        ]
        self.batches = [max(1, round(len(fold) / objective.batch_size)) for fold in self.folds]

    @property
    def steps_per_epoch(self) -> int:
        return sum(self.batches)

    @property
    def samples_per_epoch(self) -> int:
        return self.graph.num_edges

    def adjust(self, knobs: Knobs) -> set[str]:
        own = self.objective
        if knobs.temperature is None:
            self.loss, self.mined_loss = own.loss, own.mined_loss
        elif knobs.temperature != self.loss.temperature or (
            knobs.temperature != self.mined_loss.temperature
        ):
            self.loss = own.loss.replace(temperature=knobs.temperature)
            self.mined_loss = own.mined_loss.replace(temperature=knobs.temperature)
        self.num_mined = own.num_mined if knobs.num_negatives is None else knobs.num_negatives
        self.threshold = knobs.threshold
        known = {"temperature"} | ({"num_negatives", "threshold"} if own.miner else set())
        return known.union(*(reader.adjust(knobs.num_neighbors) for reader in self.readers))

    def state_dict(self) -> dict[str, Any]:
        mined = {} if self.mined is None else self.mined._asdict()
        return {**super().state_dict(), "arrays": mined}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        arrays = state["arrays"]
        super().load_state_dict(state)
        self.mined = MinedNegatives(**arrays) if arrays else None

    def epoch(self, number: int, weights: Weights) -> Iterator[Step]:
        due = number >= 1 and (number - 1) % self.objective.refresh == 0
        if self.objective.miner is not None and due:
            self.mined = self._mine(weights)
        jobs = [
            (reader, edges)
            for reader, fold, batches in zip(self.readers, self.folds, self.batches, strict=True)
            for edges in np.array_split(self.rng.permutation(fold), batches)
        ]
        mined = None if self.mined is None else not_above(self.mined, self.threshold)
        for number_in_epoch, job in enumerate(self.rng.permutation(len(jobs))):
            draw = number * self.steps_per_epoch + number_in_epoch
            noise = self.noise(number, number_in_epoch)
            reader, edges = jobs[job]
            yield self._step(reader, edges, mined, draw, noise=noise)

    def _step(
        self,
        reader: Reader,
        edges: Ids,
        candidates: MinedNegatives | None,
        draw: int,
        *,
        noise: np.random.Generator,
    ) -> Step:
        ends = self.graph.edges[edges]
        turned = self.rng.random(len(ends)) < 0.5
        anchors = np.where(turned, ends[:, 1], ends[:, 0])
        positives = np.where(turned, ends[:, 0], ends[:, 1])
        exclude = known_pairs(self.adjacency, anchors, positives)
        chances = None if self.degrees is None else self.degrees[positives]
        mined = None if candidates is None else self._draw(candidates, anchors)
        if mined is not None and len(mined[0]) == 0:
            mined = None

        def step(variables: Mapping[str, Variable]) -> dict[str, Variable]:
            # One pass through the encoder, whose cost for a whole graph may not depend on rows.
            nodes = [anchors, positives, *([] if mined is None else [mined[1].ravel()])]
            inputs, rows = reader.read(np.concatenate(nodes), draw)
            z = self.encoder.forward(variables, inputs, rows=rows, rng=noise)
            ends = np.cumsum([0, *map(len, nodes)])
            a, p, *others = (take_slice(z, slice(*ends[i : i + 2])) for i in range(len(nodes)))
            options = {"exclude": exclude, "sampling_probabilities": chances}
            losses = {"in_batch": loss_node(self.loss, [a, p], **options)}
            if mined is not None:
                with_mined, negatives = mined
                losses["mined"] = loss_node(
                    self.mined_loss,
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
        if self.whole is None:
            self.whole = self.encoder.inputs(weights, self.graph, self.features)
        embedded = self.encoder.forward(variables, self.whole).value
        exclude = (self.adjacency.indptr, self.adjacency.indices)
        mined = as_miner(miner).mine(embedded, exclude=exclude)
        if not isinstance(mined, MinedNegatives):
            raise InvalidArgumentError(
                f"miner returned {type(mined).__name__} but edges need negatives of each node; "
                "return one array of rows"
            )
        return mined

    def _draw(self, mined: MinedNegatives, anchors: Ids) -> tuple[Ids, Ids]:
        """Rows of the batch whose anchors have candidates, and some candidates of each."""
        rows = np.flatnonzero(mined.counts[anchors])
        counts = mined.counts[anchors[rows], None]
        columns = self.rng.integers(0, counts, (len(rows), self.num_mined))
        return rows, mined.indices[anchors[rows, None], columns]


def not_above(mined: MinedNegatives, threshold: float | None) -> MinedNegatives:
    """Return the candidates whose difficulty, their similarity, is not above `threshold`.

    Similarities below 0 are no difficulty at all, those above 1 count as 1.
    """
    if threshold is None or threshold >= 1:
        return mined
    kept = (mined.indices >= 0) & (mined.similarities <= threshold)
    order = np.argsort(~kept, axis=1, kind="stable")
    kept = np.take_along_axis(kept, order, axis=1)
    return MinedNegatives(
        np.where(kept, np.take_along_axis(mined.indices, order, axis=1), -1),
        np.where(kept, np.take_along_axis(mined.similarities, order, axis=1), -np.inf),
        kept.sum(axis=1),
    )


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
