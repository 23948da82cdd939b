"""Spans and the Trace that holds them: what was predicted or measured to happen, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

SpanKind = Literal["compute", "copy", "wait"]
Phase = Literal["setup", "body"]


@dataclass(frozen=True, slots=True)
class Span:
    """One thing that happened on one lane.

    Attributes:
        kind: ``compute``, ``copy``, or ``wait`` (a lane that had to wait for a value).
        name: of the task (compute), of the value (copy), or of the value waited for.
        lane: name of the device, or ``source->target`` of the copy.
        start_seconds: since its phase began; setup and body each have a clock.
        end_seconds: likewise.
        op: name of the op, for computes.
        n_bytes: copied, for copies.
        phase: ``setup`` (once) or ``body`` (every run).
        overrun: an emulated slot whose real computation took longer than the slot.
    """

    kind: SpanKind
    name: str
    lane: str
    start_seconds: float
    end_seconds: float
    op: str = ""
    n_bytes: float = 0.0
    phase: Phase = "body"
    overrun: bool = False

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end_seconds - self.start_seconds

    def shifted(self, seconds: float) -> Span:
        """The same span on a clock that started earlier by so many seconds."""
        return replace(self, start_seconds=self.start_seconds + seconds, end_seconds=self.end_seconds + seconds)


@dataclass(frozen=True, slots=True)
class Trace:
    """All Spans of one run, predicted (by the simulator) or measured; iterates its Spans in order of their start.

    Attributes:
        makespan_seconds: when the last task and the last copy of the body end.
        platform: name of the platform.
        emulated: times are emulated; wall seconds were ``time_scale`` times as long.
        predicted: made by the simulator rather than measured.
        peak_bytes: the most that each memory held, by memory name, where it is known.
    """

    spans: tuple[Span, ...]
    makespan_seconds: float
    platform: str = ""
    emulated: bool = False
    time_scale: float = 1.0
    predicted: bool = False
    peak_bytes: Mapping[str, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)

    def of_kind(self, kind: SpanKind) -> tuple[Span, ...]:
        """The spans of one kind."""
        return tuple(span for span in self.spans if span.kind == kind)

    @property
    def body(self) -> Trace:
        """This trace without its setup."""
        return replace(self, spans=tuple(span for span in self.spans if span.phase == "body"))

    @property
    def setup_seconds(self) -> float:
        """When the last copy of the setup ended, on the setup's clock; 0 where there was none."""
        return max((span.end_seconds for span in self.spans if span.phase == "setup"), default=0.0)

    def with_ops(self, ops: Mapping[str, str]) -> Trace:
        """The same trace, each task's op named: a simulator knows tasks by name only."""
        spans = [replace(s, op=ops.get(s.name, s.op)) if s.kind == "compute" else s for s in self.spans]
        return replace(self, spans=tuple(spans))

    @property
    def devices_used(self) -> tuple[str, ...]:
        """Names of the devices that computed something, sorted."""
        return tuple(sorted({span.lane for span in self.spans if span.kind == "compute"}))

    @property
    def lanes(self) -> tuple[str, ...]:
        """Names of the lanes on which something happened: host by host CPUs, GPUs and other devices, then links."""
        return tuple(sorted({span.lane for span in self.spans}, key=lane_order))

    @property
    def what_it_is(self) -> str:
        """``measured`` or ``predicted``, with ``emulated`` before it where times are."""
        said_by = "predicted" if self.predicted else "measured"
        return f"emulated, {said_by}" if self.emulated else said_by

    def save(self, path: str | Path) -> None:
        """Write Chrome trace JSON, which Perfetto and ``chrome://tracing`` open."""
        from hetsched.trace.perfetto import save_trace

        save_trace(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read what `save` wrote.

        Raises:
            ConfigError: the file cannot be read, or is no trace that hetsched wrote.
        """
        from hetsched.trace.perfetto import load_trace

        return load_trace(Path(path))


def is_link(lane: str) -> bool:
    """Whether a lane carries copies rather than computes."""
    return "->" in lane


def lane_order(lane: str) -> tuple[bool, tuple[str | int, ...], int, tuple[str | int, ...]]:
    """Sort key that shows devices before links, hosts together, CPUs before GPUs, and ``gpu:2`` before ``gpu:10``."""
    if is_link(lane):
        return True, (), 0, _natural(lane)
    host, _, device = lane.rpartition("/")
    kind = device.partition(":")[0]
    return False, _natural(host), {"cpu": 0, "gpu": 1}.get(kind, 2), _natural(device)


def _natural(name: str) -> tuple[str | int, ...]:
    # splitting on captured digits alternates text and number, so tuples compare like with like
    return tuple(int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name))
