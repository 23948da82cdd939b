"""How much slower than emulated time the wall must run, so that this machine can compute true results meanwhile."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np

from hetsched.cost.roofline import given_seconds
from hetsched.graph.frozen import FrozenGraph, Task
from hetsched.platform.platform import Device, Platform, Rates

SLOT_OVERHEAD_SECONDS = 60e-6
"""Wall time that an emulated task costs besides its computation: Python, latches and a sleep that wakes late."""

COVERED = 0.95
"""Share of the emulated time whose tasks must fit; waiting for the last few would slow every run down."""


def choose_time_scale(graph: FrozenGraph, platform: Platform, host_rates: Rates) -> float:
    """Wall seconds per emulated second, at least 1.

    Args:
        graph: to be run.
        platform: emulated.
        host_rates: of one core of this host.
    """
    skips = platform.compute == "skip"
    devices: list[Device] = []
    for device in platform.devices:
        if all(device.device_class != other.device_class for other in devices):
            devices.append(device)
    emulated, ratios = [], []
    for task in graph.tasks:
        slot = min((_slot_seconds(task, device) for device in devices if task.op.runs_on(device.kind)), default=0.0)
        if slot > 0:
            real = SLOT_OVERHEAD_SECONDS + (0.0 if skips else _roofline_seconds(task, host_rates))
            emulated.append(slot)
            ratios.append(real / slot)
    if not ratios:
        return 1.0
    order = np.argsort(ratios)
    covered = np.cumsum(np.array(emulated)[order])
    ratio = ratios[order[np.searchsorted(covered, COVERED * covered[-1])]]
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    n_busy = min(len(platform.devices), _width(graph))
    return max(1.0, float(ratio) * max(1.0, n_busy / n_cores))


def _slot_seconds(task: Task, device: Device) -> float:
    given = given_seconds(task, device)
    if given is not None:
        return given
    return 0.0 if device.rates is None else _roofline_seconds(task, device.rates)


def _roofline_seconds(task: Task, rates: Rates) -> float:
    """0 for a task of which nothing is known: it is emulated at the pace of this machine."""
    if task.flops is None or task.n_bytes is None:
        return 0.0
    return rates.seconds(task.flops, task.n_bytes, task.dtype)


def _width(graph: FrozenGraph) -> int:
    """The most tasks at one depth: about how many may run at once."""
    depths: list[int] = []
    producers = [value.producer for value in graph.values]
    for task in graph.tasks:
        before = (producers[operand.value] for operand in task.operands)
        depths.append(1 + max((depths[producer] for producer in before if producer is not None), default=0))
    return max(Counter(depths).values(), default=1)
