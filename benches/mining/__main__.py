"""Print groups of rows: `python -m mining [dense …]` in benches/; `strategies` if named."""

import importlib
import sys
from pathlib import Path

GROUPS = [path.stem for path in sorted(Path(__file__).parent.glob("*.py"))]
OTHERS = ("__init__", "__main__", "figure", "install", "measure", "strategies")
GROUPS = [name for name in GROUPS if name not in OTHERS]

for name in sys.argv[1:] or GROUPS:
    print(f"\n## {name}\n", flush=True)
    importlib.import_module(f"mining.{name}").main([])
