"""Searching while others add, and what each sees of it."""

import pickle
import signal
import threading
import time

import numpy as np
import pytest
from ruvector.index import HNSW, FlatIndex

DIM = 16


def rows(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def run(jobs):
    failures = []

    def guarded(job):
        try:
            job()
        except BaseException as error:  # whatever it is must reach the test
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "deadlock"
    assert failures == []


def test_rows_of_an_unfinished_add_are_seen_by_nobody():
    index = HNSW(DIM, ef_construction=100)
    first = rows(1500)
    index.add(first)
    before = pickle.dumps(index)
    # Nearer to the queries than anything stored: they would fill every answer.
    more = np.concatenate([first + np.float32(1e-3) * rows(1500, seed) for seed in range(1, 7)])
    moments = 0
    thread = threading.Thread(target=index.add, args=(more,), daemon=True)
    thread.start()
    while thread.is_alive():
        k = (1, 10, 1500)[moments % 3]
        result = index.search(first[:20], k, ef=(None, 30, 4000)[moments % 3])
        assert (result.counts == k).all()
        state = pickle.dumps(index)
        try:
            index.get([1500])
            refused = False
        except ValueError:
            refused = True
        # Told last: what came before was then asked of an unfinished add.
        seen = len(index), 1500 in index, len(index.ids), index.stats().rows
        if seen != (1500, False, 1500, 1500) or not thread.is_alive():
            break
        assert result.ids.max() < 1500
        assert (result.ids[:, 0] == np.arange(20)).all()
        assert (np.diff(result.distances, axis=1) >= 0).all()
        assert state == before
        assert refused
        index.check()
        moments += 1
    thread.join(120)
    assert moments > 2
    assert len(index) == 7 * 1500
    alone = HNSW(DIM, ef_construction=100)
    alone.add(first)
    alone.add(more)
    assert pickle.dumps(index) == pickle.dumps(alone)


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_an_add_is_seen_whole_or_not_at_all(kind):
    index = kind(DIM)
    index.add(rows(400))
    done = threading.Event()

    def add():
        try:
            for seed in range(1, 9):
                index.add(rows(250, seed))
        finally:
            done.set()

    def look():
        queries = rows(5, 99)
        last = 0
        while not done.is_set():
            count = len(index)
            assert (count - 400) % 250 == 0
            assert count >= last
            last = count
            assert len(index.ids) >= count
            # Exact: every stored row is an answer.
            counts = index.search(queries, 2400).counts
            assert ((counts - 400) % 250 == 0).all()
            assert (counts >= count).all()

    run([add, look, look])


def test_searches_go_on_while_a_long_add_runs():
    index = HNSW(DIM, ef_construction=200)
    index.add(rows(2000))
    thread = threading.Thread(target=index.add, args=(rows(5000, 1),), daemon=True)
    thread.start()
    answered = 0
    while thread.is_alive():
        index.search(rows(1, 2), 10)
        answered += len(index) == 2000
    thread.join()
    # Behind one lock for the whole add it would be one.
    assert answered > 10


def test_readers_without_pause_let_a_writer_in_and_the_reverse():
    index = HNSW(DIM, ef_construction=40)
    index.add(rows(2000))
    done = threading.Event()
    answered = [0, 0, 0]

    def add():
        try:
            for seed in range(1, 60):
                index.add(rows(20, seed))
        finally:
            done.set()

    def search(which):
        queries = rows(200, which)
        while not done.is_set():
            index.search(queries, 10)
            answered[which] += 1

    run([add, *(lambda which=which: search(which) for which in range(3))])
    assert len(index) == 2000 + 59 * 20
    assert min(answered) > 0


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals")
def test_ctrl_c_reaches_an_add_that_waits_for_another():
    index = HNSW(64, ef_construction=200)
    index.add(rows(500, dim=64))
    long = threading.Thread(target=index.add, args=(rows(7000, 1, 64),), daemon=True)
    alone = index.memory_usage()
    long.start()
    deadline = time.monotonic() + 60
    # Nothing but the long one's rows, which it stores first, takes more memory.
    while index.memory_usage() == alone:
        assert time.monotonic() < deadline, "the long add has not begun"
        time.sleep(0.001)
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (it may ring at once)
            timer.start()
            index.add(rows(1, 2, 64), [10**6])
    finally:
        timer.cancel()
    assert long.is_alive(), "it did not wait"
    assert 10**6 not in index
    long.join(120)
    assert len(index) == 7500
    index.check()


def test_ctrl_c_at_any_step_leaves_the_index_as_it_was():
    index = HNSW(64, ef_construction=100)
    index.add(rows(1500, dim=64))
    before = pickle.dumps(index)
    more = rows(40000, 1, dim=64)
    for delay in (0.001, 0.02, 0.1, 0.5):
        timer = threading.Timer(delay, signal.raise_signal, [signal.SIGINT])
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (it may ring at once)
            timer.start()
            index.add(more)
        assert pickle.dumps(index) == before
    index.add(more[:100])
    index.check()


def test_threads_share_the_work_of_searching():
    index = HNSW(DIM)
    index.add(rows(3000))
    queries = rows(64, 3)
    expected = index.search(queries, 5)
    results = {}

    def search(which):
        for _ in range(20):
            results[which] = index.search(queries, 5)
            for i in range(which, 64, 4):
                one = index.search(queries[i], 5)
                assert (one.ids[0] == expected.ids[i]).all()

    run([lambda which=which: search(which) for which in range(4)])
    for result in results.values():
        np.testing.assert_array_equal(result.ids, expected.ids)
