"""`ruvector index`: vectors in, answers out, without a line of Python."""

import json
import logging

import numpy as np
import pytest
from ruvector.cli import main
from ruvector.index import HNSW, FlatIndex

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.standard_normal((1500, 16), dtype=np.float32)
QUERIES = RANDOM.standard_normal((40, 16), dtype=np.float32)


@pytest.fixture(autouse=True)
def untouched_logging():
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    np.save(folder / "vectors.npy", VECTORS)
    np.save(folder / "queries.npy", QUERIES)
    np.save(folder / "one.npy", QUERIES[0])
    np.save(folder / "ids.npy", np.arange(1500) * 2)
    vectors, ids = str(folder / "vectors.npy"), str(folder / "ids.npy")
    for name, words in {"graph.ruv": [], "exact.ruv": ["--exact"]}.items():
        words += ["--metric", "l2", "--ids", ids, "-o", str(folder / name), "--json"]
        assert main(["index", "build", vectors, *words]) == 0
    return folder


@pytest.fixture
def run(capsys):
    def run(*words):
        assert main(["index", *map(str, words), "--json"]) == 0
        return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)

    return run


@pytest.fixture
def fails(capsys):
    def fails(*words):
        assert main(["index", *map(str, words)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("ruvector: ")
        assert err.count("\n") == 1
        return err

    return fails


def test_what_is_built_is_what_was_asked_for(folder, run, tmp_path):
    path = tmp_path / "x.ruv"
    words = ("--metric", "ip", "--m", 7, "--ef-construction", 50, "--seed", 3)
    result = run("build", folder / "vectors.npy", "-o", path, *words)
    index = HNSW.load(path)
    assert (index.metric, index.m, index.ef_construction, index.seed) == ("ip", 7, 50, 3)
    np.testing.assert_array_equal(index.get(index.ids), VECTORS)
    np.testing.assert_array_equal(index.ids, np.arange(1500))
    assert (result["vectors"], result["m"], result["unreachable"]) == (1500, 7, 0)
    assert result["file_bytes"] == path.stat().st_size
    facts = run("info", path, "--check")
    # A table that grew has room left where one that was loaded has none.
    assert result["bytes_nodes"] >= facts.pop("bytes_nodes")
    assert {name: result[name] for name in facts} == facts


def test_ids_and_exact_indexes_are_built(folder, run):
    index = FlatIndex.load(folder / "exact.ruv")
    np.testing.assert_array_equal(index.ids, np.arange(1500) * 2)
    facts = run("info", folder / "exact.ruv")
    assert (facts["index"], facts["metric"], facts["vectors"]) == ("FlatIndex", "l2", 1500)
    assert "m" not in facts


@pytest.mark.parametrize("name", ["graph.ruv", "exact.ruv"])
def test_queries_find_the_nearest(folder, run, name):
    ef = ("--ef", 1500) if name == "graph.ruv" else ()
    result = run("search", folder / name, "--vector", folder / "queries.npy", "-k", 4, *ef)
    distances = ((QUERIES[:, None] - VECTORS) ** 2).sum(axis=2)
    nearest = np.argsort(distances, axis=1)[:, :4]
    assert [[hit["id"] for hit in hits] for hits in result["hits"]] == (2 * nearest).tolist()
    assert result["hits"][0][0]["distance"] == pytest.approx(distances[0].min(), rel=1e-5)
    (one,) = run("search", folder / name, "--vector", folder / "one.npy", "-k", 4, *ef)["hits"]
    assert one == result["hits"][0]


@pytest.mark.parametrize("name", ["graph.ruv", "exact.ruv"])
def test_a_stored_vector_finds_others_than_itself(folder, run, name):
    (hits,) = run("search", folder / name, "--id", 34, "-k", 5)["hits"]
    distances = ((VECTORS[17] - VECTORS) ** 2).sum(axis=1)
    assert [hit["id"] for hit in hits] == (2 * np.argsort(distances)[1:6]).tolist()
    (every,) = run("search", folder / name, "--id", 34, "-k", 5000)["hits"]
    assert sorted(hit["id"] for hit in every) == [2 * i for i in range(1500) if i != 17]


def test_a_stored_vector_among_duplicates_finds_others(run, tmp_path):
    np.save(tmp_path / "same.npy", np.ones((9, 3)))
    run("build", tmp_path / "same.npy", "-o", tmp_path / "same.ruv")
    for number in range(9):
        (hits,) = run("search", tmp_path / "same.ruv", "--id", number, "-k", 2)["hits"]
        assert len(hits) == 2
        assert number not in [hit["id"] for hit in hits]


def test_hits_can_be_written(folder, run, tmp_path):
    path = tmp_path / "hits.npz"
    words = ("--vector", folder / "queries.npy", "-k", 2000, "-o", path)
    result = run("search", folder / "graph.ruv", *words)
    assert (result["queries"], result["k"]) == (40, 2000)
    with np.load(path) as found:
        expected = HNSW.load(folder / "graph.ruv").search(QUERIES, 2000)
        for name, values in expected._asdict().items():
            np.testing.assert_array_equal(found[name], values)
    assert (expected.ids[:, 1500:] == -1).all()


def test_tuning_tells_an_ef_that_reaches_the_recall(folder, run):
    words = ("--queries", folder / "queries.npy", "--target", 0.97, "-k", 5)
    result = run("tune", folder / "graph.ruv", *words)
    curve = result["curve"]
    assert [point["ef"] for point in curve] == sorted({point["ef"] for point in curve})
    assert curve[-1]["recall"] >= 0.97
    assert all(point["recall"] < 0.97 for point in curve[:-1])
    assert len(curve) > 1
    distances = ((QUERIES[:, None] - VECTORS) ** 2).sum(axis=2)
    nearest = 2 * np.argsort(distances, axis=1)[:, :5]
    index = HNSW.load(folder / "graph.ruv")
    for point in curve:
        found = index.search(QUERIES, 5, ef=point["ef"]).ids
        hits = sum(len(np.intersect1d(*pair)) for pair in zip(found, nearest, strict=True))
        assert point["recall"] == pytest.approx(hits / nearest.size, abs=0.006)


def test_tuning_ends_where_the_search_is_exact(folder, run):
    words = ("--queries", folder / "queries.npy", "--target", 1)
    assert run("tune", folder / "graph.ruv", *words)["curve"][-1]["recall"] == 1
    words = ("--queries", folder / "one.npy", "-k", 9999)
    assert run("tune", folder / "graph.ruv", *words)["ef"] == 1500


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("info", "graph.ruv"), "ef_construction  200"),
        (("info", "exact.ruv"), "index       FlatIndex"),
        (("search", "graph.ruv", "--id", "2", "-k", "2"), "rank  "),
        (("tune", "graph.ruv", "--queries", "queries.npy"), "ef  recall  queries/s"),
    ],
)
def test_tables_are_for_people(folder, capsys, monkeypatch, words, expected):
    monkeypatch.chdir(folder)
    assert main(["index", *words]) == 0
    out = capsys.readouterr().out
    assert expected in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_json_may_stand_before_the_verb(folder, capsys):
    assert main(["index", "--json", "info", str(folder / "graph.ruv")]) == 0
    assert json.loads(capsys.readouterr().out)["vectors"] == 1500


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("info", "nothing.ruv"), "nothing.ruv"),
        (("info", "vectors.npy"), "vectors.npy"),
        (("search", "graph.ruv", "--id", "3"), "--id is 3 but the index holds no such id"),
        (("search", "graph.ruv", "--id", str(2**70)), "the index holds no such id"),
        (("search", "graph.ruv", "--id", "2", "-k", "0"), "-k is 0 but must be at least 1"),
        (("search", "graph.ruv", "--id", "2", "--ef", "0"), "ef is 0"),
        (("search", "exact.ruv", "--id", "2", "--ef", "9"), "searched exactly"),
        (("search", "graph.ruv", "--vector", "ids.npy"), "1500"),
        (("tune", "exact.ruv", "--queries", "queries.npy"), "nothing to tune"),
        (("tune", "graph.ruv", "--queries", "queries.npy", "--target", "1.1"), "--target is 1.1"),
        (("tune", "graph.ruv", "--queries", "queries.npy", "--target", "0"), "--target is 0"),
        (("tune", "graph.ruv", "--queries", "nothing.npy"), "nothing.npy"),
        (("build", "one.npy", "-o", "new.ruv"), "shape (16,) but must have 2 dimensions"),
        (("build", "nothing.npy", "-o", "new.ruv"), "nothing.npy"),
        (("build", "vectors.npy", "-o", "new.ruv", "--m", "1"), "m is 1 but must be"),
        (("build", "vectors.npy", "-o", "new.ruv", "--ids", "one.npy"), "must hold integers"),
        (("build", "vectors.npy", "-o", "none/new.ruv"), "none"),
        (("build", "graph.ruv", "-o", "new.ruv"), "graph.ruv is not a .npy file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_done_is_told(folder, fails, monkeypatch, words, expected):
    monkeypatch.chdir(folder)
    assert expected in fails(*words)
    assert not (folder / "new.ruv").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["build", "v.npy"],
        ["search", "x.ruv"],
        ["search", "x.ruv", "--id", "1", "--vector", "v.npy"],
        ["tune", "x.ruv"],
        ["build", "v.npy", "-o", "x.ruv", "--metric", "l1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_leaves_with_2(capsys, words):
    with pytest.raises(SystemExit) as stopped:
        main(["index", *words])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ruvector index")


@pytest.mark.parametrize("words", [["info"], ["search", "--node", "1"], ["evaluate"]])
def test_an_index_is_no_model(folder, capsys, words):
    assert main([words[0], str(folder / "graph.ruv"), *words[1:]]) == 1
    assert "graph.ruv is a file but a model is a folder" in capsys.readouterr().err
