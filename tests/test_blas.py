"""NumPy's linear algebra on one thread, for as long as a block lasts."""

import os
import threading

import numpy as np
import pytest
from ruvector import blas
from ruvector.blas import one_blas_thread
from ruvector.linalg import leading_directions, truncated_svd
from ruvector.probe import logistic_regression
from test_index_fork import forked


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


def test_a_large_matrix_keeps_all_threads(threads):
    with one_blas_thread(blas.LARGEST):
        assert threads() == 1
    with one_blas_thread(blas.LARGEST + 1):
        assert threads() == 3


@pytest.mark.parametrize("place", ["before it is set", "after it is set", "while it is given back"])
def test_ctrl_c_gives_the_threads_back(threads, monkeypatch, place):
    read, write = blas._openblas()
    interrupts = [place]

    def interrupted(number):
        now = bool(interrupts) and (number == 1) == place.endswith("set")
        if now and not place.startswith("after"):
            interrupts.clear()
            raise KeyboardInterrupt
        write(number)
        if now:
            interrupts.clear()
            raise KeyboardInterrupt

    monkeypatch.setattr(blas, "_openblas", lambda: (read, interrupted))
    with pytest.raises(KeyboardInterrupt), one_blas_thread():
        pass
    assert threads() == 3
    assert not blas._limit.blocks
    with one_blas_thread():
        assert threads() == 1
    assert threads() == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forgets_the_blocks_of_threads_that_it_has_not(threads):
    opened, end = threading.Event(), threading.Event()

    def other():
        with one_blas_thread():
            opened.set()
            end.wait(60)

    def child():
        assert threads() == 3
        with one_blas_thread():
            assert threads() == 1
        assert threads() == 3

    def child_within_a_block():
        assert threads() == 1
        block.__exit__(None, None, None)
        assert threads() == 3

    thread = threading.Thread(target=other)
    thread.start()
    try:
        assert opened.wait(60)
        forked(child)
        block = one_blas_thread()
        block.__enter__()
        forked(child_within_a_block)
        block.__exit__(None, None, None)
        assert threads() == 1
    finally:
        end.set()
        thread.join()
    assert threads() == 3


def directions(rows):
    leading_directions(rows, 5)


def decomposition(rows):
    truncated_svd(rows, 5)


def tall_classifier(rows):
    logistic_regression(rows, np.arange(len(rows)) % 2)


def wide_classifier(rows):
    logistic_regression(rows.T, np.arange(rows.shape[1]) % 2)


@pytest.mark.parametrize(
    ("job", "names"),
    [
        (directions, {"cholesky", "eigh"}),
        (decomposition, {"cholesky", "svd"}),
        (tall_classifier, {"eigh"}),
        (wide_classifier, {"svd"}),
    ],
)
def test_factorisations_run_on_one_thread(threads, monkeypatch, job, names):
    seen = {}

    def recorded(name):
        function = getattr(np.linalg, name)

        def records(*arguments, **options):
            seen.setdefault(name, set()).add(threads())
            return function(*arguments, **options)

        return records

    for name in ("cholesky", "eigh", "inv", "svd"):
        monkeypatch.setattr(np.linalg, name, recorded(name))
    job(np.random.default_rng(0).standard_normal((40, 12)))
    assert names <= set(seen)
    assert set().union(*seen.values()) == {1}
    assert threads() == 3


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "_openblas", lambda: None)
    with one_blas_thread():
        values = np.linalg.eigvalsh(np.diag([2.0, 1.0]))
    assert values.tolist() == [1.0, 2.0]
