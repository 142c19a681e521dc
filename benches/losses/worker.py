"""One side of one case in a process of its own: python -m losses.worker SIDE KIND SIZE THREADS

Says what a call takes beyond inputs and gradients, then times a call for each line it reads. With
"cold" as a last argument no call comes before the first that is measured.
"""

import contextlib
import ctypes
import gc
import json
import os
import resource
import sys
import time
from pathlib import Path

GIB = 2**30
CAP = 14 * GIB  # what a library may take before it is told that there is no more


def read(field):
    """Return VmRSS or VmHWM in MiB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(field)[1].split()[1]) / 1024


def peak_of(call):
    """Return what a call takes at its height beyond what was there, in MiB, and its times."""
    gc.collect()
    _give_back()
    Path("/proc/self/clear_refs").write_text("5")  # starts the high-water mark anew
    before = read("VmRSS")
    times = timed(call)
    return {"mib": read("VmHWM") - before} | times


def _give_back():
    """Let the allocator return what earlier calls freed: it would hide what this one takes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def timed(call):
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def make(side, kind, size, threads):
    from .cases import inputs_of  # noqa: PLC0415 - NumPy comes after threads are pinned
    from .sides import maker  # noqa: PLC0415

    return maker(side, kind)(inputs_of(kind, size), threads)


def main():
    side, kind, size, threads = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_DATA, (CAP, CAP))
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**figures):
        print(json.dumps(figures), file=answers, flush=True)

    try:
        call = make(side, kind, size, threads)
        if "cold" not in sys.argv[5:]:
            call()  # compiles, starts threads, touches the gradients
        say(**peak_of(call))
    except (ImportError, AttributeError) as error:
        say(unsupported=str(error))
    except Exception as error:
        say(error=f"{type(error).__name__}: {str(error).strip()[:200]}")
    else:
        with contextlib.suppress(KeyboardInterrupt):
            for _ in sys.stdin:
                say(**timed(call))


if __name__ == "__main__":
    main()
