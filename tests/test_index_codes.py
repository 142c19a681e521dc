"""Codes of eight bits order what a walk sees; they must not decide what is found."""

import pickle
import struct
import zlib

import numpy as np
import pytest
from ruvector.errors import CorruptFileError
from ruvector.index import HNSW, FlatIndex

CODED = 5000  # rows; an index has codes from 4,096 on


def normal(n, dim, seed):
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def plane(n, dim, rank, seed):
    """Rows in a subspace of their own."""
    axes = np.linalg.qr(normal(dim, rank, seed))[0].T
    return normal(n, rank, seed + 1) @ axes


def near(vectors, n, spread=0.05):
    return vectors[:n] + spread * normal(n, vectors.shape[1], 99)


def recall(parts, queries, metric="l2", **options):
    index = HNSW(queries.shape[1], metric=metric, ef_construction=80, **options)
    exact = FlatIndex(queries.shape[1], metric=metric)
    for part in parts:
        index.add(part)
        exact.add(part)
    index.check()
    found, truth = index.search(queries, 10).ids, exact.search(queries, 10).ids
    return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth, strict=True)])


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_codes_are_used_and_distances_are_exact(metric):
    vectors = plane(CODED, 96, 12, 0)
    index, exact = HNSW(96, metric=metric), FlatIndex(96, metric=metric)
    index.add(vectors)
    exact.add(vectors)
    assert index.memory_usage()["codes"] > CODED * 64
    queries = near(vectors, 100)
    found, truth = index.search(queries, 10), exact.search(queries, 10)
    same = found.ids == truth.ids
    assert same.mean() > 0.97
    assert (found.distances[same] == truth.distances[same]).all()


@pytest.mark.parametrize("shift", [0.0, 30.0, 1000.0])
def test_data_that_move_away_are_found(shift):
    if shift:
        first, second = normal(CODED, 24, 1), normal(CODED, 24, 2) + np.float32(shift)
    else:
        first, second = plane(CODED, 128, 10, 1), plane(CODED, 128, 10, 5)
    alone = recall([second], near(second, 100))
    assert recall([first, second], near(second, 100)) >= alone - 0.03


def test_data_that_move_away_little_by_little_are_found():
    first, second = plane(CODED, 64, 8, 1), plane(1500, 64, 8, 5)
    assert recall([first, *np.split(second, 30)], near(second, 100)) > 0.97


@pytest.mark.parametrize("share", [0.004, 0.02, 0.1])
def test_a_tight_cluster_among_others_is_found(share):
    vectors = normal(8000, 24, 1)
    tight = round(8000 * share)
    vectors[:tight] = 3 + 1e-4 * normal(tight, 24, 2)
    queries = vectors[: min(tight, 100)] + 2e-5 * normal(min(tight, 100), 24, 3)
    assert recall([vectors], queries) > 0.95


def test_zero_rows_do_not_hide_others_under_cosine():
    first, zeros, last = plane(CODED, 48, 12, 1), np.zeros((1000, 48), np.float32), 2
    assert recall([first, zeros, plane(last, 48, 12, 1)], near(first, 100), "cosine") > 0.97


def test_codes_survive_files_and_changes(tmp_path):
    vectors = plane(CODED, 96, 12, 0)
    index = HNSW(96, metric="l2")
    index.add(vectors)
    index.remove(np.arange(0, CODED, 7))
    index.update([1, 2], vectors[[3, 4]])
    index.compact()
    index.check()
    index.save(tmp_path / "index")
    queries = near(vectors, 50)
    want = index.search(queries, 10)
    for other in (
        HNSW.load(tmp_path / "index"),
        HNSW.load(tmp_path / "index", mmap=True),
        pickle.loads(pickle.dumps(index)),
    ):
        assert other.memory_usage()["codes"] == index.memory_usage()["codes"]
        for one, two in zip(other.search(queries, 10), want, strict=True):
            np.testing.assert_array_equal(one, two)


def section(file, name):
    """The place of a section's entry in the table, where its bytes begin, and how many they are."""
    for at in range(64, 64 + 48 * file[12], 48):
        if bytes(file[at : at + 16]).rstrip(b"\0") == name:
            return at, *struct.unpack_from("<QQ", file, at + 16)
    raise AssertionError(f"there is no section {name}")


def sealed(file, entry, start, length):
    """Give a section, and then the table, the checksum of what they hold now."""
    struct.pack_into("<I", file, entry + 32, zlib.crc32(file[start : start + length]))
    table = file[64 : 64 + 48 * file[12]]
    struct.pack_into("<I", file, 60, zlib.crc32(table, zlib.crc32(file[:60])))
    return bytes(file)


@pytest.mark.parametrize("dim", [24, 96])
def test_a_damaged_code_is_found(dim, tmp_path):
    index = HNSW(dim, metric="cosine")
    index.add(plane(CODED, dim, 12, 0))
    path = tmp_path / "index"
    index.save(path)
    whole = path.read_bytes()
    entry, start, length = section(whole, b"codes")
    size = length // CODED
    for at in (0, 77 * size + dim % 60, length - 8, length - 1):
        file = bytearray(whole)
        file[start + at] ^= 1
        path.write_bytes(file)
        with pytest.raises(CorruptFileError, match="codes"):
            HNSW.load(path)
        path.write_bytes(sealed(file, entry, start, length))
        for mmap in (False, True):
            loaded = HNSW.load(path, mmap=mmap)
            with pytest.raises(CorruptFileError, match=f"code of row {at // size} is not"):
                loaded.check()
            assert (loaded.search(near(plane(CODED, dim, 12, 0), 20), 10).counts == 10).all()
    path.write_bytes(whole)
    HNSW.load(path).check()


@pytest.mark.parametrize("ef", [10, 50])
def test_what_is_measured_again_is_counted(ef):
    index = HNSW(96, metric="l2")
    vectors = plane(CODED, 96, 12, 0)
    index.add(vectors[:4000])
    queries = near(vectors, 30)
    half = np.arange(4000) % 2 == 0
    assert index.stats().bytes_codes == index.memory_usage()["codes"] == 0
    for where in (None, half):
        assert (index.search_stats(queries, ef=ef, where=where).remeasured == 0).all()
    index.add(vectors[4000:])
    assert index.stats().bytes_codes == index.memory_usage()["codes"] > CODED * 64
    stats = index.search_stats(queries, ef=ef)
    assert stats.remeasured.dtype == np.int64
    assert (stats.remeasured >= ef).all()
    assert (stats.distances > stats.remeasured).all()
    most = np.arange(CODED) % 10 != 0
    walked = index.search_stats(queries, ef=10, where=most)
    assert (walked.hops > 0).all()
    assert (walked.remeasured >= 10).all()
    few = np.arange(CODED) < 4000
    scanned = index.search_stats(queries, ef=100, where=few)
    assert (scanned.hops == 0).all()
    assert (scanned.distances == 4000).all()
    assert (scanned.remeasured == 0).all()
