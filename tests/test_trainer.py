"""Objectives, the training loop and the recipes."""

import numpy as np
import pytest
from planted import FEATURES, GRAPH, SMALL, WIDE, planted
from ruvector import (
    Concat,
    EdgeContrast,
    Graph,
    PropagatedLinear,
    SmoothedLinear,
    Trainer,
    ViewCorrelation,
)
from ruvector.autograd import Variable, add, backward, constant
from ruvector.errors import (
    InvalidArgumentError,
    InvalidTypeError,
    NotFittedError,
)
from ruvector.losses import CCASSGLoss, InBatchInfoNCELoss
from ruvector.mining import HardNegativeMiner
from ruvector.objectives.edges import known_pairs
from ruvector.optim import SGD, Adam
from ruvector.smoothing import as_features
from ruvector.sparse import CSR


def _objectives():
    loss = InBatchInfoNCELoss(0.5, mode="oneway")
    return {
        "edges": EdgeContrast(loss, batch_size=40, folds=2),
        "one-fold": EdgeContrast(loss, batch_size=40, folds=1),
        "corrected": EdgeContrast(loss, batch_size=40, folds=2, correct_sampling=True),
        "mined": EdgeContrast(
            loss, batch_size=40, folds=2, num_mined=3, miner=HardNegativeMiner("hardest", k=4)
        ),
        "views": ViewCorrelation(CCASSGLoss(0.1)),
    }


OBJECTIVES = _objectives()


def _trainer(encoder=SMALL, objective=OBJECTIVES["edges"], **options):
    return Trainer(encoder, objective, **({"epochs": 3} | options))


def _bits(trainer):
    weights = trainer.weights
    arrays = [weights[name] for name in sorted(weights)] + [trainer.embed()]
    return [array.tobytes() for array in arrays] + [r.losses for r in trainer.history]


# Gradients of whole steps


def _total(parts):
    total = None
    for part in parts.values():
        total = part if total is None else add(total, part)
    return total


@pytest.mark.parametrize("form", [np.asarray, CSR.from_dense], ids=["dense", "sparse"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("encoder", [SMALL, WIDE], ids=["smoothed", "propagated"])
def test_gradients_of_a_step_equal_central_differences(encoder, objective, form):
    matrix = as_features(GRAPH, form(FEATURES))
    weights = encoder.initialize(GRAPH, matrix, seed=0)
    run = OBJECTIVES[objective].start(encoder, weights, GRAPH, matrix, seed=0)
    epochs = [list(run.epoch(number, weights)) for number in range(2)]
    assert [len(steps) for steps in epochs] == [run.steps_per_epoch] * 2
    step = epochs[1][0]
    weight = weights["weight"].astype(np.float64)
    variable = Variable(weight)
    parts = step({"weight": variable})
    assert set(parts) == {
        "views": {"cca_ssg"},
        "mined": {"in_batch", "mined"},
    }.get(objective, {"in_batch"})
    backward(_total(parts))
    assert variable.grad.dtype == np.float64
    rng = np.random.default_rng(1)
    for _ in range(4):
        direction = rng.standard_normal(weight.shape)
        direction /= np.linalg.norm(direction)
        ends = [
            float(_total(step({"weight": constant(weight + sign * 1e-6 * direction)})).value)
            for sign in (1, -1)
        ]
        slope = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(np.sum(variable.grad * direction), slope, rtol=1e-5, atol=1e-8)


def test_an_epoch_shows_every_edge_once():
    objective = OBJECTIVES["edges"]
    matrix = as_features(GRAPH, FEATURES)
    weights = SMALL.initialize(GRAPH, matrix, seed=0)
    run = objective.start(SMALL, weights, GRAPH, matrix, seed=0)
    assert np.array_equal(np.sort(np.concatenate(run.folds)), np.arange(GRAPH.num_edges))
    assert run.steps_per_epoch == sum(round(len(fold) / 40) for fold in run.folds)


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_known_pairs_equal_a_double_loop(seed, repeats):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    if repeats:
        nodes = rng.integers(0, 12, (count, 2))
        anchors, positives = nodes[:, 0], nodes[:, 1]
    else:
        ends = GRAPH.edges[rng.permutation(GRAPH.num_edges)[:count]]
        anchors, positives = ends[:, 0], ends[:, 1]
    neighbours = [set(GRAPH.neighbors(node).tolist()) for node in range(GRAPH.num_nodes)]
    indptr, indices = known_pairs(GRAPH.adjacency(), anchors, positives)
    assert indptr.dtype == indices.dtype == np.int64
    assert indptr[0] == 0
    assert len(indptr) == len(anchors) + 1
    for i, (anchor, own) in enumerate(zip(anchors, positives, strict=True)):
        want = [
            j
            for j, other in enumerate(positives)
            if j != i and (other in (anchor, own) or int(other) in neighbours[anchor])
        ]
        assert indices[indptr[i] : indptr[i + 1]].tolist() == want


def test_known_pairs_of_no_pairs():
    none = np.zeros(0, np.int64)
    indptr, indices = known_pairs(GRAPH.adjacency(), none, none)
    assert indptr.tolist() == [0]
    assert indices.tolist() == []


@pytest.mark.parametrize("name", ["batch_size", "folds", "num_mined", "refresh"])
def test_edge_contrast_refuses_counts_below_1(name):
    with pytest.raises(InvalidArgumentError, match=name):
        EdgeContrast(**{name: 0})


def test_correcting_is_asked_for_by_a_bool():
    with pytest.raises(InvalidTypeError, match="correct_sampling"):
        EdgeContrast(correct_sampling="yes")


@pytest.mark.parametrize("name", ["edge_drop", "feature_drop"])
@pytest.mark.parametrize("share", [-0.1, 1.0, np.nan])
def test_view_correlation_refuses_shares_out_of_range(name, share):
    with pytest.raises(InvalidArgumentError, match=name):
        ViewCorrelation(**{name: share})


# The loop


def test_results_before_fit_are_refused():
    trainer = Trainer()
    for ask in (lambda: trainer.weights, trainer.embed, lambda: trainer.embed(GRAPH, FEATURES)):
        with pytest.raises(NotFittedError):
            ask()
    assert trainer.history == []


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_history_and_callbacks_tell_every_epoch(objective):
    records = []
    trainer = _trainer(objective=OBJECTIVES[objective], epochs=4, callbacks=[records.append])
    assert trainer.fit(GRAPH, FEATURES) is trainer
    assert records == trainer.history
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    for record in records:
        parts = {name: loss for name, loss in record.losses.items() if name != "total"}
        np.testing.assert_allclose(record.losses["total"], sum(parts.values()))
        assert all(np.isfinite(loss) for loss in parts.values())
        expected = {"views": {"cca_ssg"}}.get(objective, {"in_batch"})
        if objective == "mined" and record.epoch > 1:
            expected = {"in_batch", "mined"}
        assert set(parts) == expected


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("encoder", [SMALL, WIDE], ids=["smoothed", "propagated"])
def test_the_seed_alone_decides(each_thread_count, encoder, objective):
    def train(seed):
        trainer = _trainer(encoder, OBJECTIVES[objective], seed=seed)
        return _bits(trainer.fit(GRAPH, FEATURES))

    first, second = (train(7) for _ in each_thread_count())
    assert first == second == train(7)
    assert first != train(8)


@pytest.mark.parametrize("encoder", [SMALL, WIDE], ids=["smoothed", "propagated"])
def test_no_epochs_leave_the_start(encoder):
    trainer = _trainer(encoder, epochs=0).fit(GRAPH, FEATURES)
    matrix = as_features(GRAPH, FEATURES)
    start = encoder.finish(encoder.initialize(GRAPH, matrix, seed=0), GRAPH, matrix)
    assert trainer.history == []
    assert {name: a.tobytes() for name, a in start.items()} == {
        name: a.tobytes() for name, a in trainer.weights.items()
    }
    assert np.array_equal(trainer.embed(), encoder.embed(start, GRAPH, FEATURES))


@pytest.mark.parametrize("objective", ["edges", "views"])
@pytest.mark.parametrize("encoder", [SMALL, WIDE], ids=["smoothed", "propagated"])
def test_the_loss_falls(encoder, objective):
    trainer = _trainer(
        encoder, OBJECTIVES[objective], epochs=25, optimizer=lambda w: Adam(w, lr=1e-2)
    ).fit(GRAPH, FEATURES)
    totals = [record.losses["total"] for record in trainer.history]
    assert np.mean(totals[-5:]) < np.mean(totals[:5])
    start = encoder.initialize(GRAPH, as_features(GRAPH, FEATURES), seed=0)
    assert not np.array_equal(trainer.weights["weight"], start["weight"])


def test_another_optimiser():
    slow, fast = (
        _trainer(optimizer=lambda w, lr=lr: SGD(w, lr=lr)).fit(GRAPH, FEATURES).weights["weight"]
        for lr in (1e-9, 0.1)
    )
    np.testing.assert_allclose(slow, np.eye(6), atol=1e-6)
    assert np.abs(fast - np.eye(6)).max() > 1e-3


def _raise(record):
    raise RuntimeError(f"stopped after epoch {record.epoch}")


def test_a_fit_that_fails_leaves_the_earlier_one():
    trainer = _trainer().fit(GRAPH, FEATURES)
    kept, history = _bits(trainer), trainer.history
    empty = Graph.from_edges(np.zeros((0, 2), np.int64), num_nodes=60)
    bad = FEATURES.copy()
    bad[5, 1] = np.nan
    for graph, features in ((GRAPH, FEATURES[:-1]), (empty, FEATURES), (GRAPH, bad)):
        with pytest.raises(InvalidArgumentError):
            trainer.fit(graph, features)
    trainer.callbacks = (_raise,)
    with pytest.raises(RuntimeError, match="epoch 1"):
        trainer.fit(*planted(seed=1))
    assert trainer.history is history
    assert _bits(trainer) == kept


def test_a_second_fit_starts_afresh():
    trainer = _trainer()
    trainer.fit(*planted(seed=1))
    assert _bits(trainer.fit(GRAPH, FEATURES)) == _bits(_trainer().fit(GRAPH, FEATURES))


def test_embed_takes_another_graph():
    trainer = _trainer().fit(GRAPH, FEATURES)
    assert np.array_equal(trainer.embed(), trainer.embed(GRAPH, FEATURES))
    graph, features = planted(groups=2, seed=5)
    assert trainer.embed(graph, features).shape == (40, 6)
    with pytest.raises(InvalidArgumentError, match="without the graph"):
        trainer.embed(features=FEATURES)
    with pytest.raises(InvalidArgumentError):
        trainer.embed(GRAPH, FEATURES[:, :3])


def test_the_graph_alone_is_enough():
    trainer = _trainer().fit(GRAPH)
    assert trainer.embed().shape == (60, 6)
    with pytest.raises(InvalidArgumentError, match="40 nodes but the model was trained on 60"):
        trainer.embed(planted(groups=2)[0])


def test_settings_out_of_range_are_refused():
    for options in ({"epochs": -1}, {"seed": -1}):
        with pytest.raises(InvalidArgumentError):
            Trainer(**options)


# Recipes


def test_a_batch_without_any_candidate_trains_on_its_edges():
    triangle = Graph.from_edges([[0, 1], [1, 2], [0, 2]])
    objective = EdgeContrast(miner=HardNegativeMiner("random", k=2), folds=1)
    trainer = Trainer(SmoothedLinear(dim=2), objective, epochs=3)
    trainer.fit(triangle, np.eye(3, dtype=np.float32))
    assert all("mined" not in record.losses for record in trainer.history)


def test_several_encoders_side_by_side_can_be_trained_together():
    ring = Graph.from_edges([[i, (i + 1) % 12] for i in range(12)])
    whole = Concat((SmoothedLinear(dim=3), SmoothedLinear(dim=2, powers=2)), (1.0, 0.5))
    trainer = Trainer(whole, epochs=2).fit(ring, np.eye(12, dtype=np.float32))
    assert trainer.embed().shape == (12, 5)
    assert not np.array_equal(trainer.weights["1.weight"], np.eye(2, dtype=np.float32))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SmoothedLinear(powers=-1),
        lambda: SmoothedLinear(dim=0),
        lambda: SmoothedLinear(magnitude=float("nan")),
        lambda: SmoothedLinear(exponent=2.0),
        lambda: PropagatedLinear(dim=0),
        lambda: Concat((), ()),
        lambda: Concat((SmoothedLinear(),), (1.0, 2.0)),
        lambda: EdgeContrast(loss=InBatchInfoNCELoss(reduction="none")),
        lambda: EdgeContrast(loss=InBatchInfoNCELoss(), correct_sampling=True),
    ],
)
def test_settings_outside_their_range_are_refused(make):
    with pytest.raises(InvalidArgumentError):
        make()


def test_correcting_for_sampling_brings_nodes_of_many_edges_nearer():
    rng = np.random.default_rng(0)
    share = np.arange(1, 201) ** -0.8
    edges = rng.choice(200, (2000, 2), p=share / share.sum())
    edges = np.unique(np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1), axis=0)
    graph = Graph.from_edges(edges, 200)
    nearer = []
    for corrected in (False, True):
        objective = EdgeContrast(batch_size=100, correct_sampling=corrected)
        trainer = Trainer(SmoothedLinear(dim=64), objective, epochs=20, lr=0.05)
        z = trainer.fit(graph, np.eye(200)).embed()
        to_others = (z @ z.T).mean(axis=1)
        nearer.append(to_others[:20].mean() - to_others[-100:].mean())
    assert nearer[1] > 1.3 * nearer[0] > 0


def test_mining_begins_after_the_first_epoch():
    ring = Graph.from_edges([[i, (i + 1) % 40] for i in range(40)])
    objective = EdgeContrast(miner=HardNegativeMiner("random", k=2), refresh=1)
    trainer = Trainer(SmoothedLinear(dim=4), objective, epochs=2)
    trainer.fit(ring, np.eye(40, dtype=np.float32))
    assert ["mined" in record.losses for record in trainer.history] == [False, True]


def test_features_changed_afterwards_do_not_change_the_embeddings():
    ring = Graph.from_edges([[i, (i + 1) % 12] for i in range(12)])
    features = np.eye(12, dtype=np.float32)
    trainer = Trainer(SmoothedLinear(dim=3), epochs=1).fit(ring, features)
    before = trainer.embed()
    features[:] = 1
    np.testing.assert_array_equal(trainer.embed(), before)
