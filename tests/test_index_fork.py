"""Children forked while other threads are inside an index."""

import os
import pickle
import signal
import threading
import time
import traceback
import warnings

import numpy as np
import pytest
from ruvector.errors import BrokenIndexError
from ruvector.index import HNSW, FlatIndex

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

DIM = 16


def rows(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM), dtype=np.float32)


def forked(job, seconds=30):
    """Run `job` in a child; fail if it hangs or raises."""
    with warnings.catch_warnings():
        # Newer Pythons warn that forking with threads is risky: that is what is tested.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        status = 1
        try:
            job()
            status = 0
        except BaseException:  # shown, and told by the status
            traceback.print_exc()
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.002)


class Busy:
    """Threads that do something over and over until the block ends."""

    def __init__(self, *jobs):
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(job,), daemon=True) for job in jobs]

    def run(self, job):
        while not self.stop.is_set():
            job()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "deadlock in the parent"


@pytest.mark.parametrize("kind", [HNSW, FlatIndex])
def test_a_child_goes_on_where_others_only_read(kind):
    index = kind(DIM)
    index.add(rows(3000))
    queries = rows(300, 1)
    expected = index.search(queries, 3)

    def child():
        np.testing.assert_array_equal(index.search(queries, 3).ids, expected.ids)
        index.add(rows(50, 2))
        assert len(index) == 3050
        forked(lambda: index.add(rows(1, 3)))  # a grandchild

    with Busy(lambda: index.search(queries, 3), lambda: index.search(queries[0], 3)):
        for _ in range(10):
            forked(child)
    assert len(index) == 3000


@pytest.mark.parametrize("part", [1500, 5])
def test_a_child_is_told_that_the_index_was_being_changed(part):
    index = HNSW(DIM)
    index.add(rows(1000))
    saved = pickle.dumps(index)
    queries = rows(100, 1)
    told = 0
    reader, writer = os.pipe()

    def child():
        try:
            counts = index.search(queries, 3).counts
        except BrokenIndexError as error:
            message = str(error)
            assert "changed by another thread when this process was forked" in message
            jobs = (index.stats, index.check, lambda: len(index), lambda: index.add(queries))
            for job in (*jobs, lambda: pickle.dumps(index), lambda: index.get([1])):
                with pytest.raises(BrokenIndexError):
                    job()
            again = pickle.loads(saved)
            again.add(queries)
            assert len(again) == 1100
            os.write(writer, b"t")
        else:
            assert (counts == 3).all()
            index.check()
            os.write(writer, b"s")

    with Busy(lambda: index.add(rows(part, 2)), lambda: index.search(queries, 3)):
        for _ in range(12):
            forked(child)
            told += os.read(reader, 1) == b"t"
            if len(index) > 8000:
                break
    os.close(reader)
    os.close(writer)
    assert told > 0
    index.check()
