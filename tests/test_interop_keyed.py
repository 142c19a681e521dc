"""Records under keys, with vectors: the part that stores of documents share."""

import copy
import json
import pickle
import threading

import numpy as np
import pytest
from ruvector.errors import (
    CorruptFileError,
    InvalidArgumentError,
    InvalidTypeError,
    RuvectorError,
)
from ruvector.interop._keyed import KeyedIndex, matching

RNG = np.random.default_rng(0)


def test_random_changes_agree_with_a_dictionary(tmp_path):
    """Puts, replacements, removals and reloads, each followed by exact searches."""
    store, model = KeyedIndex(metric="l2"), {}
    for step in range(120):
        keys = [f"k{i}" for i in RNG.integers(0, 40, RNG.integers(1, 5))]
        action = RNG.random()
        if action < 0.6 or not model:
            vectors = [RNG.standard_normal(4) if RNG.random() < 0.8 else None for _ in keys]
            records = [{"step": step, "place": i} for i in range(len(keys))]
            store.put(keys, vectors, records)
            model |= dict(zip(keys, zip(vectors, records, strict=True), strict=True))
        elif action < 0.9:
            there = [key for key in dict.fromkeys(keys) if key in model]
            assert store.drop(keys) == there
            for key in there:
                del model[key]
        else:
            store.save(tmp_path)
            store = KeyedIndex.load(tmp_path)
        assert store.records == {key: record for key, (_, record) in model.items()}
        query = RNG.standard_normal(4)
        even = {key for key, (_, record) in model.items() if record["place"] % 2 == 0}
        for choice, where in ((set(model), None), (even, lambda key, _, even=even: key in even)):
            near = sorted(
                (float(((vector - query) ** 2).sum()), key)
                for key, (vector, _) in model.items()
                if vector is not None and key in choice
            )[:3]
            found = store.search(query, 3, where=where)
            assert [hit.key for hit in found] == [key for _, key in near]
            np.testing.assert_allclose(
                [hit.distance for hit in found], [d for d, _ in near], rtol=1e-4, atol=1e-6
            )
        kept = store.vectors(list(model))
        for vector, (want, _) in zip(kept, model.values(), strict=True):
            assert (vector is None) == (want is None)
            if want is not None:
                np.testing.assert_allclose(vector, want, rtol=1e-6)
    assert store.index.check() is None


@pytest.mark.parametrize(
    ("keys", "vectors", "error"),
    [
        (["x"], [[np.nan, 0.0]], InvalidArgumentError),
        (["x"], [[1.0, 0.0, 0.0]], InvalidArgumentError),
        (["x", "y"], [[1.0, 0.0]], InvalidArgumentError),
        ([1], [[1.0, 0.0]], InvalidTypeError),
        (["x"], [["a", "b"]], InvalidTypeError),
    ],
)
def test_after_an_error_nothing_has_changed(keys, vectors, error):
    store = KeyedIndex()
    store.put(["a"], [[1.0, 0.0]], ["old"])
    with pytest.raises(error):
        store.put(["a", *keys], [[0.0, 1.0], *vectors], ["new"] * (1 + len(keys)))
    assert store.records == {"a": "old"}
    assert store.vectors(["a"])[0].tolist() == [1, 0]
    assert len(store.index) == 1


def test_an_empty_store_finds_nothing(tmp_path):
    store = KeyedIndex()
    assert store.search([1.0], 3) == []
    store.save(tmp_path)
    again = KeyedIndex.load(tmp_path)
    assert len(again) == 0
    again.put(["a"], [[1.0]], [None])
    assert "a" in again
    with pytest.raises(RuvectorError):
        KeyedIndex(metric="none")


def test_a_damaged_store_is_refused(tmp_path):
    store = KeyedIndex()
    store.put(["a", "b"], np.eye(2), [1, 2])
    store.save(tmp_path)
    path = tmp_path / "store.json"
    whole = json.loads(path.read_text())
    for change in (
        {"format": "other"},
        {"rows": {"a": 0}},
        {"records": {"a": 1}},
        {"index": "../index.ruvector"},
        {"options": {"metric": "none"}},
        {"rows": []},
        {"rows": {"a": 0, "b": float("inf")}},
        {"index": "index-none.ruvector"},
    ):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(CorruptFileError):
            KeyedIndex.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        KeyedIndex.load(tmp_path / "none")


@pytest.mark.parametrize(
    "written", [b"{", b"\xff\xfe\x00", b"[" * 100_000], ids=["cut", "bytes", "brackets"]
)
def test_what_is_no_json_is_refused(tmp_path, written):
    (tmp_path / "store.json").write_bytes(written)
    with pytest.raises(CorruptFileError, match="no whole store"):
        KeyedIndex.load(tmp_path)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"metric": "l2"}, "'metric': 'cosine'"), ({"metric": "cosine", "m": 8}, "'m': 12")],
)
def test_options_that_are_not_the_index_s_are_refused(tmp_path, options, named):
    store = KeyedIndex(metric="cosine", m=12, ef_construction=50, seed=3, storage="int8")
    store.put(["a", "b"], np.eye(2), [1, 2])
    store.save(tmp_path)
    assert KeyedIndex.load(tmp_path).options == store.options
    path = tmp_path / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"options": options}))
    with pytest.raises(CorruptFileError, match=named):
        KeyedIndex.load(tmp_path)


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({1: "x", "1": "y"}, "its key 1 is no string"),
        ({"list": [{"inner": ({None: 0},)}]}, "its key None is no string"),
        (deep(), "cannot be written as JSON"),
    ],
    ids=["beside", "within", "deep"],
)
def test_records_that_json_would_change_are_not_saved(tmp_path, record, message):
    store = KeyedIndex()
    store.put(["a"], [[1.0]], [record])
    with pytest.raises(InvalidTypeError, match=message):
        store.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_is_a_store_of_its_own(copied):
    store = KeyedIndex(metric="l2")
    copied(store).put(["a"], [[1.0, 0.0]], [0])
    assert len(store) == 0
    store.put(["a", "b", "bare"], [[1.0, 0.0], [0.0, 1.0], None], [1, 2, 3])
    again = copied(store)
    again.put(["c"], [[5.0, 5.0]], [4])
    again.drop(["a"])
    assert store.records == {"a": 1, "b": 2, "bare": 3}
    assert again.records == {"b": 2, "bare": 3, "c": 4}
    assert [hit.key for hit in store.search([1.0, 0.0], 3)] == ["a", "b"]
    assert [hit.key for hit in again.search([5.0, 5.0], 3)] == ["c", "b"]
    assert again.options == store.options


def test_what_cannot_be_saved_leaves_the_old_store(tmp_path):
    store = KeyedIndex()
    store.put(["a"], [[1.0]], ["old"])
    store.save(tmp_path)
    store.put(["a"], [[1.0]], [object()])
    with pytest.raises(InvalidTypeError, match="JSON"):
        store.save(tmp_path)
    assert KeyedIndex.load(tmp_path).records == {"a": "old"}
    assert len(list(tmp_path.iterdir())) == 2


def test_threads_share_a_store():
    store = KeyedIndex()
    store.put(["base"], [[1.0, 0.0]], [0])
    failures = []

    def work(name):
        try:
            for i in range(30):
                store.put([f"{name}{i}"], [[float(i + 1), 1.0]], [i])
                assert store.search([1.0, 0.0], 1)[0].key == "base"
                if i % 3 == 0:
                    store.drop([f"{name}{i}"])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(store) == 61
    assert len(store.index) == 61


def test_metadata_match_by_value():
    fits = matching({"a": 1, "b": None})
    assert fits({"a": 1, "b": None, "c": 2})
    assert not fits({"a": 1})
    assert not fits({"a": 2, "b": None})
