"""Starts the workers and talks to them, one at a time."""

import contextlib
import json
import select
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE = 3 * 3600  # seconds a command may take


class Worker:
    """A process that runs a module; an answer has `unsupported` or `error` where it failed."""

    def __init__(self, module, *arguments, log=None, environment=None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=HERE,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        self.first = self.read()

    def read(self):
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.stop()
            return {"error": f"no answer for {PATIENCE} s"}
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        return {"error": f"the process ended with exit code {self.process.wait()}"}

    def ask(self, do, **command):
        try:
            if self.process.poll() is None:
                self.process.stdin.write((json.dumps({"do": do, **command}) + "\n").encode())
                self.process.stdin.flush()
                return self.read()
        except BrokenPipeError:  # it died after the look
            self.process.wait()
        return {"error": f"the process ended with exit code {self.process.returncode}"}

    def stop(self):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):  # what a dead process did not read
            self.process.stdin.close()
        self.process.stdout.close()
