"""The training loop: encoder, objective, optimiser."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int
from ruvector.autograd import Variable, add, backward
from ruvector.encoders import Encoder, SmoothedLinear, Weights
from ruvector.errors import InvalidArgumentError, InvalidTypeError, NotFittedError
from ruvector.graph import Graph
from ruvector.objectives import EdgeContrast, Objective
from ruvector.optim import Adam, Optimizer
from ruvector.progress import progress_bar
from ruvector.smoothing import Features, as_features

__all__ = ["EpochRecord", "Trainer"]

logger = logging.getLogger(__name__)


class EpochRecord(NamedTuple):
    """One epoch of a training.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    losses : dict of str to float
        Mean of each part over the epoch's steps that had it, and ``"total"``, their sum.
    seconds : float
        Wall time.
    """

    epoch: int
    losses: dict[str, float]
    seconds: float


class Trainer:
    """Trains an encoder on a graph.

    Parameters
    ----------
    encoder : Encoder
        What is trained; :class:`SmoothedLinear` by default.
    objective : Objective
        Where batches come from and what they pay; :class:`EdgeContrast` by default.
    epochs : int
        Passes over the objective's batches.
    optimizer : callable
        Makes an optimiser from a mapping of arrays, such as :class:`ruvector.optim.Adam` (the
        default, with its learning rate 1e-3) or ``lambda w: SGD(w, lr=0.1)``.
    seed : int
        The same seed gives the same embeddings, bit for bit, for any number of threads.
    callbacks : iterable of callable
        Each is called with an :class:`EpochRecord` after every epoch.
    progress : bool
        Show a bar (with tqdm) or log lines.

    Attributes
    ----------
    weights : dict of str to ndarray
        Of the trained encoder.
    history : list of EpochRecord
        One an epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import ruvector
    >>> graph = ruvector.Graph.from_edges([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]])
    >>> trainer = ruvector.Trainer(ruvector.SmoothedLinear(dim=3), epochs=2)
    >>> trainer.fit(graph, np.eye(4)).embed().shape
    (4, 3)
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        objective: Objective | None = None,
        *,
        epochs: int = 5,
        optimizer: Callable[[Weights], Optimizer] = Adam,
        seed: int = 0,
        callbacks: Iterable[Callable[[EpochRecord], object]] = (),
        progress: bool = False,
    ) -> None:
        self.encoder = SmoothedLinear() if encoder is None else encoder
        self.objective = EdgeContrast() if objective is None else objective
        self.epochs = check_int(epochs, "epochs", low=0)
        self.optimizer = optimizer
        self.seed = check_int(seed, "seed", low=0)
        self.callbacks = tuple(callbacks)
        for callback in self.callbacks:
            if not callable(callback):
                raise InvalidTypeError(f"callbacks holds {callback!r}, which cannot be called")
        self.progress = progress
        self.history: list[EpochRecord] = []
        self._fitted: tuple[Weights, Graph, Features] | None = None

    def fit(self, graph: Graph, features: object | None = None) -> Trainer:
        """Train on `graph`.

        Parameters
        ----------
        graph : Graph
            With n nodes.
        features : array_like of shape (n, f), CSR or SciPy sparse matrix, optional
            Rows are scaled to length 1. Without features the rows of the normalised adjacency
            serve.

        Returns
        -------
        Trainer
            Itself. A fit that fails or is interrupted leaves an earlier one as it was.
        """
        matrix = as_features(graph, features)
        structure = graph.structure()
        weights = self.encoder.initialize(structure, matrix, seed=self.seed)
        history = self._train(weights, structure, matrix)
        finished = {**weights, **self.encoder.finish(weights, structure, matrix)}
        self._fitted = finished, structure, matrix
        self.history = history
        return self

    @property
    def weights(self) -> Weights:
        return self._require_fit()[0]

    def embed(
        self, graph: Graph | None = None, features: object | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the embeddings of the training graph's nodes, or of another graph's.

        Parameters
        ----------
        graph : Graph, optional
            Any graph whose features have the same columns; nodes may be new.
        features : array_like of shape (n, f), CSR or SciPy sparse matrix, optional
            Of the nodes of `graph`.

        Returns
        -------
        ndarray of shape (n, d), float32

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        """
        weights, own_graph, own_features = self._require_fit()
        if graph is None:
            if features is not None:
                raise InvalidArgumentError("features are given without the graph they belong to")
            return self.encoder.output(weights, own_graph, own_features)
        return self.encoder.embed(weights, graph, features)

    def _require_fit(self) -> tuple[Weights, Graph, Features]:
        if self._fitted is None:
            raise NotFittedError("the trainer has no weights yet; call fit(graph, features) first")
        return self._fitted

    def _train(self, weights: Weights, graph: Graph, features: Features) -> list[EpochRecord]:
        history: list[EpochRecord] = []
        if self.epochs == 0:
            return history
        run = self.objective.start(self.encoder, weights, graph, features, seed=self.seed)
        own: Weights = getattr(run, "parameters", {})
        weights.update(own)
        trained = {name: weights[name] for name in (*self.encoder.trainable, *own)}
        optimizer = self.optimizer(trained)
        steps = self.epochs * run.steps_per_epoch
        with progress_bar("train", steps, show=self.progress) as advance:
            for epoch in range(self.epochs):
                started = time.perf_counter()
                totals: dict[str, float] = {}
                counts: dict[str, int] = {}
                for step in run.epoch(epoch, weights):
                    variables = {name: Variable(array) for name, array in trained.items()}
                    parts = step(variables)
                    _descend(parts, variables, optimizer)
                    for name, part in parts.items():
                        totals[name] = totals.get(name, 0.0) + float(part.value)
                        counts[name] = counts.get(name, 0) + 1
                    advance(note=f"loss {sum(float(p.value) for p in parts.values()):.3f}")
                losses = {name: total / counts[name] for name, total in totals.items()}
                losses["total"] = sum(losses.values())
                record = EpochRecord(epoch + 1, losses, time.perf_counter() - started)
                history.append(record)
                for callback in self.callbacks:
                    callback(record)
        return history


def _descend(parts: dict[str, Variable], variables: dict[str, Any], optimizer: Optimizer) -> None:
    total = None
    for part in parts.values():
        total = part if total is None else add(total, part)
    if total is None or not total.needs_grad:
        return
    backward(total)
    optimizer.step(
        {
            name: np.zeros_like(variable.value) if variable.grad is None else variable.grad
            for name, variable in variables.items()
        }
    )
