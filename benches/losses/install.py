"""Makes the bench's environment: python install.py FOLDER WHEELS"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from environment import prepare

from losses.sides import REQUIREMENTS

TOOLS = ("numpy==2.4.6", "matplotlib>=3.10")
TORCH = ("--extra-index-url", "https://download.pytorch.org/whl/cpu")
MORE = {"torch": TORCH, "pml": TORCH}

if __name__ == "__main__":
    wanted = {name: (*MORE.get(name, ()), *what) for name, what in REQUIREMENTS.items()}
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), TOOLS, wanted)
