"""Traces as Chrome trace-event JSON, which https://ui.perfetto.dev and ``chrome://tracing`` open, and back.

One complete event ("ph": "X") per Span, one track per lane; body and setup, whose clocks differ, are two processes.
Times are whole nanoseconds, so that spans which touch never overlap; spans of one lane that do overlap (copies on a
link without contention) get tracks of their own below it with the same name. What no event can say stands in
``otherData``.
Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hetsched.errors import ConfigError
from hetsched.trace.trace import Phase, Span, SpanKind, Trace

FORMAT = "hetsched-trace-1"
_KINDS: dict[str, SpanKind] = {"compute": "compute", "copy": "copy", "wait": "wait"}
_PROCESSES: dict[Phase, int] = {"body": 1, "setup": 2}
_PHASES: dict[str, Phase] = {"setup": "setup", "body": "body"}


def save_trace(trace: Trace, path: Path) -> None:
    """Write a trace; folders on the way are made."""
    tracks = _Tracks(trace)
    document = {
        "traceEvents": tracks.metadata() + [_event(s, track) for s, track in zip(trace, tracks.of_span, strict=True)],
        "displayTimeUnit": "ms",
        "otherData": {
            "format": FORMAT,
            "platform": trace.platform,
            "emulated": trace.emulated,
            "time_scale": trace.time_scale,
            "predicted": trace.predicted,
            "makespan_seconds": trace.makespan_seconds,
            "peak_bytes": dict(trace.peak_bytes),
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")


def load_trace(path: Path) -> Trace:
    """Read a trace that `save_trace` wrote; times come back to the nanosecond.

    Raises:
        ConfigError: the file cannot be read, or is no trace that hetsched wrote; names file and event.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON ({error}); give a file that hetsched wrote with --trace") from error
    about = document.get("otherData") if isinstance(document, dict) else None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ConfigError(f"{path}: is no trace of format {FORMAT!r}; give a file that hetsched wrote with --trace")
    try:
        return Trace(
            spans=tuple(_spans(document["traceEvents"], path)),
            makespan_seconds=float(about["makespan_seconds"]),
            platform=str(about["platform"]),
            emulated=bool(about["emulated"]),
            time_scale=float(about["time_scale"]),
            predicted=bool(about["predicted"]),
            peak_bytes={str(memory): float(n_bytes) for memory, n_bytes in about["peak_bytes"].items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: otherData or traceEvents is damaged ({_said(error)}); write the trace anew"
        ) from error


class _Tracks:
    """Which track each span is drawn on: a track shows one lane in one phase, one thing at a time.

    Attributes:
        names: (phase, lane) of each track; tracks count from 1.
        of_span: the track of each span.
    """

    def __init__(self, trace: Trace) -> None:
        self.title = f"{trace.platform or 'hetsched'} ({trace.what_it_is})"
        self.names: list[tuple[Phase, str]] = []
        self.of_span = [0] * len(trace)
        indices: dict[tuple[Phase, str], list[int]] = {
            (phase, lane): [] for phase in _PROCESSES for lane in trace.lanes
        }
        for index, span in enumerate(trace):
            indices[span.phase, span.lane].append(index)
        for name, of_lane in indices.items():
            self._spread(trace, name, of_lane)

    def _spread(self, trace: Trace, name: tuple[Phase, str], indices: list[int]) -> None:
        first, ends = len(self.names) + 1, list[int]()
        for (start, end), index in sorted((_nanoseconds(trace.spans[index]), index) for index in indices):
            free = next((row for row, busy_until in enumerate(ends) if busy_until <= start), len(ends))
            ends[free : free + 1] = [end]
            self.of_span[index] = first + free
        self.names += [name] * len(ends)

    def metadata(self) -> list[dict[str, Any]]:
        """Events that name and order processes and tracks."""
        events = [_metadata("process_name", "body", 0, name=self.title)]
        if any(phase == "setup" for phase, _ in self.names):
            events.append(_metadata("process_name", "setup", 0, name=f"{self.title}: setup"))
        for track, (phase, lane) in enumerate(self.names, start=1):
            events.append(_metadata("thread_name", phase, track, name=lane))
            events.append(_metadata("thread_sort_index", phase, track, sort_index=track))
        return events


def _nanoseconds(span: Span) -> tuple[int, int]:
    return round(span.start_seconds * 1e9), round(span.end_seconds * 1e9)


def _metadata(what: str, phase: Phase, track: int, **args: str | int) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": _PROCESSES[phase], "tid": track, "args": args}


def _event(span: Span, track: int) -> dict[str, Any]:
    start, end = _nanoseconds(span)
    args = {"op": span.op, "bytes": span.n_bytes, "phase": span.phase, "overrun": span.overrun}
    return {
        "ph": "X",
        "name": span.name,
        "cat": span.kind,
        "pid": _PROCESSES[span.phase],
        "tid": track,
        "ts": start / 1e3,
        "dur": (end - start) / 1e3,
        "args": args,
    }


def _spans(events: Iterable[Mapping[str, Any]], path: Path) -> Iterable[Span]:
    lanes: dict[int, str] = {}
    for number, event in enumerate(events):
        try:
            if event["ph"] == "M" and event["name"] == "thread_name":
                lanes[event["tid"]] = event["args"]["name"]
            elif event["ph"] == "X":
                yield _span(event, lanes)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path}: traceEvents[{number}] is damaged ({_said(error)}); write the trace anew"
            ) from error


def _span(event: Mapping[str, Any], lanes: Mapping[int, str]) -> Span:
    start, args = round(event["ts"] * 1e3), event["args"]
    return Span(
        kind=_KINDS[event["cat"]],
        name=event["name"],
        lane=lanes[event["tid"]],
        start_seconds=start / 1e9,
        end_seconds=(start + round(event["dur"] * 1e3)) / 1e9,
        op=args["op"],
        n_bytes=float(args["bytes"]),
        phase=_PHASES[args["phase"]],
        overrun=bool(args["overrun"]),
    )


def _said(error: Exception) -> str:
    return f"no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
