"""The site holds every page, every public module and every loss."""

import argparse
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import ruvector
from ruvector import cli, losses

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def described():
    """Modules that the reference describes."""
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    return set(re.findall(r"automodule:: (ruvector[\w.]*)", pages))


def test_every_public_module_is_in_the_reference():
    homes = {getattr(ruvector, name) for name in set(ruvector.__all__) - {"__version__"}}
    modules = set()
    for value in homes:
        name = getattr(value, "__module__", None) or value.__name__
        modules.add(".".join(name.split(".")[:2]))
    assert modules <= described()
    bridges = (ROOT / "python" / "ruvector" / "interop").glob("[a-z]*.py")
    assert {f"ruvector.interop.{bridge.stem}" for bridge in bridges} <= described()


def test_every_public_name_is_in_the_reference():
    """Sphinx shows what has a docstring, and of the rest what a page names."""
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    by_hand = set(re.findall(r"py:data:: (ruvector[\w.]*)", pages))
    # Told in words, and by a comment that Sphinx reads.
    by_hand |= {"ruvector.interop.haystack.RuvectorEmbeddingRetriever", "ruvector.recipes.TASKS"}
    missing, loaded = [], 0
    for module in sorted(described()):
        try:
            home = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if "interop" not in module or (error.name or "ruvector").startswith("ruvector"):
                raise
            continue
        loaded += 1
        for name in home.__all__:
            value = getattr(home, name)
            told = isinstance(value, type) or inspect.isfunction(value)
            if not (told and value.__doc__) and f"{module}.{name}" not in by_hand:
                missing.append(f"{module}.{name}")
    assert missing == []
    assert loaded > 30


def test_every_module_in_the_reference_exists():
    for name in described():
        parts = name.split(".")[1:]
        place = ROOT.joinpath("python", "ruvector", *parts)
        assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), name


def test_every_loss_is_on_the_page_of_losses():
    text = (DOCS / "losses.md").read_text(encoding="utf-8")
    listed = re.findall(r"\| \{py:class\}`~ruvector\.losses\.(\w+)`", text)
    classes = {
        name
        for name in losses.__all__
        if isinstance(cls := getattr(losses, name), type)
        and issubclass(cls, losses.Loss)
        and cls is not losses.Loss
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == classes


def test_every_page_is_in_a_table_of_contents():
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")}
    listed = set()
    for page in DOCS.rglob("index.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), flags=re.DOTALL):
            entries = [line for line in block.splitlines() if line and line[0] != ":"]
            listed |= {(page.parent / entry).relative_to(DOCS).as_posix() for entry in entries}
    assert listed == pages - {"index"}


def test_every_figure_is_shown():
    shown = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    shown += (ROOT / "benches" / "RESULTS.md").read_text(encoding="utf-8")
    figures = list((DOCS / "figures").glob("*.svg"))
    assert figures
    assert [figure.name for figure in figures if f"figures/{figure.name})" not in shown] == []


def test_every_command_and_option_is_on_the_page_of_the_command_line():
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    parsers, words = [cli._parser()], set()
    while parsers:
        for action in parsers.pop()._actions:
            options = [option for option in action.option_strings if option.startswith("--")]
            words |= set(options or action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                words |= set(action.choices)
                parsers += action.choices.values()
    small = {"--version", "--seed", "--title", "--output", "--help"}
    assert [
        w for w in sorted(words - small) if not re.search(rf"(?<![\w-]){w}(?![\w-])", text)
    ] == []


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "numpydoc",
                                                            "furo")),
    reason="no Sphinx: make docs",
)  # fmt: skip
def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    """With the settings of the site; `make docs` builds the site itself."""
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text((DOCS / "conf.py").read_text(encoding="utf-8"))
    (source / "other.md").write_text("---\norphan: true\n---\n# Other\n\n## Part\n")
    for text, works in (
        ("[other](other.md) and [part](other.md#part) and $\\frac{1}{2}$", True),
        ("[none](none.md)", False),
        ("[no part](other.md#none)", False),
        ("{py:class}`~ruvector.losses.NoLoss`", False),
    ):
        (source / "index.md").write_text(f"# Page\n\n{text}\n")
        command = [sys.executable, "-m", "sphinx", "-W", "-q", "-E", source, tmp_path / "site"]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        assert (run.returncode == 0) == works, run.stderr
        if works:
            page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
            assert "<math" in page
            assert not re.search(r'(src|href)="(https?:)?//[^"]*\.(js|css|woff)', page)
