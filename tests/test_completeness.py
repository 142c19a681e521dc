"""What the compiled module knows is also public, documented, checked and measured."""

import dataclasses
import doctest
import importlib.util
import inspect
from pathlib import Path

import pytest
from loss_cases import CASES, samples
from ruvector import _core, losses, mining, sampling

CLASSES = {
    value.name: value
    for value in vars(losses).values()
    if isinstance(value, type) and issubclass(value, losses.Loss) and value is not losses.Loss
}
# Systems of section D by the name that a user calls; a strategy that is forgotten here fails.
SAMPLERS = {
    "random_edges": sampling.random_negative_edges,
    "hard_edges": sampling.hard_negative_edges,
    "degree_edges": sampling.degree_negative_edges,
    "graph_miner": sampling.GraphMiner,
    "hops": sampling.hops,
    "neighbors": sampling.NeighborSampler,
    "ladies": sampling.LayerSampler,
    "fastgcn": sampling.LayerSampler,
    "saint_nodes": sampling.SubgraphSampler,
    "saint_edges": sampling.SubgraphSampler,
    "saint_walks": sampling.SubgraphSampler,
}
TESTS = Path(__file__).parent
BENCH = Path(__file__).parents[1] / "benches" / "losses" / "every.py"


@pytest.fixture(scope="module")
def measured():
    spec = importlib.util.spec_from_file_location("every_loss", BENCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CASES


def test_registry_and_classes_have_the_same_names():
    assert set(CLASSES) == set(losses.names())
    assert {cls.__name__ for cls in CLASSES.values()} <= set(losses.__all__)


@pytest.mark.parametrize("name", losses.names())
def test_each_loss_is_documented(name):
    cls = CLASSES[name]
    for section in ("Parameters", "Raises", "Notes", "References", "Examples"):
        assert f"\n    {section}\n    {'-' * len(section)}\n" in cls.__doc__
    for option in dataclasses.fields(cls):
        assert f"    {option.name} : " in cls.__doc__
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner()
    examples = [example for example in finder.find(cls, name) if example.examples]
    assert examples
    for example in examples:
        runner.run(example)
    assert runner.summarize().failed == 0
    for method in (cls.__call__, cls.value_and_grad):
        assert "Parameters\n" in method.__doc__
        assert "Returns\n" in method.__doc__


@pytest.mark.parametrize("name", losses.names())
def test_each_loss_has_golden_cases_or_a_reference_and_samples_for_the_gradient_check(name):
    assert CASES[name].golden or CASES[name].reference
    assert {type(sample.loss) for sample in samples(name, 3)} == {CLASSES[name]}


@pytest.mark.parametrize("name", losses.names())
def test_each_loss_is_measured(name, measured):
    loss, inputs = measured[name]()
    assert type(loss) is CLASSES[name]
    assert inputs


def test_the_samplers_are_those_of_the_registry():
    registry = _core.sampling_strategies()
    assert sorted(SAMPLERS) == sorted(name for _, name in registry)
    # D4 and D6 are the miners'.
    assert {system for system, _ in registry} == {"D1", "D2", "D3", "D5", "D7", "D8"}
    assert _core.mining_strategies()
    assert mining.HardNegativeMiner


@pytest.mark.parametrize("name", SAMPLERS)
def test_each_sampler_is_public_documented_tested_and_measured(name):
    sampler = SAMPLERS[name]
    assert sampler.__name__ in sampling.__all__
    doc = inspect.getdoc(sampler)
    for section in ("Parameters", "Raises", "Notes", "References", "Examples"):
        assert f"\n{section}\n{'-' * len(section)}\n" in doc
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    examples = [example for example in finder.find(sampler, name) if example.examples]
    assert examples
    for example in examples:
        runner.run(example)
    assert runner.summarize().failed == 0
    sources = [
        (TESTS / f"test_{file}.py").read_text() for file in ("random_edges", "hops", "samplers")
    ]
    assert any(f"{sampler.__name__}(" in source for source in sources)
    assert f"{sampler.__name__}(" in (BENCH.parents[1] / "mining" / "graphs.py").read_text()
