"""The demo, end to end on the running Python's own library."""

from contextlib import contextmanager

import pytest
from ruvector.demo import run
from ruvector.demo.run import run_demo


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield run_demo(["parse a date from a string"], k=5, seed=0)


def test_training_beats_both_baselines(result):
    for figure in ("link_auc", "link_ap"):
        trained = result.quality["trained"][figure]
        assert trained > result.quality["smooth"][figure]
        assert trained > result.quality["raw"][figure]


def test_the_index_finds_what_exact_search_finds(result):
    assert result.index_recall_at_10 >= 0.95


def test_a_question_is_answered_with_names_one_recognises(result):
    names = [name for name, _ in result.answers["parse a date from a string"]]
    assert len(names) == 5
    assert any(name.startswith("datetime.date") for name in names)


def test_reading_tells_how_much_there_is(monkeypatch):
    bars = []

    @contextmanager
    def bar(title, total, *, show):
        steps = []
        bars.append((title, total, show, steps))
        yield steps.append

    monkeypatch.setattr(run, "progress_bar", bar)
    with run._reading(True) as tell:
        for done in (0, 3, 14):
            tell(done, 14)
    assert bars == [("read the library", 14, True, [0, 3, 11])]
