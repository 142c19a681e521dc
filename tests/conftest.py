"""What several test files share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ruvector import _core


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """Return the path of a real data set, or skip where there is none.

    They are looked for in RUVECTOR_DATA, else in ``shared/data`` beside the project.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RUVECTOR_DATA", beside))

    def find(name: str) -> Path:
        path = folder / name
        if not path.is_file():
            pytest.skip(f"{path} does not exist; set RUVECTOR_DATA to the folder of data sets")
        return path

    return find


@pytest.fixture
def each_thread_count() -> Iterator[Callable[[], Iterator[int]]]:
    """Return a loop over 1 and 2 threads; what was set before comes back afterwards."""
    before = _core.get_num_threads()

    def counts() -> Iterator[int]:
        for threads in (1, 2):
            _core.set_num_threads(threads)
            yield threads

    yield counts
    _core.set_num_threads(before)
