"""Several threads, processes and Ctrl-C."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from ruvector import _core
from ruvector.index import HNSW, FlatIndex

DIM = 32


def rows(n, seed=0, dim=DIM):
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


@pytest.fixture
def restore_threads():
    before = _core.get_num_threads()
    yield
    _core.set_num_threads(before)


@pytest.mark.usefixtures("restore_threads")
@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_the_number_of_threads_changes_nothing(metric):
    states, results = [], []
    for threads in (1, 2, 5):
        _core.set_num_threads(threads)
        index = HNSW(DIM, metric=metric, m=8, ef_construction=60)
        index.add(rows(3000))
        index.add(rows(700, 1))
        states.append(pickle.dumps(index))
        results.append(index.search(rows(200, 2), 5))
    assert states[0] == states[1] == states[2]
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_other_seeds_give_other_graphs():
    indexes = [HNSW(DIM, seed=seed) for seed in (1, 2)]
    for index in indexes:
        index.add(rows(500))
    assert indexes[0].stats().level_counts != indexes[1].stats().level_counts


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
        thread.join(60)
        assert not thread.is_alive(), "deadlock"
    assert failures == []


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_threads_search_while_another_adds(kind):
    index = kind(DIM)
    index.add(rows(500))
    done = threading.Event()

    def add():
        try:
            for seed in range(1, 20):
                index.add(rows(200, seed))
        finally:
            done.set()

    def search():
        queries = rows(500)[:20]
        while not done.is_set():
            # The rows added first stay the nearest to themselves.
            assert (index.search(queries, 1).ids[:, 0] == np.arange(20)).all()
            assert len(index) >= 500
            assert 3 in index

    run([add, search, search, search])
    assert len(index) == 500 + 19 * 200
    if kind is HNSW:
        index.check()


def test_threads_adding_at_once_all_succeed():
    index = HNSW(DIM)
    run([lambda seed=seed: [index.add(rows(50, seed)) for _ in range(4)] for seed in range(4)])
    assert sorted(index.ids.tolist()) == list(range(800))
    index.check()


def _search_in_child(index, connection):
    index.add(rows(300, 9))
    connection.send(index.search(rows(100), 1).ids[:, 0].tolist())
    connection.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_searches_and_adds():
    index = HNSW(DIM)
    index.add(rows(5000))  # the threads are running now
    index.search(rows(2000, 3))
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with warnings.catch_warnings():
        # Newer Pythons warn that forking with threads is risky: that is what is tested.
        warnings.simplefilter("ignore")
        child = context.Process(target=_search_in_child, args=(index, sender))
        child.start()
    assert receiver.poll(60), "the child hangs"
    assert receiver.recv() == list(range(100))
    child.join(60)
    assert child.exitcode == 0


def test_ctrl_c_leaves_the_index_as_it_was():
    index = HNSW(128, ef_construction=400)
    index.add(rows(500, dim=128))
    before = pickle.dumps(index)
    more = rows(40000, 1, dim=128)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        index.add(more)
    assert time.monotonic() > started
    assert pickle.dumps(index) == before
    index.add(more[:10])
    index.check()
