"""A picture of a run's body: one row for each device and link, coloured by op."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hetsched.errors import HetschedError
from hetsched.trace.plotting import WAIT, Legend, legend, plotting_library
from hetsched.trace.trace import Span, Trace, lane_order
from hetsched.trace.units import seconds_unit, show_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 12.0
MAX_HEIGHT_INCHES = 40.0
_TEXT_COLOR = "#222222"
_OVERRUN_COLOR = "#D62728"
_METADATA: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}


@dataclass(frozen=True, slots=True)
class _Band:
    """One horizontal strip: what one trace says about one lane."""

    spans: tuple[Span, ...]
    y: float
    height: float
    alpha: float


def save_timeline(trace: Trace, path: str | Path, *, predicted: Trace | None = None, title: str = "") -> None:
    """Draw a trace as PNG, SVG or PDF, by the path's suffix; folders on the way are made.

    Args:
        trace: what happened (or what is predicted to).
        path: of the picture.
        predicted: drawn beneath each lane, narrower and paler.
        title: of the picture; the platform's name when empty.

    Raises:
        HetschedError: another suffix, or matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in _METADATA:
        raise HetschedError(f"{path}: a timeline is drawn as .png, .svg or .pdf; change the file's suffix")
    matplotlib = plotting_library("matplotlib", "a timeline picture")
    with matplotlib.rc_context({"svg.hashsalt": "hetsched", "font.family": "DejaVu Sans"}):
        figure = _draw([trace] if predicted is None else [trace, predicted], title)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, bbox_inches="tight", metadata=_METADATA[path.suffix.lower()])


def _draw(whole: Sequence[Trace], title: str) -> Figure:
    traces = [trace.body for trace in whole]
    lanes = sorted({lane for trace in traces for lane in trace.lanes}, key=lane_order)
    row_inches = 0.42 if len(traces) == 1 else 0.62
    height = min(MAX_HEIGHT_INCHES, 1.3 + row_inches * max(1, len(lanes)))
    figure: Figure = plotting_library("matplotlib.figure", "a timeline picture").Figure(
        figsize=(WIDTH_INCHES, height), layout="constrained"
    )
    axes = figure.subplots()
    end = max(max([trace.makespan_seconds, *(span.end_seconds for span in trace)]) for trace in traces)
    size, unit = seconds_unit(end)
    key = legend(traces)
    for band in _bands(traces, lanes):
        _draw_band(axes, band, key, size)
        _label_band(axes, band, size, end)
    for trace, style in zip(traces, ("-", "--"), strict=False):
        axes.axvline(trace.makespan_seconds / size, color=_TEXT_COLOR, linewidth=0.9, linestyle=style)
    axes.set_xlim(0, end / size if end > 0 else 1)
    axes.set_ylim(max(1, len(lanes)) - 0.5, -0.5)
    _dress(axes, lanes, unit)
    _write_heading(axes, whole, title)
    _draw_legend(axes, key, any(span.overrun for trace in traces for span in trace))
    return figure


def _bands(traces: Sequence[Trace], lanes: Sequence[str]) -> list[_Band]:
    shapes = [(-0.36, 0.72, 1.0)] if len(traces) == 1 else [(-0.40, 0.48, 1.0), (0.12, 0.26, 0.6)]
    bands = []
    for each, (offset, height, alpha) in zip(traces, shapes, strict=True):
        by_lane: dict[str, list[Span]] = defaultdict(list)
        for span in each:
            by_lane[span.lane].append(span)
        bands += [_Band(tuple(by_lane[lane]), row + offset, height, alpha) for row, lane in enumerate(lanes)]
    return bands


def _draw_band(axes: Axes, band: _Band, key: Legend, size: float) -> None:
    bars: dict[tuple[str, bool], list[tuple[float, float]]] = defaultdict(list)
    for span in band.spans:
        bars[key.entry(span), span.overrun].append((span.start_seconds / size, span.seconds / size))
    for (entry, overrun), ranges in sorted(bars.items()):
        axes.broken_barh(
            ranges,
            (band.y, band.height),
            facecolors=key.colors[entry],
            edgecolors=_OVERRUN_COLOR if overrun else "white",
            linewidth=1.4 if overrun else 0.4 if len(band.spans) < 400 else 0,
            alpha=band.alpha,
            zorder=1 if entry == WAIT else 2,
        )


def _label_band(axes: Axes, band: _Band, size: float, end: float) -> None:
    """Write names into the bars that have room for them."""
    if band.alpha < 1 or end <= 0:
        return
    # DejaVu Sans at 7 points is about 0.058 inches a letter; the axes are some 78 % of the width
    letters_per_second = WIDTH_INCHES * 0.78 / end / 0.058
    for span in band.spans:
        room = math.floor(span.seconds * letters_per_second) - 1
        if span.kind == "wait" or room < min(len(span.name), 6):
            continue
        shown = span.name if len(span.name) <= room else f"{span.name[: room - 1]}…"
        middle = (span.start_seconds + span.end_seconds) / 2 / size
        axes.text(
            middle,
            band.y + band.height / 2,
            shown,
            ha="center",
            va="center",
            fontsize=7,
            color=_TEXT_COLOR,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.78},
            clip_on=True,
            parse_math=False,
            zorder=3,
        )


def _dress(axes: Axes, lanes: Sequence[str], unit: str) -> None:
    axes.set_yticks(range(len(lanes)), labels=list(lanes))
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_xlabel(unit, loc="right", color=_TEXT_COLOR)
    axes.tick_params(axis="both", length=0, labelsize=9, labelcolor=_TEXT_COLOR)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#BBBBBB")


def _write_heading(axes: Axes, traces: Sequence[Trace], title: str) -> None:
    heading = (title or traces[0].platform or "hetsched") + (" (emulated)" if traces[0].emulated else "")
    axes.set_title(heading, loc="left", fontsize=12, fontweight="bold", color=_TEXT_COLOR, parse_math=False, pad=24)
    bars = [""] if len(traces) == 1 else [" (upper bars)", " (lower bars, dashed line)"]
    said = [
        f"{'predicted' if trace.predicted else 'measured'} makespan {show_seconds(trace.makespan_seconds)}{which}"
        for trace, which in zip(traces, bars, strict=True)
    ]
    if traces[0].setup_seconds > 0:
        said.append(f"setup {show_seconds(traces[0].setup_seconds)}, once before")
    axes.annotate(
        "   ·   ".join(said),
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        fontsize=9,
        color="#555555",
        parse_math=False,
    )


def _draw_legend(axes: Axes, key: Legend, overrun: bool) -> None:
    if not key.colors:
        return
    patches = plotting_library("matplotlib.patches", "a timeline picture")
    handles = [patches.Patch(facecolor=color, label=entry) for entry, color in key.colors.items()]
    if overrun:
        handles.append(patches.Patch(facecolor="white", edgecolor=_OVERRUN_COLOR, linewidth=1.4, label="slot overrun"))
    drawn = axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.005, 1.0), frameon=False, fontsize=9)
    for text in drawn.get_texts():
        text.set_parse_math(False)
