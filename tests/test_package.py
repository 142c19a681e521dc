"""What the installed package says of itself, and what importing it costs."""

import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest
import ruvector

ROOT = Path(__file__).resolve().parents[1]

# What the package may import when it is imported, with all that these bring along themselves, which
# differs between versions. Anything else belongs inside the function that uses it.
LIGHT = (
    "bisect collections contextlib copy dataclasses enum functools hashlib itertools json logging "
    "math numpy numpy.random operator os pathlib shutil struct sys tempfile threading time types "
    "typing warnings weakref zipfile zlib"
)

IMPORTED = f"""
import sys
import {", ".join(LIGHT.split())}
before = set(sys.modules)
import ruvector
print(*sorted(set(sys.modules) - before))
"""


def test_import_stays_light():
    result = subprocess.run(
        [sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True, timeout=120
    )
    modules = result.stdout.split()
    assert "ruvector._core" in modules
    assert [name for name in modules if name.partition(".")[0] not in ("ruvector", "numpy")] == []


def test_the_version_is_that_of_the_crates():
    text = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'^version = "(.+)"$', text, flags=re.MULTILINE)
    assert ruvector.__version__ == version == metadata.version("ruvector")


def test_numpy_is_all_that_it_requires():
    required = metadata.requires("ruvector") or []
    assert [name for name in required if "extra ==" not in name] == ["numpy>=1.26"]


@pytest.mark.parametrize("name", ["py.typed", "_core.pyi"])
def test_types_are_part_of_the_package(name):
    assert resources.files("ruvector").joinpath(name).is_file()
