"""The adapter for ann-benchmarks does what its runner asks.

With ANN_BENCHMARKS set to a checkout of github.com/erikbern/ann-benchmarks its own base class and
its own reading of config.yml are used, too.
"""

import importlib
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

ADAPTER = Path(__file__).resolve().parents[1] / "integrations" / "ann-benchmarks"
STAND_IN = """
class BaseANN:
    def done(self): pass
    def get_memory_usage(self): return 0.0
    def get_additional(self): return {}
    def __str__(self): return self.name
"""
METRICS = ("angular", "euclidean")


@pytest.fixture(params=["stand-in", "checkout"])
def algorithms(request, tmp_path, monkeypatch):
    """A folder of algorithms to which the adapter was copied, importable."""
    folder = tmp_path / "ann_benchmarks" / "algorithms"
    if request.param == "checkout":
        if "ANN_BENCHMARKS" not in os.environ:
            pytest.skip("ANN_BENCHMARKS names no checkout of ann-benchmarks")
        pytest.importorskip("psutil", reason="ann-benchmarks needs psutil")
        shutil.copytree(Path(os.environ["ANN_BENCHMARKS"]) / "ann_benchmarks", folder.parent)
    else:
        (folder / "base").mkdir(parents=True)
        (folder / "base" / "module.py").write_text(STAND_IN, encoding="utf-8")
    shutil.copytree(ADAPTER, folder / "ruvector", dirs_exist_ok=True)
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "ann_benchmarks":
            del sys.modules[name]


@pytest.fixture
def algorithm(algorithms):
    module = importlib.import_module(f"{algorithms.parent.name}.algorithms.ruvector.module")
    return module.Ruvector


def nearest(vectors, query, metric):
    if metric == "angular":
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.argsort(-(unit @ query))
    return np.argsort(((vectors - query) ** 2).sum(axis=1))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_finds_the_nearest(algorithm, metric, dtype):
    vectors = np.random.default_rng(0).standard_normal((500, 12)).astype(dtype)
    algo = algorithm(metric, {"M": 12, "efConstruction": 100})
    before = algo.get_memory_usage()
    algo.fit(vectors[:480])
    assert algo.get_memory_usage() >= before
    for ef in (400, 480):
        algo.set_query_arguments(ef)
        assert str(algo) == f"ruvector ({{'M': 12, 'efConstruction': 100}}, 'efQuery': {ef})"
        algo.batch_query(vectors[480:], 10)
        batch = algo.get_batch_results()
        assert len(batch) == 20
        for query, found in zip(vectors[480:], batch, strict=True):
            np.testing.assert_array_equal(algo.query(query, 10), found)
            np.testing.assert_array_equal(found, nearest(vectors[:480], query, metric)[:10])
    assert algo.get_additional() == {}
    algo.done()


def test_fewer_than_asked_for_are_all(algorithm):
    algo = algorithm("euclidean", {"M": 4, "efConstruction": 10})
    algo.fit(np.eye(3, dtype=np.float32))
    algo.set_query_arguments(10)
    assert sorted(algo.query(np.zeros(3, np.float32), 10).tolist()) == [0, 1, 2]
    algo.batch_query(np.zeros((2, 3), np.float32), 10)
    assert [sorted(found.tolist()) for found in algo.get_batch_results()] == [[0, 1, 2]] * 2


def test_other_distances_are_refused(algorithm):
    with pytest.raises(KeyError, match="jaccard"):
        algorithm("jaccard", {"M": 4, "efConstruction": 10})


def test_every_definition_can_be_run(algorithms):
    yaml = pytest.importorskip("yaml")
    with (algorithms / "ruvector" / "config.yml").open(encoding="utf-8") as file:
        (entry,) = yaml.safe_load(file)["float"]["any"]
    module = importlib.import_module(f"{entry['module']}.module")
    assert entry["docker_tag"] == "ann-benchmarks-ruvector"
    for group in entry["run_groups"].values():
        (parameters,) = group["arg_groups"]
        algo = getattr(module, entry["constructor"])("angular", parameters)
        algo.fit(np.eye(4, dtype=np.float32))
        (efs,) = group["query_args"]
        for ef in efs:
            algo.set_query_arguments(ef)
            assert algo.query(np.eye(4, dtype=np.float32)[2], 1).tolist() == [2]


@pytest.mark.parametrize("algorithms", ["checkout"], indirect=True)
def test_ann_benchmarks_reads_the_definitions(algorithms):
    pytest.importorskip("yaml")
    definitions = importlib.import_module("ann_benchmarks.definitions")
    for metric in METRICS:
        every = definitions.get_definitions(
            4, distance_metric=metric, base_dir=str(algorithms), point_type="float"
        )
        ours = [one for one in every if one.algorithm == "ruvector"]
        assert len(ours) >= 4
        for one in ours:
            status = definitions.algorithm_status(one)
            assert status == definitions.InstantiationStatus.AVAILABLE
            algo = definitions.instantiate_algorithm(one)
            algo.fit(np.eye(4, dtype=np.float32))
            for arguments in one.query_argument_groups:
                algo.set_query_arguments(*arguments)
                assert algo.query(np.eye(4, dtype=np.float32)[1], 2)[0] == 1
