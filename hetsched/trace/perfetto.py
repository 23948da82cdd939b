"""Traces as Chrome trace-event JSON, which https://ui.perfetto.dev and ``chrome://tracing`` open, and back.

One complete event ("ph": "X") per Span, one track per lane. Times are whole nanoseconds, so that spans which touch
never overlap; spans of one lane that do overlap (copies on a link that is not contended) get tracks of their own below
it with the same name. What an event cannot say stands in ``otherData``.
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
_PHASES: dict[str, Phase] = {"setup": "setup", "body": "body"}


def save_trace(trace: Trace, path: Path) -> None:
    """Write a trace; folders on the way are made."""
    tracks = _tracks(trace)

    names = [_metadata("process_name", 0, name=f"{trace.platform or 'hetsched'} ({trace.what_it_is})")]
    for track, lane in enumerate(tracks.names, start=1):
        names.append(_metadata("thread_name", track, name=lane))
        names.append(_metadata("thread_sort_index", track, sort_index=track))
    document = {
        "traceEvents": names + [_event(span, track) for span, track in zip(trace, tracks.of_span, strict=True)],
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
    """Which track each span is drawn on; a track shows one thing at a time."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.of_span: list[int] = []


def _tracks(trace: Trace) -> _Tracks:
    by_lane: dict[str, list[int]] = {lane: [] for lane in trace.lanes}
    for index, span in enumerate(trace.spans):
        by_lane[span.lane].append(index)
    tracks = _Tracks()
    tracks.of_span = [0] * len(trace)
    for lane, indices in by_lane.items():
        first, ends = len(tracks.names) + 1, list[int]()
        for index in sorted(indices, key=lambda i: (trace.spans[i].start_seconds, trace.spans[i].end_seconds, i)):
            start, end = _nanoseconds(trace.spans[index])
            free = next((row for row, busy_until in enumerate(ends) if busy_until <= start), len(ends))
            ends[free : free + 1] = [end]
            tracks.of_span[index] = first + free
        tracks.names += [lane] * len(ends)
    return tracks


def _nanoseconds(span: Span) -> tuple[int, int]:
    return round(span.start_seconds * 1e9), round(span.end_seconds * 1e9)


def _metadata(what: str, track: int, **args: str | int) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": 1, "tid": track, "args": args}


def _event(span: Span, track: int) -> dict[str, Any]:
    start, end = _nanoseconds(span)
    args = {"op": span.op, "bytes": span.n_bytes, "phase": span.phase, "overrun": span.overrun}
    return {
        "ph": "X",
        "name": span.name,
        "cat": span.kind,
        "pid": 1,
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
