#!/usr/bin/env python3
"""Fails unless wheels are what we mean to publish.

python tools/check_wheel.py WHEEL...       each is small, complete, and one for every Python
python tools/check_wheel.py --release DIR  and DIR holds one for each platform, and the sources
"""

import fnmatch
import re
import sys
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

__all__ = ["release_problems", "wheel_problems"]

MAX_BYTES = 5_000_000
TAG = "-cp310-abi3-"
NEEDED = (
    "ruvector/__init__.py",
    "ruvector/py.typed",
    "ruvector/_core.pyi",
    "ruvector/report/explorer.js",
    "ruvector/report/page.css",
    "ruvector/report/page.html",
)
LIBRARY = re.compile(r"ruvector/_core(\.abi3)?\.(so|pyd)")
INSIDE = re.compile(r"ruvector/|ruvector-[^/]+\.dist-info/")
RELEASE = (
    "ruvector-*-manylinux*x86_64.whl",
    "ruvector-*-manylinux*aarch64.whl",
    "ruvector-*-macosx_*_x86_64.whl",
    "ruvector-*-macosx_*_arm64.whl",
    "ruvector-*-win_amd64.whl",
    "ruvector-*.tar.gz",
)


def wheel_problems(path: Path) -> Iterator[str]:
    """What is wrong with one wheel."""
    if TAG not in path.name:
        yield f"is not tagged {TAG.strip('-')}"
    size = path.stat().st_size
    if size > MAX_BYTES:
        yield f"has {size:,} bytes but may have {MAX_BYTES:,}"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        metadata = [name for name in names if name.endswith(".dist-info/METADATA")]
        text = archive.read(metadata[0]).decode() if metadata else ""
    yield from (f"lacks {name}" for name in NEEDED if name not in names)
    if not any(re.search(r"\.dist-info/(licenses/)?LICENSE$", name) for name in names):
        yield "lacks LICENSE"
    libraries = [name for name in names if LIBRARY.fullmatch(name)]
    if len(libraries) != 1:
        yield f"holds {len(libraries)} compiled modules but must hold one"
    yield from (f"holds {name}" for name in names if not INSIDE.match(name) or ".pyc" in name)
    if not metadata:
        yield "lacks METADATA"
        return
    lines = HeaderParser().parsestr(text).get_all("Requires-Dist", [])
    required = [line for line in lines if "extra ==" not in line]
    if [re.split(r"[^\w-]", value)[0] for value in required] != ["numpy"]:
        yield f"requires {required} but may require numpy alone"


def release_problems(folder: Path) -> Iterator[str]:
    """What `folder` has too few or too many of."""
    names = sorted(path.name for path in folder.iterdir())
    for pattern in RELEASE:
        matching = fnmatch.filter(names, pattern)
        if len(matching) != 1:
            yield f"holds {matching or 'nothing'} for {pattern} but must hold one"
    for name in names:
        if not any(fnmatch.fnmatch(name, pattern) for pattern in RELEASE):
            yield f"holds {name}, which is no part of a release"


def main() -> int:
    arguments = sys.argv[1:]
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    problems = []
    wheels = [Path(name) for name in arguments]
    if arguments[0] == "--release":
        folder = Path(arguments[1])
        problems += [f"{folder} {problem}" for problem in release_problems(folder)]
        wheels = sorted(folder.glob("*.whl"))
    for wheel in wheels:
        found = list(wheel_problems(wheel))
        problems += [f"{wheel.name} {problem}" for problem in found]
        if not found:
            print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
