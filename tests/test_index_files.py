"""Index files: whole or not at all, and nothing that is not a whole one is read."""

import errno
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ruvector.errors import (
    CorruptFileError,
    InvalidArgumentError,
    InvalidTypeError,
    UnsupportedVersionError,
)
from ruvector.index import HNSW, FlatIndex

DIM = 4


def rows(n, dim=DIM):
    return np.random.default_rng(n).standard_normal((n, dim), dtype=np.float32)


@pytest.fixture(params=[HNSW, FlatIndex], ids=lambda kind: kind.__name__)
def index(request):
    index = request.param(DIM, metric="cosine")
    index.add(rows(300), ids=np.arange(300) * 3)
    return index


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_a_loaded_index_is_the_saved_one(index, metric, tmp_path):
    index = type(index)(DIM, metric=metric)
    index.add(rows(300))
    first, second = tmp_path / "first", tmp_path / "second"
    index.save(first)
    loaded = type(index).load(str(first))
    loaded.save(second)
    assert first.read_bytes() == second.read_bytes()
    for one, two in zip(index.search(rows(9)), loaded.search(rows(9)), strict=True):
        np.testing.assert_array_equal(one, two)
    index.add(rows(50))
    loaded.add(rows(50))
    assert pickle.dumps(index) == pickle.dumps(loaded)


def test_an_empty_index_is_saved_too(index, tmp_path):
    type(index)(DIM).save(tmp_path / "file")
    assert len(type(index).load(tmp_path / "file")) == 0


def test_truncated_files_are_refused(index, tmp_path):
    path = tmp_path / "file"
    index.save(path)
    whole = path.read_bytes()
    for length in [*range(0, 700, 7), *range(700, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError, match=r"file (is damaged|was not written)"):
            type(index).load(path)


def test_flipped_bytes_are_refused(index, tmp_path):
    path = tmp_path / "file"
    index.save(path)
    whole = path.read_bytes()
    for at in [*range(700), *range(700, len(whole), 331)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises((CorruptFileError, UnsupportedVersionError), match="file"):
            type(index).load(path)


def test_foreign_files_are_refused(index, tmp_path):
    path = tmp_path / "file"
    for content in (b"", b"x", b"PK\x03\x04" + bytes(500), os.urandom(5000), bytes(200)):
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match="not written by ruvector"):
            type(index).load(path)
    index.save(path)
    other = FlatIndex if isinstance(index, HNSW) else HNSW
    with pytest.raises(CorruptFileError, match="load it with the class"):
        other.load(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(CorruptFileError, match="damaged"):
        type(index).load(path)


def test_newer_versions_say_what_to_do(index, tmp_path):
    path = tmp_path / "file"
    index.save(path)
    content = bytearray(path.read_bytes())
    content[8] = 3
    path.write_bytes(content)
    with pytest.raises(UnsupportedVersionError, match=r"file has format version 3 .* upgrade"):
        type(index).load(path)


def test_paths_that_cannot_be_used(index, tmp_path):
    for path in (tmp_path / "missing", tmp_path / "missing" / "file"):
        with pytest.raises(FileNotFoundError) as caught:
            type(index).load(path)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(path))
    with pytest.raises(FileNotFoundError) as caught:
        index.save(path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(path))
    with pytest.raises(OSError, match="too long"):
        index.save(tmp_path / ("x" * 300))
    with pytest.raises(InvalidArgumentError, match="not a regular file"):
        index.save(tmp_path)
    with pytest.raises((CorruptFileError, OSError)):
        type(index).load(tmp_path)
    with pytest.raises(InvalidTypeError, match="path is 3"):
        index.save(3)
    if Path("/dev/full").exists():
        with pytest.raises(InvalidArgumentError, match="not a regular file"):
            index.save("/dev/full")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions are a Unix matter")
def test_a_directory_that_may_not_be_written(index, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError) as caught:
            index.save(tmp_path / "file")
    finally:
        tmp_path.chmod(0o700)
    assert caught.value.filename == str(tmp_path / "file")


@pytest.mark.skipif(os.name == "nt", reason="permissions are a Unix matter")
def test_a_new_file_keeps_the_old_ones_permissions(index, tmp_path):
    path = tmp_path / "file"
    index.save(path)
    path.chmod(0o640)
    index.save(path)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name == "nt", reason="needs an interval timer")
def test_ctrl_c_ends_saving_and_loading(tmp_path):
    path = tmp_path / "file"
    index = FlatIndex(500)
    index.add(np.ones((20_000, 500), np.float32))
    index.save(path)

    def forever(call):
        while True:
            call()

    for call in (
        lambda: index.save(path),
        lambda: FlatIndex.load(path),
        lambda: FlatIndex.load(path, mmap=True, verify=True),
    ):
        previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.12)
        try:
            with pytest.raises(KeyboardInterrupt):
                forever(call)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        assert len(FlatIndex.load(path)) == 20_000
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_link_stays_a_link(index, tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    index.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(type(index).load(tmp_path / "real")) == 300


def test_a_full_disk_leaves_the_old_file(index, tmp_path):
    resource = pytest.importorskip("resource", reason="limits are a Unix matter")
    path = tmp_path / "file"
    index.save(path)
    before = path.read_bytes()
    index.add(rows(20000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores SIGXFSZ, so that writing beyond the limit fails as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            index.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="needs fork")
@pytest.mark.parametrize("kind", ["HNSW", "FlatIndex"])
def test_a_killed_save_leaves_the_old_file_or_the_new_one(kind):
    # Fails unless every file loads; by hand it is run with more.
    program = Path(__file__).parents[1] / "tools" / "kill_saves.py"
    command = [sys.executable, str(program), kind, "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "10 kills" in done.stdout
