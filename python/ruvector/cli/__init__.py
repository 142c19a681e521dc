"""The command line: ``ruvector`` or ``python -m ruvector``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence

from ruvector._core import __version__
from ruvector.cli import demo, evaluate, index, info, report, search, train
from ruvector.errors import RuvectorError

__all__ = ["main"]

COMMANDS = {
    "demo": demo,
    "train": train,
    "search": search,
    "evaluate": evaluate,
    "info": info,
    "report": report,
    "index": index,
}

_EXAMPLES = """\
examples:
  ruvector demo                               the whole job on Python's own standard library
  ruvector train cora.npz -o model            embed a graph's nodes and index them
  ruvector train edges.csv --features x.npy -o model --task link
  ruvector evaluate model                     figures beside those of the baselines
  ruvector search model --node 17 -k 5        nodes like node 17
  ruvector report model -o report.html        a page to look at, nodes to click through
  ruvector index build vectors.npy -o vectors.ruv --metric l2
  ruvector index search vectors.ruv --vector queries.npy -k 5
  ruvector index tune vectors.ruv --queries queries.npy --target 0.99

exit codes: 0 done, 1 failed, 2 wrong usage
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after the program's name; those of the process by default.

    Returns
    -------
    int
        0 done, 1 failed. Wrong usage leaves with 2 through ``SystemExit``, as argparse does.
    """
    args = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.WARNING if args.quiet else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
        force=True,
    )
    try:
        result = COMMANDS[args.command].run(args)
        text = json.dumps(result, indent=2) if args.json else COMMANDS[args.command].render(result)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("ruvector: interrupted; nothing was saved\n")
        return 1
    except (RuvectorError, OSError, MemoryError) as error:
        sys.stderr.write(f"ruvector: {error or type(error).__name__}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ruvector",
        description="Train embeddings on a graph, search them, tell how good they are.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ruvector {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object")
    common.add_argument("-q", "--quiet", action="store_true", help="no progress on standard error")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").strip().splitlines()[0]
        command = commands.add_parser(name, help=summary, description=summary, parents=[common])
        module.configure(command)
    return parser
