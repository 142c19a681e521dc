"""The README's Python runs as it stands there."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


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
