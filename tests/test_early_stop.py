"""Early stopping on figures that are not always numbers."""

import numpy as np
from ruvector.training import EarlyStop, EpochRecord


def record(epoch, score):
    return EpochRecord(epoch, {}, 0.0, {"score": score})


def test_early_stop_never_keeps_nan():
    stopper = EarlyStop("score", patience=2).start()
    nan = float("nan")
    for epoch, score in enumerate([nan, 1.0, nan, 2.0, nan], 1):
        stopper.look(record(epoch, score), {"w": np.full(1, score)})
        assert not stopper.stop
    assert stopper.best == 2.0
    assert stopper.weights["w"] == 2.0
    stopper.look(record(6, nan), {"w": np.zeros(1)})
    assert stopper.stop
    # As a state of an earlier version may have it.
    stopper.load_state_dict({"best": nan, "waited": 1, "arrays": {}})
    stopper.look(record(7, -5.0), {"w": np.zeros(1)})
    assert stopper.best == -5.0
