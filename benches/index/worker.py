"""One library in a process of its own, so that memory and threads are its alone.

    python -m index.worker PEER

Reads commands from standard input, a JSON object a line, and answers each with one. What libraries
print goes to standard error.
"""

import ctypes
import gc
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from . import data, measure
from .peers import adapter
from .peers.base import UnsupportedError

MIB = 2**20


def memory(which):
    """Return VmRSS or VmHWM in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which))


def release():
    """Give back what was freed, so that the rest is what is held."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


class Worker:
    def __init__(self, name):
        self.kind = adapter(name)

    def open(self, data_name, rows):
        self.data = data.load(data_name, rows)
        self.data.vectors.sum()  # so that reading the file counts for nobody
        release()
        return {"version": metadata.version(self.kind.distribution)}

    def build(self, threads):
        self.peer = self.kind()
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # starts the high-water mark anew
        clock = measure.Clock()
        self.peer.build(self.data.vectors, self.data.metric, threads)
        figures = clock.read()
        peak = memory("VmHWM") - before
        release()
        raw = self.data.vectors.nbytes / MIB
        held = memory("VmRSS") - before
        return {**figures, "held_mib": held, "peak_mib": peak, "raw_mib": raw}

    def least(self):
        return {"least": self.peer.least}

    def knob(self, target):
        return measure.smallest_knob(self.peer, self.data, target)

    def speed(self, **setting):
        return measure.speed(self.peer, self.data, **setting)

    def curve(self, **setting):
        return measure.point(self.peer, self.data, **setting)

    def files(self, repeats):
        """Save, load and open mapped."""
        folder = Path(tempfile.mkdtemp(dir=data.cache()))
        try:
            return measure.files(self.peer, self.data, folder / "index", repeats)
        finally:
            shutil.rmtree(folder)

    def digest(self):
        """Return a hash of the saved index, to compare graphs built by 1 and 2 threads."""
        with tempfile.TemporaryDirectory(dir=data.cache()) as folder:
            path = Path(folder) / "index"
            self.peer.save(path)
            if path.is_dir():
                raise UnsupportedError("saves a folder")
            with path.open("rb") as file:
                return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}

    def filtered(self, share, target, seconds):
        return measure.filtered(self.peer, self.data, share, target, seconds)

    def scan(self, share, seconds):
        return measure.scan(self.data, share, seconds)

    def overhead(self, seconds):
        return measure.overhead(self.kind, self.data, seconds)


def answer(worker, command):
    try:
        return getattr(worker, command.pop("do"))(**command)
    except UnsupportedError as reason:
        return {"unsupported": str(reason)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def main():
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    np.seterr(all="ignore")
    try:
        worker = Worker(sys.argv[1])
        first = {"pid": os.getpid(), "started": time.time()}
    except Exception as error:
        worker, first = None, {"error": f"{type(error).__name__}: {error}"[:500]}
    print(json.dumps(first), file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(worker, json.loads(line))), file=replies, flush=True)


if __name__ == "__main__":
    main()
