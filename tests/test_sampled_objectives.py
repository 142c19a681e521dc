"""Objectives on sampled neighbours: what they have in common with the whole graph."""

import logging

import numpy as np
import pytest
from encoder_cases import ENCODERS, FEATURES, GRAPH, LABELS, fast
from ruvector import SmoothedLinear, Trainer
from ruvector.curriculum import Curriculum, Stage
from ruvector.encoders import GraphSAGE
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses import FeatureReconstructionLoss
from ruvector.mining import HardNegativeMiner
from ruvector.objectives import (
    DeepGraphInfomax,
    EdgeContrast,
    NodeClassification,
    Reconstruction,
)
from ruvector.sampling import NeighborSampler

MAKERS = {
    "edges": lambda **chosen: EdgeContrast(batch_size=5, folds=2, **chosen),
    "mined": lambda **chosen: EdgeContrast(
        batch_size=5, folds=2, miner=HardNegativeMiner("hardest", k=3), refresh=1, **chosen
    ),
    "classes": lambda **chosen: NodeClassification(LABELS, head=True, batch_size=5, **chosen),
    "reconstruction": lambda **chosen: Reconstruction(
        features=FeatureReconstructionLoss(), feature_rows=6, batch_size=7, **chosen
    ),
    "infomax": lambda **chosen: DeepGraphInfomax(batch_size=6, **chosen),
}


def train(objective, kind="sage", **chosen):
    trainer = Trainer(ENCODERS[kind], objective, epochs=3, optimizer=fast, seed=2, **chosen)
    return trainer.fit(GRAPH, FEATURES)


@pytest.mark.parametrize("kind", ["gcn", "sage", "sage-max", "ruvector-deep"])
@pytest.mark.parametrize("name", ["edges", "mined", "classes", "reconstruction"])
def test_all_neighbours_train_as_the_whole_graph_does(name, kind):
    whole = train(MAKERS[name](), kind)
    for counts in (-1, [-1, None]):
        batches = train(MAKERS[name](num_neighbors=counts), kind)
        np.testing.assert_allclose(batches.embed(), whole.embed(), atol=5e-4)


@pytest.mark.parametrize("name", MAKERS)
def test_fewer_neighbours_train_otherwise_and_repeatably(name):
    first, again = (train(MAKERS[name](num_neighbors=1)).embed() for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, train(MAKERS[name]()).embed(), atol=1e-3)


def test_infomax_on_batches_tells_nodes_from_corrupted_ones():
    objective = DeepGraphInfomax(batch_size=7, num_neighbors=[3, 3])
    trainer = Trainer(GraphSAGE((16, 16)), objective, epochs=60, optimizer=fast, seed=0)
    losses = [record.losses["total"] for record in trainer.fit(GRAPH, np.eye(14)).history]
    # Guessing costs log 2 for either side.
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:3])


@pytest.mark.parametrize("name", ["edges", "classes", "reconstruction", "infomax"])
def test_a_stage_sets_the_neighbours(name, caplog):
    stages = [Stage("few", epochs=1, num_neighbors=1), Stage("own")]
    staged = train(MAKERS[name](num_neighbors=[2, 2]), curriculum=Curriculum(stages))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not np.array_equal(staged.embed(), train(MAKERS[name](num_neighbors=[2, 2])).embed())
    train(MAKERS[name](), curriculum=Curriculum(stages))
    assert "num_neighbors" in caplog.text


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        (0, InvalidArgumentError, "num_neighbors"),
        ([], InvalidArgumentError, "empty"),
        ([2, -2], InvalidArgumentError, r"num_neighbors\[1\]"),
        ("10", InvalidTypeError, "num_neighbors"),
        (2.5, InvalidTypeError, "num_neighbors"),
    ],
)
def test_numbers_that_are_none_are_refused(name, counts, error, message):
    with pytest.raises(error, match=message):
        MAKERS[name](num_neighbors=counts)


@pytest.mark.parametrize("name", MAKERS)
def test_an_encoder_must_have_as_many_layers(name):
    with pytest.raises(InvalidArgumentError, match="1 numbers but the encoder 2 layers"):
        train(MAKERS[name](num_neighbors=[3]))
    trainer = Trainer(SmoothedLinear(dim=4), MAKERS[name](num_neighbors=3), epochs=1)
    with pytest.raises(InvalidArgumentError, match="SmoothedLinear reads whole graphs"):
        trainer.fit(GRAPH, FEATURES)


def test_sampler_and_numbers_exclude_each_other():
    with pytest.raises(InvalidArgumentError, match="both given"):
        NodeClassification(LABELS, sampler=NeighborSampler(GRAPH, [2]), num_neighbors=2)
