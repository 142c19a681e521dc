"""Makes the bench's environment: python install.py FOLDER WHEELS"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from environment import prepare

from index.peers import PEERS

TOOLS = ("numpy==2.4.6", "matplotlib>=3.10", "numkong==7.8.6")
# hnswlib comes as source, and is to have this machine's instructions, not those of a wheel that
# pip built elsewhere and kept.
MORE = {"hnswlib": ("--no-binary", "hnswlib", "--no-cache-dir")}

if __name__ == "__main__":
    wanted = {
        name: (*MORE.get(what.split("==")[0], ()), what)
        for name, (_, what) in PEERS.items()
        if what
    }
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), TOOLS, wanted)
