import re
import sys
from collections.abc import Callable

import pytest

from hetsched.trace.compare import comparison, format_comparison, longest
from hetsched.trace.trace import Span, Trace

Make = Callable[..., Trace]


def test_rows_stand_in_order_of_start_with_both_times_and_their_ratio(a_trace: Make) -> None:
    compared = comparison(a_trace(predicted=True), a_trace(1.5))
    assert [(row.kind, row.name, row.lane) for row in compared.rows] == [
        ("compute", "decode", "cpu:0"),
        ("copy", "decode", "ram->vram:0"),
        ("compute", "conv", "gpu:0"),
        ("compute", "relu", "gpu:0"),
        ("copy", "relu", "vram:0->ram"),
    ]
    conv = compared.rows[2]
    assert (conv.predicted_seconds, conv.measured_seconds, conv.ratio) == pytest.approx((0.003, 0.0045, 1.5))
    assert compared.ratio == pytest.approx(0.010 / 0.008)
    assert compared.setup_seconds == 0.0005


def test_lanes_say_how_busy_they_were_without_setup_and_waits(a_trace: Make) -> None:
    lanes = {lane.lane: lane for lane in comparison(a_trace(predicted=True), a_trace(1.5)).lanes}
    assert list(lanes) == ["cpu:0", "gpu:0", "ram->vram:0", "vram:0->ram"]
    gpu = lanes["gpu:0"]
    assert (gpu.predicted_seconds, gpu.measured_seconds) == pytest.approx((0.004, 0.006))
    assert (gpu.predicted_share, gpu.measured_share) == pytest.approx((0.5, 0.6))
    assert lanes["ram->vram:0"].measured_seconds == pytest.approx(0.001)


def test_copies_that_overlap_do_not_make_a_link_busier_than_time_allows() -> None:
    spans = [
        Span("copy", f"v{i}", "ram->vram:0", start, end) for i, (start, end) in enumerate([(0, 3), (1, 2), (2, 4)])
    ]
    (lane,) = comparison(Trace((), 0.0, predicted=True), Trace(tuple(spans), 4.0)).lanes
    assert (lane.measured_seconds, lane.measured_share) == (4.0, 1.0)
    assert (lane.predicted_seconds, lane.predicted_share) == (0.0, 0.0)


def test_what_ran_elsewhere_twice_or_not_at_all_has_an_empty_side() -> None:
    predicted = Trace((Span("compute", "a", "gpu:0", 0, 1), Span("compute", "b", "gpu:0", 1, 2)), 2.0, predicted=True)
    measured = Trace(
        (Span("compute", "a", "cpu:0", 0, 3), Span("compute", "b", "gpu:0", 3, 4), Span("compute", "b", "gpu:0", 4, 6)),
        6.0,
    )
    rows = [
        (row.name, row.lane, row.predicted_seconds, row.measured_seconds)
        for row in comparison(predicted, measured).rows
    ]
    assert rows == [
        ("a", "cpu:0", None, 3),
        ("a", "gpu:0", 1, None),
        ("b", "gpu:0", 1, 1),
        ("b", "gpu:0", None, 2),
    ]
    assert comparison(predicted, measured).rows[0].ratio is None


def test_a_time_predicted_as_zero_has_no_ratio() -> None:
    predicted, measured = (Trace((Span("compute", "a", "cpu:0", 0, end),), end) for end in (0.0, 1.0))
    compared = comparison(predicted, measured)
    assert compared.rows[0].ratio is compared.ratio is None
    assert "measured; 0 s predicted" in format_comparison(compared)


def test_the_table_is_headed_by_makespans_and_bound(a_trace: Make) -> None:
    text = format_comparison(comparison(a_trace(predicted=True), a_trace(1.5)), lower_bound_seconds=0.004)
    assert text.splitlines()[0] == (
        "workstation (emulated): makespan 10.0 ms measured; 1.25 x the 8.00 ms predicted; "
        "bound 4.00 ms (predicted is 100% above); setup 500 µs, once"
    )
    cells = [re.split(r" {2,}", line) for line in text.splitlines()]
    assert ["task or copy", "op", "where", "predicted", "measured", "ratio"] in cells
    assert ["conv", "conv2d", "gpu:0", "3.00 ms", "! 4.50 ms", "1.50"] in cells
    assert ["decode", "copy 3.00 MiB", "ram->vram:0", "1.00 ms", "1.00 ms", "1.00"] in cells
    assert ["device or link", "busy, predicted", "busy, measured"] in cells
    assert ["gpu:0", "4.00 ms", "50%", "6.00 ms", "60%"] in cells


def test_a_long_graph_shows_its_longest_rows_and_how_many_more() -> None:
    spans = tuple(Span("compute", f"task{i}", "cpu:0", i, i + (0.5 if i % 10 == 3 else 1 / 64)) for i in range(300))
    trace = Trace(spans, 300.0)
    compared = comparison(trace, trace)
    text = format_comparison(compared)
    shown = [line.split()[0] for line in text.splitlines() if line.startswith("task") and line[4].isdigit()]
    assert shown == [f"task{i}" for i in range(3, 203, 10)]
    assert "… and 280 shorter ones that take 9.22 s together" in text
    assert longest(compared.rows, 300) == list(compared.rows)


def test_names_cannot_write_markup_or_move_the_cursor_and_long_ones_are_cut() -> None:
    names = ["[red]a[/red]", "b\x1b[2J\n", "c" * 200]
    trace = Trace(tuple(Span("compute", name, "cpu:0", i, i + 1) for i, name in enumerate(names)), 3.0)
    lines = format_comparison(comparison(trace, trace)).splitlines()
    assert any(line.startswith("[red]a[/red]") for line in lines)
    assert any(line.startswith(r"b\x1b[2J\n") for line in lines)
    assert any(line.startswith("c" * 47 + "… ") for line in lines)


def test_colour_only_where_asked_for_or_on_a_terminal(a_trace: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    compared = comparison(a_trace(predicted=True), a_trace())
    assert "\x1b[" not in str(compared)
    assert "\x1b[" in format_comparison(compared, color=True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert "\x1b[" in str(compared)


def test_a_pipe_gets_whole_lines_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    trace = Trace((Span("compute", "n" * 40, "node0/" + "cpu:0", 0, 1, op="o" * 40),), 1.0)
    assert any("n" * 40 in line and "o" * 40 in line for line in str(comparison(trace, trace)).splitlines())


def test_an_empty_run_is_one_line() -> None:
    assert str(comparison(Trace((), 0.0), Trace((), 0.0))) == "makespan 0 s measured; 0 s predicted"


def test_an_overrun_slot_is_marked_and_explained() -> None:
    slot = Span("compute", "a", "gpu:0", 0.0, 1.0, op="relu")
    late = Span("compute", "a", "gpu:0", 0.0, 3.0, op="relu", overrun=True)
    compared = comparison(Trace((slot,), 1.0), Trace((late,), 3.0, emulated=True))
    assert compared.rows[0].overrun
    text = format_comparison(compared)
    assert "! 3.00 s" in text
    assert "slot overrun" in text
    assert "slot overrun" not in format_comparison(comparison(Trace((slot,), 1.0), Trace((slot,), 1.0)))
