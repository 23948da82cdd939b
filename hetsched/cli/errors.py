"""How a command ends when something is wrong: one line on stderr and an exit code."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

from hetsched.errors import ExecutionError, HetschedError, PlanError

JOB_FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

Given = ParamSpec("Given")


def explained(command: Callable[Given, None]) -> Callable[Given, None]:
    """The command with every error turned into one line; ``--verbose`` adds where it came from."""

    @functools.wraps(command)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            _end("interrupted", INTERRUPTED)
        except HetschedError as error:
            failed = isinstance(error, ExecutionError | PlanError)
            _end(f"error: {error}", JOB_FAILED if failed else BAD_INPUT, error if kwargs.get("verbose") else None)
        except OSError as error:
            _end(f"error: {error.filename or 'output'}: {error.strerror or error}", BAD_INPUT)
        except Exception as error:  # noqa: BLE001 -- a user gets one line for a fault of ours too
            cure = "" if kwargs.get("verbose") else "; --verbose says where"
            line = f"error: unexpected {type(error).__name__}: {error}{cure}"
            _end(line, JOB_FAILED, error if kwargs.get("verbose") else None)

    return run


def _end(line: str, code: int, shown: BaseException | None = None) -> None:
    if shown is not None:
        traceback.print_exception(shown)
    print(" ".join(line.split("\n")), file=sys.stderr)
    raise typer.Exit(code)
