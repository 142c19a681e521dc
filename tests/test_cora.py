"""Cora by the command line: the figures that the documentation promises hold on real data."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import ruvector
from ruvector.cli import main
from ruvector.evaluation import index_recall, probe_accuracy


@pytest.fixture(autouse=True)
def untouched_logging():
    """`main` sets up the root logger; what was there comes back."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def train(tmp_path, capsys):
    """Train by the command line; return the folder."""

    def train(path, task, seed):
        words = ["--task", task, "--seed", str(seed), "--quiet"]
        assert main(["train", str(path), "-o", str(tmp_path / "model"), *words]) == 0
        capsys.readouterr()
        return tmp_path / "model"

    return train


def test_links_of_cora(train, data_file, capsys, tmp_path):
    graph = ruvector.Graph.load_npz(data_file("cora.npz"))
    # Without labels no probes are fitted, which take most of the time; links do not use them.
    unlabelled = replace(graph, labels=None, train_mask=None, val_mask=None, test_mask=None)
    unlabelled.save_npz(tmp_path / "cora.npz")
    model = train(tmp_path / "cora.npz", "link", 0)
    assert main(["evaluate", str(model), "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["link_auc"] >= 0.918
    assert result["link_auc"] >= result["smooth"]["link_auc"]
    assert result["index_recall_at_10"] >= 0.95


def test_nodes_of_cora(train, data_file):
    """The bound is a floor under the mean of many runs, not the mean of these three."""
    accuracies = []
    for seed in range(3):
        model = ruvector.Model.load(train(data_file("cora.npz"), "node", seed))
        accuracies.append(probe_accuracy(model.embeddings, model.graph)[0])
        assert index_recall(model.embeddings, index=model.index) >= 0.95
    assert np.mean(accuracies) >= 0.815, accuracies
