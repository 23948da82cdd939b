import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hetsched.errors import ConfigError
from hetsched.trace.trace import Span, Trace

Make = Callable[..., Trace]


def saved(trace: Trace, folder: Path) -> dict[str, Any]:
    path = folder / "new" / "trace.json"
    trace.save(path)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def tracks(document: dict[str, Any], process: int = 1) -> dict[int, str]:
    named = (e for e in document["traceEvents"] if e["name"] == "thread_name" and e["pid"] == process)
    return {e["tid"]: e["args"]["name"] for e in named}


def test_a_saved_trace_is_loaded_as_it_was(a_trace: Make, tmp_path: Path) -> None:
    trace = a_trace(1.5)
    trace.save(tmp_path / "trace.json")
    loaded = Trace.load(tmp_path / "trace.json")
    assert replace(loaded, spans=()) == replace(trace, spans=())
    assert len(loaded) == len(trace)
    for was, now in zip(trace, loaded, strict=True):
        assert replace(now, start_seconds=0, end_seconds=0) == replace(was, start_seconds=0, end_seconds=0)
        assert (now.start_seconds, now.end_seconds) == pytest.approx((was.start_seconds, was.end_seconds), abs=1e-9)


def test_an_empty_trace_survives(tmp_path: Path) -> None:
    Trace((), 0.0).save(tmp_path / "trace.json")
    assert Trace.load(tmp_path / "trace.json") == Trace((), 0.0)


def test_tracks_are_named_and_sorted_and_events_carry_what_a_span_knows(a_trace: Make, tmp_path: Path) -> None:
    document = saved(a_trace(), tmp_path)
    assert list(tracks(document).values()) == ["cpu:0", "gpu:0", "ram->vram:0", "vram:0->ram"]
    order = {e["tid"]: e["args"]["sort_index"] for e in document["traceEvents"] if e["name"] == "thread_sort_index"}
    assert order == {track: track for track in (*tracks(document), *tracks(document, process=2))}
    conv = next(e for e in document["traceEvents"] if e["name"] == "conv")
    assert (conv["ph"], conv["cat"], tracks(document)[conv["tid"]]) == ("X", "compute", "gpu:0")
    assert (conv["ts"], conv["dur"]) == (3000.0, 3000.0)
    assert conv["args"] == {"op": "conv2d", "bytes": 0.0, "phase": "body", "overrun": True}
    assert document["otherData"]["emulated"] is True
    processes = {e["pid"]: e["args"]["name"] for e in document["traceEvents"] if e["name"] == "process_name"}
    assert processes == {1: "workstation (emulated, measured)", 2: "workstation (emulated, measured): setup"}


def test_the_setup_has_its_own_clock_and_so_its_own_process(a_trace: Make, tmp_path: Path) -> None:
    document = saved(a_trace(), tmp_path)
    assert list(tracks(document, process=2).values()) == ["ram->vram:0"]
    (weights,) = [e for e in document["traceEvents"] if e["pid"] == 2 and e["ph"] == "X"]
    assert (weights["name"], weights["ts"], weights["dur"]) == ("weights", 0.0, 500.0)


def test_spans_that_overlap_on_one_lane_get_tracks_of_their_own(tmp_path: Path) -> None:
    times = [(0.0, 3.0), (1.0, 2.0), (1.5, 4.0), (2.0, 2.0), (3.0, 5.0)]
    spans = tuple(Span("copy", f"v{i}", "ram->vram:0", start, end) for i, (start, end) in enumerate(times))
    document = saved(Trace(spans, 5.0), tmp_path)
    assert set(tracks(document).values()) == {"ram->vram:0"}
    by_track = defaultdict(list)
    for event in document["traceEvents"]:
        if event["ph"] == "X":
            by_track[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert len(by_track) == 3
    for row in by_track.values():
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(sorted(row)))


def test_spans_that_touch_stay_on_one_track_in_spite_of_rounding(tmp_path: Path) -> None:
    edges = [index * 0.1 / 3 for index in range(200)]
    spans = tuple(Span("compute", str(i), "cpu:0", a, b) for i, (a, b) in enumerate(itertools.pairwise(edges)))
    assert list(tracks(saved(Trace(spans, edges[-1]), tmp_path)).values()) == ["cpu:0"]


def test_bad_files_are_refused_with_their_name(a_trace: Make, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    with pytest.raises(ConfigError, match=r"bad\.json: cannot be read: No such file"):
        Trace.load(path)
    for text in (b"{", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(text)
        with pytest.raises(ConfigError, match=r"bad\.json: is not JSON"):
            Trace.load(path)
    for text in (b"[]", b"{}", b'{"otherData": 1}', b'{"traceEvents": [], "otherData": {}}'):
        path.write_bytes(text)
        with pytest.raises(ConfigError, match=r"bad\.json: is no trace of format"):
            Trace.load(path)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda d: d.pop("traceEvents"), "no 'traceEvents'"),
        (lambda d: d["otherData"].pop("makespan_seconds"), "no 'makespan_seconds'"),
        (lambda d: d["otherData"].update(peak_bytes=3), "damaged"),
        (lambda d: d.update(traceEvents=3), "damaged"),
        (lambda d: d["traceEvents"][-1].pop("args"), r"traceEvents\[18\] is damaged \(no 'args'\)"),
        (lambda d: d["traceEvents"][-1].update(cat="sleep"), r"traceEvents\[18\] is damaged \(no 'sleep'\)"),
        (lambda d: d["traceEvents"][-1].update(ts="soon"), r"traceEvents\[18\] is damaged"),
        (lambda d: d["traceEvents"].append(7), r"traceEvents\[19\] is damaged"),
    ],
)
def test_a_damaged_trace_is_refused_with_the_place(
    break_it: Callable[[dict[str, Any]], object], said: str, a_trace: Make, tmp_path: Path
) -> None:
    document = saved(a_trace(), tmp_path)
    break_it(document)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        Trace.load(path)
