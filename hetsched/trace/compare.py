"""What was predicted beside what was measured, task by task, copy by copy and lane by lane."""

from __future__ import annotations

import io
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hetsched.trace.trace import Span, Trace, lane_order
from hetsched.trace.units import show_bytes, show_seconds

if TYPE_CHECKING:
    from rich.table import Table

NAME_WIDTH = 48
NONE = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """One task or one copy; a time is None where it was not predicted, or did not happen.

    ``overrun``: the emulated slot was too short for the real computation, so the measured time is this machine's.
    """

    kind: Literal["compute", "copy"]
    name: str
    lane: str
    op: str
    n_bytes: float
    predicted_seconds: float | None
    measured_seconds: float | None
    overrun: bool = False

    @property
    def ratio(self) -> float | None:
        """Measured over predicted."""
        return _ratio(self.measured_seconds, self.predicted_seconds)

    @property
    def longest_seconds(self) -> float:
        """The larger of the two times."""
        return max(self.predicted_seconds or 0.0, self.measured_seconds or 0.0)


@dataclass(frozen=True, slots=True)
class LaneRow:
    """How long one device or link was busy in the body, and which share of the makespan that is."""

    lane: str
    predicted_seconds: float
    measured_seconds: float
    predicted_share: float
    measured_share: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The body of a run, predicted beside measured.

    Attributes:
        rows: one for each task and copy, in the order in which they began.
        lanes: one for each device and link.
        setup_seconds: measured time that the setup took.
    """

    rows: tuple[Row, ...]
    lanes: tuple[LaneRow, ...]
    predicted_makespan_seconds: float
    measured_makespan_seconds: float
    setup_seconds: float = 0.0
    platform: str = ""
    emulated: bool = False

    @property
    def ratio(self) -> float | None:
        """Measured over predicted makespan."""
        return _ratio(self.measured_makespan_seconds, self.predicted_makespan_seconds)

    def __str__(self) -> str:
        return format_comparison(self)


def comparison(predicted: Trace, measured: Trace) -> Comparison:
    """Match the computes and copies of two traces by name and lane; the n-th of a name on a lane with the n-th."""
    expected, happened = _by_key(predicted.body), _by_key(measured.body)
    rows = []
    for key in expected.keys() | happened.keys():
        before, after = expected.get(key, []), happened.get(key, [])
        for number in range(max(len(before), len(after))):
            guess = before[number] if number < len(before) else None
            fact = after[number] if number < len(after) else None
            rows.append((_start(fact, guess), _row(guess, fact)))
    rows.sort(key=lambda timed: (timed[0], timed[1].kind, timed[1].name, lane_order(timed[1].lane)))
    return Comparison(
        rows=tuple(row for _, row in rows),
        lanes=_lane_rows(predicted.body, measured.body),
        predicted_makespan_seconds=predicted.makespan_seconds,
        measured_makespan_seconds=measured.makespan_seconds,
        setup_seconds=measured.setup_seconds,
        platform=measured.platform or predicted.platform,
        emulated=measured.emulated,
    )


def format_comparison(
    compared: Comparison, lower_bound_seconds: float = 0.0, *, n_rows: int = 20, color: bool | None = None
) -> str:
    """A headline and two tables for a terminal, or for a pipe.

    Args:
        compared: what to show.
        lower_bound_seconds: below which no schedule can end; 0 where nobody computed it.
        n_rows: tasks and copies to show at most, the longest ones.
        color: None for colour where standard output is a terminal that wants it.
    """
    from rich.console import Console
    from rich.text import Text

    on_terminal = sys.stdout.isatty() if color is None else color
    console = Console(
        file=io.StringIO(),
        force_terminal=on_terminal,
        width=None if on_terminal else 1000,  # nothing is cut off in a pipe
        highlight=False,
        markup=False,  # names may have brackets
    )
    with console.capture() as captured:
        console.print(Text(headline(compared, lower_bound_seconds), style="bold"), soft_wrap=True)
        if compared.rows:
            console.print()
            console.print(_task_table(compared.rows, n_rows))
            if len(compared.rows) > n_rows:
                console.print(_left_out(compared.rows, n_rows), soft_wrap=True)
            if any(row.overrun for row in compared.rows):
                console.print("! slot overrun: the true computation took this machine longer", soft_wrap=True)
            console.print()
            console.print(_lane_table(compared.lanes))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def headline(compared: Comparison, lower_bound_seconds: float = 0.0) -> str:
    """Makespans and bound in one line."""
    expected = show_seconds(compared.predicted_makespan_seconds)
    parts = [f"makespan {show_seconds(compared.measured_makespan_seconds)} measured"]
    parts.append(
        f"{expected} predicted" if compared.ratio is None else f"{compared.ratio:.2f} x the {expected} predicted"
    )
    if lower_bound_seconds > 0:
        over_bound = compared.predicted_makespan_seconds / lower_bound_seconds - 1
        parts.append(f"bound {show_seconds(lower_bound_seconds)} (predicted is {over_bound:.0%} above)")
    if compared.setup_seconds > 0:
        parts.append(f"setup {show_seconds(compared.setup_seconds)}, once")
    where = printable(compared.platform) + (" (emulated)" if compared.emulated else "")
    return f"{where}: {'; '.join(parts)}".strip(" :")


def longest(rows: Sequence[Row], n_rows: int) -> list[Row]:
    """The rows that took longest, in the order in which they began."""
    if len(rows) <= n_rows:
        return list(rows)
    chosen = sorted(range(len(rows)), key=lambda index: (-rows[index].longest_seconds, index))[:n_rows]
    return [rows[index] for index in sorted(chosen)]


def printable(name: str) -> str:
    """A name without characters that would move a terminal's cursor, and not too long."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
    return shown if len(shown) <= NAME_WIDTH else f"{shown[: NAME_WIDTH - 1]}…"


def _by_key(trace: Trace) -> dict[tuple[str, str, str], list[Span]]:
    found: dict[tuple[str, str, str], list[Span]] = defaultdict(list)
    for span in trace:
        if span.kind != "wait":
            found[span.kind, span.name, span.lane].append(span)
    return found


def _start(fact: Span | None, guess: Span | None) -> float:
    span = fact or guess
    return span.start_seconds if span else 0.0


def _row(guess: Span | None, fact: Span | None) -> Row:
    span = fact or guess
    assert span is not None, "a row has at least one side"
    return Row(
        kind="copy" if span.kind == "copy" else "compute",
        name=span.name,
        lane=span.lane,
        op=span.op,
        n_bytes=span.n_bytes,
        predicted_seconds=guess.seconds if guess else None,
        measured_seconds=fact.seconds if fact else None,
        overrun=fact is not None and fact.overrun,
    )


def _lane_rows(predicted: Trace, measured: Trace) -> tuple[LaneRow, ...]:
    expected, happened = _busy_seconds(predicted), _busy_seconds(measured)
    return tuple(
        LaneRow(
            lane=lane,
            predicted_seconds=expected.get(lane, 0.0),
            measured_seconds=happened.get(lane, 0.0),
            predicted_share=_ratio(expected.get(lane, 0.0), predicted.makespan_seconds) or 0.0,
            measured_share=_ratio(happened.get(lane, 0.0), measured.makespan_seconds) or 0.0,
        )
        for lane in sorted(expected.keys() | happened.keys(), key=lane_order)
    )


def _busy_seconds(trace: Trace) -> dict[str, float]:
    """Time in which each lane did something; copies that overlap on one lane count once."""
    busy: dict[str, float] = defaultdict(float)
    until: dict[str, float] = {}
    for span in sorted(trace, key=lambda span: span.start_seconds):
        if span.kind != "wait":
            start = max(span.start_seconds, until.get(span.lane, span.start_seconds))
            busy[span.lane] += max(0.0, span.end_seconds - start)
            until[span.lane] = max(start, span.end_seconds)
    return busy


def _ratio(measured: float | None, predicted: float | None) -> float | None:
    return measured / predicted if measured is not None and predicted else None


def _task_table(rows: Sequence[Row], n_rows: int) -> Table:
    table = _table("task or copy", "op", "where", "predicted", "measured", "ratio", n_words=3)
    for row in longest(rows, n_rows):
        what = row.op if row.kind == "compute" else f"copy {show_bytes(row.n_bytes)}"
        cells = (printable(row.name), printable(what), printable(row.lane))
        measured = _seconds(row.measured_seconds)
        times = (_seconds(row.predicted_seconds), f"! {measured}" if row.overrun else measured)
        table.add_row(*cells, *times, NONE if row.ratio is None else f"{row.ratio:.2f}")
    return table


def _lane_table(lanes: Sequence[LaneRow]) -> Table:
    table = _table("device or link", "busy, predicted", "busy, measured", n_words=1)
    for lane in lanes:
        table.add_row(
            printable(lane.lane),
            f"{show_seconds(lane.predicted_seconds)} {lane.predicted_share:4.0%}",
            f"{show_seconds(lane.measured_seconds)} {lane.measured_share:4.0%}",
        )
    return table


def _table(*headers: str, n_words: int) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for number, header in enumerate(headers):
        table.add_column(header, justify="left" if number < n_words else "right", no_wrap=True)
    return table


def _left_out(rows: Sequence[Row], n_rows: int) -> str:
    shown = sum(row.longest_seconds for row in longest(rows, n_rows))
    rest = max(0.0, sum(row.longest_seconds for row in rows) - shown)
    return f"… and {len(rows) - n_rows:,} shorter ones that take {show_seconds(rest)} together"


def _seconds(seconds: float | None) -> str:
    return NONE if seconds is None else show_seconds(seconds)
