"""Indexes that stay in their file."""

import copy
import os
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from ruvector.errors import (
    CorruptFileError,
    InvalidTypeError,
    ReadOnlyIndexError,
    UnsupportedVersionError,
)
from ruvector.index import HNSW, FlatIndex

DIM = 7


def rows(n):
    return np.random.default_rng(n).standard_normal((n, DIM), dtype=np.float32)


@pytest.fixture(params=[HNSW, FlatIndex], ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.fixture(params=["rising ids", "any ids"])
def saved(kind, request, tmp_path):
    """Return an index and the path that it was saved to."""
    index = kind(DIM, metric="l2")
    ids = np.arange(400) * 5
    if request.param == "any ids":
        np.random.default_rng(1).shuffle(ids)
    index.add(rows(400), ids=ids)
    index.save(tmp_path / "file")
    return index, tmp_path / "file"


def section(path, name):
    """Return where the bytes of a section begin and end."""
    content = path.read_bytes()
    for at in range(64, 64 + 48 * content[12], 48):
        if content[at : at + 16].rstrip(b"\0") == name:
            start, length = np.frombuffer(content, "<u8", 2, at + 16).tolist()
            return start, start + length
    raise KeyError(name)


def overwrite(path, at, value):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


def test_it_answers_as_the_saved_one(saved):
    index, path = saved
    mapped = type(index).load(path, mmap=True)
    assert (mapped.mapped, index.mapped, type(index).load(path).mapped) == (True, False, False)
    for one, two in zip(index.search(rows(30)), mapped.search(rows(30)), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(mapped.ids, index.ids)
    np.testing.assert_array_equal(mapped.get(index.ids[::-1]), index.get(index.ids[::-1]))
    assert 5 in mapped
    assert 6 not in mapped
    assert len(mapped) == 400
    mapped.check()
    assert repr(mapped) == repr(index)


def test_it_refuses_changes_and_says_what_to_do(saved):
    index, path = saved
    mapped = type(index).load(path, mmap=True)
    with pytest.raises(ReadOnlyIndexError, match=r"file and cannot .* load it without mmap=True"):
        mapped.add(rows(1))
    assert len(mapped) == 400
    mapped.check()


def test_copies_and_pickles_can_be_changed(saved):
    index, path = saved
    mapped = type(index).load(path, mmap=True)
    index.add(rows(20))
    for make in (copy.copy, copy.deepcopy, lambda index: pickle.loads(pickle.dumps(index))):
        owned = make(mapped)
        assert not owned.mapped
        owned.add(rows(20))
        owned.check()
        assert pickle.dumps(owned) == pickle.dumps(index)


def test_saving_over_its_own_file_leaves_the_mapped_one_whole(saved, tmp_path):
    if os.name == "nt":
        pytest.skip("Windows does not replace a mapped file")
    index, path = saved
    mapped = type(index).load(path, mmap=True)
    before = path.read_bytes()
    mapped.save(path)
    assert path.read_bytes() == before
    index.add(rows(50))
    index.save(path)
    assert (len(mapped), len(type(index).load(path))) == (400, 450)
    mapped.check()
    mapped.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == before


@pytest.mark.parametrize("name", [b"ids", b"head"])
def test_damage_to_small_sections_is_found_on_opening(saved, name):
    index, path = saved
    start, _ = section(path, name)
    overwrite(path, start, b"\x01")
    with pytest.raises(CorruptFileError, match="checksum"):
        type(index).load(path, mmap=True)


def test_damage_to_vectors_is_found_by_verify_check_and_what_would_hide_it(saved, tmp_path):
    index, path = saved
    start, end = section(path, b"vectors")
    overwrite(path, (start + end) // 128 * 64, np.float32(0.25).tobytes())
    with pytest.raises(CorruptFileError, match=r"file is damaged: .*checksum.*vectors"):
        type(index).load(path, mmap=True, verify=True)
    mapped = type(index).load(path, mmap=True)
    assert mapped.search(rows(3)).counts.tolist() == [10] * 3
    for call in (mapped.check, lambda: mapped.save(tmp_path / "x"), lambda: pickle.dumps(mapped)):
        with pytest.raises(CorruptFileError, match="vectors"):
            call()
    assert not (tmp_path / "x").exists()


def test_links_that_lead_nowhere_are_found_on_opening(tmp_path):
    index = HNSW(DIM)
    index.add(rows(400))
    path = tmp_path / "file"
    for name in (b"links", b"upper links"):
        index.save(path)
        start, end = section(path, name)
        for at in (start, end - 4):
            overwrite(path, at, np.uint32(400).tobytes())
            with pytest.raises(CorruptFileError, match="does not exist"):
                HNSW.load(path, mmap=True)


def test_links_that_lead_to_the_wrong_rows_are_found_later(tmp_path):
    index = HNSW(DIM)
    index.add(rows(400))
    path = tmp_path / "file"
    index.save(path)
    start, _ = section(path, b"links")
    overwrite(path, start, np.uint32(0).tobytes())
    mapped = HNSW.load(path, mmap=True)
    with pytest.raises(CorruptFileError, match="links"):
        mapped.check()


def test_truncated_and_foreign_files_are_refused(saved):
    index, path = saved
    whole = path.read_bytes()
    for length in [*range(0, 700, 7), *range(700, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError, match=r"file (is damaged|was not written)"):
            type(index).load(path, mmap=True)
    for content in (b"x", bytes(500), whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match="file"):
            type(index).load(path, mmap=True)
    path.write_bytes(whole[:8] + b"\x09" + whole[9:])
    with pytest.raises(UnsupportedVersionError, match="upgrade"):
        type(index).load(path, mmap=True)
    path.write_bytes(whole)
    other = FlatIndex if isinstance(index, HNSW) else HNSW
    with pytest.raises(CorruptFileError, match="load it with the class"):
        other.load(path, mmap=True)


def test_paths_and_arguments_that_cannot_be_used(kind, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        kind.load(tmp_path / "missing", mmap=True)
    assert caught.value.filename == str(tmp_path / "missing")
    with pytest.raises((CorruptFileError, OSError)):
        kind.load(tmp_path, mmap=True)
    for options in ({"mmap": 1}, {"mmap": "r"}, {"verify": None}):
        with pytest.raises(InvalidTypeError, match="must be True or False"):
            kind.load(tmp_path, **options)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_vectors_are_not_copied(kind, tmp_path):
    index = kind(512, metric="ip", **({"m": 2, "ef_construction": 4} if kind is HNSW else {}))
    index.add(np.random.default_rng(0).standard_normal((20_000, 512), dtype=np.float32))
    index.save(tmp_path / "file")
    script = textwrap.dedent(
        """
        import sys
        from ruvector import index

        def private():
            with open("/proc/self/smaps_rollup") as file:
                lines = [line.split() for line in file]
            return sum(int(line[1]) for line in lines if line[0] == "Anonymous:") * 1024

        kind = getattr(index, sys.argv[2])
        before = private()
        mapped = kind.load(sys.argv[1], mmap=True)
        mapped.search([[1.0] * 512], 10)
        print(private() - before)
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path / "file"), kind.__name__]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 8 << 20 < 20_000 * 512 * 4
