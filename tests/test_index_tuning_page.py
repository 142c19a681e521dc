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
    settings = [{name: built[name] for name in bench.DEFAULT} for built in results["builds"]]
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
    ((links, rest),) = re.findall(r"`4·dim \+ c \+ (\d+)·m \+ (\d+)` bytes", page)
    dim, rows = results["dim"], results["rows"]
    (told,) = re.findall(r"\| (64, .*) or (\d+), the least that does", page)
    codes = [int(size) for size in (*told[0].split(", "), told[1])]
    for built in results["builds"]:
        if built["storage"] != "float32":
            continue
        # The values of a code and 8 bytes more; the projection to them is there once.
        weights = {c: rows * c + (c - 8) * (dim + 8) for c in codes}
        code = min(codes, key=lambda c: abs(weights[c] - built["bytes_codes"]))
        assert built["bytes_codes"] == pytest.approx(weights[code], rel=0.01)
        links_and_rest = int(links) * built["m"] + int(rest)
        measured = sum(size for name, size in built.items() if name.startswith("bytes_"))
        assert measured / rows == pytest.approx(4 * dim + code + links_and_rest, rel=0.02)
        parts = measured - built["bytes_vectors"] - built["bytes_codes"]
        assert parts / rows == pytest.approx(links_and_rest, rel=0.25)
