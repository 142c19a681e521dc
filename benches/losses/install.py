"""Makes the bench's environment: python install.py FOLDER WHEELS"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from environment import prepare

from losses.sides import REQUIREMENTS

TOOLS = ("numpy==2.4.6", "matplotlib>=3.10")
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
LIGHT = ("filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec", "setuptools")


def arguments(names):
    """Return pip's arguments by name.

    PyTorch comes from an index of CPU wheels and from nowhere else: PyPI's wheel for Linux needs
    CUDA, 5 GB of it. Where the index is out of reach TORCH_INDEX names another, or TORCH_VENV an
    environment that has PyTorch.
    """
    index = os.environ.get("TORCH_INDEX") or CPU_WHEELS
    alone = ("--index-url", index, "--no-deps", *REQUIREMENTS["torch"])
    return {"torch": alone, "torch needs": LIGHT} | {
        name: REQUIREMENTS[name] for name in names if name != "torch"
    }


if __name__ == "__main__":
    wanted = arguments(REQUIREMENTS)
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), TOOLS, wanted, needs={"pml": "torch"})
