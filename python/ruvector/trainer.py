"""The training loop: encoder, objective, optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_int, check_real
from ruvector.curriculum import Curriculum
from ruvector.encoders import Encoder, SmoothedLinear, Weights
from ruvector.errors import InvalidArgumentError, InvalidTypeError, NotFittedError
from ruvector.graph import Graph
from ruvector.objectives import EdgeContrast, Objective
from ruvector.optim import Adam, Optimizer
from ruvector.schedules import Schedule, as_schedule
from ruvector.smoothing import Features, as_features
from ruvector.training import Checkpoints, EarlyStop, EpochRecord
from ruvector.training.loop import Loop
from ruvector.training.plan import Plan, Validation
from ruvector.weighting import PlainSum, Weighting

__all__ = ["EpochRecord", "Trainer"]


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
        Each is called with an :class:`EpochRecord` after every epoch, and may raise
        :class:`ruvector.training.StopTraining` to end the training there.
    progress : bool
        Show a bar (with tqdm) or log lines.
    weighting : Weighting, optional
        How several losses become one direction, such as :class:`ruvector.weighting.WeightedSum`;
        without one each counts once.
    curriculum : Curriculum, optional
        Stages, each with its temperature, negatives and loss weights; these multiply those of
        `weighting`. Stages change between epochs. What a stage sets and the objective does not
        have is logged.
    lr, temperature : float or Schedule, optional
        Learning rate of the optimiser and temperature of the objective; both are looked up before
        every step, at a position in epochs.
    clip_norm : float, optional
        Largest norm of the whole gradient.
    validation : callable, optional
        Called after every epoch with the embeddings of the graph's nodes; returns figures by name,
        which go into the record.
    early_stop : EarlyStop, optional
        Ends the training when a figure no longer improves.
    checkpoints : Checkpoints, optional
        Where and how often to save, for :meth:`fit` with ``resume=True``.

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
        weighting: Weighting | None = None,
        curriculum: Curriculum | None = None,
        lr: float | Schedule | None = None,
        temperature: float | Schedule | None = None,
        clip_norm: float | None = None,
        validation: Validation | None = None,
        early_stop: EarlyStop | None = None,
        checkpoints: Checkpoints | None = None,
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
        self.weighting = PlainSum() if weighting is None else weighting
        self.curriculum = curriculum
        self.lr = None if lr is None else as_schedule(lr, "lr", low=0.0)
        self.temperature = (
            None if temperature is None else as_schedule(temperature, "temperature", low=0.0)
        )
        self.clip_norm = (
            None
            if clip_norm is None
            else check_real(clip_norm, "clip_norm", low=0.0, open_low=True)
        )
        self.validation = validation
        self.early_stop = early_stop
        self.checkpoints = checkpoints
        self._check_parts()
        self.history: list[EpochRecord] = []
        self._fitted: tuple[Weights, Graph, Features] | None = None

    def _check_parts(self) -> None:
        for name, kind in (
            ("curriculum", Curriculum),
            ("early_stop", EarlyStop),
            ("checkpoints", Checkpoints),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise InvalidTypeError(f"{name} is {value!r} but must be a {kind.__name__}")
        if not hasattr(self.weighting, "start"):
            raise InvalidTypeError(f"weighting is {self.weighting!r} but must have a method start")
        if self.validation is not None and not callable(self.validation):
            raise InvalidTypeError(f"validation is {self.validation!r}, which cannot be called")
        stages = () if self.curriculum is None else self.curriculum.stages
        if self.temperature is not None and any(s.temperature is not None for s in stages):
            raise InvalidArgumentError(
                "temperature is given beside a curriculum whose stages have one; give one of them"
            )

    def fit(self, graph: Graph, features: object | None = None, *, resume: bool = False) -> Trainer:
        """Train on `graph`.

        Parameters
        ----------
        graph : Graph
            With n nodes.
        features : array_like of shape (n, f), CSR or SciPy sparse matrix, optional
            Rows are scaled to length 1. Without features the rows of the normalised adjacency
            serve.
        resume : bool
            Go on from the checkpoint, where there is one; the result has the bits of a training
            that was never stopped. More `epochs` than before go on beyond them, with schedules
            that last as long as training drawn out from there.

        Returns
        -------
        Trainer
            Itself. A fit that fails or is interrupted leaves an earlier one as it was.

        Raises
        ------
        InvalidArgumentError
            Data that do not fit; `resume` without `checkpoints`, or from another training's.
        CorruptFileError
            The checkpoint is damaged.
        """
        if resume and self.checkpoints is None:
            raise InvalidArgumentError("resume needs checkpoints; give Trainer a Checkpoints")
        matrix = as_features(graph, features)
        structure = graph.structure()
        weights = self.encoder.initialize(structure, matrix, seed=self.seed)
        history: list[EpochRecord] = []
        if self.epochs > 0:
            loop = Loop(self._plan(), weights, structure, matrix)
            if resume:
                loop.resume()
            loop.train()
            history = loop.history
        finished = {**weights, **self.encoder.finish(weights, structure, matrix)}
        self._fitted = finished, structure, matrix
        self.history = history
        return self

    def _plan(self) -> Plan:
        return Plan(
            encoder=self.encoder,
            objective=self.objective,
            epochs=self.epochs,
            optimizer=self.optimizer,
            weighting=self.weighting,
            curriculum=self.curriculum,
            lr=self.lr,
            temperature=self.temperature,
            clip_norm=self.clip_norm,
            validation=self.validation,
            early_stop=self.early_stop,
            checkpoints=self.checkpoints,
            seed=self.seed,
            callbacks=tuple(self.callbacks),
            progress=self.progress,
        )

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
