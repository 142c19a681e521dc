"""The command line: what it prints, what it leaves with, what it says when it fails."""

import json
import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest
import ruvector
from ruvector.cli import COMMANDS, main

NODE = {"probe_accuracy", "probe_accuracy_sd", "neighbour_accuracy_at_10"}
LINK = {"link_auc", "link_ap"}
INDEX = {"index_recall_at_10"}
COSTS = {"train_seconds", "peak_rss_mib"}
BASELINES = {"raw", "smooth"}


def planted_graph(n=120, seed=0):
    """Three groups, dense inside, with features that tell them apart."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    source, target = np.triu_indices(n, 1)
    chance = np.where(labels[source] == labels[target], 0.2, 0.01)
    edges = np.stack([source, target], axis=1)[random.random(len(source)) < chance]
    likely = np.where(np.arange(30) % 3 == labels[:, None], 0.3, 0.05)
    features = (random.random(likely.shape) < likely).astype(np.float32)
    return ruvector.Graph.from_edges(edges, n, features=features, labels=labels)


@pytest.fixture(autouse=True)
def untouched_logging():
    """`main` sets up the root logger; what was there comes back."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Graphs in files, and a model of each task."""
    folder = tmp_path_factory.mktemp("cli")
    graph = planted_graph()
    graph.save_npz(folder / "graph.npz")
    np.savetxt(folder / "edges.csv", graph.edges, fmt="%d", delimiter=",", header="source,target")
    np.savetxt(folder / "edges.tsv", graph.edges, fmt="%d", delimiter="\t")
    np.save(folder / "features.npy", graph.features)
    planted_graph(90, seed=5).save_npz(folder / "other.npz")
    for task in ("node", "link"):
        ruvector.train_model(graph, task=task).save(folder / task)
    return folder


@pytest.fixture
def run(capsys):
    """Run one command that must succeed; return the object it prints."""

    def run(*words):
        assert main([*map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)

    return run


@pytest.fixture
def fails(capsys):
    """Run one command that must fail; return the line it says so with."""

    def fails(*words):
        assert main([*map(str, words), "--quiet"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("ruvector: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        return err

    return fails


@pytest.mark.parametrize("task", ["node", "link"])
def test_training_on_an_archive(folder, run, task, tmp_path):
    result = run("train", folder / "graph.npz", "-o", tmp_path / "model", "--task", task)
    assert (result["nodes"], result["task"], result["seed"]) == (120, task, 0)
    assert set(result) >= {"model", "edges", "dimensions", "index_seconds", *COSTS}
    trained = ruvector.Model.load(tmp_path / "model")
    assert trained.embeddings.shape == (120, result["dimensions"])
    np.testing.assert_array_equal(trained.embeddings, ruvector.Model.load(folder / task).embeddings)


@pytest.mark.parametrize("name", ["edges.csv", "edges.tsv"])
def test_training_on_an_edge_list(folder, run, name, tmp_path):
    features = ("--features", folder / "features.npy")
    run("train", folder / name, *features, "-o", tmp_path, "--task", "link")
    model = ruvector.Model.load(tmp_path)
    np.testing.assert_array_equal(model.embeddings, ruvector.Model.load(folder / "link").embeddings)
    assert model.graph.labels is None


def test_training_without_features(folder, run, tmp_path):
    assert run("train", folder / "edges.csv", "-o", tmp_path)["nodes"] == 120
    assert set(run("evaluate", tmp_path)) == {*INDEX, *COSTS, "smooth"}


def test_the_seed_is_used(folder, run, tmp_path):
    for seed in (0, 3):
        result = run("train", folder / "graph.npz", "-o", tmp_path, "--seed", seed)
        assert result["seed"] == seed
    other = ruvector.Model.load(tmp_path)
    assert not np.array_equal(other.embeddings, ruvector.Model.load(folder / "node").embeddings)


def test_training_again_replaces_the_model(folder, run, tmp_path):
    for task in ("node", "link"):
        run("train", folder / "graph.npz", "-o", tmp_path, "--task", task)
        assert run("info", tmp_path)["task"] == task
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("task", "figures"), [("node", NODE), ("link", NODE | LINK)])
@pytest.mark.parametrize("named", [False, True], ids=["own graph", "own graph named"])
def test_evaluation_has_these_figures(folder, run, task, figures, named):
    result = run("evaluate", folder / task, *([folder / "graph.npz"] if named else []))
    assert set(result) == figures | INDEX | COSTS | BASELINES
    for name in BASELINES:
        assert set(result[name]) == figures | INDEX | COSTS
    for figure in (figures | INDEX) - {"probe_accuracy_sd"}:
        assert 0.5 < result[figure] <= 1
    assert result["neighbour_accuracy_at_10"] > result["raw"]["neighbour_accuracy_at_10"]
    assert result["index_recall_at_10"] >= 0.95


def test_evaluation_is_repeatable(folder, run):
    assert run("evaluate", folder / "link") == run("evaluate", folder / "link")


@pytest.mark.parametrize("task", ["node", "link"])
def test_evaluation_on_another_graph(folder, run, task):
    """Nothing was held out of it and nothing was spent on it."""
    result = run("evaluate", folder / task, folder / "other.npz")
    assert set(result) == NODE | INDEX | BASELINES
    assert set(result["raw"]) == set(result["smooth"]) == NODE | INDEX
    assert result["probe_accuracy"] > 0.8


def test_evaluation_without_labels(folder, run, tmp_path):
    features = ("--features", folder / "features.npy")
    run("train", folder / "edges.csv", *features, "-o", tmp_path, "--task", "link")
    result = run("evaluate", tmp_path)
    assert set(result) == LINK | INDEX | COSTS | BASELINES
    assert set(result["raw"]) == set(result["smooth"]) == LINK | INDEX | COSTS


def test_searching_by_node(folder, run):
    model = ruvector.Model.load(folder / "node")
    result = run("search", folder / "node", "--node", 17, "-k", 5)
    assert result["metric"] == "cosine"
    (hits,) = result["hits"]
    unit = model.embeddings / np.linalg.norm(model.embeddings, axis=1, keepdims=True)
    distances = 1 - unit @ unit[17]
    distances[17] = np.inf
    assert [hit["node"] for hit in hits] == np.argsort(distances)[:5].tolist()
    np.testing.assert_allclose([hit["distance"] for hit in hits], np.sort(distances)[:5], atol=1e-5)
    assert [hit["label"] for hit in hits] == [int(model.graph.labels[h["node"]]) for h in hits]


def test_searching_for_more_than_there_are(folder, run):
    (hits,) = run("search", folder / "node", "--node", 3, "-k", 1000, "--ef", 1000)["hits"]
    assert sorted(hit["node"] for hit in hits) == [n for n in range(120) if n != 3]


def test_searching_by_vector(folder, run, tmp_path):
    vectors = ruvector.Model.load(folder / "link").embeddings[[4, 90]]
    np.save(tmp_path / "one.npy", vectors[0])
    np.save(tmp_path / "two.npy", vectors)
    (one,) = run("search", folder / "link", "--vector", tmp_path / "one.npy", "-k", 3)["hits"]
    two = run("search", folder / "link", "--vector", tmp_path / "two.npy", "-k", 3)["hits"]
    assert [hits[0]["node"] for hits in two] == [4, 90]
    assert two[0] == one
    assert [len(hits) for hits in two] == [3, 3]


def test_info_describes_the_model(folder, run):
    model = ruvector.Model.load(folder / "link")
    result = run("info", folder / "link")
    assert (result["nodes"], result["edges"]) == (120, model.graph.num_edges)
    assert result["dimensions"] == model.embeddings.shape[1]
    assert result["encoder"] == json.loads(json.dumps(model.encoder.config()))
    assert result["parameters"] == sum(array.size for array in model.weights.values())
    assert result["index"]["vectors"] == 120
    assert result["index"]["levels"] == len(model.index.stats().level_counts)
    assert (result["task"], result["seed"]) == ("link", 0)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("info", "{}/node"), "index.vectors"),
        (("evaluate", "{}/link"), "neighbour_accuracy_at_10"),
        (("search", "{}/node", "--node", "0", "-k", "2"), "rank  node  distance  label"),
    ],
)
def test_tables_are_for_people(folder, capsys, words, expected):
    assert main([word.format(folder) for word in words]) == 0
    out = capsys.readouterr().out
    assert expected in out
    assert "Traceback" not in out
    assert all(line == line.rstrip() and len(line) < 100 for line in out.splitlines())


def test_progress_never_mixes_with_the_result(folder, capsys, tmp_path):
    words = ["train", str(folder / "graph.npz"), "-o", str(tmp_path), "--json"]
    assert main([*words, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert main(words) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(json.loads(out))


def test_missing_files_are_told(folder, fails, tmp_path):
    assert "nothing.npz" in fails("train", tmp_path / "nothing.npz", "-o", tmp_path / "model")
    assert "nothing.csv" in fails("train", tmp_path / "nothing.csv", "-o", tmp_path / "model")
    features = ("--features", tmp_path / "nothing.npy")
    assert "nothing.npy" in fails(
        "train", folder / "edges.csv", *features, "-o", tmp_path / "model"
    )
    for command in ("info", "evaluate"):
        assert "holds no model" in fails(command, tmp_path / "model")
    assert "holds no model" in fails("search", tmp_path / "model", "--node", 0)
    assert "nothing.npz" in fails("evaluate", folder / "node", tmp_path / "nothing.npz")
    assert "nothing.npy" in fails("search", folder / "node", "--vector", tmp_path / "nothing.npy")
    assert not (tmp_path / "model").exists()


def test_damaged_graphs_are_told(folder, fails, tmp_path):
    whole = (folder / "graph.npz").read_bytes()
    path = tmp_path / "bad.npz"
    for content in (b"", b"words", whole[:-1], whole[: len(whole) // 2], whole[100:]):
        path.write_bytes(content)
        assert "bad.npz is not a graph file" in fails("train", path, "-o", tmp_path / "model")
    np.savez(path, points=np.ones(3))
    assert "no field 'edges'" in fails("train", path, "-o", tmp_path / "model")
    (tmp_path / "bad.csv").write_text("0,1\n1,two\n")
    assert "bad.csv, line 2" in fails("train", tmp_path / "bad.csv", "-o", tmp_path / "model")
    (tmp_path / "none.csv").write_text("")
    assert "edges is empty" in fails("train", tmp_path / "none.csv", "-o", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "costs", [7, "much", [1.0], None, {"trained": 3}, {"raw": None}, {"smooth": {"seconds": "2"}}]
)
def test_damaged_costs_of_a_model_are_told(folder, fails, tmp_path, costs):
    model = tmp_path / "model"
    shutil.copytree(folder / "node", model)
    manifest = json.loads((model / "model.json").read_text())
    manifest["details"]["costs"] = costs
    (model / "model.json").write_text(json.dumps(manifest))
    said = fails("evaluate", model)
    assert f"{model} has the costs" in said
    assert "must be numbers by name" in said


def test_graphs_of_other_kinds_are_told(folder, fails, tmp_path):
    output = ("-o", tmp_path / "model")
    assert "must end in .npz, .csv or .tsv" in fails("train", folder / "features.npy", *output)
    features = ("--features", folder / "features.npy")
    assert "goes with an edge list" in fails("train", folder / "graph.npz", *features, *output)
    np.save(tmp_path / "few.npy", np.ones((3, 2)))
    assert "node" in fails("train", folder / "edges.csv", "--features", tmp_path / "few.npy",
                           *output)  # fmt: skip
    assert "seed is -1" in fails("train", folder / "graph.npz", "--seed", "-1", *output)
    assert not (tmp_path / "model").exists()


def test_other_features_than_in_training_are_told(folder, fails, tmp_path):
    ruvector.Graph.from_edges([[0, 1], [1, 2]], features=np.eye(3)).save_npz(tmp_path / "g.npz")
    message = fails("evaluate", folder / "node", tmp_path / "g.npz")
    assert "3 columns but the model was trained on 30" in message


@pytest.mark.parametrize("node", [-1, 120, 10**30])
def test_nodes_out_of_range_are_told(folder, fails, node):
    message = fails("search", folder / "node", "--node", node)
    assert f"--node is {node} but the model holds nodes 0 to 119" in message


@pytest.mark.parametrize("k", [0, -3])
def test_search_needs_a_positive_k(folder, fails, k, tmp_path):
    np.save(tmp_path / "one.npy", ruvector.Model.load(folder / "node").embeddings[0])
    message = fails("search", folder / "node", "--vector", tmp_path / "one.npy", "-k", k)
    assert f"-k is {k} but must be at least 1" in message
    assert f"-k is {k} but must be" in fails("search", folder / "node", "--node", 0, "-k", k)


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        (np.ones(3), r"shape (1, 3) but the index holds 30 dimensions"),
        (np.ones((2, 31)), r"shape (2, 31) but the index holds 30 dimensions"),
        (np.ones((2, 3, 30)), "queries has shape (2, 3, 30)"),
        (np.full(30, np.nan), "NaN or infinity"),
        (np.array(["word"] * 30), "must be numeric"),
        (np.float32(1), "30 dimensions"),
    ],
    ids=["short", "long", "deep", "nan", "text", "number"],
)
def test_wrong_vectors_are_told(folder, fails, vector, expected, tmp_path):
    np.save(tmp_path / "vector.npy", vector)
    assert expected in fails("search", folder / "link", "--vector", tmp_path / "vector.npy")


def test_files_without_vectors_are_told(folder, fails, tmp_path):
    (tmp_path / "words.npy").write_text("words " * 30)
    message = fails("search", folder / "link", "--vector", tmp_path / "words.npy")
    assert "words.npy is not a .npy file" in message
    message = fails("search", folder / "link", "--vector", folder / "graph.npz")
    assert "holds several arrays" in message


def test_a_folder_of_other_things_is_no_output(folder, fails, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    message = fails("train", folder / "graph.npz", "-o", tmp_path)
    assert "holds 'notes.txt' and no model" in message
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    assert "is a file" in fails("train", folder / "graph.npz", "-o", tmp_path / "notes.txt")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["train"],
        ["train", "graph.npz"],
        ["train", "graph.npz", "-o", "model", "--task", "edges"],
        ["train", "graph.npz", "-o", "model", "--seed", "one"],
        ["evaluate"],
        ["info", "model", "more"],
        ["search", "model"],
        ["search", "model", "--node", "1", "--vector", "v.npy"],
        ["search", "model", "--node", "one"],
        ["search", "model", "--node", "1", "-k", "few"],
        ["info", "model", "--unknown"],
    ],
    ids=" ".join,
)
def test_wrong_usage_leaves_with_2(capsys, words):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: ruvector")


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert all(f"    {name} " in out for name in COMMANDS)


def test_interruption_is_told(folder, fails, monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ruvector.cli.train.train_model", interrupt)
    message = fails("train", folder / "graph.npz", "-o", tmp_path / "model")
    assert "interrupted; nothing was saved" in message
    assert not (tmp_path / "model").exists()


def test_the_module_is_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "ruvector", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"ruvector {ruvector.__version__}\n"
    assert done.stderr == ""
