"""The layer check finds nothing here and everything in a small tree that is wrong."""

from pathlib import Path

import pytest
from check_layers import PYTHON, RUST, violations

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tree(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return violations(tmp_path)

    return write


def test_this_tree_flows_one_way():
    assert violations(ROOT) == []


@pytest.mark.parametrize("table", [PYTHON, RUST])
def test_each_module_stands_in_one_line(table):
    names = [name for line in table for name in line.replace("|", " ").split()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("graph.py", "from ruvector.trainer import Trainer\n"),
        ("graph.py", "import ruvector.trainer\n"),
        ("graph.py", "from ruvector import trainer\n"),
        ("graph.py", "from .trainer import Trainer\n"),
        ("graph.py", "def late():\n    from ruvector.trainer import Trainer\n"),
        ("losses/infonce.py", "from ..trainer import Trainer\n"),
        ("losses/infonce.py", "from .. import trainer\n"),
    ],
)
def test_an_upward_import_is_found_however_it_is_written(tree, name, text):
    (found,) = tree(f"python/ruvector/{name}", text)
    assert found.startswith(f"python/ruvector/{name}:")
    assert found.endswith("imports trainer, which stands below it")


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nfrom ruvector.errors import RuvectorError\n",
        "from ruvector import _core\n",
        "from ruvector.losses.head import Head\n",
        "from .head import Head\n",
    ],
)
def test_downward_and_inward_imports_pass(tree, text):
    assert tree("python/ruvector/losses/infonce.py", text) == []


def test_neighbours_in_a_layer_are_strangers(tree):
    (found,) = tree("python/ruvector/losses.py", "from ruvector.mining import Hardest\n")
    assert found.endswith("losses imports mining, which stands beside it")


def test_joined_modules_know_each_other(tree):
    assert tree("python/ruvector/graph_files.py", "from ruvector.graph import Graph\n") == []


@pytest.mark.parametrize("text", ["import ruvector\n", "from ruvector import Graph\n"])
def test_the_package_itself_stands_at_the_end(tree, text):
    (found,) = tree("python/ruvector/trainer.py", text)
    assert found.endswith("trainer imports __init__, which stands below it")


def test_an_unknown_module_is_told_where_it_belongs(tree):
    (found,) = tree("python/ruvector/helpers.py", "")
    assert "helpers is in no layer; add it to PYTHON in tools/check_layers.py" in found


@pytest.mark.parametrize(
    "text",
    [
        "use crate::index::Hnsw;\n",
        "use crate::{error::{Error, Result}, index::{flat, hnsw}};\n",
        "fn f() {\n    crate::index::open();\n}\n",
    ],
)
def test_an_upward_path_in_rust_is_found(tree, text):
    (found,) = tree("rust/core/src/metric.rs", text)
    assert found.endswith("metric imports index, which stands below it")


@pytest.mark.parametrize(
    "text",
    [
        "use crate::{Error, real::{self, Real}};\n//! [`crate::index`] uses this.\n",
        "use crate::Result;\nuse super::scalar;\n",
    ],
)
def test_rust_comments_and_downward_paths_pass(tree, text):
    assert tree("rust/core/src/simd/mod.rs", text) == []


def test_an_unknown_rust_module_is_found(tree):
    (found,) = tree("rust/core/src/helpers/mod.rs", "")
    assert "helpers is in no layer; add it to RUST in tools/check_layers.py" in found
