"""Model folders: at every moment one whole model, and nothing else is read as one."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import ruvector
from ruvector.errors import CorruptFileError, InvalidArgumentError, UnsupportedVersionError
from ruvector.index import HNSW
from ruvector.safetensors import save_safetensors


def planted_graph(n=60, seed=0):
    """Three groups, dense inside, with features that tell them apart."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    source, target = np.triu_indices(n, 1)
    chance = np.where(labels[source] == labels[target], 0.3, 0.02)
    edges = np.stack([source, target], axis=1)[random.random(len(source)) < chance]
    likely = np.where(np.arange(24) % 3 == labels[:, None], 0.4, 0.05)
    features = (random.random(likely.shape) < likely).astype(np.float32)
    return ruvector.Graph.from_edges(edges, n, features=features, labels=labels)


@pytest.fixture(scope="module")
def models():
    """One for links and one for nodes, of different graphs."""
    return {
        "link": ruvector.train_model(planted_graph(), task="link", seed=1),
        "node": ruvector.train_model(planted_graph(48, seed=2), task="node", seed=2),
    }


def assert_same_graph(found, expected):
    assert found.same_structure(expected)
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(found.labels, expected.labels)


def assert_same(found, expected):
    assert found.encoder == expected.encoder
    assert found.details == expected.details
    assert_same_graph(found.graph, expected.graph)
    assert found.embeddings.dtype == np.float32
    np.testing.assert_array_equal(found.embeddings, expected.embeddings)
    assert set(found.weights) == set(expected.weights)
    for name, array in expected.weights.items():
        assert found.weights[name].dtype == array.dtype
        np.testing.assert_array_equal(found.weights[name], array)
    for one, two in zip(
        found.index.search(found.embeddings, 5),
        expected.index.search(expected.embeddings, 5),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two)
    assert (found.split is None) == (expected.split is None)
    if expected.split is not None:
        assert_same_graph(found.split.train_graph, expected.split.train_graph)
        for name, pairs in expected.split.held_out().items():
            np.testing.assert_array_equal(found.split.held_out()[name], pairs)


def data_folder(root):
    (data,) = root.glob("data-*")
    return data


def edit_manifest(root, **changes):
    path = root / "model.json"
    manifest = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in manifest.items() if v is not None}))


@pytest.mark.parametrize("task", ["link", "node"])
def test_a_loaded_model_is_the_saved_one(models, task, tmp_path):
    models[task].save(str(tmp_path / "some" / "model"))
    loaded = ruvector.Model.load(tmp_path / "some" / "model")
    assert_same(loaded, models[task])
    seen = loaded.graph if loaded.split is None else loaded.split.train_graph
    np.testing.assert_array_equal(
        loaded.encoder.embed(loaded.weights, seen, seen.features), loaded.embeddings
    )


def test_training_twice_gives_the_same_model(models):
    again = ruvector.train_model(planted_graph(), task="link", seed=1)
    np.testing.assert_array_equal(again.embeddings, models["link"].embeddings)
    np.testing.assert_array_equal(again.split.test, models["link"].split.test)


def test_held_out_edges_are_in_no_training_graph(models):
    split, graph = models["link"].split, models["link"].graph
    for held_out in (split.validation, split.test):
        assert len(held_out)
        assert graph.has_edges(*held_out.T).all()
        assert not split.train_graph.has_edges(*held_out.T).any()
    assert models["node"].split is None


def test_details_tell_task_seed_and_costs(models):
    for task, seed in (("link", 1), ("node", 2)):
        details = models[task].details
        assert (details["task"], details["seed"]) == (task, seed)
        assert set(details["costs"]) == {"raw", "smooth", "trained"}
        json.dumps(details, allow_nan=False)


def test_unknown_tasks_are_refused():
    with pytest.raises(InvalidArgumentError, match="task"):
        ruvector.train_model(planted_graph(), task="edges")


def test_saving_replaces_the_old_model(models, tmp_path):
    for task in ("link", "node", "node", "link"):
        models[task].save(tmp_path)
        assert_same(ruvector.Model.load(tmp_path), models[task])
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            data_folder(tmp_path).name,
            "model.json",
        ]


def test_a_failed_write_leaves_the_old_model(models, tmp_path, monkeypatch):
    models["link"].save(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    def fail(*_):
        raise OSError(28, "No space left on device")

    for owner, name in (
        (HNSW, "save"),
        (ruvector.Graph, "save_npz"),
        (ruvector.model, "_write_text"),
        (ruvector.model.os, "fsync"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            with pytest.raises(OSError, match="No space left"):
                models["node"].save(tmp_path)
        assert sorted(tmp_path.rglob("*")) == before
        assert_same(ruvector.Model.load(tmp_path), models["link"])


def child(code, *words):
    """Start Python on `code` with a pipe from its standard output."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("limit", [100, 3000, 12_000], ids="{} bytes".format)
def test_a_full_disk_leaves_the_old_model(models, limit, tmp_path):
    models["link"].save(tmp_path / "model")
    models["node"].save(tmp_path / "new")
    largest = max(p.stat().st_size for p in data_folder(tmp_path / "new").iterdir())
    assert limit < largest
    before = sorted((tmp_path / "model").rglob("*"))
    code = """
        import resource, sys
        import ruvector
        model = ruvector.Model.load(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
        try:
            model.save(sys.argv[2])
        except OSError as error:
            print(error.errno)
    """
    with child(code, tmp_path / "new", tmp_path / "model", limit) as process:
        assert process.communicate()[0].strip() == str(errno.EFBIG)
    assert sorted((tmp_path / "model").rglob("*")) == before
    assert_same(ruvector.Model.load(tmp_path / "model"), models["link"])


KILLED_AT_A_STEP = """
    import os, shutil, signal, sys
    import ruvector
    from ruvector import model as module

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    moment, old, new = sys.argv[1:]
    model = ruvector.Model.load(new)
    if moment == "weights":
        module.save_safetensors = die
    elif moment == "graph":
        ruvector.Graph.save_npz = die
    elif moment == "index":
        ruvector.HNSW.save = die
    elif moment == "description":
        module._write_text = die
    elif moment == "half a description":
        module.os.fsync = lambda _: None
        module.Path.replace = lambda self, to: die() if to.name == "model.json" else (
            os.replace(self, to))
    elif moment == "clearing":
        shutil.rmtree = die
    model.save(old)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("weights", "link"),
        ("graph", "link"),
        ("index", "link"),
        ("description", "link"),
        ("half a description", "link"),
        ("clearing", "node"),
    ],
)
def test_a_save_killed_at_a_step_leaves_a_whole_model(models, moment, left, tmp_path):
    models["link"].save(tmp_path / "model")
    models["node"].save(tmp_path / "new")
    with child(KILLED_AT_A_STEP, moment, tmp_path / "model", tmp_path / "new") as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "model").glob("data-*"))) == 2
    assert_same(ruvector.Model.load(tmp_path / "model"), models[left])
    models["node"].save(tmp_path / "model")
    data_folder(tmp_path / "model")  # what the killed save left is cleared by the next
    assert_same(ruvector.Model.load(tmp_path / "model"), models["node"])


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_saves_killed_at_any_time_leave_a_whole_model(models, tmp_path):
    code = """
        import sys
        import ruvector
        models = [ruvector.Model.load(folder) for folder in sys.argv[1:3]]
        print("ready", flush=True)
        while True:
            for model in models:
                model.save(sys.argv[3])
    """
    for task in ("link", "node"):
        models[task].save(tmp_path / task)
    target = tmp_path / "model"
    models["link"].save(target)
    delays = random.Random(5)
    for _ in range(8):
        with child(code, tmp_path / "link", tmp_path / "node", target) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(delays.uniform(0.001, 0.05))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        loaded = ruvector.Model.load(target)
        assert_same(loaded, models[loaded.details["task"]])


@pytest.mark.parametrize("name", ["notes.txt", ".git", "graph.npz"])
def test_folders_of_other_things_are_left_alone(models, name, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InvalidArgumentError, match="and no model; name an empty or a new folder"):
        models["link"].save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_is_no_folder_for_a_model(models, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidArgumentError, match="is a file; name a folder"):
        models["link"].save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def saved(models, tmp_path):
    models["link"].save(tmp_path)
    return tmp_path


@pytest.mark.parametrize("version", [2, 10**6])
def test_newer_formats_are_told(saved, version):
    edit_manifest(saved, format_version=version)
    with pytest.raises(UnsupportedVersionError, match=f"version {version} .*upgrade ruvector"):
        ruvector.Model.load(saved)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", "{}", '"words"', "\0" * 99, '{"format_version": 1}']
)
def test_a_description_of_something_else_is_told(saved, text):
    (saved / "model.json").write_text(text)
    with pytest.raises(CorruptFileError, match=r"model\.json is not a model's description"):
        ruvector.Model.load(saved)


def test_a_description_that_is_no_text_is_told(saved):
    (saved / "model.json").write_bytes(b"\xff\xfe\x00\x80" * 9)
    with pytest.raises(CorruptFileError, match=r"model\.json is not a model's description"):
        ruvector.Model.load(saved)


def test_every_truncation_of_the_description_is_told(saved):
    path = saved / "model.json"
    whole = path.read_bytes().rstrip()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError):
            ruvector.Model.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "another format"},
        {"format": None},
        {"format_version": "1"},
        {"format_version": None},
        {"data": None},
        {"data": 7},
        {"data": ["data"]},
        {"encoder": None},
        {"encoder": 7},
        {"encoder": {"kind": "Transformer"}},
        {"encoder": {"kind": "SmoothedLinear", "layers": 3}},
    ],
    ids=str,
)
def test_wrong_fields_are_told(saved, changes):
    edit_manifest(saved, **changes)
    with pytest.raises(CorruptFileError):
        ruvector.Model.load(saved)


@pytest.mark.parametrize("where", ["absolute", "above", "below", "parent", "nothing", "roundabout"])
def test_data_outside_the_folder_is_not_read(models, where, tmp_path):
    models["node"].save(tmp_path / "other")
    models["link"].save(tmp_path / "model")
    other = data_folder(tmp_path / "other")
    own = data_folder(tmp_path / "model").name
    path = {
        "absolute": str(other),
        "above": f"../other/{other.name}",
        "below": f"{own}/../../other/{other.name}",
        "parent": "..",
        "nothing": "",
        "roundabout": f"./{own}",
    }[where]
    edit_manifest(tmp_path / "model", data=path)
    with pytest.raises(CorruptFileError, match="as the folder of its data"):
        ruvector.Model.load(tmp_path / "model")


def test_missing_models_are_told(models, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no model; make one with: ruvector train"):
        ruvector.Model.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="holds no model"):
        ruvector.Model.load(tmp_path)
    models["node"].save(tmp_path)
    (tmp_path / "model.json").unlink()
    with pytest.raises(FileNotFoundError, match="holds no model"):
        ruvector.Model.load(tmp_path)


FILES = [
    "weights.safetensors",
    "embeddings.safetensors",
    "split.safetensors",
    "graph.npz",
    "index.ruvector",
]


@pytest.mark.parametrize("name", FILES)
def test_truncated_data_is_told(saved, name):
    path = data_folder(saved) / name
    whole = path.read_bytes()
    for length in [0, 1, 7, 8, 64, len(whole) // 3, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError):
            ruvector.Model.load(saved)


@pytest.mark.parametrize("name", FILES)
def test_foreign_data_is_told(saved, name):
    (data_folder(saved) / name).write_bytes(b"something else\n" * 100)
    with pytest.raises(CorruptFileError):
        ruvector.Model.load(saved)


@pytest.mark.parametrize("name", ["weights.safetensors", "index.ruvector", "graph.npz"])
def test_missing_data_is_told(saved, name):
    (data_folder(saved) / name).unlink()
    with pytest.raises((CorruptFileError, FileNotFoundError)):
        ruvector.Model.load(saved)


@pytest.mark.parametrize("name", ["embeddings.safetensors", "split.safetensors"])
def test_arrays_of_other_names_are_told(saved, name):
    other = data_folder(saved) / "weights.safetensors"
    (data_folder(saved) / name).write_bytes(other.read_bytes())
    with pytest.raises(CorruptFileError, match="is not a whole model"):
        ruvector.Model.load(saved)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("embeddings", {"embeddings": np.zeros((3, 2), np.float32)}),
        ("embeddings", {"embeddings": np.zeros((120, 8), bool)}),
        ("embeddings", {"others": np.zeros(3)}),
    ],
)
def test_embeddings_that_do_not_fit_are_told(saved, name, arrays):
    save_safetensors(arrays, data_folder(saved) / f"{name}.safetensors")
    with pytest.raises(CorruptFileError, match="is not a whole model"):
        ruvector.Model.load(saved)


def test_a_lost_split_is_told(models, tmp_path):
    models["link"].save(tmp_path)
    (data_folder(tmp_path) / "split.safetensors").unlink()
    with pytest.raises(CorruptFileError, match=r"split\.safetensors is missing"):
        ruvector.Model.load(tmp_path)
