"""Makes the bench's environment: python install.py FOLDER WHEELS

Installs the peers at their versions, each apart, so that one that fails does not hinder the others,
and the newest wheel of ruvector in WHEELS. What is installed already stays.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from index.peers import FAILED, PEERS

TOOLS = ("numpy==2.4.6", "matplotlib>=3.10", "numkong==7.8.6")
# hnswlib comes as source, and is to have this machine's instructions, not those of a wheel that
# pip built elsewhere and kept.
MORE = {"hnswlib": ("--no-binary", "hnswlib", "--no-cache-dir")}
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


def main():
    folder, wheels = Path(sys.argv[1]), Path(sys.argv[2])
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    problem = install(python, *TOOLS)
    if problem:
        sys.exit(f"{', '.join(TOOLS)}: {problem}")
    failed = {}
    for name, (_, wanted) in PEERS.items():
        problem = wanted and install(python, *MORE.get(wanted.split("==")[0], ()), wanted)
        if problem:
            failed[name] = f"{wanted} does not install: {problem}"
            print(failed[name], file=sys.stderr)
    (folder / FAILED).write_text(json.dumps(failed))
    wheel = max(wheels.glob("ruvector-*.whl"), key=lambda path: path.stat().st_mtime)
    problem = install(python, "--force-reinstall", "--no-deps", str(wheel))
    if problem:
        sys.exit(f"{wheel}: {problem}")


if __name__ == "__main__":
    main()
