"""One training, from its start or from a checkpoint to its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ruvector.arrays import check_real
from ruvector.autograd import Variable, scale
from ruvector.curriculum import Curriculum
from ruvector.encoders import Weights
from ruvector.errors import CorruptFileError, InvalidArgumentError, RuvectorError
from ruvector.graph import Graph
from ruvector.objectives import Knobs, Step
from ruvector.optim import clip_by_norm
from ruvector.progress import Progress, progress_bar
from ruvector.smoothing import Features
from ruvector.training.identity import identity_of
from ruvector.training.plan import Plan
from ruvector.training.records import EpochRecord, Totals
from ruvector.training.saving import saved, take_over
from ruvector.training.stopping import StopTraining
from ruvector.weighting.base import named_value

__all__ = ["Loop"]

logger = logging.getLogger(__name__)


class Loop:
    """The state of one training; `weights` and `history` are its results."""

    def __init__(self, plan: Plan, weights: Weights, graph: Graph, features: Features) -> None:
        self.plan = plan
        self.weights = weights
        self.graph = graph
        self.features = features
        self.objective = plan.objective.start(
            plan.encoder, weights, graph, features, seed=plan.seed
        )
        own = self.objective.parameters
        weights.update(own)
        self.trained = {name: weights[name] for name in (*plan.encoder.trainable, *own)}
        self.optimizer = plan.optimizer(self.trained)
        self.weigher = plan.weighting.start(seed=plan.seed)
        self.curriculum = None if plan.curriculum is None else Curriculum(plan.curriculum.stages)
        self.stopper = None if plan.early_stop is None else plan.early_stop.start()
        self.history: list[EpochRecord] = []
        self.epoch = 0
        #: Steps of the present epoch that are taken, what they summed up to and how long they took.
        self.done = 0
        self.totals = Totals()
        self.seconds = 0.0
        #: The objective and the weights at the start of the epoch.
        self.before: dict[str, Any] = {}
        self.before_weights: Weights = {}
        self._told: set[str] = set()

    def train(self) -> None:
        """Take the epochs that are left."""
        steps = self.objective.steps_per_epoch
        with progress_bar("train", self.plan.epochs * steps, show=self.plan.progress) as advance:
            if self.epoch or self.done:
                advance(self.epoch * steps + self.done)
            while self.epoch < self.plan.epochs and not (self.stopper and self.stopper.stop):
                self._steps(advance)
                if not self._finish_epoch():
                    break
        if self.stopper is not None:
            self.stopper.restore(self.trained)

    def _steps(self, advance: Progress) -> None:
        started = time.perf_counter() - self.seconds
        steps = self.objective.steps_per_epoch
        checkpoints = self.plan.checkpoints
        if checkpoints is not None and checkpoints.steps is not None and self.done == 0:
            self.before = self.objective.state_dict()
            self.before_weights = {name: array.copy() for name, array in self.weights.items()}
        self._adjust(float(self.epoch))
        drawn = self.objective.epoch(self.epoch, self.before_weights or self.weights)
        for number, step in enumerate(drawn):
            if number < self.done:
                continue
            values = self._take(step, self.epoch + number / steps)
            self.seconds = time.perf_counter() - started
            self.done = number + 1
            advance(note=f"loss {sum(values.values()):.3f}")
            if checkpoints is not None and checkpoints.due(self.done) and self.done < steps:
                self.save()
        self.seconds = time.perf_counter() - started

    def _take(self, step: Step, at: float) -> dict[str, float]:
        """Move once; return the weighted losses."""
        total = float(self.plan.epochs)
        if self.plan.lr is not None:
            self.optimizer.lr = self.plan.lr(at, total=total)
        if self.plan.temperature is not None:
            self._adjust(at)
        variables = {name: Variable(array) for name, array in self.trained.items()}
        parts = step(variables)
        values = {name: float(part.value) for name, part in parts.items()}
        staged = self._stage_weights(parts)
        used = dict.fromkeys(parts, 1.0)
        if any(part.needs_grad for part in parts.values()):
            scaled = {
                name: part if staged[name] == 1 else scale(part, staged[name])
                for name, part in parts.items()
            }
            combined = self.weigher.combine(scaled, variables, at=at, total=total)
            used = combined.weights
            gradients = combined.gradients
            if self.plan.clip_norm is not None:
                gradients = clip_by_norm(gradients, self.plan.clip_norm).gradients
            self.optimizer.step(gradients)
        weights = {name: staged[name] * used[name] for name in parts}
        self.totals.add(values, weights)
        return {name: weights[name] * value for name, value in values.items()}

    def _stage_weights(self, parts: Mapping[str, object]) -> dict[str, float]:
        weights = self.curriculum.stage.loss_weights if self.curriculum else {}
        return {name: named_value(weights, name) if weights else 1.0 for name in parts}

    def _adjust(self, at: float) -> None:
        knobs = Knobs()
        if self.curriculum is not None:
            stage = self.curriculum.stage
            knobs = Knobs(
                stage.temperature, stage.num_negatives, stage.num_neighbors, stage.threshold
            )
        if self.plan.temperature is not None:
            given = self.plan.temperature(at, total=float(self.plan.epochs))
            knobs = knobs._replace(
                temperature=check_real(given, "temperature", low=0.0, open_low=True)
            )
        if knobs == Knobs() and self.curriculum is None:
            return
        known = self.objective.adjust(knobs)
        if self.plan.temperature is not None and "temperature" not in known:
            raise InvalidArgumentError(
                f"temperature is given but {type(self.plan.objective).__name__} has none"
            )
        asked = {name for name, value in knobs._asdict().items() if value is not None}
        for name in sorted(asked - known - self._told):
            logger.warning("the curriculum sets %s, which the objective does not have", name)
            self._told.add(name)

    def _finish_epoch(self) -> bool:
        """Count, judge, save and tell the epoch; return whether to go on."""
        metrics: dict[str, float] = {}
        if self.plan.validation is not None:
            found = self.plan.validation(self._embeddings())
            metrics = {
                name: check_real(value, f"validation's {name!r}", low=-np.inf)
                for name, value in found.items()
            }
        record = EpochRecord(
            self.epoch + 1,
            self.totals.losses(),
            self.seconds,
            metrics,
            self.totals.weights(),
            self.optimizer.lr,
            self.curriculum.stage.name if self.curriculum else None,
        )
        self.history.append(record)
        self.epoch += 1
        self.done, self.totals, self.seconds = 0, Totals(), 0.0
        self.before, self.before_weights = {}, {}
        if self.stopper is not None:
            self.stopper.look(record, self.trained)
        if self.curriculum is not None and self.curriculum.step(
            samples=self.objective.samples_per_epoch
        ):
            logger.info("epoch %d begins stage %s", self.epoch + 1, self.curriculum.stage.name)
        checkpoints = self.plan.checkpoints
        last = self.epoch == self.plan.epochs or (self.stopper is not None and self.stopper.stop)
        if checkpoints is not None and (last or self.epoch % checkpoints.epochs == 0):
            self.save()
        go_on = True
        for callback in self.plan.callbacks:
            try:
                callback(record)
            except StopTraining:
                go_on = False
        return go_on

    def _embeddings(self) -> npt.NDArray[np.float32]:
        encoder = self.plan.encoder
        finished = encoder.finish(dict(self.weights), self.graph, self.features)
        return encoder.output(finished, self.graph, self.features)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What must be the same for another loop to go on from this one's checkpoint."""
        return identity_of(self)

    def save(self) -> None:
        """Write the checkpoint."""
        assert self.plan.checkpoints is not None
        self.plan.checkpoints.save(*saved(self))

    def resume(self) -> bool:
        """Go to where the checkpoint is, if there is one.

        Raises
        ------
        InvalidArgumentError
            It is of another training.
        CorruptFileError
            It is damaged.
        """
        assert self.plan.checkpoints is not None
        loaded = self.plan.checkpoints.load()
        if loaded is None:
            return False
        try:
            take_over(self, *loaded)
        except RuvectorError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(
                f"{self.plan.checkpoints.path} does not hold a whole training ({error})"
            ) from None
        return True
