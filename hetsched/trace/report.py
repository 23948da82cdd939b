"""One self-contained HTML page about a run: its timeline, predicted beside measured, and peak bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from html import escape
from itertools import count
from pathlib import Path
from typing import Any

from hetsched.trace.compare import NONE, Comparison, Row, comparison, headline, longest
from hetsched.trace.plotting import legend, plotting_library
from hetsched.trace.trace import Span, Trace, lane_order
from hetsched.trace.units import seconds_unit, show_bytes, show_seconds

MAX_SPANS = 5_000
MAX_ROWS = 500

# The browser itself refuses whatever is not in the file.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; } th, td { padding: .2rem 1.2rem .2rem 0; text-align: left; }
th { border-bottom: 1px solid #999; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
tr:nth-child(even) td { background: #f6f6f6; } .aside { color: #666; }
"""


def save_report(
    measured: Trace,
    predicted: Trace,
    path: str | Path,
    *,
    title: str = "",
    lower_bound_seconds: float = 0.0,
    capacity_bytes: Mapping[str, float] | None = None,
) -> None:
    """Write the page; it asks the network for nothing. Folders on the way are made.

    Args:
        measured: what happened.
        predicted: what was predicted to happen.
        path: of the page.
        title: of the page; the platform's name when empty.
        lower_bound_seconds: below which no schedule can end; 0 where nobody computed it.
        capacity_bytes: of each memory, where it has a limit.

    Raises:
        HetschedError: plotly is not installed.
    """
    path = Path(path)
    compared = comparison(predicted, measured)
    heading = escape(title or measured.platform or "hetsched")
    emulated = " (emulated)" if measured.emulated else ""
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{heading}{emulated}</title>
<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style></head>
<body><h1>{heading}{emulated}</h1>
<p>{escape(headline(compared, lower_bound_seconds))}</p>
<h2>Timeline</h2>{_timeline(measured.body, predicted.body)}
<h2>Predicted beside measured</h2>{_task_table(compared)}
<h2>Devices and links</h2>{_lane_table(compared)}
<h2>Peak bytes of each memory</h2>{_memory_table(measured, predicted, capacity_bytes or {})}
</body></html>
"""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _timeline(measured: Trace, predicted: Trace) -> str:
    graph_objects = plotting_library("plotly.graph_objects", "an HTML report")
    key = legend((measured, predicted))
    lanes = sorted({*measured.lanes, *predicted.lanes}, key=lane_order)
    rows = [_row_name(lane, said_by) for lane in lanes for said_by in ("measured", "predicted")]
    size, unit = seconds_unit(max(measured.makespan_seconds, predicted.makespan_seconds))
    figure = graph_objects.Figure()
    shown: set[str] = set()
    for trace, said_by in ((measured, "measured"), (predicted, "predicted")):
        bars: dict[str, list[Span]] = defaultdict(list)
        for span in _longest_spans(trace):
            bars[key.entry(span)].append(span)
        for entry in [entry for entry in key.colors if entry in bars]:
            figure.add_bar(
                **_bars(bars[entry], said_by, size),
                name=escape(entry),
                legendgroup=escape(entry),
                showlegend=entry not in shown,
                marker={"color": key.colors[entry], "opacity": 0.55 if trace is predicted else 1.0},
            )
            shown.add(entry)
    figure.update_layout(
        barmode="overlay",
        bargap=0.15,
        height=160 + 28 * len(rows),
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
        plot_bgcolor="white",
        xaxis={"title": {"text": unit}, "gridcolor": "#ddd"},
        yaxis={"categoryorder": "array", "categoryarray": rows[::-1], "automargin": True, "type": "category"},
    )
    left_out = sum(max(0, len(trace) - MAX_SPANS) for trace in (measured, predicted))
    note = f'<p class="aside">The {left_out:,} shortest spans are left out.</p>' if left_out else ""
    html: str = figure.to_html(include_plotlyjs=True, full_html=False, div_id="timeline", config={"displaylogo": False})
    return html + note


def _row_name(lane: str, said_by: str) -> str:
    return escape(lane) if said_by == "measured" else f"{escape(lane)} <i>{said_by}</i>"


def _longest_spans(trace: Trace) -> list[Span]:
    if len(trace) <= MAX_SPANS:
        return list(trace)
    chosen = sorted(range(len(trace)), key=lambda index: (-trace.spans[index].seconds, index))[:MAX_SPANS]
    return [trace.spans[index] for index in sorted(chosen)]


def _bars(spans: Iterable[Span], said_by: str, size: float) -> dict[str, Any]:
    spans = list(spans)
    return {
        "x": [span.seconds / size for span in spans],
        "base": [span.start_seconds / size for span in spans],
        "y": [_row_name(span.lane, said_by) for span in spans],
        "orientation": "h",
        "hovertext": [_hover(span, said_by) for span in spans],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _hover(span: Span, said_by: str) -> str:
    lines = [f"<b>{escape(span.name)}</b> ({span.kind}, {said_by})", escape(span.lane), show_seconds(span.seconds)]
    if span.op:
        lines.append(f"op {escape(span.op)}")
    if span.kind == "copy":
        lines.append(show_bytes(span.n_bytes))
    if span.overrun:
        lines.append("slot overrun")
    return "<br>".join(lines)


def _task_table(compared: Comparison) -> str:
    rows = longest(compared.rows, MAX_ROWS)
    left_out = len(compared.rows) - len(rows)
    note = f'<p class="aside">… and {left_out:,} shorter ones</p>' if left_out else ""
    headers = ("task or copy", "op", "where", "predicted", "measured", "measured / predicted")
    return _table(headers, map(_task_cells, rows), n_words=3) + note


def _task_cells(row: Row) -> tuple[str, ...]:
    what = row.op if row.kind == "compute" else f"copy {show_bytes(row.n_bytes)}"
    ratio = NONE if row.ratio is None else f"{row.ratio:.2f}"
    return row.name, what, row.lane, _seconds(row.predicted_seconds), _seconds(row.measured_seconds), ratio


def _lane_table(compared: Comparison) -> str:
    headers = ("device or link", "busy, predicted", "share", "busy, measured", "share")
    cells = (
        (
            lane.lane,
            show_seconds(lane.predicted_seconds),
            f"{lane.predicted_share:.0%}",
            show_seconds(lane.measured_seconds),
            f"{lane.measured_share:.0%}",
        )
        for lane in compared.lanes
    )
    return _table(headers, cells, n_words=1)


def _memory_table(measured: Trace, predicted: Trace, capacity: Mapping[str, float]) -> str:
    memories = sorted(measured.peak_bytes.keys() | predicted.peak_bytes.keys() | capacity.keys(), key=lane_order)
    cells = (
        (memory, *(_bytes(known.get(memory)) for known in (predicted.peak_bytes, measured.peak_bytes, capacity)))
        for memory in memories
    )
    return _table(("memory", "predicted", "measured", "capacity"), cells, n_words=1)


def _table(headers: Iterable[str], rows: Iterable[Iterable[str]], n_words: int) -> str:
    def line(tag: str, cells: Iterable[str]) -> str:
        numeric = ("" if number < n_words else ' class="n"' for number in count())
        return "".join(f"<{tag}{how}>{escape(cell)}</{tag}>" for cell, how in zip(cells, numeric, strict=False))

    body = "\n".join(f"<tr>{line('td', cells)}</tr>" for cells in rows)
    return f"<table><thead><tr>{line('th', headers)}</tr></thead>\n<tbody>{body}</tbody></table>"


def _seconds(seconds: float | None) -> str:
    return NONE if seconds is None else show_seconds(seconds)


def _bytes(n_bytes: float | None) -> str:
    return NONE if n_bytes is None or n_bytes == float("inf") else show_bytes(n_bytes)
