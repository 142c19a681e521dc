"""The processes that benches talk to."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def worker():
    path = ROOT / "benches" / "processes.py"
    if not path.exists():
        pytest.skip("benches come with a checkout alone")
    spec = importlib.util.spec_from_file_location("processes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # A module that ends at once and answers nothing.
    made = module.Worker("keyword")
    yield made
    made.stop()


def test_a_process_that_dies_between_look_and_write_is_told(worker, monkeypatch):
    worker.process.wait()
    looks = iter([None, None])
    monkeypatch.setattr(worker.process, "poll", lambda: next(looks, 0))
    assert worker.ask("run") == {"error": "the process ended with exit code 0"}


def test_a_process_that_is_dead_is_told(worker):
    worker.process.wait()
    assert worker.ask("run") == {"error": "the process ended with exit code 0"}
