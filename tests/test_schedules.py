"""Schedules against their formulas and PyTorch's, and what they refuse."""

import json
import math

import pytest
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.schedules import (
    Constant,
    Cosine,
    Decay,
    Exponential,
    Linear,
    Piecewise,
    Schedule,
    Step,
    WarmUp,
    as_schedule,
)

ALL = [
    Constant(0.3),
    Linear(0.5, 0.1),
    Linear(0.5, 0.1, duration=4),
    Exponential(1.0, 0.01, duration=7),
    Decay(50.0, start=2.0),
    Cosine(1.0, 0.1),
    Step(1.0, 0.5, every=3),
    Piecewise([(0, 1.0), (5, 0.5), (6, 2)]),
    WarmUp(Cosine(0.1, 0.0), duration=5),
    WarmUp(WarmUp(Step(0.1, 0.5, every=2), duration=1), duration=2, start=0.5),
]


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_a_schedule_survives_json(schedule):
    again = Schedule.from_dict(json.loads(json.dumps(schedule.to_dict())))
    assert again == schedule
    assert type(again) is type(schedule)
    for at in (0, 0.5, 3, 7.25, 1000):
        assert again(at, total=20) == schedule(at, total=20)


@pytest.mark.parametrize("total", [1.0, 8.0])
def test_values_by_formula(total):
    for i in range(17):
        at, p = i * total / 16, i / 16
        assert Linear(0.5, 0.1)(at, total=total) == pytest.approx(0.5 - 0.4 * p, abs=1e-15)
        assert Exponential(2.0, 0.1)(at, total=total) == pytest.approx(2 * 0.05**p, rel=1e-14)
        want = 0.1 + 0.9 * (1 + math.cos(math.pi * p)) / 2
        assert Cosine(1.0, 0.1)(at, total=total) == pytest.approx(want, rel=1e-14)
        assert Decay(3.0)(at, total=total) == pytest.approx(math.exp(-at / 3), rel=1e-15)


@pytest.mark.parametrize("kind", [Linear, Exponential, Cosine])
def test_ends_are_exact_and_the_last_value_stays(kind):
    schedule = kind(0.7, 0.1, duration=3)
    assert schedule(0, total=10) == 0.7
    assert schedule(3, total=10) == schedule(9, total=10) == 0.1
    assert kind(0.7, 0.1, duration=0)(0, total=10) == 0.1
    assert kind(0.7, 0.1)(0, total=0) == 0.1


def test_warm_up_meets_what_follows():
    inner = Linear(0.4, 0.0)
    schedule = WarmUp(inner, duration=2, start=0.1)
    assert schedule(0, total=10) == 0.1
    assert schedule(1, total=10) == 0.25
    assert schedule(2, total=10) == 0.4
    assert schedule(6, total=10) == pytest.approx(0.2)
    assert schedule(10, total=10) == 0.0
    assert WarmUp(inner, duration=0)(0, total=10) == 0.4
    # Training ends before the warm-up does.
    assert WarmUp(inner, duration=20)(10, total=10) == 0.0


def test_as_pytorch_schedules():
    torch = pytest.importorskip("torch", reason="no PyTorch: make test-torch")
    lr_scheduler = torch.optim.lr_scheduler
    pairs = [
        (lambda o: lr_scheduler.LinearLR(o, 1.0, 0.25, total_iters=8), Linear(0.4, 0.1, 8)),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=10, eta_min=0.1), Cosine(0.4, 0.1, 10)),
        (lambda o: lr_scheduler.StepLR(o, step_size=3, gamma=0.5), Step(0.4, 0.5, every=3)),
        (
            lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
            Exponential(0.4, 0.4 * 0.9**10, duration=10),
        ),
    ]
    for make, ours in pairs:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
        theirs = make(optimizer)
        for epoch in range(11):
            assert ours(epoch, total=10) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
            optimizer.step()
            theirs.step()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exponential(1.0, 0.0), "end"),
        (lambda: Exponential(0.0, 1.0), "start"),
        (lambda: Exponential(1.0, -1.0), "end"),
        (lambda: Linear(math.nan, 1.0), "start"),
        (lambda: Linear(1.0, math.inf), "end"),
        (lambda: Linear(1.0, 0.0, duration=-1), "duration"),
        (lambda: Decay(0.0), "scale"),
        (lambda: Step(1.0, -0.5, every=1), "factor"),
        (lambda: Step(1.0, 0.5, every=0), "every"),
        (lambda: Step(1.0, 2.0, every=1e-3)(10), "beyond the range"),
        (lambda: Step(1e308, 10.0, every=1)(1), "beyond the range"),
        (lambda: Step(1.0, 2.0, every=1e-320)(10), "beyond the range"),
        (lambda: Piecewise([]), "points is empty"),
        (lambda: Piecewise([(1, 0.0), (1, 1.0)]), "rise"),
        (lambda: Piecewise([(1, 0.0, 2)]), r"points\[0\]"),
        (lambda: Linear(1.0, 0.0)(-1), "at"),
        (lambda: Linear(1.0, 0.0)(math.nan), "at"),
        (lambda: Linear(1.0, 0.0)(1, total=-1), "total"),
        (lambda: Schedule.from_dict({"kind": "square"}), "'square'"),
        (lambda: Schedule.from_dict({"kind": "linear", "start": 1.0}), "lacks"),
        (lambda: Schedule.from_dict({"kind": "constant", "value": 1.0, "x": 2}), "no 'x'"),
        (lambda: as_schedule(-1.0, "lr", low=0.0), "lr"),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear("a", 1.0),
        lambda: Constant(True),
        lambda: Piecewise(3.0),
        lambda: Piecewise("ab"),
        lambda: WarmUp(0.1, duration=5),
        lambda: Schedule.from_dict([1]),
        lambda: as_schedule("fast", "lr"),
        lambda: as_schedule(None, "lr"),
    ],
)
def test_other_types_are_refused(make):
    with pytest.raises(InvalidTypeError):
        make()


def test_numbers_become_constant_schedules():
    assert as_schedule(0.5, "lr") == Constant(0.5)
    assert as_schedule(Linear(1, 0), "lr") == Linear(1.0, 0.0)


def test_steps_of_a_fraction_of_an_epoch_come_on_time():
    step = Step(1.0, 0.5, every=0.1)
    assert [step(i / 10) for i in range(20)] == [0.5**i for i in range(20)]
    assert step(0.2999) == 0.25
    assert Step(1.0, 0.5, every=1e-3)(10) == 0.0
    assert Step(0.0, 2.0, every=1e-3)(10) == 0.0
