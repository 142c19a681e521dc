"""Indexes that keep their vectors in fewer bits."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from ruvector import _core
from ruvector.errors import CorruptFileError, InvalidArgumentError
from ruvector.index import HNSW, FlatIndex

SMALL = ("float16", "int8")
METRICS = ("cosine", "l2", "ip")


def _clusters(count: int, dim: int, seed: int = 0) -> np.ndarray:
    """Vectors around few centres, spread along few directions."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, dim))
    spread = rng.standard_normal((6, dim)) * 0.3
    rows = centres[rng.integers(20, size=count)] + rng.standard_normal((count, 6)) @ spread
    return (rows + 0.02 * rng.standard_normal((count, dim))).astype(np.float32)


def _built(storage: str, metric: str = "l2", count: int = 600, dim: int = 24) -> HNSW:
    index = HNSW(dim, metric=metric, storage=storage)
    index.add(_clusters(count, dim))
    return index


def _recall(found: np.ndarray, exact: np.ndarray) -> float:
    return float(
        np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)])
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 2, 15, 16, 17, 255, 256, 257, 700])
def test_distances_are_those_of_what_is_kept(metric: str, dim: int) -> None:
    for storage in SMALL:
        index = _built(storage, metric, 60, dim)
        queries = _clusters(9, dim, seed=1)
        kept = FlatIndex(dim, metric=metric)
        kept.add(index.get(index.ids))
        want = kept.search(queries, 60)
        got = index.search(queries, 60, ef=60)
        bound = 2e-6 * max(1.0, float(np.abs(want.distances).max()))
        np.testing.assert_allclose(got.distances, want.distances, rtol=1e-5, atol=bound)


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_kept_is_within_half_a_step(metric: str) -> None:
    vectors = _clusters(300, 40)
    steps = (vectors.max(1) - vectors.min(1)) / 255
    for storage, bound in (("int8", 0.51 * steps), ("float16", 2.0**-11 * np.abs(vectors).max(1))):
        index = HNSW(40, metric=metric, storage=storage)
        index.add(vectors)
        # Under cosine rows are brought to length 1 again, which moves values a little further.
        slack = 3 if metric == "cosine" else 1.01
        error = np.abs(index.get(index.ids) - vectors).max(1)
        assert (error <= slack * bound).all()
        assert error.max() > 0


def test_bytes_keep_equal_steps_exactly() -> None:
    vectors = np.random.default_rng(0).integers(0, 256, (50, 30)).astype(np.float32)
    vectors[:, 0], vectors[:, 1] = 0, 255
    index = HNSW(30, metric="l2", storage="int8")
    index.add(vectors)
    np.testing.assert_array_equal(index.get(index.ids), vectors)


@pytest.mark.parametrize("storage", SMALL)
@pytest.mark.parametrize("metric", METRICS)
def test_finds_the_nearest(storage: str, metric: str) -> None:
    vectors, queries = _clusters(5000, 32), _clusters(100, 32, seed=1)
    index = HNSW(32, metric=metric, storage=storage)
    index.add(vectors)
    assert index.memory_usage()["codes"] > 0
    exact = FlatIndex(32, metric=metric)
    exact.add(vectors)
    want = exact.search(queries, 10).ids
    assert _recall(index.search(queries, 10, ef=100).ids, want) >= 0.9
    kept = FlatIndex(32, metric=metric)
    kept.add(index.get(index.ids))
    assert _recall(index.search(queries, 10, ef=100).ids, kept.search(queries, 10).ids) >= 0.98
    index.check()


@pytest.mark.parametrize("storage", SMALL)
@pytest.mark.parametrize("metric", METRICS)
def test_every_operation(storage: str, metric: str, tmp_path: Path) -> None:
    index = _built(storage, metric)
    extra = _clusters(200, 24, seed=2)
    index.remove(np.arange(0, 300))
    index.add(extra, ids=np.arange(1000, 1200))
    index.update([1000], extra[:1] * 0.5)
    index.add(extra[:2], ids=[1001, 3000], replace=True)
    index.compact()
    index.check()
    assert len(index) == 600 - 300 + 201

    where = np.arange(300, 400)
    exact = FlatIndex(24, metric=metric)
    exact.add(index.get(index.ids), ids=index.ids)
    queries = _clusters(20, 24, seed=3)
    want = exact.search(queries, 5, where=where)
    np.testing.assert_allclose(
        index.search(queries, 5, where=where).distances, want.distances, rtol=1e-4, atol=1e-4
    )
    radius = float(np.median(exact.search(queries, 8).distances[:, -1]))
    near = index.range_search(queries, radius, ef=600)
    assert abs(len(near.ids) - len(exact.range_search(queries, radius).ids)) <= 2

    path = tmp_path / "index.ruv"
    index.save(path)
    found = index.search(queries, 10)
    for same in (
        HNSW.load(path),
        HNSW.load(path, mmap=True, verify=True),
        pickle.loads(pickle.dumps(index)),
        copy.copy(index),
    ):
        assert same.storage == storage
        for mine, theirs in zip(found, same.search(queries, 10), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        same.check()

    other = HNSW(24, metric=metric)
    other.add(_clusters(50, 24, seed=4), ids=np.arange(5000, 5050))
    index.merge(other)
    other.merge(index, replace=True)
    assert set(index.ids) == set(other.ids)
    assert other.storage == "float32"
    assert f"storage={storage!r}" in repr(index)


@pytest.mark.parametrize("storage", SMALL)
def test_extreme_rows(storage: str) -> None:
    rows = np.zeros((7, 33), np.float32)
    rows[1] = 3.5
    rows[2, 5] = 65504
    rows[3, 5] = -65504
    rows[4] = np.linspace(-1e-4, 1e-4, 33)
    rows[5] = 1e-30
    rows[6, ::2] = 60000
    for metric in METRICS:
        index = HNSW(33, metric=metric, storage=storage)
        index.add(rows)
        index.check()
        kept = index.get(index.ids)
        assert np.isfinite(kept).all()
        np.testing.assert_array_equal(kept[0], 0)
        np.testing.assert_allclose(kept[1], rows[1], rtol=1e-3)
        assert np.isfinite(index.search(rows, 7).distances).all()


@pytest.mark.parametrize("storage", SMALL)
def test_values_of_any_size(storage: str) -> None:
    index = HNSW(3, metric="l2", storage=storage)
    for size in (1e-38, 1e-20, 1e5, 1e17):
        (id_,) = index.add([[size, -size / 2, 0]])
        np.testing.assert_allclose(index.get([id_]), [[size, -size / 2, 0]], atol=size / 250)
    directions = HNSW(3, storage=storage)
    largest = np.full((1, 3), np.finfo(np.float32).max)
    directions.add(largest)
    np.testing.assert_allclose(directions.get([0]), largest, rtol=1e-3)
    # Rounding can make a vector longer than those that are accepted.
    rng = np.random.default_rng(0)
    longest = rng.standard_normal((50, 40))
    longest *= 0.9999999e18 / np.linalg.norm(longest, axis=1, keepdims=True)
    for metric in ("l2", "ip"):
        index = HNSW(40, metric=metric, storage=storage)
        index.add(longest)
        index.check()
        assert len(copy.copy(index)) == 50


@pytest.mark.parametrize("storage", SMALL)
def test_zeros_of_either_sign_are_copies(storage: str) -> None:
    rng = np.random.default_rng(0)
    zeros = np.where(rng.random((300, 16)) < 0.5, 0.0, -0.0).astype(np.float32)
    index = HNSW(16, metric="l2", storage=storage)
    index.add(zeros)
    others = rng.standard_normal((2000, 16), dtype=np.float32)
    index.add(others)
    exact = FlatIndex(16, metric="l2")
    exact.add(np.concatenate([zeros, others]))
    queries = rng.standard_normal((50, 16), dtype=np.float32)
    assert _recall(index.search(queries, 10).ids, exact.search(queries, 10).ids) >= 0.95


def test_unknown_storage() -> None:
    with pytest.raises(InvalidArgumentError, match=r"storage .*'int4'.*float16"):
        HNSW(3, storage="int4")


@pytest.mark.parametrize("storage", SMALL)
def test_threads_do_not_change_the_index(storage: str) -> None:
    before = _core.get_num_threads()
    states = []
    try:
        for count in (1, 2):
            _core.set_num_threads(count)
            states.append(pickle.dumps(_built(storage, "l2", 5000, 32)))
    finally:
        _core.set_num_threads(before)
    assert states[0] == states[1]


def test_memory() -> None:
    vectors = _clusters(5000, 784)
    total = {}
    for storage in ("float32", *SMALL):
        index = HNSW(784, metric="l2", storage=storage)
        index.add(vectors)
        usage = index.memory_usage()
        total[storage] = usage["total"] - usage["scratch"]
    assert total["int8"] <= 0.45 * vectors.nbytes
    assert total["float16"] <= 0.7 * vectors.nbytes
    assert total["float32"] <= 1.6 * vectors.nbytes


@pytest.mark.parametrize("storage", SMALL)
def test_damaged_files(storage: str, tmp_path: Path) -> None:
    path = tmp_path / "index.ruv"
    _built(storage).save(path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for position in rng.integers(len(data), size=60):
        wrong = bytearray(data)
        wrong[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(wrong)
        try:
            HNSW.load(path).check()
        except CorruptFileError:
            continue
        # Padding between sections is not covered by a checksum and changes nothing.
        assert pickle.dumps(HNSW.load(path)) == pickle.dumps(_built(storage))
