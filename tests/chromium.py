"""Pages in a headless Chromium, asked through its debugging pipe."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# Chromium reads requests from descriptor 3 and answers on 4.
_START = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(read, 3), os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_chromium():
    """Its path, or None."""
    found = (shutil.which(name) for name in PROGRAMS)
    return next((path for path in found if path), None) if os.name == "posix" else None


class Page:
    """One open page."""

    def __init__(self, requests, answers, seconds=60.0):
        self.requests, self.answers = requests, answers
        self.ends = time.monotonic() + seconds
        self.number, self.rest, self.events, self.session = 0, b"", [], None

    def call(self, method, **params):
        """Return the answer to one request."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self.rest:
            if not select.select([self.answers], [], [], self.ends - time.monotonic())[0]:
                raise TimeoutError("no answer from Chromium")
            piece = os.read(self.answers, 1 << 16)
            if not piece:
                raise RuntimeError("Chromium ended")
            self.rest += piece
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def open(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script):
        """The value of an expression of JavaScript."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, script):
        """Until an expression is true."""
        while not self.run(script):
            if time.monotonic() > self.ends:
                raise TimeoutError(script)
            time.sleep(0.02)

    def told(self, method):
        return [event["params"] for event in self.events if event.get("method") == method]


@contextmanager
def chromium(program, url, folder: Path):
    """Open `url`; what Chromium writes goes into `folder`."""
    child_reads, we_write = os.pipe()
    we_read, child_writes = os.pipe()
    command = [
        sys.executable, "-c", _START, str(child_reads), str(child_writes), program, "--headless",
        "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        f"--user-data-dir={folder}", "--remote-debugging-pipe",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, pass_fds=(child_reads, child_writes), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(child_reads)
    os.close(child_writes)
    try:
        page = Page(we_write, we_read)
        page.open(url)
        yield page
    finally:
        process.terminate()
        process.wait()
        os.close(we_write)
        os.close(we_read)
