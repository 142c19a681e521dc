"""An environment of a bench's own, beside the one that builds."""

import json
import subprocess
import sys
import venv
from pathlib import Path

FAILED = "failed.json"  # in the environment: what did not install, and why
PATIENCE = 1200


def install(python, *what):
    """Return why pip could not install, or an empty string."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    try:
        done = subprocess.run(
            [*command, *what], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return f"took more than {PATIENCE} s"
    return done.stderr.strip()[-500:] if done.returncode else ""


def prepare(folder, wheels, tools, wanted, *, needs=None):
    """Install `tools`, the newest wheel of ruvector in `wheels` and what is `wanted`.

    The last are pip's arguments by name, installed each apart, so that one that fails does not
    hinder the others; `needs` names what must be there before another is tried. What is installed
    already stays.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    problem = install(python, *tools)
    if problem:
        sys.exit(f"{', '.join(tools)}: {problem}")
    failed = {}
    for name, arguments in wanted.items():
        before = (needs or {}).get(name)
        if before in failed:
            failed[name] = f"{arguments[-1]} needs {before}, which failed"
            continue
        problem = install(python, *arguments)
        if problem:
            failed[name] = f"{arguments[-1]} does not install: {problem}"
            print(failed[name], file=sys.stderr)
    (folder / FAILED).write_text(json.dumps(failed))
    wheel = max(wheels.glob("ruvector-*.whl"), key=lambda path: path.stat().st_mtime)
    problem = install(python, "--force-reinstall", "--no-deps", str(wheel))
    if problem:
        sys.exit(f"{wheel}: {problem}")


def why_missing(name, error):
    """Return pip's reason for a library that did not install, else what importing it said."""
    path = Path(sys.prefix) / FAILED
    failed = json.loads(path.read_text()) if path.exists() else {}
    return failed.get(name, str(error))
