"""``hetsched run``: run a pipeline file and say what came out, where it ran and how long it took."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hetsched.cli import options
from hetsched.cli.show import plain, print_json, print_table, shown

if TYPE_CHECKING:
    from hetsched.config import Job
    from hetsched.program import Result
    from hetsched.trace.trace import Trace


def run(
    pipeline: options.PipelineFile,
    platform: options.PlatformFile = None,
    executor: options.ExecutorName = None,
    address: options.Address = None,
    overrides: options.Overrides = None,
    allow_import: options.AllowImports = None,
    trace: options.TraceFile = None,
    report: Annotated[Path | None, typer.Option("--report", metavar="F.html", help="Write an HTML report.")] = None,
    timeline: Annotated[
        Path | None, typer.Option("--timeline", metavar="F.png", help="Write a picture of what ran when.")
    ] = None,
    as_json: options.AsJson = False,
    verbose: options.Verbose = False,
) -> None:
    """Run a pipeline file."""
    import hetsched
    from hetsched.config import save_outputs

    job = options.load(pipeline, overrides, allow_import)
    settings = options.settings(job, platform=platform, executor=executor)
    with options.session(settings, address):
        result = hetsched.run(job.graph, job.inputs, **settings)
    files = [*save_outputs(result.outputs, job.save), *_write(result, trace, report, timeline)]
    if as_json:
        print_json(_summary(job, result, files))
    else:
        _print(job, result, files, verbose)


def _write(result: Result, trace: Path | None, report: Path | None, timeline: Path | None) -> list[Path]:
    files = [path for path in (trace, report, timeline) if path is not None]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
    if trace is not None:
        result.trace.save(trace)
    if report is not None:
        result.report(report)
    if timeline is not None:
        from hetsched.trace.timeline import save_timeline

        save_timeline(result.trace, timeline, predicted=result.predicted_trace)
    return files


def _print(job: Job, result: Result, files: list[Path], verbose: bool) -> None:
    from hetsched.trace.units import show_seconds

    print(f"{job.name}: {job.description}" if job.description else job.name)
    print_table(("output", "value"), [(key, shown(value)) for key, value in result.outputs.items()])
    tasks = Counter(span.lane for span in result.trace.of_kind("compute"))
    predicted, measured = _busy(result.predicted_trace), _busy(result.trace)
    print_table(
        ("device", "tasks", "predicted busy", "measured busy"),
        [(lane, tasks[lane], show_seconds(predicted[lane]), show_seconds(measured[lane])) for lane in sorted(tasks)],
        right=("tasks", "predicted busy", "measured busy"),
    )
    if verbose:
        print(f"\n{result}")
    print(
        f"\npredicted {show_seconds(result.predicted_makespan_seconds)}, "
        f"measured {show_seconds(result.makespan_seconds)}, "
        f"lower bound {show_seconds(result.lower_bound_seconds)}; "
        f"scheduler {result.schedule.scheduler}{', emulated' if result.trace.emulated else ''}"
    )
    for path in files:
        print(f"wrote {path}")


def _busy(trace: Trace) -> dict[str, float]:
    busy: dict[str, float] = defaultdict(float)
    for span in trace.of_kind("compute"):
        busy[span.lane] += span.seconds
    return busy


def _summary(job: Job, result: Result, files: list[Path]) -> dict[str, Any]:
    return {
        "name": job.name,
        "outputs": {str(key): plain(value) for key, value in result.outputs.items()},
        "placements": {span.name: span.lane for span in result.trace.of_kind("compute")},
        "predicted_makespan_seconds": result.predicted_makespan_seconds,
        "makespan_seconds": result.makespan_seconds,
        "lower_bound_seconds": result.lower_bound_seconds,
        "scheduler": result.schedule.scheduler,
        "emulated": result.trace.emulated,
        "files": [str(path) for path in files],
    }
