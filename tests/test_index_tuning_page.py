"""The numbers in docs/index-tuning.md are those that were measured."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location(
        "index_tuning", ROOT / "benches" / "index_tuning.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_what_the_measurements_give(bench):
    results = json.loads(bench.RESULTS.read_text(encoding="utf-8"))
    page = bench.PAGE.read_text(encoding="utf-8")
    assert {name for _, name, _ in bench.BLOCK.findall(page)} == set(bench.BLOCKS)
    again = "run: python benches/index_tuning.py write"
    assert bench.filled(page, results) == page, again
    settings = [(built["m"], built["ef_construction"]) for built in results["builds"]]
    assert settings == bench.SETTINGS, again


def test_a_table_shows_the_first_ef_that_reaches_the_recall(bench):
    curve = [
        {"ef": 10, "recall": 0.9, "queries_per_second": 3000.0},
        {"ef": 20, "recall": 0.96, "queries_per_second": 2000.4},
        {"ef": 40, "recall": 0.995, "queries_per_second": 1000.0},
    ]
    assert bench.speeds({"curve": curve}) == ["2,000 (20)", "1,000 (40)", "–"]


def test_the_formula_for_memory_is_that_of_the_measurements(bench):
    results = json.loads(bench.RESULTS.read_text(encoding="utf-8"))
    page = bench.PAGE.read_text(encoding="utf-8")
    ((links, rest),) = re.findall(r"`4·dim \+ (\d+)·m \+ (\d+)` bytes", page)
    for built in results["builds"]:
        measured = sum(size for name, size in built.items() if name.startswith("bytes_"))
        told = 4 * results["dim"] + int(links) * built["m"] + int(rest)
        assert measured / results["rows"] == pytest.approx(told, rel=0.02)
        parts = measured - built["bytes_vectors"]
        assert parts / results["rows"] == pytest.approx(told - 4 * results["dim"], rel=0.25)
