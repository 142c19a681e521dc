"""The Python in the README and in the documentation runs as it stands there."""

import codeop
import re
import shlex
from pathlib import Path

import pytest
from ruvector import cli

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def python_in(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


BLOCKS = python_in(README)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_block_runs(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(BLOCKS[number], f"{README}:{number}", "exec"), names)
    if "library" in names:
        assert "json.dumps" in capsys.readouterr().out


def test_the_main_job_is_shown_in_under_twenty_lines():
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert "ruvector.HNSW" in BLOCKS[0]
    assert len(lines) < 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, data_file):
    """One block after the other, in one namespace, as a reader would run them."""
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r'load_npz\("(\w+\.npz)"\)', "".join(python_in(page))):
        (tmp_path / name).symlink_to(data_file(name))
    blocks = python_in(page)
    if any("plots" in block or "report" in block for block in blocks):
        pytest.importorskip("matplotlib")
    for package in ("langchain_core", "llama_index.core", "haystack"):
        if any(f"from {package}" in block for block in blocks):
            pytest.importorskip(package, reason=f"no {package}: make test-frameworks")
    if any("sklearn" in block for block in blocks):
        pytest.importorskip("sklearn", minversion="1.6")
    if any(re.search(r"(import|from) (torch|ruvector\.interop\.torch)", block) for block in blocks):
        pytest.importorskip("torch", minversion="2.3", reason="no PyTorch: make test-torch")
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page}:{number}", "exec"), names)


def commands_in(page):
    """Words after ``$ ruvector``, without comments."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = re.findall(r"^\$ ruvector (.*)$", "\n".join(blocks), flags=re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_commands_are_those_that_there_are(page):
    for words in commands_in(page):
        assert cli._parser().parse_args(words).command == words[0]


def test_the_commands_of_their_page_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "command-line.md"
    exec("\n".join(python_in(page)), {})
    commands = commands_in(page)
    assert len(commands) > 10
    for words in commands:
        assert cli.main(words) == 0, words
        assert capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()


def test_the_start_page_can_be_pasted_into_a_prompt():
    """Before Python 3.13 a prompt wants an empty line after a loop, or refuses what follows."""
    for block in python_in(ROOT / "docs" / "start.md"):
        waiting: list[str] = []
        for line in [*block.splitlines(), ""]:
            waiting.append(line)
            if codeop.compile_command("\n".join(waiting)) is not None:
                waiting.clear()
        assert waiting == []


def anchors(page):
    """What headings are called in addresses, here and on the site."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


OTHERS = [ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "benches/RESULTS.md")]
OTHERS += sorted((ROOT / "integrations").rglob("*.md"))


@pytest.mark.parametrize("page", [README, *OTHERS, *PAGES], ids=lambda page: page.stem)
def test_links_lead_to_files(page):
    """Of every page; that of the site fails on its own, too."""
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8"))
    for target, anchor in links:
        if "://" in target:
            continue
        file = page.parent / target if target else page
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"
