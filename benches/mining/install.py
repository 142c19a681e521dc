"""Makes the bench's environment: python install.py FOLDER WHEELS"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from environment import prepare
from losses.install import TOOLS, arguments

FAISS = {"faiss": ("faiss-cpu==1.15.1",)}

if __name__ == "__main__":
    wanted = arguments(("torch", "pml", "scipy")) | FAISS
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), TOOLS, wanted, needs={"pml": "torch"})
