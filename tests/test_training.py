"""What goes on around a training's steps: schedules, weights, stopping."""

import json

import numpy as np
import pytest
from ruvector import EdgeContrast, Graph, SmoothedLinear, Trainer, ViewCorrelation
from ruvector.autograd import Variable, constant, loss_node
from ruvector.curriculum import Curriculum, Stage
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses import InBatchInfoNCELoss, InfoNCELoss, LaplacianLoss, NormLoss
from ruvector.mining import HardNegativeMiner, MinedNegatives
from ruvector.objectives import Knobs, Together, WholeGraph
from ruvector.objectives.edges import not_above
from ruvector.optim import SGD
from ruvector.schedules import Constant, Cosine, Linear
from ruvector.smoothing import as_features
from ruvector.training import Checkpoints, EarlyStop, EpochRecord, StopTraining
from ruvector.weighting import (
    BalancedWeights,
    GradNorm,
    PCGrad,
    PlainSum,
    UncertaintyWeights,
    WeightedSum,
)


def planted(groups=3, size=20, seed=0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    same = group[:, None] == group
    drawn = rng.random(same.shape) < np.where(same, 0.3, 0.02)
    features = np.eye(groups)[group] @ rng.standard_normal((groups, 10))
    features += rng.standard_normal(features.shape)
    return Graph.from_edges(np.argwhere(np.triu(drawn, 1)), len(group)), features.astype("f4")


GRAPH, FEATURES = planted()
SMALL = SmoothedLinear(dim=6, powers=2)
REGULAR = WholeGraph(
    {
        "spectral": lambda z, graph: loss_node(LaplacianLoss(), [z], graph=graph),
        "norm": lambda z, _: loss_node(NormLoss(), [z]),
    },
    steps=3,
)
EDGES = EdgeContrast(
    InBatchInfoNCELoss(0.5, mode="oneway"),
    batch_size=30,
    folds=2,
    num_mined=3,
    miner=HardNegativeMiner("hardest", k=4),
    refresh=1,
)
BOTH = Together({"infonce": EDGES, "rest": REGULAR})
WEIGHTS = {"infonce": 1.0, "rest.spectral": 0.01, "rest.norm": Linear(0.0, 0.5)}
WEIGHTINGS = {
    "plain": PlainSum(),
    "weighted": WeightedSum(WEIGHTS),
    "balanced": BalancedWeights(),
    "uncertainty": UncertaintyWeights(),
    "gradnorm": GradNorm(),
    "pcgrad": PCGrad(),
}


def trainer(objective=BOTH, **options):
    return Trainer(SMALL, objective, **({"epochs": 3} | options))


def fit(objective=BOTH, **options):
    return trainer(objective, **options).fit(GRAPH, FEATURES)


def weight(fitted):
    return fitted.weights["weight"]


# Objectives side by side


def test_steps_of_several_objectives_are_spread_evenly():
    matrix = as_features(GRAPH, FEATURES)
    weights = SMALL.initialize(GRAPH, matrix, seed=0)
    run = BOTH.start(SMALL, weights, GRAPH, matrix, seed=0)
    alone = EDGES.start(SMALL, weights, GRAPH, matrix, seed=0)
    assert run.steps_per_epoch == alone.steps_per_epoch > 3
    assert run.samples_per_epoch == max(GRAPH.num_edges, 3 * GRAPH.num_nodes)
    variables = {"weight": constant(weights["weight"])}
    with_rest = [
        i for i, step in enumerate(run.epoch(0, weights)) if "rest.norm" in step(variables)
    ]
    assert len(with_rest) == 3
    assert with_rest[0] == 0
    gaps = np.diff([*with_rest, run.steps_per_epoch])
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_the_total_gradient_is_the_weighted_sum_of_the_parts(name):
    """From the encoder's weights through every loss to the optimiser, by central differences."""
    matrix = as_features(GRAPH, FEATURES)
    start = SMALL.initialize(GRAPH, matrix, seed=0)
    run = BOTH.start(SMALL, start, GRAPH, matrix, seed=0)
    list(run.epoch(0, start))
    step = next(run.epoch(1, start))
    at = start["weight"].astype(np.float64)
    variables = {"weight": Variable(at)}
    parts = step(variables)
    assert set(parts) == {"infonce.in_batch", "infonce.mined", "rest.spectral", "rest.norm"}
    if name == "pcgrad":
        del parts["rest.norm"]  # rows have norm 1: its direction is rounding, and others lose it
    weigher = WEIGHTINGS[name].start(seed=0)
    found = weigher.combine(parts, variables, at=1.0, total=2.0)
    weights = found.weights
    if name == "pcgrad":
        # The direction is a mixture of the parts' gradients; which one, its own tests tell.
        rows = [
            PlainSum()
            .start(seed=0)
            .combine({part: parts[part]}, variables, at=0, total=1)
            .gradients["weight"]
            .ravel()
            for part in parts
        ]
        mixture = np.linalg.lstsq(np.array(rows).T, found.gradients["weight"].ravel(), rcond=None)
        weights = dict(zip(parts, mixture[0], strict=True))

    def total(moved):
        given = step({"weight": constant(moved)})
        return sum(weights[part] * float(given[part].value) for part in parts)

    rng = np.random.default_rng(1)
    for _ in range(4):
        direction = rng.standard_normal(at.shape)
        direction /= np.linalg.norm(direction)
        slope = (total(at + 1e-6 * direction) - total(at - 1e-6 * direction)) / 2e-6
        got = np.sum(found.gradients["weight"] * direction)
        np.testing.assert_allclose(got, slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_the_trainer_steps_along_what_the_weighting_says(name):
    objective = Together({"infonce": EdgeContrast(batch_size=10**6, folds=1), "rest": REGULAR})
    weighting = WEIGHTINGS[name]
    moved = fit(
        objective, weighting=weighting, epochs=1, optimizer=lambda w: SGD(w, lr=0.125), seed=4
    )
    matrix = as_features(GRAPH, FEATURES)
    start = SMALL.initialize(GRAPH, matrix, seed=4)
    arrays = {"weight": start["weight"].copy()}
    run = objective.start(SMALL, start, GRAPH, matrix, seed=4)
    weigher = weighting.start(seed=4)
    for i, step in enumerate(run.epoch(0, start)):
        variables = {"weight": Variable(arrays["weight"])}
        found = weigher.combine(step(variables), variables, at=i / 3, total=1.0)
        arrays["weight"] -= np.float32(0.125) * found.gradients["weight"]
    np.testing.assert_allclose(weight(moved), arrays["weight"], rtol=1e-5, atol=1e-6)


def test_the_record_tells_weights_and_their_total():
    fitted = fit(weighting=WeightedSum(WEIGHTS), epochs=2)
    for record in fitted.history:
        assert record.weights["infonce.in_batch"] == 1.0
        assert record.weights["rest.spectral"] == pytest.approx(0.01)
        weighted = sum(
            record.weights[name] * loss
            for name, loss in record.losses.items()
            if name not in ("total", "rest.norm")
        )
        # The norm's weight changes within the epoch, so its product is no product of means.
        assert 0 < record.losses["total"] - weighted < record.losses["rest.norm"]
    with pytest.raises(InvalidArgumentError, match=r"rest\.norm"):
        fit(weighting=WeightedSum({"infonce": 1.0, "rest.spectral": 1.0}))


# Schedules


def test_the_learning_rate_is_looked_up_before_every_step():
    rates = []

    class Told(SGD):
        def step(self, gradients):
            rates.append(self.lr)
            super().step(gradients)

    schedule = Cosine(0.1, 0.0)
    fitted = fit(REGULAR, lr=schedule, optimizer=lambda w: Told(w, lr=7.0), epochs=2)
    np.testing.assert_allclose(rates, [schedule(i / 3, total=2.0) for i in range(6)])
    assert [record.lr for record in fitted.history] == [rates[2], rates[5]]


def test_the_scheduled_temperature_reaches_the_losses():
    plain = EdgeContrast(InBatchInfoNCELoss(0.2, mode="oneway"), batch_size=40)
    cold = EdgeContrast(InBatchInfoNCELoss(0.9, mode="oneway"), batch_size=40)
    same = fit(cold, temperature=0.2)
    assert weight(same).tobytes() == weight(fit(plain)).tobytes()
    assert weight(fit(cold)).tobytes() != weight(same).tobytes()
    falling = fit(cold, temperature=Linear(0.9, 0.2))
    assert weight(falling).tobytes() not in (weight(same).tobytes(), weight(fit(cold)).tobytes())
    assert cold.loss.temperature == 0.9


def test_the_temperature_changes_the_gradient_of_a_step():
    matrix = as_features(GRAPH, FEATURES)
    weights = SMALL.initialize(GRAPH, matrix, seed=0)
    run = EDGES.start(SMALL, weights, GRAPH, matrix, seed=0)
    step = next(run.epoch(0, weights))
    values = []
    for tau in (None, 0.5, 0.1):
        assert "temperature" in run.adjust(Knobs(temperature=tau))
        values.append(float(step({"weight": constant(weights["weight"])})["in_batch"].value))
    assert values[0] == values[1] != values[2]


def test_a_temperature_that_nothing_reads_is_refused():
    with pytest.raises(InvalidArgumentError, match="ViewCorrelation has none"):
        fit(ViewCorrelation(), temperature=0.1)
    with pytest.raises(InvalidArgumentError, match="temperature"):
        fit(EDGES, temperature=Linear(0.5, -0.5))


def test_the_whole_gradient_is_clipped():
    moved = fit(REGULAR, epochs=1, clip_norm=0.25, optimizer=lambda w: SGD(w, lr=1.0))
    assert np.linalg.norm(weight(moved) - np.eye(6)) <= 3 * 0.25 + 1e-5


# Curriculum


def test_stages_set_temperature_negatives_and_weights():
    stages = [
        Stage("easy", epochs=2, temperature=0.9, num_negatives=2, loss_weights={"infonce": 1.0}),
        Stage("hard", temperature=0.1, num_negatives=7, loss_weights={"infonce": 0.5}),
    ]
    curriculum = Curriculum(stages)
    fitted = fit(EDGES, curriculum=curriculum, epochs=4)
    assert [record.stage for record in fitted.history] == ["easy", "easy", "hard", "hard"]
    assert [record.weights["mined"] for record in fitted.history[1:]] == [1.0, 0.5, 0.5]
    # The trainer goes through stages of its own.
    assert curriculum.state_dict() == Curriculum(stages).state_dict()
    by_hand = EdgeContrast(
        InBatchInfoNCELoss(0.9, mode="oneway"),
        batch_size=30,
        folds=2,
        miner=HardNegativeMiner("hardest", k=4),
        mined_loss=InfoNCELoss(temperature=0.9),
        num_mined=2,
        refresh=1,
    )
    start = fit(by_hand, epochs=2)
    for i in range(2):
        assert fitted.history[i].losses == start.history[i].losses
    assert fitted.history[2].losses != fit(by_hand, epochs=3).history[2].losses


def test_the_default_curriculum_trains_the_default_objective():
    fitted = Trainer(SMALL, curriculum=Curriculum.default(), epochs=12).fit(GRAPH, FEATURES)
    assert [record.stage for record in fitted.history] == ["Easy"] * 10 + ["Medium"] * 2


def test_samples_end_a_stage_between_epochs():
    stages = [Stage("first", samples=GRAPH.num_edges + 1), Stage("second")]
    fitted = fit(EDGES, curriculum=Curriculum(stages), epochs=4)
    assert [record.stage for record in fitted.history] == ["first", "first", "second", "second"]


def test_what_a_stage_sets_in_vain_is_logged(caplog):
    stages = [Stage("only", temperature=0.5, num_neighbors=3)]
    fit(ViewCorrelation(), curriculum=Curriculum(stages), epochs=2)
    messages = [record.getMessage() for record in caplog.records]
    assert sum("temperature" in message for message in messages) == 1
    assert sum("num_neighbors" in message for message in messages) == 1


def test_a_loss_that_the_stage_does_not_weigh_is_refused():
    stages = [Stage("only", loss_weights={"local": 1.0})]
    with pytest.raises(InvalidArgumentError, match="'in_batch'"):
        fit(EDGES, curriculum=Curriculum(stages))


@pytest.mark.parametrize("threshold", [None, 0.0, 0.35, 1.0])
def test_candidates_above_the_threshold_are_left_out(threshold):
    rng = np.random.default_rng(0)
    similarities = rng.uniform(-1, 1, (50, 6)).astype(np.float32)
    indices = rng.integers(0, 100, (50, 6))
    empty = np.arange(6) >= rng.integers(0, 7, 50)[:, None]
    similarities[empty], indices[empty] = -np.inf, -1
    mined = MinedNegatives(indices, similarities, (~empty).sum(axis=1))
    found = not_above(mined, threshold)
    bound = np.inf if threshold in (None, 1.0) else threshold
    for i in range(50):
        want = [
            (int(index), float(s))
            for index, s in zip(indices[i], similarities[i], strict=True)
            if index >= 0 and s <= bound
        ]
        assert found.counts[i] == len(want)
        assert found.indices[i, : len(want)].tolist() == [index for index, _ in want]
        assert found.similarities[i, : len(want)].tolist() == [s for _, s in want]
        assert (found.indices[i, len(want) :] == -1).all()


def test_the_threshold_reaches_the_training():
    def with_threshold(threshold):
        stages = [Stage("only", threshold=threshold)]
        return fit(EDGES, curriculum=Curriculum(stages), epochs=2).history[1].losses

    assert with_threshold(1.0) == fit(EDGES, epochs=2).history[1].losses
    assert with_threshold(0.9)["mined"] < with_threshold(1.0)["mined"]


# Validation, stopping


def test_validation_figures_are_in_the_record():
    shapes = []

    def validate(embeddings):
        shapes.append(embeddings.shape)
        return {"spread": float(embeddings.std()), "count": len(shapes)}

    fitted = fit(EDGES, validation=validate)
    assert shapes == [(60, 6)] * 3
    assert [record.metrics["count"] for record in fitted.history] == [1, 2, 3]
    assert fitted.history[-1].metrics["spread"] == pytest.approx(fitted.embed().std(), rel=1e-6)
    with pytest.raises(InvalidArgumentError, match="'bad'"):
        fit(EDGES, validation=lambda _: {"bad": float("nan")})


@pytest.mark.parametrize("mode", ["max", "min"])
def test_early_stop_keeps_the_best_epoch(mode):
    scores = [1.0, 3.0, 2.0, 3.0, 2.5, 9.0]
    signed = scores if mode == "max" else [-score for score in scores]
    given = iter(signed)
    fitted = fit(
        EDGES,
        epochs=6,
        validation=lambda _: {"score": next(given)},
        early_stop=EarlyStop("score", patience=3, mode=mode),
    )
    assert len(fitted.history) == 5
    assert weight(fitted).tobytes() == weight(fit(EDGES, epochs=2)).tobytes()
    given = iter(signed)
    last = fit(
        EDGES,
        epochs=6,
        validation=lambda _: {"score": next(given)},
        early_stop=EarlyStop("score", patience=3, mode=mode, restore=False),
    )
    assert weight(last).tobytes() == weight(fit(EDGES, epochs=5)).tobytes()


def test_early_stop_wants_more_than_min_delta():
    given = iter([1.0, 1.4, 1.8, 2.1])
    stop = EarlyStop("score", patience=2, min_delta=0.5)
    fitted = fit(EDGES, epochs=4, validation=lambda _: {"score": next(given)}, early_stop=stop)
    # 1.4 is too little beyond 1.0, 1.8 is enough, 2.1 is the first wait after it.
    assert len(fitted.history) == 4
    assert weight(fitted).tobytes() == weight(fit(EDGES, epochs=3)).tobytes()


def test_early_stop_may_look_at_a_loss():
    rising = fit(EDGES, epochs=9, lr=1e-30, early_stop=EarlyStop("total", 2, "min", 1e9))
    assert len(rising.history) == 3
    with pytest.raises(InvalidArgumentError, match="'auc'"):
        fit(EDGES, early_stop=EarlyStop("auc"))


def test_a_callback_may_stop():
    told = []

    def stop(record):
        if record.epoch == 2:
            raise StopTraining

    fitted = fit(EDGES, epochs=5, callbacks=[stop, told.append])
    assert [record.epoch for record in told] == [1, 2]
    assert weight(fitted).tobytes() == weight(fit(EDGES, epochs=2)).tobytes()


def test_records_of_old_callers_still_work():
    record = EpochRecord(1, {"total": 1.0}, 0.5)
    assert record.metrics == {}
    assert json.dumps(dict(record.weights)) == "{}"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Trainer(lr=-1.0), InvalidArgumentError, "lr"),
        (lambda: Trainer(lr="fast"), InvalidTypeError, "lr"),
        (lambda: Trainer(clip_norm=0.0), InvalidArgumentError, "clip_norm"),
        (lambda: Trainer(curriculum=[Stage("a")]), InvalidTypeError, "curriculum"),
        (lambda: Trainer(early_stop="auc"), InvalidTypeError, "early_stop"),
        (lambda: Trainer(checkpoints="folder"), InvalidTypeError, "checkpoints"),
        (lambda: Trainer(weighting={"a": 1.0}), InvalidTypeError, "weighting"),
        (lambda: Trainer(validation=0.5), InvalidTypeError, "validation"),
        (
            lambda: Trainer(temperature=Constant(0.1), curriculum=Curriculum.default()),
            InvalidArgumentError,
            "temperature",
        ),
        (lambda: EarlyStop("a", patience=0), InvalidArgumentError, "patience"),
        (lambda: EarlyStop("a", mode="best"), InvalidArgumentError, "mode"),
        (lambda: EarlyStop("a", min_delta=-1), InvalidArgumentError, "min_delta"),
        (lambda: Checkpoints("x", epochs=0), InvalidArgumentError, "epochs"),
        (lambda: Checkpoints("x", steps=0), InvalidArgumentError, "steps"),
        (lambda: Together({}), InvalidArgumentError, "empty"),
        (lambda: Together({"a.b": EDGES}), InvalidArgumentError, "dot"),
        (lambda: WholeGraph({}), InvalidArgumentError, "empty"),
        (lambda: WholeGraph({"a": 3}), InvalidTypeError, "'a'"),
        (lambda: WholeGraph({"a": print}, steps=0), InvalidArgumentError, "steps"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
