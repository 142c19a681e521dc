"""The loss tracker: histories, over-fitting, exports, plots."""

import numpy as np
import pytest
from ruvector import Graph, SmoothedLinear, Trainer
from ruvector.errors import CorruptFileError, InvalidArgumentError, InvalidTypeError
from ruvector.tracking import LossTracker, Overfitting, find_overfitting
from ruvector.training import EpochRecord


def records():
    return [
        EpochRecord(1, {"a": 3.0, "total": 3.0}, 0.5, {"auc": 0.5}, {"a": 1.0}, 0.1),
        EpochRecord(2, {"a": 2.0, "b": 0.1, "total": 2.1}, 0.25, {"auc": 0.7}, {"a": 1, "b": 2}),
        EpochRecord(3, {"a": 1 / 3, "total": 1 / 3}, 0.125, {}, {"a": 1.0}, 0.05),
    ]


def test_every_loss_has_a_history():
    tracker = LossTracker()
    for record in records():
        tracker(record)
    assert len(tracker) == 3
    assert tracker.names == [
        *("loss/a", "loss/b", "loss/total", "weight/a", "weight/b", "metric/auc"),
        *("lr", "seconds"),
    ]
    np.testing.assert_array_equal(tracker["loss/a"], [3.0, 2.0, 1 / 3])
    np.testing.assert_array_equal(tracker["loss/b"], [np.nan, 0.1, np.nan])
    np.testing.assert_array_equal(tracker["metric/auc"], [0.5, 0.7, np.nan])
    np.testing.assert_array_equal(tracker["lr"], [0.1, np.nan, 0.05])
    np.testing.assert_array_equal(tracker.epochs, [1, 2, 3])
    with pytest.raises(InvalidArgumentError, match="'loss/c'"):
        tracker["loss/c"]
    with pytest.raises(InvalidTypeError, match="EpochRecord"):
        tracker({"a": 1.0})


def test_an_epoch_told_again_replaces_itself():
    tracker = LossTracker(reversed(records()))
    tracker(records()[1]._replace(losses={"a": 9.0}))
    np.testing.assert_array_equal(tracker.epochs, [1, 2, 3])
    np.testing.assert_array_equal(tracker["loss/a"], [3.0, 9.0, 1 / 3])


def test_a_trainer_tells_it():
    graph = Graph.from_edges([[i, (i + 1) % 12] for i in range(12)])
    tracker = LossTracker()
    trainer = Trainer(SmoothedLinear(dim=3), epochs=3, callbacks=[tracker])
    trainer.fit(graph, np.eye(12, dtype=np.float32))
    want = [record.losses["total"] for record in trainer.history]
    np.testing.assert_array_equal(tracker["loss/total"], want)
    again = LossTracker(trainer.history)
    np.testing.assert_array_equal(again["loss/in_batch"], tracker["loss/in_batch"])


def test_csv_brings_every_bit_back(tmp_path):
    path = tmp_path / "losses.csv"
    tracker = LossTracker(records())
    tracker.to_csv(path)
    again = LossTracker.from_csv(path)
    assert again.names == tracker.names
    np.testing.assert_array_equal(again.epochs, tracker.epochs)
    for name in tracker.names:
        np.testing.assert_array_equal(again[name], tracker[name])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "epoch,loss/a,loss/b,loss/total,weight/a,weight/b,metric/auc,lr,seconds"
    assert lines[1] == "1,3.0,,3.0,1.0,,0.5,0.1,0.5"
    LossTracker().to_csv(path)
    assert len(LossTracker.from_csv(path)) == 0
    for text in ("", "a,b\n1,2\n", "epoch,a\n1\n", "epoch,a\nx,2\n", "epoch,a\n1,x\n"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(CorruptFileError):
            LossTracker.from_csv(path)


@pytest.mark.parametrize(
    ("train", "validation", "options", "want"),
    [
        ([5, 4, 3, 2, 1], [3, 2, 2.5, 3, 3.5], {}, (1, 4, 1.5)),
        ([5, 4, 3, 2, 1], [3, 2, 2.5, 3, 3.5], {"patience": 1}, (1, 2, 0.5)),
        ([5, 4, 3, 2, 1], [-3, -2, -2.5, -3, -3.5], {"mode": "max"}, (1, 4, 1.5)),
        # Both fall; noise that comes back; both rise; too little; too short.
        ([5, 4, 3, 2, 1], [5, 4, 3, 2, 1], {}, None),
        ([6, 5, 4, 3, 2, 1], [3, 2, 3, 3, 1, 2], {}, None),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], {}, None),
        ([5, 4, 3, 2, 1], [2, 2.1, 2.1, 2.1, 2.1], {"min_delta": 0.2}, None),
        ([5, 4, 3], [1, 2, 3], {}, None),
        ([], [], {}, None),
        ([5, 4, np.nan, 3, 2, 1], [np.nan, 1, 2, 2, 2, 2], {}, (1, 5, 1.0)),
        ([2, 2, 2, 2, 1], [1, 2, 2, 2, 2], {}, (0, 4, 1.0)),
    ],
)
def test_overfitting_is_found_where_it_is(train, validation, options, want):
    found = find_overfitting(train, validation, **options)
    assert found == (None if want is None else Overfitting(*want))


def test_overfitting_by_name_tells_epochs():
    tracker = LossTracker(
        EpochRecord(10 + i, {"total": 9.0 - i}, 0.1, {"loss": abs(i - 2.0)}) for i in range(6)
    )
    assert tracker.overfitting("metric/loss") == Overfitting(12, 15, 3.0)
    assert tracker.overfitting("metric/loss", mode="max", patience=4) is None
    with pytest.raises(InvalidArgumentError, match="'metric/auc'"):
        tracker.overfitting("metric/auc")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "patience"),
        ({"min_delta": -1.0}, "min_delta"),
        ({"mode": "up"}, "mode"),
        ({"validation": [1.0, 2.0]}, "3 values but validation has 2"),
    ],
)
def test_overfitting_refuses(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        find_overfitting([3.0, 2.0, 1.0], options.pop("validation", [1.0, 2.0, 3.0]), **options)


def test_plots_are_axes():
    pytest.importorskip("matplotlib")
    tracker = LossTracker(records())
    axes = tracker.plot()
    assert [line.get_label() for line in axes.lines] == ["a", "b", "total"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [3.0, 2.0, 1 / 3])
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [2])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")
    assert tracker.plot(["metric/auc"], ax=axes) is axes
    assert len(axes.lines) == 4
    for names, error in ((["loss/none"], InvalidArgumentError), ("loss/a", InvalidTypeError)):
        with pytest.raises(error):
            tracker.plot(names)
    with pytest.raises(InvalidArgumentError, match="train first"):
        LossTracker().plot()


def test_tensorboard_reads_the_scalars(tmp_path):
    pytest.importorskip("tensorboardX")
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    tracker = LossTracker(records())
    tracker.to_tensorboard(tmp_path)
    read = events.EventAccumulator(str(tmp_path)).Reload()
    found = {
        (name, event.step): event.value
        for name in read.Tags()["scalars"]
        for event in read.Scalars(name)
    }
    assert {name for name, _ in found} == set(tracker.names)
    for name in tracker.names:
        for epoch, value in zip(tracker.epochs, tracker[name], strict=True):
            if np.isnan(value):
                assert (name, epoch) not in found
            else:
                assert found[name, epoch] == pytest.approx(value, rel=1e-6)
