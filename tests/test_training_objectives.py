"""Every objective in every setting of a training: sampled blocks, own weights, resuming."""

import numpy as np
import pytest
from ruvector import GCN, Concat, Graph, GraphSAGE, Trainer
from ruvector.autograd import constant, loss_node
from ruvector.errors import InvalidArgumentError
from ruvector.losses import FeatureReconstructionLoss
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
from ruvector.smoothing import as_features
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
    "edges-sampled": EdgeContrast(batch_size=40, num_neighbors=[3, 2]),
    "infomax-sampled": DeepGraphInfomax(batch_size=25, num_neighbors=3),
    "reconstruction-sampled": Reconstruction(
        features=FeatureReconstructionLoss(), feature_rows=9, batch_size=30, num_neighbors=[4, -1]
    ),
    "classes-sampled": NodeClassification(LABELS, head=True, batch_size=25, num_neighbors=3),
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


def test_a_gcn_on_blocks_of_few_neighbours_learns_the_classes():
    known = np.arange(len(LABELS)) % 4 == 0
    sampler = NeighborSampler(GRAPH.normalized_adjacency(), [4, 4], seed=1)
    objective = NodeClassification(LABELS, known, head=True, batch_size=8, sampler=sampler)
    fitted = Trainer(GCN((16, 8)), objective, epochs=30, seed=0, optimizer=_fast)
    fitted.fit(GRAPH, FEATURES)
    weights = fitted.weights
    logits = fitted.embed() @ weights["objective.weight"] + weights["objective.bias"]
    assert (logits.argmax(axis=1) == LABELS)[~known].mean() > 0.9


def _run(objective, graph=GRAPH, features=FEATURES, encoder=None):
    encoder = encoder or GCN((10,))
    matrix = as_features(graph, features)
    weights = encoder.initialize(graph, matrix, seed=4)
    return weights, objective.start(encoder, weights, graph, matrix, seed=4)


@pytest.mark.parametrize(
    "objective",
    [
        NodeClassification(np.arange(60) % 10, head=True),
        DeepGraphInfomax(),
        Reconstruction(features=FeatureReconstructionLoss()),
    ],
    ids=["classes", "infomax", "reconstruction"],
)
def test_what_an_objective_trains_does_not_begin_as_a_copy_of_the_encoder(objective):
    weights, run = _run(objective)
    head = next(array for array in run.parameters.values() if array.ndim == 2)
    assert head.shape == weights["0.weight"].shape
    assert abs(np.corrcoef(head.ravel(), weights["0.weight"].ravel())[0, 1]) < 0.3


def test_equal_parts_of_an_encoder_begin_differently():
    both = Concat((GCN((4,)), GCN((4,))), (1.0, 1.0)).initialize(GRAPH, FEATURES, seed=3)
    alone = GCN((4,)).initialize(GRAPH, FEATURES, seed=3)
    assert np.array_equal(both["0.0.weight"], alone["0.weight"])
    assert abs(np.corrcoef(both["0.0.weight"].ravel(), both["1.0.weight"].ravel())[0, 1]) < 0.5


@pytest.mark.parametrize(("labelled", "size", "steps"), [(14, 10, 2), (14, 7, 2), (3, 10, 1)])
def test_a_step_has_no_more_labelled_nodes_than_batch_size(labelled, size, steps):
    labels = np.where(np.arange(60) < labelled, LABELS, -1)
    _, run = _run(NodeClassification(labels, head=True, batch_size=size))
    assert run.steps_per_epoch == steps


def test_reconstruction_compares_edges_with_as_many_pairs_that_are_none(caplog):
    weights, run = _run(Reconstruction())
    seen = []
    loss = run.objective.edges
    step = next(run.epoch(0, weights))
    variables = {name: constant(array) for name, array in weights.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ruvector.objectives.reconstruction.loss_node",
            lambda _, inputs, **given: seen.append(given) or inputs[0],
        )
        step(variables)
    pairs = np.stack([seen[0]["negative_src"], seen[0]["negative_dst"]], axis=1)
    assert len(np.unique(pairs, axis=0)) == GRAPH.num_edges
    assert not GRAPH.has_edges(*pairs.T).any()
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert loss.name in step(variables)
    assert not caplog.records


def test_reconstruction_of_a_dense_graph_takes_all_free_pairs_and_says_so(caplog):
    pairs = np.argwhere(np.triu(np.ones((6, 6)), 1))
    free = np.array([[0, 1], [2, 3]])
    kept = [pair for pair in pairs.tolist() if pair not in free.tolist()]
    graph = Graph.from_edges(kept, 6)
    objective = Reconstruction()
    weights, run = _run(objective, graph, FEATURES[:6])
    assert "only 2 pairs without an edge" in caplog.text
    variables = {name: constant(array) for name, array in weights.items()}
    (part,) = next(run.epoch(0, weights))(variables).values()
    z = GCN((10,)).output(weights, graph, as_features(graph, FEATURES[:6]))
    want = loss_node(
        objective.edges,
        [constant(z)],
        src=graph.edges[:, 0],
        dst=graph.edges[:, 1],
        negative_src=free[:, 0],
        negative_dst=free[:, 1],
    )
    assert float(part.value) == pytest.approx(float(want.value), rel=1e-5)
    with pytest.raises(InvalidArgumentError, match="all 15 edges"):
        _run(objective, Graph.from_edges(pairs, 6), FEATURES[:6])
    _run(
        Reconstruction(None, FeatureReconstructionLoss()), Graph.from_edges(pairs, 6), FEATURES[:6]
    )
