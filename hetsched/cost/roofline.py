"""The default cost model, a ladder: given times, then measured ones, then the roofline, then a wide prior."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from hetsched.cost.history import History, Key, history_key, work_key
from hetsched.cost.model import CostModel, Estimate
from hetsched.errors import CostError
from hetsched.graph.frozen import FrozenGraph, Task
from hetsched.platform.platform import Device, Link, Platform
from hetsched.trace.trace import Trace

ROOFLINE_DEVIATION = 0.5
"""Relative deviation of a roofline estimate: kernels reach anything between a third of the peak and all of it."""

PRIOR = Estimate(1e-3, 10e-3, "prior")
"""What is believed of a task of which nothing is known: the same for every device, and hardly anything."""


@dataclass(frozen=True, slots=True)
class Roofline:
    """Estimates from what the user gave, what was measured, or FLOPs and bytes over the device's rates."""

    history: History = field(default_factory=History)

    def estimate(self, task: Task, graph: FrozenGraph, device: Device) -> Estimate:
        """Predicted time of one task on one device that has a kernel for it.

        Raises:
            CostError: the time given for the task is not a finite number that is zero or more.
        """
        given = given_seconds(task, device)
        if given is not None:
            return Estimate(given, 0.0, "given")
        if self.history.samples:
            measured = self.history.estimate(history_key(work_key(task, graph), device))
            if measured is not None:
                return measured
        return _roofline(task, device)

    def transfer(self, link: Link, n_bytes: float) -> Estimate:
        """Latency plus bytes over bandwidth."""
        seconds = link.latency_seconds + n_bytes / link.bytes_per_second
        return Estimate(seconds, ROOFLINE_DEVIATION * seconds, "roofline")

    def refined(self, trace: Trace, graph: FrozenGraph, platform: Platform) -> CostModel:
        """This model with the trace's measured computes added to its history; a predicted trace teaches nothing."""
        if trace.predicted:
            return self
        return replace(self, history=self.history.with_samples(_samples(trace, graph, platform)))


def given_seconds(task: Task, device: Device) -> float | None:
    """The time that the node gives for this device, by its name or kind or for all; None when it gives none.

    Raises:
        CostError: it is not a finite number that is zero or more.
    """
    option = task.options.seconds
    seconds = device.entry(option) if isinstance(option, Mapping) else option
    if seconds is not None and not (isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0):
        raise CostError(
            f"node {task.name!r}: seconds on {device.name} is {seconds}; it must be a finite number, zero or more"
        )
    return seconds


def _roofline(task: Task, device: Device) -> Estimate:
    if device.rates is None or task.flops is None or task.n_bytes is None:
        return PRIOR
    seconds = device.rates.seconds(task.flops, task.n_bytes, task.dtype)
    return Estimate(seconds, ROOFLINE_DEVIATION * seconds, "roofline")


def _samples(trace: Trace, graph: FrozenGraph, platform: Platform) -> Iterator[tuple[Key, float]]:
    tasks = {task.name: task for task in graph.tasks}
    devices = {device.name: device for device in platform.devices}
    for span in trace.of_kind("compute"):
        if span.overrun or span.name not in tasks or span.lane not in devices:
            continue  # a slot that was overrun measured this machine, not the emulated one
        key = history_key(work_key(tasks[span.name], graph), devices[span.lane])
        if key is not None:
            yield key, span.seconds
