"""Threads, SIMD level and versions; what the environment may say; what a fork may do."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from ruvector import _core
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.runtime import (
    get_num_threads,
    set_num_threads,
    show_versions,
    simd_level,
    use_threads,
)


@pytest.fixture(autouse=True)
def _threads():
    before = get_num_threads()
    yield
    set_num_threads(before)


def run(code, **variables):
    """A fresh interpreter. The timeout ends a deadlock, it measures nothing."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("number", [1, 3, np.int64(2), _core.MAX_THREADS])
def test_the_number_set_is_the_number_got(number):
    set_num_threads(number)
    assert get_num_threads() == number


@pytest.mark.parametrize("number", [0, -1, _core.MAX_THREADS + 1, 10**30, -(10**30)])
def test_a_number_out_of_range_changes_nothing(number):
    set_num_threads(2)
    with pytest.raises(InvalidArgumentError, match=r"num_threads is .* between 1 and 1024"):
        set_num_threads(number)
    assert get_num_threads() == 2


@pytest.mark.parametrize("number", ["2", 2.0, True, None, [2]])
def test_a_number_of_another_type_changes_nothing(number):
    set_num_threads(2)
    with pytest.raises(InvalidTypeError, match=r"num_threads is .* but must be an integer"):
        set_num_threads(number)
    assert get_num_threads() == 2


def test_a_block_has_its_own_number_in_its_own_thread():
    set_num_threads(2)
    seen = []
    with use_threads(5):
        seen.append(get_num_threads())
        with use_threads(7):
            seen.append(get_num_threads())
            set_num_threads(3)
            other = threading.Thread(target=lambda: seen.append(get_num_threads()))
            other.start()
            other.join()
        seen.append(get_num_threads())
    assert [*seen, get_num_threads()] == [5, 7, 3, 5, 3]


def test_a_block_ends_with_an_exception_too():
    set_num_threads(2)
    with pytest.raises(KeyError), use_threads(5):
        raise KeyError
    assert get_num_threads() == 2


@pytest.mark.parametrize("number", [0, -1, _core.MAX_THREADS + 1, "2", 2.0, True, None])
def test_a_block_of_no_number_is_not_entered(number):
    set_num_threads(2)
    entered = []
    with pytest.raises((InvalidArgumentError, InvalidTypeError)), use_threads(number):
        entered.append(number)
    assert (entered, get_num_threads()) == ([], 2)


@pytest.mark.parametrize("text", ["1", "3", " 5 "])
def test_the_environment_names_the_threads(text):
    result = run(
        "from ruvector import _core; print(_core.get_num_threads())", RUVECTOR_NUM_THREADS=text
    )
    assert (result.returncode, result.stdout.strip()) == (0, text.strip())


@pytest.mark.parametrize("text", ["", "0", "-1", "1025", "2.5", "all", "9" * 30])
def test_a_bad_number_of_threads_is_told_at_import(text):
    result = run("import ruvector", RUVECTOR_NUM_THREADS=text)
    assert result.returncode != 0
    assert f'InvalidArgumentError: RUVECTOR_NUM_THREADS is "{text}" but must be' in result.stderr


@pytest.mark.parametrize("level", _core.simd_levels())
def test_the_environment_names_the_level(level):
    result = run("from ruvector import _core; print(_core.simd_level())", RUVECTOR_SIMD=level)
    assert (result.returncode, result.stdout.strip()) == (0, level)


@pytest.mark.parametrize("text", ["", "AVX2", "sse9"])
def test_a_bad_level_is_told_at_import(text):
    result = run("import ruvector", RUVECTOR_SIMD=text)
    assert result.returncode != 0
    assert f'InvalidArgumentError: RUVECTOR_SIMD is "{text}" but this processor' in result.stderr


def test_every_processor_has_the_scalar_level():
    levels = _core.simd_levels()
    assert levels[0] == "scalar"
    assert simd_level() in levels


def test_versions_name_what_a_report_needs():
    set_num_threads(3)
    facts = dict(line.split(": ", 1) for line in show_versions().splitlines())
    assert facts["ruvector"] == _core.__version__
    assert facts["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert facts["numpy"] == np.__version__
    assert facts["simd"].startswith(simd_level())
    assert facts["threads"] == "3"
    assert {"scipy", "networkx", "tqdm", "platform"} <= facts.keys()


FORK = """
import os
import numpy as np
from ruvector import _core

_core.set_num_threads(2)
rows = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32)
index = _core.Flat(64, "l2")
index.add(rows, None)
before = index.search(rows[:100], 5, None)
child = os.fork()
if child == 0:
    after = index.search(rows[:100], 5, None)
    os._exit(0 if all(map(np.array_equal, before, after)) else 3)
_, status = os.waitpid(child, 0)
again = index.search(rows[:100], 5, None)
assert all(map(np.array_equal, before, again))
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_starts_threads_of_its_own():
    """100 · 2000 · 64 multiplications are enough for the search to run on the pool."""
    result = run(FORK)
    assert (result.returncode, result.stdout.strip()) == (0, "0"), result.stderr
