"""The safetensors layout: what is written is read, here and elsewhere, and damage is told."""

import json
import tracemalloc

import numpy as np
import pytest
from ruvector.errors import CorruptFileError, InvalidTypeError
from ruvector.safetensors import (
    load_safetensors,
    load_safetensors_metadata,
    save_safetensors,
)

DTYPES = ["?", "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
SHAPES = [(), (0,), (1,), (7,), (0, 3), (3, 0), (2, 3), (2, 1, 3, 2)]


def filled(shape, dtype):
    return np.random.default_rng(3).integers(0, 100, shape).astype(dtype)


def every_kind():
    return {
        f"{dtype}.{'x'.join(map(str, shape))}": filled(shape, dtype)
        for dtype in DTYPES
        for shape in SHAPES
    }


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def parse(path, header, values=b""):
    """Load a file of the given header, as an object or as bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)
    return load_safetensors(path)


def entry(**changes):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


@pytest.fixture
def whole(path):
    """The bytes of a small file."""
    arrays = {"weights": filled((3, 2), "f4"), "ids": filled((4,), "i8"), "no": filled((0,), "u1")}
    save_safetensors(arrays, path, metadata={"made by": "a test"})
    return path.read_bytes()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_loaded_arrays_are_the_saved_ones(dtype, shape, path):
    arrays = {"one": filled(shape, dtype), "größe": filled(shape, dtype)}
    save_safetensors(arrays, str(path))
    found = load_safetensors(str(path))
    assert_same(found, arrays)
    assert all(array.flags.writeable and array.flags.owndata for array in found.values())


def test_values_keep_every_bit(path):
    array = np.array([np.nan, -0.0, np.inf, -np.inf, 5e-324])
    save_safetensors({"a": array}, path)
    assert load_safetensors(path)["a"].tobytes() == array.tobytes()


def test_no_arrays_are_a_file_too(path):
    save_safetensors({}, path)
    assert load_safetensors(path) == {}


@pytest.mark.parametrize(
    "array",
    [
        np.arange(5, dtype=">i4"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(20.0)[::-3],
        np.broadcast_to(np.float32(3), (2, 2)),
    ],
    ids=["big-endian", "fortran", "strided", "broadcast"],
)
def test_the_order_in_memory_does_not_matter(array, path):
    save_safetensors({"a": array}, path)
    found = load_safetensors(path)["a"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=")


def test_a_file_is_replaced(path):
    save_safetensors({"old": np.ones(1000)}, path)
    save_safetensors({"new": np.ones(2)}, path)
    assert list(load_safetensors(path)) == ["new"]


def test_values_are_aligned(whole):
    assert int.from_bytes(whole[:8], "little") % 8 == 0


def test_the_other_implementation_reads_what_is_written(path):
    other = pytest.importorskip("safetensors")
    numpy = pytest.importorskip("safetensors.numpy")
    arrays = every_kind()
    save_safetensors(arrays, path, metadata={"made by": "a test"})
    assert_same(numpy.load_file(path), arrays)
    with other.safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"made by": "a test"}


def test_what_the_other_implementation_writes_is_read(path):
    numpy = pytest.importorskip("safetensors.numpy")
    arrays = every_kind()
    numpy.save_file(arrays, path, metadata={"made by": "another"})
    assert_same(load_safetensors(path), arrays)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["word"]),
        np.array([None]),
        np.ones(2, complex),
        np.array([1], "M8[s]"),
        np.array([(1, 2)], "i4,i4"),
    ],
    ids=["text", "object", "complex", "time", "record"],
)
def test_other_dtypes_are_refused_before_anything_is_written(array, path):
    save_safetensors({"a": np.ones(2)}, path)
    with pytest.raises(InvalidTypeError, match="array 'b' has dtype"):
        save_safetensors({"a": np.zeros(2), "b": array}, path)
    np.testing.assert_array_equal(load_safetensors(path)["a"], np.ones(2))


def test_every_truncation_is_told(whole, path):
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError, match=path.name):
            load_safetensors(path)


def test_a_flipped_bit_in_the_header_is_told_or_harmless(whole, path):
    """Some flips leave a header that is right, such as those of a letter of a name."""
    refused = 0
    end = 8 + int.from_bytes(whole[:8], "little")
    for position in range(end):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                found = load_safetensors(path)
            except CorruptFileError:
                refused += 1
            else:
                assert sum(array.nbytes for array in found.values()) <= 3 * len(whole)
    assert refused > 4 * end


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[1]",
        b"{",
        b"\xff\xfe{}",
        b'"words"',
        {"a": 3},
        {"a": None},
        {"a": {}},
        entry(dtype="F31"),
        entry(dtype=[]),
        entry(dtype=None),
        entry(shape=[3]),
        entry(shape=[-2]),
        entry(shape=[-1, -2]),
        entry(shape=["two"]),
        entry(shape=None),
        entry(shape=[1] * 70, data_offsets=[0, 4]),
        entry(shape=[0, 10**30], data_offsets=[0, 0]),
        entry(shape=[10**30]),
        entry(data_offsets=[0, 12]),
        entry(data_offsets=[8, 0]),
        entry(data_offsets=[-8, 0]),
        entry(data_offsets=[0]),
        entry(data_offsets=[0, 8, 16]),
        entry(data_offsets=[0.0, 8.0]),
        entry(data_offsets="08"),
        entry(data_offsets=[0, 10**30]),
    ],
    ids=lambda header: str(header)[:60],
)
def test_a_header_that_makes_no_sense_is_told(header, path):
    with pytest.raises(CorruptFileError, match="not a whole safetensors file"):
        parse(path, header, bytes(8))


@pytest.mark.parametrize("length", [9, 2**31, 2**32 + 1, 2**63, 2**64 - 1])
def test_a_huge_header_allocates_nothing(length, path):
    path.write_bytes(length.to_bytes(8, "little") + b"{}      ")
    tracemalloc.start()
    try:
        with pytest.raises(CorruptFileError, match="16 bytes cannot hold the header"):
            load_safetensors(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_foreign_files_are_told(path):
    for content in (b"PK\x03\x04" + bytes(100), b"source,target\n" * 50, b"\x93NUMPY" * 20):
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match="restore it from a copy"):
            load_safetensors(path)
    with pytest.raises(FileNotFoundError):
        load_safetensors(path.with_name("missing"))


def test_metadata_are_read_without_the_arrays(tmp_path):
    path = tmp_path / "a.safetensors"
    words = {"a": "b", "text": "ü" * 5000}
    save_safetensors({"x": np.ones(3)}, path, metadata=words)
    assert load_safetensors_metadata(path) == words
    save_safetensors({"x": np.ones(3)}, path)
    assert load_safetensors_metadata(path) == {}
    for spoiled in (b"", b"12345678", path.read_bytes()[:20], (2**60).to_bytes(8, "little") * 3):
        path.write_bytes(spoiled)
        with pytest.raises(CorruptFileError):
            load_safetensors_metadata(path)
    for header in (b"[]", b'{"__metadata__": 3}', b'{"__metadata__": {"a": 3}}'):
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(CorruptFileError):
            load_safetensors_metadata(path)
