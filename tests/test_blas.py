"""NumPy's linear algebra on one thread, for as long as a block lasts."""

import threading

import numpy as np
import pytest
from ruvector import blas
from ruvector.blas import one_blas_thread
from ruvector.linalg import leading_directions


@pytest.fixture
def threads():
    """What reads OpenBLAS's number of threads, which is 3 during the test."""
    found = blas._openblas()
    if found is None:
        pytest.skip("NumPy's library is not OpenBLAS, or cannot be asked")
    read, write = found
    before = read()
    write(3)
    yield read
    write(before)


def test_one_thread_within_the_block_and_as_many_as_before_after_it(threads):
    with one_blas_thread():
        assert threads() == 1
        with one_blas_thread():
            assert threads() == 1
        assert threads() == 1
    assert threads() == 3


def test_an_exception_gives_the_threads_back(threads):
    with pytest.raises(np.linalg.LinAlgError), one_blas_thread():
        np.linalg.cholesky(-np.eye(2))
    assert threads() == 3


def test_the_last_of_overlapping_blocks_gives_the_threads_back(threads):
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    other = threading.Thread(target=second.__enter__)
    other.start()
    other.join()
    first.__exit__(None, None, None)
    assert threads() == 1
    second.__exit__(None, None, None)
    assert threads() == 3


def test_factorisations_leave_the_number_as_it_was(threads):
    rows = np.random.default_rng(0).standard_normal((40, 12))
    leading_directions(rows, 5)
    assert threads() == 3


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "_openblas", lambda: None)
    with one_blas_thread():
        values = np.linalg.eigvalsh(np.diag([2.0, 1.0]))
    assert values.tolist() == [1.0, 2.0]
