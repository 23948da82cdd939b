"""``hetsched schedule``: solve a scheduling problem from a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hetsched.cli.options import Verbose

WORTH_WATCHING_SECONDS = 2.0
SHOWN_NOTES = 3


def schedule(
    instance: Annotated[Path, typer.Argument(metavar="INSTANCE.json", help="The instance file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="SCHEDULE.json", help="Where to write the schedule.")],
    scheduler: Annotated[str, typer.Option("--scheduler", metavar="NAME", help="Which algorithm.")] = "auto",
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="SECONDS", min=0, help="How long it may take.")
    ] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Hold each device to its memory.")] = False,
    contention: Annotated[bool, typer.Option("--contention", help="Links carry one copy at a time.")] = False,
    verbose: Verbose = False,
) -> None:
    """Schedule an instance file and write the schedule."""
    import hetsched

    problem = hetsched.Problem.load(instance, memory=memory, contention=contention)
    started = time.perf_counter()
    with _progress(budget) as progress:
        solved = hetsched.solve(problem, scheduler, budget_seconds=budget, progress=progress)
    seconds = time.perf_counter() - started
    out.parent.mkdir(parents=True, exist_ok=True)
    solved.save(out)
    print(
        f"makespan {solved.makespan_seconds:.6g}, lower bound {solved.lower_bound_seconds:.6g} "
        f"({solved.gap:.1%} above it); {problem.n_tasks} tasks on {problem.n_devices} devices, "
        f"scheduler {solved.scheduler}, {seconds:.3f} s"
    )
    for note in solved.notes[:SHOWN_NOTES]:
        print(f"note: {note}")
    print(f"wrote {out}")


@contextmanager
def _progress(budget: float | None) -> Iterator[Callable[[float, float], None] | None]:
    """A line on the terminal that shows the best makespan so far, for a search that takes long enough to watch."""
    if budget is None or budget < WORTH_WATCHING_SECONDS or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("searching; Ctrl-C takes the best so far") as status:
        yield lambda seconds, best: status.update(
            f"searching: {seconds:.1f} of {budget:g} s, best {best:.6g}; Ctrl-C takes it"
        )
