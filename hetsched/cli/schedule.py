"""``hetsched schedule``: solve a scheduling problem from a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hetsched.cli.options import Verbose


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
    solved = hetsched.solve(problem, scheduler, budget_seconds=budget)
    seconds = time.perf_counter() - started
    out.parent.mkdir(parents=True, exist_ok=True)
    solved.save(out)
    print(
        f"makespan {solved.makespan_seconds:.6g}, lower bound {solved.lower_bound_seconds:.6g} "
        f"({solved.gap:.1%} above it); {problem.n_tasks} tasks on {problem.n_devices} devices, "
        f"scheduler {solved.scheduler}, {seconds:.3f} s"
    )
    print(f"wrote {out}")
