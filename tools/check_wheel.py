#!/usr/bin/env python3
"""Fails unless wheels and source archives are what we mean to publish.

python tools/check_wheel.py FILE...        each holds what git has, nothing else; a wheel is small
                                           and one for every Python
python tools/check_wheel.py --release DIR  and DIR holds one for each platform, and the sources
"""

import fnmatch
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

__all__ = ["release_problems", "sdist_problems", "wheel_problems"]

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 5_000_000
TAG = "-cp310-abi3-"
LIBRARY = re.compile(r"ruvector/_core(\.abi3)?\.(so|pyd)")
ABOUT = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
BESIDE = ("Cargo.lock", "Cargo.toml", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml")
RELEASE = (
    "ruvector-*-manylinux*x86_64.whl",
    "ruvector-*-manylinux*aarch64.whl",
    "ruvector-*-macosx_*_x86_64.whl",
    "ruvector-*-macosx_*_arm64.whl",
    "ruvector-*-win_amd64.whl",
    "ruvector-*.tar.gz",
)


def tracked(folder: str) -> set[str]:
    """What git has in a folder, by paths from the checkout's root."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", folder]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(names.split("\0")) - {""}


def differences(names: set[str], wanted: set[str]) -> Iterator[str]:
    """Each file too few or too many."""
    yield from (f"lacks {name}" for name in sorted(wanted - names))
    yield from (f"holds {name}" for name in sorted(names - wanted))


def wheel_problems(path: Path, package: set[str]) -> Iterator[str]:
    """What is wrong with one wheel that should hold the files `package`."""
    if TAG not in path.name:
        yield f"is not tagged {TAG.strip('-')}"
    size = path.stat().st_size
    if size > MAX_BYTES:
        yield f"has {size:,} bytes but may have {MAX_BYTES:,}"
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        about = "-".join(path.name.split("-")[:2]) + ".dist-info"
        metadata = f"{about}/METADATA"
        text = archive.read(metadata).decode() if metadata in names else ""
    libraries = {name for name in names if LIBRARY.fullmatch(name)}
    if len(libraries) != 1:
        yield f"holds {len(libraries)} compiled modules but must hold one"
    boms = {name for name in names if name.startswith(f"{about}/sboms/")}
    wanted = package | {f"{about}/{name}" for name in ABOUT}
    yield from differences(names - libraries - boms, wanted)
    if not text:
        return
    lines = HeaderParser().parsestr(text).get_all("Requires-Dist", [])
    required = [line for line in lines if "extra ==" not in line]
    if [re.split(r"[^\w-]", value)[0] for value in required] != ["numpy"]:
        yield f"requires {required} but may require numpy alone"


def sdist_problems(path: Path, sources: set[str]) -> Iterator[str]:
    """What is wrong with a source archive that should hold `sources` and what builds them."""
    folder = path.name.removesuffix(".tar.gz")
    with tarfile.open(path) as archive:
        names = {member.name for member in archive.getmembers() if not member.isdir()}
    yield from differences(names, {f"{folder}/{name}" for name in {*sources, *BESIDE}})


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
    paths = [Path(name) for name in arguments]
    if arguments[0] == "--release":
        folder = Path(arguments[1])
        problems += [f"{folder} {problem}" for problem in release_problems(folder)]
        paths = sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])
    python, rust = tracked("python"), tracked("rust")
    package = {name.removeprefix("python/") for name in python}
    for path in paths:
        is_wheel = path.suffix == ".whl"
        found = list(
            wheel_problems(path, package) if is_wheel else sdist_problems(path, python | rust)
        )
        problems += [f"{path.name} {problem}" for problem in found]
        if not found:
            print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
