"""Assembling a Problem: the frozen graph, the platform and the predicted times as arrays."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hetsched.errors import GraphError, ScheduleError
from hetsched.schedule.objective import MAKESPAN, Objective
from hetsched.schedule.problem import Bools, Floats, Ints, Problem
from hetsched.schedule.ways import cheapest_next

if TYPE_CHECKING:
    from hetsched.graph.frozen import FrozenGraph, Task
    from hetsched.platform.platform import Device, Host, Platform

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
    objective: Objective = MAKESPAN,
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
        objective: what the schedule is to be good at.

    Raises:
        GraphError: a task can run nowhere, or a value would have to be where it may not; names the node and the cure.
        ScheduleError: ``residency`` names a memory that the platform does not have.
    """
    memory_of = {memory.name: index for index, memory in enumerate(platform.memories)}
    home = memory_of[platform.home]
    places = _places(graph, platform)
    device_class = np.asarray(table.device_class, dtype=np.int32)
    seconds = np.asarray(table.seconds, dtype=np.float64)
    device_memory = np.array([memory_of[device.memory] for device in platform.devices], dtype=np.int32)
    latency, seconds_per_byte = _direct_costs(platform, memory_of)
    sizes = _sizes(graph)
    producer = np.array([-1 if value.producer is None else value.producer for value in graph.values], dtype=np.int32)
    sources = np.flatnonzero(producer < 0).tolist()
    read_ptr, read_values = _reads(graph)
    link_of = {link.name: index for index, link in enumerate(platform.links)}
    required = tuple((value, home) for value in dict.fromkeys((*sources, *graph.requested.values())))
    for value, _ in required:
        _require_home(graph, platform, value, places.limits[places.limit_of[value]], home)
    return Problem(
        task_names=tuple([task.name for task in graph.tasks]),
        value_names=tuple([value.name for value in graph.values]),
        device_names=tuple(device.name for device in platform.devices),
        memory_names=tuple(memory_of),
        link_names=tuple(link_of),
        read_ptr=read_ptr,
        read_values=read_values,
        producer=producer,
        value_bytes=np.array([UNKNOWN_BYTES if size is None else size for size in sizes], dtype=np.float64),
        alias=np.array([-1 if value.alias is None else value.alias for value in graph.values], dtype=np.int32),
        device_class=device_class,
        seconds=seconds,
        deviation=np.where(np.isfinite(table.deviation), table.deviation, 0.0),
        allowed=_allowed(graph, platform, places, np.isfinite(seconds), device_class, device_memory),
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
        may_hold=_rows(places.limits, places.limit_of),
        resident=_resident(graph, memory_of, sources, home, residency or {}),
        persistent=_persistent(graph, sources, expected_runs),
        required=required,
        expected_runs=expected_runs,
        contention=contention,
        dispatcher=_dispatchers(platform),
        dispatch_seconds=np.full(len(graph.tasks), _dispatch_seconds(platform)),
        idle_watts=np.array([device.idle_watts for device in platform.devices]),
        busy_watts=np.array([device.busy_watts for device in platform.devices]),
        price_per_hour=np.array([device.price_per_hour for device in platform.devices]),
        objective=objective,
        name=graph.name,
        notes={
            value.name: f"unknown size, taken as {UNKNOWN_BYTES} bytes"
            for value, size in zip(graph.values, sizes, strict=True)
            if size is None
        },
    )


def _reads(graph: FrozenGraph) -> tuple[Ints, Ints]:
    """The distinct values that each task reads, ascending, in CSR form."""
    n_tasks, n_values = len(graph.tasks), max(len(graph.values), 1)
    reader = np.repeat(np.arange(n_tasks), [len(task.operands) for task in graph.tasks])
    values = [operand.value for task in graph.tasks for operand in task.operands]
    pairs = np.sort(reader * n_values + np.array(values, dtype=np.int64), kind="stable")  # by task, then by value
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    ptr = np.searchsorted(pairs, np.arange(n_tasks + 1) * n_values)
    return ptr.astype(np.int32), (pairs % n_values).astype(np.int32)


def _sizes(graph: FrozenGraph) -> list[int | None]:
    """Bytes of each value; counted once where values share a spec, as most do."""
    examples = {id(value.spec): value for value in graph.values}
    sizes = {spec: value.n_bytes for spec, value in examples.items()}
    return [sizes[id(value.spec)] for value in graph.values]


def _dispatchers(platform: Platform) -> Ints:
    """The process whose interpreter starts the tasks of each device; emulated devices have clocks of their own."""
    if platform.emulated:
        return np.full(len(platform.devices), -1, dtype=np.int32)
    number = {process.name: index for index, process in enumerate(platform.processes)}
    process_of = {memory.name: number[memory.process] for memory in platform.memories}
    return np.array([process_of[device.memory] for device in platform.devices], dtype=np.int32)


def _dispatch_seconds(platform: Platform) -> float:
    """How long starting an operation keeps an interpreter to itself: no longer than the least that one ever takes."""
    measured = [device.rates.overhead_seconds for device in platform.devices if device.rates is not None]
    return min(measured, default=0.0)


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


@dataclass(frozen=True, slots=True)
class _Places:
    """Where values may be.

    Attributes:
        host_of: the host of each memory, by its name.
        limit_of: the limit of each value.
        limits: memories that each limit leaves, shape (n_limits, n_memories); the first leaves all.
    """

    host_of: Mapping[str, Host]
    limit_of: Sequence[int]
    limits: Bools

    def names(self, memory: str) -> set[str]:
        """What ``keep_on=`` and ``devices=`` may call a memory: its name, its host's, or a label of that."""
        host = self.host_of[memory]
        return {memory, host.name, *host.labels, *host.labels.values()}


def _places(graph: FrozenGraph, platform: Platform) -> _Places:
    """One limit for each distinct ``keep_on``."""
    hosts = {host.name: host for host in platform.hosts}
    process_host = {process.name: hosts[process.host] for process in platform.processes}
    limit_by_name: dict[tuple[str, ...], int] = {(): 0}
    limit_of = [limit_by_name.setdefault(value.keep_on, len(limit_by_name)) for value in graph.values]
    limits = np.ones((len(limit_by_name), len(platform.memories)), dtype=bool)
    places = _Places({memory.name: process_host[memory.process] for memory in platform.memories}, limit_of, limits)
    for keep_on, limit in limit_by_name.items():
        if not keep_on:
            continue
        limits[limit] = [not places.names(memory.name).isdisjoint(keep_on) for memory in platform.memories]
        if not limits[limit].any():
            key = graph.values[limit_of.index(limit)].key
            known = ", ".join([*(memory.name for memory in platform.memories), *(host.name for host in platform.hosts)])
            raise GraphError(
                f"node {str(key)!r}: keep_on={list(keep_on)} names no memory, host or label of platform "
                f"{platform.name!r}; it has {known}"
            )
    return places


def _rows(kinds: Bools, kind_of: Sequence[int]) -> Bools:
    """A row of ``kinds`` for each of many; they share one where there is but one, and are only to be read then."""
    if len(kinds) == 1:
        return np.broadcast_to(kinds, (len(kind_of), kinds.shape[1]))
    return kinds[kind_of]


def _allowed(
    graph: FrozenGraph,
    platform: Platform,
    places: _Places,
    has_time: Bools,
    device_class: Ints,
    device_memory: Ints,
) -> Bools:
    """Devices that each task may run on; tasks that agree in all that decides it are of one kind."""
    kinds: dict[Hashable, int] = {}
    kind_of: list[int] = []
    rows: list[Bools] = []
    timed_rows = has_time.view(f"V{has_time.shape[1]}").ravel().tolist()  # each as bytes
    for task, timed in zip(graph.tasks, timed_rows, strict=True):
        kind = kinds.setdefault((task.op, task.options.allowed, timed, _limits_of(task, places)), len(rows))
        if kind == len(rows):
            allowed = np.frombuffer(timed, dtype=bool)[device_class]
            allowed[_refused(task, graph, platform, places, device_memory)] = False
            rows.append(allowed)
        kind_of.append(kind)
    return _rows(np.array(rows, dtype=bool).reshape(-1, len(platform.devices)), kind_of)


def _limits_of(task: Task, places: _Places) -> frozenset[int] | None:
    """The limits of all values that a task touches; None when no value has any."""
    if len(places.limits) == 1:
        return None
    limit_of = places.limit_of
    return frozenset([limit_of[operand.value] for operand in task.operands] + [limit_of[v] for v in task.outputs])


def _refused(task: Task, graph: FrozenGraph, platform: Platform, places: _Places, device_memory: Ints) -> list[int]:
    """Devices that a task may not run on for its options, its op's kernels, or the values that it touches."""
    touched = sorted({operand.value for operand in task.operands} | set(task.outputs))
    may_hold = places.limits[[places.limit_of[value] for value in touched]]
    wanted = _selected(task, platform, places, may_hold, device_memory)
    has_kernel = [device for device in wanted if task.op.runs_on(platform.devices[device].kind)]
    if not has_kernel:
        raise GraphError(_no_kernel(task, platform, [platform.devices[device] for device in wanted]))
    held = [device for device in has_kernel if may_hold[:, device_memory[device]].all()]
    if not held:
        kept = [graph.values[value].name for value, held_in in zip(touched, may_hold, strict=True) if not held_in.all()]
        raise GraphError(
            f"node {str(task.key)!r}: keep_on of {', '.join(map(repr, kept))} lets it run on none of "
            f"{', '.join(platform.devices[d].name for d in has_kernel)}; loosen keep_on=, device= or devices="
        )
    return sorted(set(range(len(platform.devices))).difference(held))


def _selected(task: Task, platform: Platform, places: _Places, may_hold: Bools, device_memory: Ints) -> list[int]:
    """Devices that ``device=`` and ``devices=`` leave to a task; ``may_hold`` is of the values that it touches."""
    selectors = task.options.allowed
    bound_to = {int(held.argmax()) for held in may_hold if held.sum() == 1}
    chosen = [
        index
        for index, device in enumerate(platform.devices)
        if (not selectors or not {device.name, device.kind, *places.names(device.memory)}.isdisjoint(selectors))
        and (not device.on_demand or device_memory[index] in bound_to or _is_named(device, places, selectors))
    ]
    if not chosen:
        known = ", ".join(
            f"{device.name} ({device.kind}{', when named' if device.on_demand else ''})" for device in platform.devices
        )
        wanted = f"is {' or '.join(map(repr, selectors))}" if selectors else "takes tasks that do not name it"
        raise GraphError(f"node {str(task.key)!r}: no device of platform {platform.name!r} {wanted}; it has {known}")
    return chosen


def _is_named(device: Device, places: _Places, selectors: Sequence[str]) -> bool:
    """Whether a selector means this very device, not its kind or a label."""
    return not {device.name, device.memory, places.host_of[device.memory].name}.isdisjoint(selectors)


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
    graph: FrozenGraph,
    memory_of: Mapping[str, int],
    sources: Sequence[int],
    home: int,
    residency: Mapping[str, Sequence[str]],
) -> Bools:
    resident = np.zeros((len(graph.values), len(memory_of)), dtype=bool)
    resident[sources, home] = True
    for index, value in enumerate(graph.values) if residency else ():
        for memory in residency.get(value.name, ()):
            if memory not in memory_of:
                raise ScheduleError(
                    f"residency of {value.name!r}: no memory {memory!r}; there are {', '.join(memory_of)}"
                )
            resident[index, memory_of[memory]] = True
    return resident


def _persistent(graph: FrozenGraph, sources: Sequence[int], expected_runs: int) -> Bools:
    """Constants, when there are more runs to come."""
    persistent = np.zeros(len(graph.values), dtype=bool)
    if expected_runs > 1:
        persistent[[source for source in sources if graph.values[source].is_constant]] = True
    return persistent
