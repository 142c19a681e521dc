"""Every objective in every setting of a training: sampled blocks, own weights, resuming."""

import numpy as np
import pytest
from ruvector import GCN, GraphSAGE, Trainer
from ruvector.errors import InvalidArgumentError
from ruvector.objectives import (
    DeepGraphInfomax,
    EdgeContrast,
    NodeClassification,
    Reconstruction,
    Together,
    ViewCorrelation,
)
from ruvector.optim import Adam
from ruvector.sampling import LayerSampler, NeighborSampler
from ruvector.training import Checkpoints
from test_training import FEATURES, GRAPH

LABELS = np.repeat(np.arange(3), 20)
OBJECTIVES = {
    "edges": EdgeContrast(batch_size=40),
    "views": ViewCorrelation(),
    "infomax": DeepGraphInfomax(),
    "reconstruction": Reconstruction(),
    "classes": NodeClassification(LABELS, head=True, batch_size=25),
    "blocks": NodeClassification(
        LABELS, head=True, batch_size=25, sampler=NeighborSampler(GRAPH, [4, 3], seed=5)
    ),
    "together": Together(
        {
            "one": NodeClassification(LABELS, head=True),
            "two": NodeClassification(LABELS[::-1].copy(), head=True, batch_size=30),
            "infomax": DeepGraphInfomax(),
        }
    ),
}


def encoder():
    return GraphSAGE((8, 6), dropout=0.3)


class BrokenError(Exception):
    pass


class BreaksOff(Adam):
    left = 0

    def step(self, gradients):
        if BreaksOff.left == 0:
            raise BrokenError
        BreaksOff.left -= 1
        super().step(gradients)


def fit(objective, folder=None, *, optimizer=Adam, resume=False):
    checkpoints = None if folder is None else Checkpoints(folder, steps=1)
    trainer = Trainer(
        encoder(), objective, epochs=3, seed=4, optimizer=optimizer, checkpoints=checkpoints
    )
    return trainer.fit(GRAPH, FEATURES, resume=resume)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("steps", [1, 2])
def test_every_objective_goes_on_bit_equal_with_an_encoder_that_drops(tmp_path, name, steps):
    whole = fit(OBJECTIVES[name])
    BreaksOff.left = steps
    with pytest.raises(BrokenError):
        fit(OBJECTIVES[name], tmp_path, optimizer=BreaksOff)
    again = fit(OBJECTIVES[name], tmp_path, resume=True)
    assert set(again.weights) == set(whole.weights)
    for key, value in whole.weights.items():
        assert again.weights[key].tobytes() == value.tobytes(), key


def test_objectives_that_train_together_have_weights_of_their_own():
    fitted = fit(OBJECTIVES["together"])
    own = {key for key in fitted.weights if key.startswith("objective.")}
    assert own == {
        "objective.one.weight",
        "objective.one.bias",
        "objective.two.weight",
        "objective.two.bias",
        "objective.infomax.discriminator",
    }
    assert not np.array_equal(
        fitted.weights["objective.one.weight"], fitted.weights["objective.two.weight"]
    )


@pytest.mark.parametrize(
    "sampler",
    [NeighborSampler(GRAPH, [5, 4], seed=1), LayerSampler(GRAPH, [30, 20], seed=1)],
    ids=["neighbors", "layers"],
)
def test_blocks_that_a_sampler_drew_teach_the_classes(sampler):
    known = np.arange(len(LABELS)) % 4 == 0
    objective = NodeClassification(LABELS, known, head=True, batch_size=8, sampler=sampler)
    trainer = Trainer(GraphSAGE((16, 8)), objective, epochs=30, seed=0, optimizer=_fast)
    fitted = trainer.fit(GRAPH, FEATURES)
    weights = fitted.weights
    logits = fitted.embed() @ weights["objective.weight"] + weights["objective.bias"]
    assert (logits.argmax(axis=1) == LABELS)[~known].mean() > 0.9


def test_blocks_must_be_as_many_as_layers():
    objective = NodeClassification(LABELS, head=True, sampler=NeighborSampler(GRAPH, [5], seed=1))
    with pytest.raises(InvalidArgumentError, match="1 blocks but 2 layers"):
        Trainer(GCN((8, 6)), objective, epochs=1).fit(GRAPH, FEATURES)


def _fast(weights):
    return Adam(weights, lr=0.02)
