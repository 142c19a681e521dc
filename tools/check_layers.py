#!/usr/bin/env python3
"""Fails on an upward import: data flows one way, from the first line of each table down.

    python tools/check_layers.py [ROOT]

A line is a layer, and a module may import from the lines above its own. ` | ` separates modules
of one layer that know nothing of each other; a space joins modules that do. Names that do not
exist yet are no failure, a module that is in no line is. Imports inside functions count: they put
off the cost of an import, not the dependency.
"""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["PYTHON", "RUST", "violations"]

PACKAGE = "ruvector"

# python/ruvector, modules and packages
PYTHON = (
    "errors",
    "progress",
    "_core",
    "arrays",
    "blas | runtime | safetensors",
    "sparse",
    "similarity",
    "linalg",
    "graph graph_checks graph_files",
    "sampling",
    "splits | graph_batch",
    "curvature",
    "smoothing | spectral",
    "walk_pairs",
    "heads | losses | mining | index",
    "optim | schedules",
    "autograd",
    "curriculum | meta | weighting",
    "encoders",
    "metrics | probe",
    "cross_validation",
    "evaluation",
    "objectives",
    "training",
    "plots",
    "trainer | tracking",
    "model",
    "recipes",
    "demo | interop | report",
    "cli",
    "__init__ | __main__",
)

# rust/core/src, in the order of lib.rs
RUST = (
    "error",
    "pool | rng",
    "real simd",
    "matrix",
    "metric",
    "linalg",
    "graph",
    "batch",
    "losses | mining | optim",
    "sampling",
    "persist",
    "index",
)

# `crate::name` and the whole of `crate::{…}`.
_CRATE_PATH = re.compile(r"\bcrate::(?:(\w+)|(\{))")


def _places(table: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Where each module stands: its line, and its place between the bars."""
    return {
        name: (row, column)
        for row, line in enumerate(table)
        for column, room in enumerate(line.split("|"))
        for name in room.split()
    }


def _modules(root: Path, suffix: str, skip: str = "") -> Iterator[tuple[str, Path]]:
    """Every source file under `root` with the top-level module that it is part of."""
    for path in sorted(root.rglob(f"*{suffix}")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] != skip:
            yield parts[0], path


def _python_imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level module of each import from the package itself."""
    below = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                base = [PACKAGE, *below[: len(below) + 1 - node.level], *base]
            # `from ruvector import x` is the module x where there is one, else a name of __init__
            targets = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] != PACKAGE:
                continue
            name = target[1] if len(target) > 1 else "__init__"
            if not any(root.glob(f"{name}*")) and name not in _places(PYTHON):
                name = "__init__"
            yield node.lineno, name


def _group(text: str, start: int) -> Iterator[str]:
    """The first names of a `{a::b, c::{d, e}}` whose brace stands at `start`."""
    depth, fresh = 0, False
    for token in re.finditer(r"[{},]|\w+", text[start:]):
        word = token.group()
        if word == "{":
            depth += 1
            fresh = depth == 1
        elif word == "}":
            depth -= 1
            if depth == 0:
                return
        elif word == ",":
            fresh = depth == 1
        elif fresh:
            yield word
            fresh = False


def _rust_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level module of each `crate::` path. Re-exported types are all of `error`."""
    text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
    for match in _CRATE_PATH.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        names = [match[1]] if match[1] else _group(text, match.start(2))
        for name in names:
            yield line, name if name.islower() else "error"


def _problem(table: Sequence[str], module: str, imported: str) -> str | None:
    places = _places(table)
    if module == imported:
        return None
    if imported not in places:
        return f"imports {imported}, which no line of tools/check_layers.py names"
    (row, column), (from_row, from_column) = places[module], places[imported]
    if from_row > row:
        return f"{module} imports {imported}, which stands below it"
    if from_row == row and from_column != column:
        return f"{module} imports {imported}, which stands beside it"
    return None


def violations(root: Path) -> list[str]:
    """Every import under `root` that goes up or sideways, and every module in no line."""
    python, rust = root / "python" / PACKAGE, root / "rust" / "core" / "src"
    found = []
    checks = [
        ("PYTHON", PYTHON, path, module, _python_imports(path, python))
        for module, path in _modules(python, ".py")
    ] + [
        ("RUST", RUST, path, module, _rust_imports(path))
        for module, path in _modules(rust, ".rs", skip="lib")
    ]
    for name, table, path, module, imports in checks:
        where = path.relative_to(root).as_posix()
        if module not in _places(table):
            found.append(
                f"{where}: {module} is in no layer; add it to {name} in tools/check_layers.py, "
                f"below everything it imports"
            )
            continue
        for line, imported in imports:
            problem = _problem(table, module, imported)
            if problem:
                found.append(f"{where}:{line}: {problem}")
    return found


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    found = violations(root)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
