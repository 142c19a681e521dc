"""The cache of the library's graph, of a small tree in its place."""

import hashlib
import json
import logging

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from ruvector.demo import cache as cache_module
from ruvector.demo import load_stdlib
from stdlib_tree import stand_in, write_tree


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The small tree in the place of the standard library, with a cache of its own."""
    tree = write_tree(tmp_path / "lib")
    stand_in(monkeypatch, tree, tmp_path / "cache")
    return tree


def same(one, other):
    for name in ("names", "kinds", "docs", "aliases"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("edges", "membership", "idf"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.dtype == second.dtype
        assert_array_equal(first, second)
    assert one.features.shape == other.features.shape
    for first, second in zip(one.features[:3], other.features[:3], strict=True):
        assert first.dtype == second.dtype
        assert_array_equal(first, second)


@pytest.mark.usefixtures("installed")
def test_the_cache_gives_back_the_same_graph(tmp_path, monkeypatch):
    built = load_stdlib()
    (path,) = (tmp_path / "cache" / "ruvector").iterdir()
    assert path.name.startswith("stdlib-")
    assert path.suffix == ".npz"
    monkeypatch.setattr(cache_module, "read_library", None)  # would fail if called
    same(built, load_stdlib())
    assert len(list(path.parent.iterdir())) == 1


def test_changed_sources_are_read_again(installed):
    load_stdlib()
    (installed / "stove.py").write_text("def ignite(): ...\n", encoding="utf-8")
    assert "stove.ignite" in load_stdlib().names


@pytest.mark.usefixtures("installed")
def test_without_cache_nothing_is_written(tmp_path):
    load_stdlib(cache=False)
    assert not (tmp_path / "cache").exists()


def other_arrays(path):
    np.savez(path, edges=np.zeros(3))


def other_text(path):
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "text": np.frombuffer(json.dumps([1]).encode(), np.uint8)})


def pickled(path):
    np.savez(path, text=np.array([{}], dtype=object))


def flipped(path):
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)


def compressed_otherwise(path):
    """By a method that zip does not know, as each entry and the directory tell."""
    data = path.read_bytes()
    for mark, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = data.find(mark)
        while start >= 0:
            data = data[: start + method] + b"\x63\x00" + data[start + method + 2 :]
            start = data.find(mark, start + 4)
    path.write_bytes(data)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a zip at all"),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        flipped,
        compressed_otherwise,
        other_arrays,
        other_text,
        pickled,
    ],
    ids=["empty", "foreign", "cut", "start", "flipped", "method", "arrays", "text", "pickle"],
)
def test_a_corrupt_cache_is_made_anew(tmp_path, caplog, damage):
    built = load_stdlib()
    (path,) = (tmp_path / "cache" / "ruvector").iterdir()
    whole = hashlib.sha256(path.read_bytes()).digest()
    damage(path)
    with caplog.at_level(logging.WARNING, "ruvector.demo"):
        same(built, load_stdlib())
    assert "is made anew" in caplog.text
    assert hashlib.sha256(path.read_bytes()).digest() == whole


@pytest.mark.usefixtures("installed")
def test_an_unwritable_cache_is_only_logged(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING, "ruvector.demo"):
        assert load_stdlib().names
    assert "cannot be written" in caplog.text
