"""The standard library as a graph: a small tree for every rule."""

import logging
import os
import subprocess
import sys
import textwrap
import zlib

import pytest
from numpy.testing import assert_array_equal
from ruvector.demo import cache as cache_module
from ruvector.demo import load_stdlib
from ruvector.demo.stdlib import read_library, source_files
from ruvector.demo.words import split_words
from stdlib_tree import check_edges, stand_in, write_tree


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "lib")


@pytest.fixture
def library(tree):
    return read_library(tree)


@pytest.fixture
def installed(tree, tmp_path, monkeypatch):
    stand_in(monkeypatch, tree, tmp_path / "cache")
    return tree


def pairs(library, membership):
    kept = library.edges[library.membership == membership]
    return {frozenset((library.names[a], library.names[b])) for a, b in kept}


def words(library, name):
    code = library.code[library.names.index(name)]
    return {word for text in code for word in split_words(text)}


def test_nodes_are_the_public_definitions(library):
    assert dict(zip(library.names, library.kinds, strict=True)) == {
        "encodings": "module",
        "encodings.search": "function",
        "forge": "module",
        "forge.Forged": "class",
        "forge.Forged.polish": "method",
        "forge.Forged.temper": "method",
        "guise": "module",
        "guise.appear": "function",
        "kitchen": "module",
        "kitchen.cook": "function",
        "kitchen.pans": "module",
        "kitchen.pans.Pan": "class",
        "kitchen.pans.Pan.heat": "method",
        "kitchen.pans.fry": "function",
        "kitchen.pots": "module",
        "kitchen.pots.Pot": "class",
        "kitchen.pots.Pot.Handle": "class",
        "kitchen.pots.Pot.Handle.grip": "method",
        "kitchen.pots.Pot.boil": "method",
        "kitchen.pots.Pot.simmer": "method",
        "kitchen.pots.Pot.warm": "method",
        "kitchen.pots.Timer": "class",
        "kitchen.pots.Timer.start": "method",
        "kitchen.pots.Vessel": "class",
        "kitchen.pots.Vessel.empty": "method",
        "kitchen.pots.Vessel.fill": "method",
        "kitchen.pots.scrub": "function",
        "kitchen.pots.unlisted": "function",
        "os": "module",
        "posixpath": "module",
        "posixpath.join": "function",
        "stove": "module",
        "stove.Burner": "class",
        "stove.Burner.turn": "method",
        "stove.lit": "function",
        "stove.match": "function",
        "stove.vent": "function",
    }


def test_every_definition_is_tied_to_what_it_stands_in(library):
    held = pairs(library, True)
    for name in library.names:
        around = name.rpartition(".")[0]
        assert not around or frozenset((name, around)) in held
    assert len(held) == sum("." in name for name in library.names)


@pytest.mark.parametrize(
    ("source", "target", "rule"),
    [
        ("kitchen.pots", "stove", "import of a module"),
        ("kitchen.pots", "stove.Burner", "import of a name, past a fallback"),
        ("kitchen.pans", "stove", "import under another name"),
        ("kitchen", "kitchen.pans.fry", "relative import"),
        ("kitchen.pots.Pot", "kitchen.pots.Vessel", "base class"),
        ("kitchen.pans.Pan", "forge.Forged", "base class from a private module"),
        ("kitchen.pans.Pan.heat", "stove.lit", "decorator"),
        ("kitchen.pans.Pan.heat", "stove.Burner", "annotation"),
        ("kitchen.pots.scrub", "kitchen.pots.Pot", "annotation in a string"),
        ("kitchen.pots.Pot", "stove.Burner", "annotation in a dunder method"),
        ("kitchen.pots.Pot.boil", "kitchen.pots.Vessel.fill", "method of self from a base"),
        ("kitchen.pots.Pot.boil", "kitchen.pots.Vessel.empty", "method of super()"),
        ("kitchen.pots.Pot.boil", "kitchen.pots.Timer.start", "method of an attribute of self"),
        ("kitchen.pots.Pot.warm", "kitchen.pots.Pot.boil", "setter"),
        ("kitchen.pots.Pot.simmer", "kitchen.pots.scrub", "by way of a private method"),
        ("stove.lit", "stove.match", "by way of two private functions"),
        ("stove.vent", "stove.match", "second definition of one name"),
        ("kitchen.pans.Pan.heat", "stove.Burner.turn", "method of what with opened"),
        ("kitchen.pans.Pan.heat", "posixpath.join", "module under an attribute"),
        ("kitchen.cook", "kitchen.pans.Pan.heat", "method of a new object, re-exported class"),
        ("kitchen.pans.fry", "kitchen.pots.Pot.boil", "local import and local variable"),
        ("kitchen.pans", "kitchen.pans.Pan.heat", "method of a module's object"),
        ("forge.Forged.temper", "forge.Forged.polish", "method of a private base"),
        ("forge", "forge.Forged", "star import"),
    ],
)
def test_references_are_resolved(library, source, target, rule):
    tied = pairs(library, True) | pairs(library, False)
    assert frozenset((source, target)) in tied, rule


@pytest.mark.parametrize(
    ("source", "target", "rule"),
    [
        ("kitchen.pots.scrub", "kitchen.pots.Pot.boil", "a parameter hides the name"),
        ("kitchen.pans.fry", "kitchen.pots.Vessel.fill", "a loop variable hides the name"),
        ("kitchen.cook", "kitchen.pans", "a name reached is not its module reached"),
        ("kitchen.pots.Pot.simmer", "kitchen.pots", "a private definition is not its module"),
    ],
)
def test_references_are_not_guessed(library, source, target, rule):
    assert frozenset((source, target)) not in pairs(library, False), rule


def test_edges_are_sorted_unique_and_without_loops(library):
    check_edges(library.edges, len(library.names))


@pytest.mark.usefixtures("installed")
def test_other_public_names_lead_to_the_node():
    graph = load_stdlib(cache=False)
    for alias, name in {
        "kitchen.Pot": "kitchen.pots.Pot",
        "kitchen.Pot.boil": "kitchen.pots.Pot.boil",
        "kitchen.sear": "kitchen.pans.fry",
        "os.path.join": "posixpath.join",
        "stove.lit": "stove.lit",
    }.items():
        assert graph.names[graph.find(alias)] == name
    for missing in ("kitchen.unlisted", "_private.hidden", "zebra", ""):
        with pytest.raises(KeyError):
            graph.find(missing)


def test_docs_are_first_paragraphs(library):
    docs = dict(zip(library.names, library.docs, strict=True))
    assert docs["kitchen"] == "Zyzzyva of pots."
    assert docs["kitchen.cook"] == "Cook the xylograph."
    assert docs["kitchen.pots.Vessel"] == "What holds food."
    assert docs["kitchen.pots.Pot"] == ""


def test_docstrings_never_enter_the_features(installed):
    graph = load_stdlib(cache=False)
    for word in ("zyzzyva", "xylograph", "wombatology"):
        column = zlib.crc32(split_words(word)[0].encode()) % graph.features.shape[1]
        assert graph.idf[column] == 0
        assert column not in graph.features.indices
        assert not graph.query_features(word).any()

    for path in source_files(installed):
        source = path.read_text(encoding="utf-8")
        for doc in ("Zyzzyva of pots.", "Cook the xylograph.", "What holds food."):
            source = source.replace(doc, "Other words.")
        path.write_text(source, encoding="utf-8")
    other = load_stdlib(cache=False)
    assert other.docs != graph.docs
    assert_array_equal(other.features.indices, graph.features.indices)
    assert_array_equal(other.features.data, graph.features.data)


def test_strings_count_only_if_short(library):
    heat = words(library, "kitchen.pans.Pan.heat")
    assert "oilcan" in heat
    assert "sentenc" not in heat


def test_code_of_members_counts_for_the_members(library):
    assert "boil" in words(library, "kitchen.pots.Pot")  # its name does
    assert "super" not in words(library, "kitchen.pots.Pot")
    assert "super" in words(library, "kitchen.pots.Pot.boil")
    assert "strik" in words(library, "stove")  # code of a private function


def test_unparsable_files_are_counted_in_the_log(tree, caplog):
    with caplog.at_level(logging.WARNING, "ruvector.demo"):
        read_library(tree)
    assert "1 of 13 files" in caplog.text


def test_progress_goes_from_none_to_all(tree):
    steps = []
    read_library(tree, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(done, 14) for done in range(15)]


def test_an_empty_tree_is_an_empty_library(tmp_path):
    library = read_library(tmp_path)
    assert library.names == []
    assert library.edges.shape == (0, 2)


def test_a_python_without_sources_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no Python sources"):
        load_stdlib()


def test_imports_in_circles_end(tmp_path):
    tree = {
        "one.py": "from two import *\nfrom two import gone\nx = x.y\nclass A(B): ...\n",
        "two.py": "from one import *\nfrom one import gone\nclass B(A): ...\ndef f(): gone(A.z)\n",
    }
    library = read_library(write_tree(tmp_path, tree))
    assert library.names == ["one", "one.A", "two", "two.B", "two.f"]


def test_the_graph_does_not_depend_on_the_hash_seed(tree):
    script = textwrap.dedent(
        """
        import hashlib, json, pathlib, sys
        from ruvector.demo.cache import _build
        graph = _build(pathlib.Path(sys.argv[1]))
        text = json.dumps([graph.names, graph.kinds, graph.docs, list(graph.aliases.items())])
        digest = hashlib.sha256(text.encode())
        for array in (graph.edges, graph.membership, *graph.features[:3], graph.idf):
            digest.update(array.tobytes())
        print(digest.hexdigest())
        """
    )
    outputs = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tree)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
