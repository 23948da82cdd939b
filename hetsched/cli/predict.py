"""``hetsched plan`` and ``hetsched simulate``: what a pipeline file would do, without doing it."""

from __future__ import annotations

from collections import Counter, defaultdict

from hetsched.cli import options
from hetsched.cli.show import print_json, print_table


def plan(
    pipeline: options.PipelineFile,
    platform: options.PlatformFile = None,
    executor: options.ExecutorName = None,
    overrides: options.Overrides = None,
    allow_import: options.AllowImports = None,
    as_json: options.AsJson = False,
    verbose: options.Verbose = False,
) -> None:
    """Print what every device would do, in which order."""
    import hetsched

    job = options.load(pipeline, overrides, allow_import)
    with hetsched.compile(
        job.graph, job.inputs, **options.settings(job, platform=platform, executor=executor)
    ) as program:
        if as_json:
            print_json({"name": job.name, "plan": str(program.plan)})
        else:
            print(program.plan)


def simulate(
    pipeline: options.PipelineFile,
    platform: options.PlatformFile = None,
    overrides: options.Overrides = None,
    allow_import: options.AllowImports = None,
    trace: options.TraceFile = None,
    as_json: options.AsJson = False,
    verbose: options.Verbose = False,
) -> None:
    """Predict how long a pipeline file would take; its inputs are loaded, its tasks don't run."""
    import hetsched
    from hetsched.trace.units import show_bytes, show_seconds

    job = options.load(pipeline, overrides, allow_import)
    predicted = hetsched.simulate(job.graph, job.inputs, **options.settings(job, platform=platform))
    if trace is not None:
        trace.parent.mkdir(parents=True, exist_ok=True)
        predicted.save(trace)
    counts, busy = Counter[str](), defaultdict[str, float](float)
    for span in predicted:
        if span.kind != "wait" and span.phase == "body":
            counts[span.lane] += 1
            busy[span.lane] += span.seconds
    if as_json:
        print_json(
            {
                "name": job.name,
                "platform": predicted.platform,
                "makespan_seconds": predicted.makespan_seconds,
                "lanes": {lane: {"n": counts[lane], "busy_seconds": busy[lane]} for lane in predicted.lanes},
                "peak_bytes": dict(predicted.peak_bytes),
            }
        )
        return
    rows = [(lane, counts[lane], show_seconds(busy[lane])) for lane in predicted.lanes if counts[lane]]
    print_table(("lane", "tasks or copies", "busy"), rows, right=("tasks or copies", "busy"))
    if predicted.peak_bytes:
        peaks = [(memory, show_bytes(n_bytes)) for memory, n_bytes in sorted(predicted.peak_bytes.items())]
        print_table(("memory", "peak"), peaks, right=("peak",))
    print(f"\npredicted {show_seconds(predicted.makespan_seconds)} on {predicted.platform}")
    if trace is not None:
        print(f"wrote {trace}")
