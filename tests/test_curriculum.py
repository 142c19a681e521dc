"""Curricula: stages, how they follow each other, and their state."""

import json

import pytest
from ruvector.curriculum import Curriculum, Stage, default_stages, linear_stages
from ruvector.errors import InvalidArgumentError, InvalidTypeError


def test_the_default_is_what_it_says():
    names = ("infonce", "local", "spectral", "reconstruction")
    want = [
        ("Easy", 10, 0.5, 5, (1, 0.5, 0.1, 0.5), 0.3),
        ("Medium", 20, 0.3, 10, (1, 0.3, 0.05, 0.3), 0.5),
        ("Hard", 30, 0.1, 20, (1, 0.1, 0.01, 0.1), 0.7),
    ]
    for stage, (name, epochs, tau, negatives, weights, threshold) in zip(
        default_stages(), want, strict=True
    ):
        assert (stage.name, stage.epochs, stage.samples) == (name, epochs, None)
        assert (stage.temperature, stage.num_negatives, stage.threshold) == (
            tau,
            negatives,
            threshold,
        )
        assert stage.loss_weights == dict(zip(names, weights, strict=True))


def test_epochs_lead_through_the_default_and_the_last_stage_stays():
    curriculum = Curriculum.default()
    seen, changes = [], []
    for epoch in range(100):
        seen.append(curriculum.stage.name)
        if curriculum.step():
            changes.append(epoch + 1)
    assert seen == ["Easy"] * 10 + ["Medium"] * 20 + ["Hard"] * 70
    assert changes == [10, 30]


def test_samples_end_a_stage_too():
    curriculum = Curriculum([Stage("a", samples=100), Stage("b", epochs=1), Stage("c")])
    assert not curriculum.step(epochs=0, samples=99)
    assert curriculum.step(epochs=0, samples=50)
    assert curriculum.stage.name == "b"
    # What the stage before had too much is not handed on.
    assert curriculum.state_dict() == {"stage": 1, "epochs": 0, "samples": 0}
    assert curriculum.step()
    assert not curriculum.step(epochs=50, samples=10**9)
    assert curriculum.index == 2


def test_difficulty_is_compared_with_the_threshold():
    curriculum = Curriculum.default()
    assert curriculum.include(0.3)
    assert not curriculum.include(0.31)
    curriculum.step(epochs=10)
    assert curriculum.include(0.5)
    assert Stage("all").include(1.0)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidArgumentError, match="difficulty"):
            curriculum.include(wrong)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_linear_stages_go_in_equal_steps(count):
    stages = linear_stages(
        count, epochs=3, temperature=(0.5, 0.1), num_negatives=(5, 25), threshold=(0.2, 1.0)
    )
    assert len(stages) == count
    assert (stages[-1].temperature, stages[-1].num_negatives, stages[-1].threshold) == (0.1, 25, 1)
    for i, stage in enumerate(stages):
        share = i / (count - 1) if count > 1 else 1
        assert stage.epochs == 3
        assert stage.temperature == pytest.approx(0.5 - 0.4 * share)
        assert stage.num_negatives == round(5 + 20 * share)
    assert Curriculum.linear(count, epochs=3).stages[0].temperature is None


def test_a_curriculum_survives_json_and_its_state_continues():
    curriculum = Curriculum.default()
    for _ in range(17):
        curriculum.step(samples=3)
    plain = json.loads(json.dumps([curriculum.to_dict(), curriculum.state_dict()]))
    again = Curriculum.from_dict(plain[0])
    assert again.stages == curriculum.stages
    again.load_state_dict(plain[1])
    assert again == curriculum
    for _ in range(30):
        assert again.step() == curriculum.step()
        assert again == curriculum
    curriculum.reset()
    assert curriculum == Curriculum.default()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Stage(""), InvalidArgumentError, "empty"),
        (lambda: Stage(3), InvalidTypeError, "name"),
        (lambda: Stage("a", epochs=0), InvalidArgumentError, "epochs"),
        (lambda: Stage("a", epochs=1.5), InvalidTypeError, "epochs"),
        (lambda: Stage("a", epochs=1, samples=2), InvalidArgumentError, "one of them"),
        (lambda: Stage("a", temperature=0.0), InvalidArgumentError, "temperature"),
        (lambda: Stage("a", num_negatives=0), InvalidArgumentError, "num_negatives"),
        (lambda: Stage("a", threshold=1.5), InvalidArgumentError, "threshold"),
        (lambda: Stage("a", loss_weights={"x": -1}), InvalidArgumentError, "loss_weights"),
        (lambda: Stage("a", loss_weights=[1]), InvalidTypeError, "loss_weights"),
        (lambda: Stage.from_dict({"name": "a", "x": 1}), InvalidArgumentError, "'x'"),
        (lambda: Stage.from_dict({}), InvalidArgumentError, "name"),
        (lambda: Curriculum([]), InvalidArgumentError, "empty"),
        (lambda: Curriculum("ab"), InvalidTypeError, "stages"),
        (lambda: Curriculum([{"name": "a"}]), InvalidTypeError, "no Stage"),
        (lambda: Curriculum([Stage("a"), Stage("b")]), InvalidArgumentError, "never ends"),
        (
            lambda: Curriculum([Stage("a", epochs=1), Stage("a")]),
            InvalidArgumentError,
            "two named 'a'",
        ),
        (lambda: Curriculum.from_dict({}), InvalidArgumentError, "stages"),
        (lambda: Curriculum.from_dict({"stages": 3}), InvalidTypeError, "stages"),
        (lambda: linear_stages(0, epochs=1), InvalidArgumentError, "count"),
        (lambda: Curriculum.default().step(epochs=-1), InvalidArgumentError, "epochs"),
    ],
)
def test_what_makes_no_curriculum_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"stage": 3, "epochs": 0, "samples": 0},
        {"stage": 0, "epochs": -1, "samples": 0},
        {"stage": 1, "epochs": 0, "samples": -1},
        [],
    ],
)
def test_unfit_state_changes_nothing(state):
    curriculum = Curriculum.default()
    curriculum.step(epochs=10)
    before = curriculum.state_dict()
    with pytest.raises(InvalidArgumentError):
        curriculum.load_state_dict(state)
    assert curriculum.state_dict() == before
