"""All commands in one application."""

from __future__ import annotations

import typer

from hetsched.cli.devices import devices
from hetsched.cli.errors import explained
from hetsched.cli.predict import plan, simulate
from hetsched.cli.run import run
from hetsched.cli.schedule import schedule

COMMANDS = (run, plan, simulate, schedule, devices)
"""In the order of the help text; a new command is one function here."""

app = typer.Typer(
    help="Run one job over all CPUs and GPUs of a machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in COMMANDS:
    app.command()(explained(_command))
