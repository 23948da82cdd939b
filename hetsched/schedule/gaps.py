"""Gaps: when a serial resource (a device, a link) is free."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable


class Gaps:
    """The free intervals of a device or link, in order; the last one never ends."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts = [0.0]
        self._ends = [math.inf]

    def earliest(self, ready: float, seconds: float) -> float:
        """The earliest start, not before ``ready``, of an interval of ``seconds`` that is free."""
        starts, ends = self._starts, self._ends
        gap = bisect_right(ends, ready)
        while True:
            start = starts[gap] if starts[gap] > ready else ready
            if start + seconds <= ends[gap]:
                return start
            gap += 1

    def book(self, start: float, end: float) -> Callable[[], None]:
        """Take an interval that `earliest` found; returns what undoes it, last booked first.

        One of no length parts its gap as well: nothing may run across it.
        """
        starts, ends = self._starts, self._ends
        gap = bisect_right(starts, start) - 1
        before, after = starts[gap], ends[gap]
        left = [(before, start)] if before < start else []
        rest = left + ([(end, after)] if end < after else [])
        starts[gap : gap + 1] = [piece[0] for piece in rest]
        ends[gap : gap + 1] = [piece[1] for piece in rest]

        def undo() -> None:
            starts[gap : gap + len(rest)] = [before]
            ends[gap : gap + len(rest)] = [after]

        return undo
