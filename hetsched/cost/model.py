"""What a cost model is: something that answers Estimates, and learns from traces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from hetsched.errors import CostError
from hetsched.graph.frozen import FrozenGraph, Task
from hetsched.platform.platform import Device, Link, Platform
from hetsched.trace.trace import Trace

Source = Literal["given", "measured", "regression", "roofline", "prior"]
"""Where an Estimate comes from, from the most trusted to the least."""

SOURCES: tuple[Source, ...] = ("given", "measured", "regression", "roofline", "prior")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Predicted seconds with their standard deviation and the source that gave them.

    Raises:
        CostError: seconds or deviation is negative, infinite or not a number.
    """

    seconds: float
    deviation_seconds: float
    source: Source
    n_samples: int = 0

    def __post_init__(self) -> None:
        for name in ("seconds", "deviation_seconds"):
            number = getattr(self, name)
            if not (math.isfinite(number) and number >= 0):
                raise CostError(f"{name} is {number}; it must be a finite number, zero or more")


class CostModel(Protocol):
    """Predicts what a task costs on a device and a copy on a link."""

    def estimate(self, task: Task, graph: FrozenGraph, device: Device) -> Estimate:
        """Predicted time of one task on one device that has a kernel for it."""

    def transfer(self, link: Link, n_bytes: float) -> Estimate:
        """Predicted time of one copy of ``n_bytes`` over one link."""

    def refined(self, trace: Trace, graph: FrozenGraph, platform: Platform) -> CostModel:
        """A model that has learnt from what was measured."""
