#!/usr/bin/env python3
"""Runs pyright over the package and over the examples of docstrings, README and documentation.

    python tools/check_types.py           what needs none of OPTIONAL, or what is installed of them
    python tools/check_types.py PYTHON    what needs one of OPTIONAL that the interpreter PYTHON has

Options are those of pyproject.toml.
"""

import ast
import doctest
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["examples", "main"]

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "ruvector"
OPTIONAL: tuple[str, ...] = (
    "haystack",
    "langchain_core",
    "llama_index",
    "torch",
    "torch_geometric",
)
HAS = "import importlib.util, sys; print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n)))"
IMPORT = r"^\s*(?:from|import) (\w+)"
# Prompts show a value by naming it, and a loop over a range that is not empty binds what it sets.
IN_EXAMPLES = {"reportUnusedExpression": False, "reportPossiblyUnboundVariable": False}
# Matplotlib says so of the figure of any Axes, and lets only `Figure` be saved.
SUBFIGURE = 'Cannot access attribute "savefig" for class "SubFigure"'


def examples() -> Iterator[tuple[str, str]]:
    """Names and code: each page and docstring by itself, the README block by block."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        name = "_".join(page.relative_to(ROOT).with_suffix("").parts)
        codes = blocks if name == "README" else ["\n".join(blocks)]
        yield from ((f"{name}_{number}", code) for number, code in enumerate(codes) if code)
    for path in sorted(PACKAGE.rglob("*.py")):
        name = "_".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                found = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
                line = getattr(node, "lineno", 0)
                if found:
                    yield f"{name}_{line}", "".join(example.source for example in found)


def packages(code: str) -> set[str]:
    """What code imports, itself or through an integration."""
    found = set(re.findall(IMPORT, code, re.MULTILINE))
    for part in re.findall(r"from ruvector\.interop\.(\w+)", code):
        module = PACKAGE / "interop" / f"{part}.py"
        found.update(re.findall(IMPORT, module.read_text(encoding="utf-8"), re.MULTILINE))
    return found


def config(folder: Path, modules: list[Path], ignored: list[Path]) -> dict[str, Any]:
    """Pyright's settings for modules or whole folders and the examples in `folder`."""
    # It takes no absolute paths.
    relative = {path: os.path.relpath(path, folder) for path in (ROOT, *modules, *ignored)}
    paths = [os.path.relpath(ROOT / "python", folder)]
    return {
        "extends": f"{relative[ROOT]}/pyproject.toml",
        "include": [".", *(relative[module] for module in modules)],
        "ignore": [relative[module] for module in ignored],
        "executionEnvironments": [
            {"root": ".", "extraPaths": paths, **IN_EXAMPLES},
            {"root": relative[ROOT], "extraPaths": paths},
        ],
    }


def main() -> int:
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    command = [python, "-c", HAS, *OPTIONAL]
    has = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())

    def counts(code: str) -> bool:
        needs = packages(code) & set(OPTIONAL)
        return needs <= has and (bool(needs) or len(sys.argv) == 1)

    kept = {label: code for label, code in examples() if counts(code)}
    interop = sorted((PACKAGE / "interop").glob("*.py"))
    modules = [path for path in interop if counts(path.read_text(encoding="utf-8"))]
    ignored: list[Path] = []
    if len(sys.argv) == 1:
        ignored = [path for path in interop if path not in modules]
        modules = [PACKAGE, ROOT / "tools"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for label, code in kept.items():
            (folder / f"{label.replace('-', '_')}.py").write_text(code, encoding="utf-8")
        settings = folder / "pyrightconfig.json"
        settings.write_text(json.dumps(config(folder, modules, ignored)), encoding="utf-8")
        command = [sys.executable, "-m", "pyright", "-p", name, "--pythonpath", python]
        done = subprocess.run(
            [*command, "--outputjson"], capture_output=True, text=True, check=False
        )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        return 1
    found = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    found = [one for one in found if not one["message"].startswith(SUBFIGURE)]
    for one in found:
        place, line = Path(one["file"]), one["range"]["start"]["line"] + 1
        shown = place.relative_to(ROOT) if place.is_relative_to(ROOT) else f"example {place.stem}"
        print(f"{shown}:{line}: {one['message']} ({one.get('rule')})", file=sys.stderr)
    files = report["summary"]["filesAnalyzed"]
    print(f"pyright: {len(found)} errors in {files} files, {len(kept)} of them examples")
    return 1 if found or files <= len(kept) else 0


if __name__ == "__main__":
    sys.exit(main())
