"""What share of the nearest the graph finds, and that stored rows are found."""

import numpy as np
import pytest
from ruvector.index import HNSW, FlatIndex

METRICS = ["cosine", "l2", "ip"]


def recall(index, vectors, queries, ef, k=10):
    exact = FlatIndex(index.dim, metric=index.metric)
    exact.add(vectors)
    truth = exact.search(queries, k).ids
    found = index.search(queries, k, ef=ef).ids
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(found, truth, strict=True)])


def build(vectors, metric, **parameters):
    index = HNSW(vectors.shape[1], metric=metric, **parameters)
    index.add(vectors)
    index.check()
    return index


def missed(index, vectors):
    """Stored rows whose nearest hit is another vector."""
    found = index.get(index.search(vectors, 1, ef=64).ids[:, 0])
    return int((~np.isclose(found, vectors, rtol=1e-5, atol=1e-6).all(axis=1)).sum())


def manifold(n, rng):
    """16 dimensions bent into 128, with a little noise."""
    bent = np.tanh(rng.standard_normal((n, 16)) @ rng.standard_normal((16, 64)) / 4)
    flat = bent @ rng.standard_normal((64, 128)) / 8
    return (flat + 0.01 * rng.standard_normal((n, 128))).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_manifold(metric):
    data = manifold(20500, np.random.default_rng(0))
    vectors, queries = data[:20000], data[20000:]
    index = build(vectors, metric, m=16, ef_construction=200)
    assert recall(index, vectors, queries, 100) >= 0.998
    assert recall(index, vectors, queries, 50) >= 0.985
    assert missed(index, vectors) == 0


@pytest.mark.parametrize("metric", METRICS)
def test_gaussian_has_no_structure_to_follow(metric):
    data = np.random.default_rng(1).standard_normal((20300, 128), dtype=np.float32)
    vectors, queries = data[:20000], data[20000:]
    assert recall(build(vectors, metric), vectors, queries, 400) >= 0.96


@pytest.mark.parametrize("metric", METRICS)
def test_images_at_defaults(metric, data_file):
    with np.load(data_file("fashion_mnist.npz")) as data:
        images = data["x_train"][:5000].reshape(-1, 784).astype(np.float32)
    # Mixed signs, or the inner product would be a race of lengths.
    images -= images.mean(axis=0)
    vectors, queries = images[:4500], images[4500:]
    assert recall(build(vectors, metric), vectors, queries, None) >= 0.99


def test_rows_added_in_order_of_clusters():
    rng = np.random.default_rng(2)
    centres = 4 * rng.standard_normal((50, 64))
    of = np.sort(rng.integers(0, 50, 8000))
    vectors = (centres[of] + rng.standard_normal((8000, 64))).astype(np.float32)
    for metric in METRICS:
        index = build(vectors, metric)
        queries = vectors[rng.permutation(8000)[:300]] + np.float32(0.1)
        assert recall(index, vectors, queries, 64) >= 0.99
        if metric != "ip":
            assert missed(index, vectors) == 0


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("arrange", ["one after another", "in turn"])
def test_twenty_vectors_a_hundred_times_each(metric, arrange):
    twenty = np.random.default_rng(3).standard_normal((20, 32), dtype=np.float32)
    vectors = np.tile(twenty, (100, 1)) if arrange == "in turn" else np.repeat(twenty, 100, 0)
    index = build(vectors, metric)
    assert missed(index, vectors) == 0
    result = index.search(twenty, 100)
    assert (result.counts == 100).all()
    assert (result.distances < 1e-5).mean() >= 0.8


@pytest.mark.parametrize("metric", METRICS)
def test_a_thousand_equal_rows_give_a_hundred_hits(metric):
    vectors = np.ones((1000, 16), np.float32)
    index = build(vectors, metric)
    result = index.search(vectors[:5], 100)
    assert (result.counts == 100).all()
    assert all(len(set(ids)) == 100 for ids in result.ids)
    assert missed(index, vectors) == 0


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize(("n", "dim"), [(3, 8), (1000, 128), (5000, 32)])
def test_random_rows_find_themselves(metric, n, dim):
    vectors = np.random.default_rng(4).standard_normal((n, dim), dtype=np.float32)
    assert missed(build(vectors, metric), vectors) == 0


def test_rows_added_one_by_one_are_found_too():
    vectors = np.random.default_rng(5).standard_normal((1500, 24), dtype=np.float32)
    index = HNSW(24, metric="l2")
    for row in vectors:
        index.add(row)
    index.check()
    assert missed(index, vectors) == 0
    assert recall(index, vectors, vectors[:200] + np.float32(0.05), 64) >= 0.99


@pytest.mark.parametrize("order", ["first", "last", "between"])
def test_many_equal_rows_do_not_hide_the_others(order):
    rng = np.random.default_rng(7)
    data = rng.standard_normal((4200, 24), dtype=np.float32)
    others, queries, equal = data[:4000], data[4000:], np.zeros((1500, 24), np.float32)
    parts = [equal, others] if order == "first" else [others, equal]
    if order == "between":
        parts = [rng.permutation(np.concatenate(parts))]
    index, exact = HNSW(24, metric="l2", ef_construction=60), FlatIndex(24, metric="l2")
    for part in parts:
        index.add(part)
        exact.add(part)
    found, truth = index.search(queries, 10), exact.search(queries, 10)
    # They are nearer to most queries than most of the others. Among 4,000 others alone it is .99.
    assert (found.distances <= truth.distances[:, 9:] * 1.00001).mean() >= 0.96
    assert missed(index, others) <= 4
    assert (index.search(equal[:1], 100).distances == 0).all()


@pytest.mark.parametrize(("ef", "least"), [(32, 0.77), (64, 0.9)])
def test_many_equal_rows_do_not_hide_the_others_from_a_filter(ef, least):
    rng = np.random.default_rng(7)
    data = rng.standard_normal((20200, 32), dtype=np.float32)
    others, queries = data[:20000], data[20000:]
    vectors = np.concatenate([np.zeros((2000, 32), np.float32), others])
    index, exact = HNSW(32, metric="l2"), FlatIndex(32, metric="l2")
    index.add(vectors)
    exact.add(vectors)
    where = rng.random(len(vectors)) < 0.9
    found = index.search(queries, 10, ef=ef, where=where)
    truth = exact.search(queries, 10, where=where)
    assert (index.search_stats(queries, 10, ef=ef, where=where).hops > 0).all()
    assert (found.distances <= truth.distances[:, 9:] * 1.00001).mean() >= least
    # Where nothing else is allowed they are all found.
    only = np.arange(len(vectors)) < 2000
    alone = index.search(queries[:20], 100, ef=100, where=only)
    assert (alone.counts == 100).all()
    assert (alone.ids < 2000).all()


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_are_stored_a_hundred_times_are_found(metric):
    shares = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        vectors = rng.standard_normal((50, 16), dtype=np.float32)[rng.integers(0, 50, 5000)]
        queries = rng.standard_normal((50, 16), dtype=np.float32)
        index, exact = HNSW(16, metric=metric), FlatIndex(16, metric=metric)
        index.add(vectors)
        exact.add(vectors)
        found, truth = index.search(queries, 10), exact.search(queries, 10)
        shares.append((found.distances <= truth.distances[:, 9:] + 1e-5).mean())
    # .90 to 1 over 12 seeds, .97 to .98 in the mean; .62 to .94 before copies were limited.
    assert np.mean(shares) >= 0.93
