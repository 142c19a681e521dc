"""Trainings that are saved, killed, and go on to the same bits; and those that must not go on."""

import json
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from ruvector import EdgeContrast, GraphSAGE, Trainer
from ruvector.autograd import loss_node
from ruvector.curriculum import Curriculum, Stage
from ruvector.errors import CorruptFileError, InvalidArgumentError
from ruvector.losses import InBatchInfoNCELoss, NormLoss
from ruvector.mining import HardNegativeMiner
from ruvector.objectives import NodeClassification, Together, WholeGraph
from ruvector.optim import Adam
from ruvector.sampling import NeighborSampler
from ruvector.schedules import Cosine
from ruvector.training import Checkpoints, EarlyStop
from ruvector.training.identity import described
from test_training import EDGES, FEATURES, GRAPH, WEIGHTINGS, fit, trainer, weight


def full(folder, *, weighting="pcgrad", epochs=4, **options):
    return trainer(
        weighting=WEIGHTINGS[weighting],
        optimizer=Adam,
        lr=Cosine(0.01, 0.001),
        curriculum=Curriculum([Stage("a", epochs=1, num_negatives=2), Stage("b", threshold=0.9)]),
        validation=lambda z: {"spread": float(z.std())},
        early_stop=EarlyStop("spread", patience=4),
        checkpoints=None if folder is None else Checkpoints(folder, steps=2),
        epochs=epochs,
        **options,
    )


def told(fitted):
    return [record._replace(seconds=0.0) for record in fitted.history]


class KilledError(Exception):
    pass


class KilledAfter(Adam):
    """Breaks off after some steps, as a process that is killed between two checkpoints."""

    left = 0

    def step(self, gradients):
        if KilledAfter.left == 0:
            raise KilledError
        KilledAfter.left -= 1
        super().step(gradients)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("steps", [1, 5, 8, 13, 19])
def test_a_training_goes_on_bit_equal_from_any_step(tmp_path, weighting, steps):
    whole = full(None, weighting=weighting).fit(GRAPH, FEATURES)
    broken = full(tmp_path, weighting=weighting)
    broken.optimizer = KilledAfter
    KilledAfter.left = steps
    with pytest.raises(KilledError):
        broken.fit(GRAPH, FEATURES)
    again = full(tmp_path, weighting=weighting).fit(GRAPH, FEATURES, resume=True)
    assert weight(again).tobytes() == weight(whole).tobytes()
    assert again.embed().tobytes() == whole.embed().tobytes()
    assert told(again) == told(whole)
    # A finished training has nothing left to do.
    once_more = full(tmp_path, weighting=weighting).fit(GRAPH, FEATURES, resume=True)
    assert weight(once_more).tobytes() == weight(whole).tobytes()


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[1])
import test_checkpoints as t

class Slow(t.Adam):
    def step(self, gradients):
        super().step(gradients)
        print("step", flush=True)
        time.sleep(0.05)

training = t.full(sys.argv[2])
training.optimizer = Slow
training.fit(t.GRAPH, t.FEATURES, resume=True)
print("end", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is Unix's")
def test_a_killed_process_goes_on_bit_equal(tmp_path, request):
    whole = full(None).fit(GRAPH, FEATURES)
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(request.path.parent), tmp_path]
    for steps in (3, 9):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline() for _ in range(steps)]
            assert lines == ["step\n"] * steps
            time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            assert "end" not in process.stdout.read()
        assert process.returncode == -signal.SIGKILL
    again = full(tmp_path).fit(GRAPH, FEATURES, resume=True)
    assert weight(again).tobytes() == weight(whole).tobytes()
    assert told(again) == told(whole)


def test_resume_without_a_checkpoint_begins(tmp_path):
    fitted = full(tmp_path / "new").fit(GRAPH, FEATURES, resume=True)
    assert weight(fitted).tobytes() == weight(full(None).fit(GRAPH, FEATURES)).tobytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["checkpoint.safetensors"]


def test_more_epochs_go_on_beyond(tmp_path):
    def simple(epochs):
        return trainer(EDGES, epochs=epochs, checkpoints=Checkpoints(tmp_path, epochs=5))

    simple(2).fit(GRAPH, FEATURES)
    longer = simple(4).fit(GRAPH, FEATURES, resume=True)
    assert weight(longer).tobytes() == weight(fit(EDGES, epochs=4)).tobytes()


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    full(tmp_path).fit(GRAPH, FEATURES)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    changed = FEATURES.copy()
    changed[0, 0] += 1
    others = [
        (full(tmp_path, seed=1), FEATURES, "seed"),
        (full(tmp_path, weighting="plain"), FEATURES, "weighting"),
        (full(tmp_path), changed, "data"),
        (trainer(EDGES, checkpoints=Checkpoints(tmp_path)), FEATURES, "objective"),
    ]
    for other, features, message in others:
        with pytest.raises(InvalidArgumentError, match=f"its {message}"):
            other.fit(GRAPH, features, resume=True)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    with pytest.raises(InvalidArgumentError, match="resume needs checkpoints"):
        fit().fit(GRAPH, FEATURES, resume=True)


def test_a_damaged_checkpoint_is_told(tmp_path):
    full(tmp_path, epochs=1).fit(GRAPH, FEATURES)
    path = tmp_path / "checkpoint.safetensors"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        spoiled = bytearray(whole)
        spoiled[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(spoiled)
        with pytest.raises((CorruptFileError, InvalidArgumentError)):
            full(tmp_path, epochs=1).fit(GRAPH, FEATURES, resume=True)
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError):
            full(tmp_path, epochs=1).fit(GRAPH, FEATURES, resume=True)


LABELS = np.repeat(np.arange(3), 20)


def _norm(z, _):
    return loss_node(NormLoss(), [z])


def _classes(labels=LABELS, **changes):
    return NodeClassification(labels, **({"head": True, "batch_size": 30} | changes))


def _several(temperature=0.5, **changes):
    edges = EdgeContrast(InBatchInfoNCELoss(temperature, mode="oneway"), batch_size=30)
    whole = WholeGraph({"norm": _norm}, steps=2)
    return Together({"edges": edges, "classes": _classes(**changes), "whole": whole})


def _sampled(fanouts):
    return _classes(sampler=NeighborSampler(GRAPH, fanouts, seed=1))


def _masked(count):
    return _classes(mask=np.arange(60) < count)


def _mined(k):
    return EdgeContrast(batch_size=30, miner=HardNegativeMiner("hardest", k=k))


@pytest.mark.parametrize(
    ("first", "other", "name"),
    [
        (_classes(), _classes(LABELS[::-1].copy()), "'labels'"),
        (_masked(45), _masked(44), "'mask'"),
        (_classes(), _classes(batch_size=31), "'batch_size'"),
        (_sampled([3]), _sampled([4]), "'fanouts'"),
        (_several(), _several(temperature=0.4), "'edges' 'loss' 'temperature'"),
        (_several(), _several(labels=1 - LABELS.clip(0, 1)), "'classes' 'labels'"),
        (_mined(4), _mined(5), "'miner' 'k'"),
    ],
)
def test_a_checkpoint_of_other_labels_or_settings_is_refused(tmp_path, first, other, name):
    def training(objective):
        return Trainer(GraphSAGE((6,)), objective, epochs=1, checkpoints=Checkpoints(tmp_path))

    training(first).fit(GRAPH, FEATURES)
    with pytest.raises(InvalidArgumentError, match=f"its objective's settings .*{name} is"):
        training(other).fit(GRAPH, FEATURES, resume=True)
    training(first).fit(GRAPH, FEATURES, resume=True)


def test_what_is_the_same_in_another_form_is_no_other_training():
    labels = LABELS.astype(np.int8)
    forms = [_classes(form) for form in (LABELS, labels, LABELS.tolist(), tuple(LABELS.tolist()))]
    assert len({json.dumps(described(form)) for form in forms}) == 1
    functions = described(_several())["objectives"]["whole"]["losses"]
    assert functions == {"norm": "_norm"}
    assert described([np.float32(0.5), None, "a"]) == [0.5, None, "a"]
    assert described([[1], [2, 3]]) == [[1], [2, 3]]
