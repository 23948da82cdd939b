"""Assembling a Problem: the frozen graph, the platform and the predicted times as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hetsched.errors import GraphError, ScheduleError
from hetsched.schedule.problem import Bools, Floats, Ints, Problem
from hetsched.schedule.ways import cheapest_next

if TYPE_CHECKING:
    from hetsched.graph.frozen import FrozenGraph, Task
    from hetsched.platform.platform import Device, Platform

UNKNOWN_BYTES = 2**20
"""What a value of unknown size is taken to be."""


class Times(Protocol):
    """What is read of a cost table; see `Problem` for the shapes."""

    @property
    def seconds(self) -> Floats:
        """By task and device class, inf where there is no kernel."""

    @property
    def deviation(self) -> Floats:
        """Of the seconds."""

    @property
    def device_class(self) -> Ints:
        """Of each device."""


def assemble(
    graph: FrozenGraph,
    platform: Platform,
    table: Times,
    *,
    residency: Mapping[str, Sequence[str]] | None = None,
    expected_runs: int = 1,
    contention: bool = True,
) -> Problem:
    """The Problem of running a graph on a platform.

    Sources are at home and stay there; requested outputs are delivered there. Constants move in setup, once, when more
    than one run is expected.

    Args:
        graph: what to run.
        platform: where.
        table: predicted times of the graph's tasks on the platform's device classes.
        residency: by value name, memories that hold it before the run, besides home.
        expected_runs: how many runs share one setup.
        contention: links carry one copy at a time.

    Raises:
        GraphError: a task can run nowhere, or a value would have to be where it may not; names the node and the cure.
        ScheduleError: ``residency`` names a memory that the platform does not have.
    """
    memory_of = {memory.name: index for index, memory in enumerate(platform.memories)}
    home = memory_of[platform.home]
    may_hold = _may_hold(graph, platform)
    device_class = np.asarray(table.device_class, dtype=np.int32)
    seconds = np.asarray(table.seconds, dtype=np.float64)
    device_memory = np.array([memory_of[device.memory] for device in platform.devices], dtype=np.int32)
    latency, seconds_per_byte = _direct_costs(platform, memory_of)
    notes = {
        value.name: f"unknown size, taken as {UNKNOWN_BYTES} bytes" for value in graph.values if value.n_bytes is None
    }
    sources = [index for index, value in enumerate(graph.values) if value.producer is None]
    requested = list(graph.requested.values())
    reads = [sorted({operand.value for operand in task.operands}) for task in graph.tasks]
    link_of = {link.name: index for index, link in enumerate(platform.links)}
    required = tuple(dict.fromkeys((value, home) for value in (*sources, *requested)))
    for value, _ in required:
        _require_home(graph, platform, value, may_hold[value], home)
    return Problem(
        task_names=tuple(task.name for task in graph.tasks),
        value_names=tuple(value.name for value in graph.values),
        device_names=tuple(device.name for device in platform.devices),
        memory_names=tuple(memory_of),
        link_names=tuple(link_of),
        read_ptr=np.cumsum([0, *map(len, reads)]).astype(np.int32),
        read_values=np.array([value for row in reads for value in row], dtype=np.int32),
        producer=np.array([-1 if v.producer is None else v.producer for v in graph.values], dtype=np.int32),
        value_bytes=np.array([UNKNOWN_BYTES if v.n_bytes is None else v.n_bytes for v in graph.values], np.float64),
        alias=np.array([-1 if value.alias is None else value.alias for value in graph.values], dtype=np.int32),
        device_class=device_class,
        seconds=seconds,
        deviation=np.where(np.isfinite(table.deviation), table.deviation, 0.0),
        allowed=_allowed(graph, platform, np.isfinite(seconds)[:, device_class], may_hold, device_memory),
        device_memory=device_memory,
        latency=latency,
        seconds_per_byte=seconds_per_byte,
        next_memory=cheapest_next(latency, seconds_per_byte),
        route_links={
            (memory_of[route.source], memory_of[route.target]): tuple(link_of[name] for name in route.links)
            for route in platform.routes
        },
        capacity=np.array([memory.capacity_bytes for memory in platform.memories], dtype=np.float64),
        static_bytes=np.zeros(len(graph.tasks)),
        may_hold=may_hold,
        resident=_resident(graph, memory_of, home, residency or {}),
        persistent=np.array([value.is_constant and expected_runs > 1 for value in graph.values], dtype=bool),
        required=required,
        expected_runs=expected_runs,
        contention=contention,
        name=graph.name,
        notes=notes,
    )


def _direct_costs(platform: Platform, memory_of: Mapping[str, int]) -> tuple[Floats, Floats]:
    """Latency and seconds per byte of direct copies: latencies of several links add, the slowest sets the pace."""
    n_memories = len(memory_of)
    latency = np.full((n_memories, n_memories), np.inf)
    np.fill_diagonal(latency, 0.0)
    seconds_per_byte = latency.copy()
    links = {link.name: link for link in platform.links}
    for route in platform.routes:
        pair = memory_of[route.source], memory_of[route.target]
        latency[pair] = sum(links[name].latency_seconds for name in route.links)
        seconds_per_byte[pair] = max((1 / links[name].bytes_per_second for name in route.links), default=0.0)
    return latency, seconds_per_byte


def _may_hold(graph: FrozenGraph, platform: Platform) -> Bools:
    """Memories that ``keep_on`` leaves to each value: named themselves, or on a host that is named or labelled so."""
    may_hold = np.ones((len(graph.values), len(platform.memories)), dtype=bool)
    for index, value in enumerate(graph.values):
        if not value.keep_on:
            continue
        for memory, place in enumerate(platform.memories):
            host = platform.host_of(place.name)
            names = {place.name, host.name, *host.labels, *host.labels.values()}
            may_hold[index, memory] = not names.isdisjoint(value.keep_on)
        if not may_hold[index].any():
            known = ", ".join([*(memory.name for memory in platform.memories), *(host.name for host in platform.hosts)])
            raise GraphError(
                f"node {str(value.key)!r}: keep_on={list(value.keep_on)} names no memory, host or label of platform "
                f"{platform.name!r}; it has {known}"
            )
    return may_hold


def _allowed(graph: FrozenGraph, platform: Platform, has_time: Bools, may_hold: Bools, device_memory: Ints) -> Bools:
    allowed = np.zeros((len(graph.tasks), len(platform.devices)), dtype=bool)
    for index, task in enumerate(graph.tasks):
        touched = sorted({operand.value for operand in task.operands} | set(task.outputs))
        wanted = _selected(task, platform, may_hold[touched], device_memory)
        has_kernel = [device for device in wanted if task.op.runs_on(platform.devices[device].kind)]
        if not has_kernel:
            raise GraphError(_no_kernel(task, platform, [platform.devices[device] for device in wanted]))
        held = [device for device in has_kernel if may_hold[touched, device_memory[device]].all()]
        if not held:
            kept = [graph.values[value].name for value in touched if not may_hold[value].all()]
            raise GraphError(
                f"node {str(task.key)!r}: keep_on of {', '.join(map(repr, kept))} lets it run on none of "
                f"{', '.join(platform.devices[d].name for d in has_kernel)}; loosen keep_on=, device= or devices="
            )
        allowed[index, held] = has_time[index, held]
    return allowed


def _selected(task: Task, platform: Platform, may_hold: Bools, device_memory: Ints) -> list[int]:
    """Devices that ``device=`` and ``devices=`` leave to a task; ``may_hold`` is of the values that it touches."""
    selectors = task.options.allowed
    bound_to = {int(held.argmax()) for held in may_hold if held.sum() == 1}
    chosen = [
        index
        for index, device in enumerate(platform.devices)
        if (not selectors or any(platform.matches(device, selector) for selector in selectors))
        and (not device.on_demand or device_memory[index] in bound_to or _is_named(device, platform, selectors))
    ]
    if not chosen:
        known = ", ".join(
            f"{device.name} ({device.kind}{', when named' if device.on_demand else ''})" for device in platform.devices
        )
        wanted = f"is {' or '.join(map(repr, selectors))}" if selectors else "takes tasks that do not name it"
        raise GraphError(f"node {str(task.key)!r}: no device of platform {platform.name!r} {wanted}; it has {known}")
    return chosen


def _is_named(device: Device, platform: Platform, selectors: Sequence[str]) -> bool:
    """Whether a selector means this very device, not its kind or a label."""
    return not {device.name, device.memory, platform.host_of(device.memory).name}.isdisjoint(selectors)


def _no_kernel(task: Task, platform: Platform, wanted: Sequence[Device]) -> str:
    kinds = ", ".join(sorted(task.op.kernels)) or "no kind"
    there = ", ".join(f"{device.name} ({device.kind})" for device in wanted)
    cure = f"add one with @{task.op.name}.kernel({wanted[0].kind!r})"
    if len(wanted) < len(platform.devices):
        cure += ", or loosen device= or devices="
    return f"node {str(task.key)!r}: op {task.op.name!r} has a kernel for {kinds}, and none for {there}; {cure}"


def _require_home(graph: FrozenGraph, platform: Platform, value: int, may_hold: Bools, home: int) -> None:
    if may_hold[home]:
        return
    kept = graph.values[value]
    what = "is given" if kept.producer is None else "is requested, so it is delivered"
    raise GraphError(
        f"node {str(kept.key)!r}: {what} in {platform.home!r}, where keep_on={list(kept.keep_on)} does not let it be; "
        "add that memory or its host to keep_on, release it by a task with release=True, or do not request it"
    )


def _resident(
    graph: FrozenGraph, memory_of: Mapping[str, int], home: int, residency: Mapping[str, Sequence[str]]
) -> Bools:
    resident = np.zeros((len(graph.values), len(memory_of)), dtype=bool)
    for index, value in enumerate(graph.values):
        resident[index, home] = value.producer is None
        for memory in residency.get(value.name, ()):
            if memory not in memory_of:
                raise ScheduleError(
                    f"residency of {value.name!r}: no memory {memory!r}; there are {', '.join(memory_of)}"
                )
            resident[index, memory_of[memory]] = True
    return resident
