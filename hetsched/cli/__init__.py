"""The command line: ``hetsched run | plan | simulate | schedule | devices``; one file per group of commands."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line and exit: 0 done, 1 the job failed, 2 bad usage, file or graph, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show µs is no reason to fail
    try:
        from hetsched.cli.app import app

        app(prog_name="hetsched")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
