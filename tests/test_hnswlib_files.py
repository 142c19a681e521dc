"""Indexes that hnswlib saved."""

import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest
from ruvector.errors import CorruptFileError, InvalidArgumentError, InvalidTypeError
from ruvector.index import HNSW, FlatIndex

FILES = Path(__file__).parent / "fixtures" / "hnswlib"
DIM = 6
DELETED = [17, 44]
HEADER = 96


@pytest.fixture(scope="module")
def stored():
    """Return vectors and labels that are not deleted."""
    kept = np.delete(np.arange(120), DELETED)
    return np.load(FILES / "vectors.npy")[kept], np.load(FILES / "labels.npy")[kept]


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_vectors_labels_and_parameters_arrive(metric, stored):
    vectors, labels = stored
    index = HNSW.from_hnswlib(FILES / f"{metric}.bin", DIM, metric)
    assert (index.m, index.ef_construction, index.metric, index.dim) == (5, 40, metric, DIM)
    np.testing.assert_array_equal(index.ids, labels)
    index.check()
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        np.testing.assert_allclose(index.get(labels), vectors, atol=1e-6)
    else:
        np.testing.assert_array_equal(index.get(labels), vectors)
    exact = FlatIndex(DIM, metric=metric)
    exact.add(vectors, ids=labels)
    got, want = index.search(vectors, 5, ef=200), exact.search(vectors, 5)
    np.testing.assert_array_equal(got.ids, want.ids)
    np.testing.assert_allclose(got.distances, want.distances, atol=1e-5)


def test_parameters_can_be_chosen():
    index = HNSW.from_hnswlib(FILES / "l2.bin", DIM, "l2", m=9, ef_construction=50, seed=4)
    assert (index.m, index.ef_construction, index.seed) == (9, 50, 4)
    with pytest.raises(InvalidArgumentError, match="metric"):
        HNSW.from_hnswlib(FILES / "l2.bin", DIM, "l1")
    with pytest.raises(InvalidTypeError, match="path is 3"):
        HNSW.from_hnswlib(3, DIM, "l2")


def test_an_empty_file_of_theirs():
    assert len(HNSW.from_hnswlib(FILES / "empty.bin", DIM, "l2")) == 0


def test_other_dimensions_say_which():
    with pytest.raises(CorruptFileError, match="pass dim=6"):
        HNSW.from_hnswlib(FILES / "l2.bin", 7, "l2")


def test_every_truncation_is_refused(tmp_path):
    whole = (FILES / "l2.bin").read_bytes()
    path = tmp_path / "file"
    for length in [*range(300), *range(300, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError, match="no index file of hnswlib"):
            HNSW.from_hnswlib(path, DIM, "l2")
    path.write_bytes(whole + b"\0")
    with pytest.raises(CorruptFileError, match="do not end with the file"):
        HNSW.from_hnswlib(path, DIM, "l2")


@pytest.mark.parametrize("value", [0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
def test_hostile_headers_do_no_harm(value, tmp_path):
    whole = bytearray((FILES / "l2.bin").read_bytes())
    path = tmp_path / "file"
    for at in range(0, HEADER, 8):
        content = whole.copy()
        struct.pack_into("<Q", content, at, value)
        path.write_bytes(content)
        try:
            index = HNSW.from_hnswlib(path, DIM, "l2")
        except CorruptFileError:
            continue
        # Numbers that say nothing of where things lie.
        assert len(index) == 118


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "file"
    ours = FlatIndex(DIM)
    ours.add(np.ones((50, DIM)))
    ours.save(path)
    for content in (b"", bytes(500), path.read_bytes(), np.random.default_rng(0).bytes(5000)):
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match="file is no index file of hnswlib"):
            HNSW.from_hnswlib(path, DIM, "l2")
    with pytest.raises(FileNotFoundError):
        HNSW.from_hnswlib(tmp_path / "missing", DIM, "l2")


def test_what_is_wrong_inside_is_told(tmp_path):
    path = tmp_path / "file"
    whole = (FILES / "l2.bin").read_bytes()
    stride = struct.unpack_from("<Q", whole, 24)[0]
    label = HEADER + stride - 8

    def changed(at, bytes_):
        content = bytearray(whole)
        content[at : at + len(bytes_)] = bytes_
        path.write_bytes(content)
        return HNSW.from_hnswlib(path, DIM, "l2")

    with pytest.raises(CorruptFileError, match="beyond int64"):
        changed(label, b"\xff" * 8)
    with pytest.raises(CorruptFileError, match="occurs twice"):
        changed(label, whole[label + stride : label + stride + 8])
    with pytest.raises(InvalidArgumentError, match="NaN"):
        changed(label - 4, struct.pack("<f", np.nan))


@pytest.mark.skipif(
    importlib.util.find_spec("hnswlib") is None,
    reason="no hnswlib: make test-frameworks",
)
def test_what_the_package_writes_today(tmp_path):
    hnswlib = importlib.import_module("hnswlib")
    vectors = np.random.default_rng(3).standard_normal((500, 9), dtype=np.float32)
    theirs = hnswlib.Index("l2", 9)
    theirs.init_index(500, M=8, ef_construction=60)
    theirs.add_items(vectors, np.arange(500) * 3)
    theirs.mark_deleted(30)
    theirs.save_index(str(tmp_path / "file"))
    ours = HNSW.from_hnswlib(tmp_path / "file", 9, "l2")
    theirs.set_ef(500)
    labels, distances = theirs.knn_query(vectors[:50], 5)
    found = ours.search(vectors[:50], 5, ef=500)
    np.testing.assert_array_equal(found.ids, labels)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-4, atol=1e-5)
    assert 30 not in ours
