"""Problem: all that a scheduler may know, as arrays.

Index spaces: tasks (in topological order), values, devices, device classes, memories, links. Names are carried along
for messages and for breaking ties. No torch, ray or networkx here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hetsched.errors import CostError, ScheduleError
from hetsched.schedule.objective import MAKESPAN, Objective

if TYPE_CHECKING:
    from hetsched.schedule.flat import FlatProblem

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]

_LEFT_OUT: Any = None
"""Stands for an array of a default that is as long as there are devices or tasks."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A scheduling problem: which task may run where, for how long, and what moving values costs.

    Attributes:
        task_names: in topological order; a task's operands come from earlier tasks.
        value_names: sources first.
        read_ptr: CSR row pointers of ``read_values``, shape (n_tasks + 1,).
        read_values: the distinct values that each task reads, ascending within a task.
        producer: task that makes each value, -1 for sources, shape (n_values,).
        value_bytes: size when copied, shape (n_values,).
        alias: value whose storage a view shares when computed, else -1, shape (n_values,).
        device_class: shape (n_devices,).
        seconds: predicted time by task and device class, inf where it cannot run, shape (n_tasks, n_classes).
        deviation: standard deviation of ``seconds``, same shape.
        allowed: pins, allowed devices and residency together, shape (n_tasks, n_devices).
        device_memory: shape (n_devices,).
        latency: seconds of a direct copy between two memories before its first byte, inf without a direct route,
            shape (n_memories, n_memories).
        seconds_per_byte: likewise.
        next_memory: first stop on the cheapest way from one memory to another, -1 where there is none; same shape.
        route_links: links that a direct copy occupies, by (source, target) memory.
        capacity: bytes of each memory, inf for no limit, shape (n_memories,).
        static_bytes: bytes that a task's memory holds for ever from its first use, shape (n_tasks,).
        may_hold: memories that each value may ever be in, shape (n_values, n_memories).
        resident: memories that hold each value at time zero, shape (n_values, n_memories).
        persistent: sources that are moved once, in setup, and stay, shape (n_values,).
        required: (value, memory) pairs that must hold when the run ends.
        expected_runs: how many runs the setup is shared by.
        contention: links carry one copy at a time; otherwise copies never wait for one another.
        values_take_room: values count towards capacities; otherwise only static bytes do.
        dispatcher: of each device, the process whose one interpreter starts its tasks, -1 for none; shape (n_devices,).
        dispatch_seconds: for which each task keeps that interpreter to itself when it starts, shape (n_tasks,).
        idle_watts: of each device, whatever it does, shape (n_devices,).
        busy_watts: of each device while it computes, shape (n_devices,).
        price_per_hour: of each device that is used, for the whole run, shape (n_devices,).
        objective: what a schedule is to be good at.
        name: of the graph or instance, for messages.
        notes: by the name of a value or task, what had to be assumed of it.
    """

    task_names: tuple[str, ...]
    value_names: tuple[str, ...]
    device_names: tuple[str, ...]
    memory_names: tuple[str, ...]
    link_names: tuple[str, ...]
    read_ptr: Ints
    read_values: Ints
    producer: Ints
    value_bytes: Floats
    alias: Ints
    device_class: Ints
    seconds: Floats
    deviation: Floats
    allowed: Bools
    device_memory: Ints
    latency: Floats
    seconds_per_byte: Floats
    next_memory: Ints
    route_links: Mapping[tuple[int, int], tuple[int, ...]]
    capacity: Floats
    static_bytes: Floats
    may_hold: Bools
    resident: Bools
    persistent: Bools
    required: tuple[tuple[int, int], ...] = ()
    expected_runs: int = 1
    contention: bool = True
    values_take_room: bool = True
    dispatcher: Ints = _LEFT_OUT  # of -1
    dispatch_seconds: Floats = _LEFT_OUT  # of 0, like those that follow
    idle_watts: Floats = _LEFT_OUT
    busy_watts: Floats = _LEFT_OUT
    price_per_hour: Floats = _LEFT_OUT
    objective: Objective = MAKESPAN
    name: str = "problem"
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, fill, n in (
            ("dispatcher", -1, self.n_devices),
            ("dispatch_seconds", 0.0, self.n_tasks),
            ("idle_watts", 0.0, self.n_devices),
            ("busy_watts", 0.0, self.n_devices),
            ("price_per_hour", 0.0, self.n_devices),
        ):
            if getattr(self, name) is _LEFT_OUT:
                object.__setattr__(self, name, np.full(n, fill))
        _check_numbers(self)
        _check_allowed(self)

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.task_names)

    @property
    def n_values(self) -> int:
        """Number of values."""
        return len(self.value_names)

    @property
    def n_devices(self) -> int:
        """Number of devices."""
        return len(self.device_names)

    @property
    def n_memories(self) -> int:
        """Number of memories."""
        return len(self.memory_names)

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """Distinct values that each task reads."""
        ptr, values = self.read_ptr.tolist(), self.read_values.tolist()
        return tuple(tuple(values[ptr[task] : ptr[task + 1]]) for task in range(self.n_tasks))

    @cached_property
    def writes(self) -> tuple[tuple[int, ...], ...]:
        """Values that each task makes."""
        made: list[list[int]] = [[] for _ in range(self.n_tasks)]
        for value, task in enumerate(self.producer.tolist()):
            if task >= 0:
                made[task].append(value)
        return tuple(map(tuple, made))

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """Tasks that read each value, ascending."""
        found: list[list[int]] = [[] for _ in range(self.n_values)]
        for task, values in enumerate(self.reads):
            for value in values:
                found[value].append(task)
        return tuple(map(tuple, found))

    @cached_property
    def predecessors(self) -> tuple[tuple[int, ...], ...]:
        """Distinct tasks whose values each task reads, ascending."""
        producer = self.producer.tolist()
        return tuple(tuple(sorted({producer[v] for v in values if producer[v] >= 0})) for values in self.reads)

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        """Distinct tasks that read each task's values, ascending."""
        found: list[list[int]] = [[] for _ in range(self.n_tasks)]
        for task, before in enumerate(self.predecessors):
            for predecessor in before:
                found[predecessor].append(task)
        return tuple(map(tuple, found))

    @cached_property
    def device_seconds(self) -> Floats:
        """Seconds by task and device, inf where the task may not run, shape (n_tasks, n_devices)."""
        return np.where(self.allowed, self.seconds[:, self.device_class], np.inf)

    @cached_property
    def flat_form(self) -> FlatProblem:
        """This problem as inner loops take it."""
        from hetsched.schedule.flat import flatten

        return flatten(self)

    @cached_property
    def lower_bound_seconds(self) -> float:
        """A makespan that no schedule can beat."""
        from hetsched.schedule.bounds import lower_bound

        return lower_bound(self)

    def dispatch_of(self, task: int, device: int) -> float:
        """Seconds for which a task keeps the interpreter of its device's process to itself when it starts."""
        if self.dispatcher[device] < 0:
            return 0.0
        return min(float(self.dispatch_seconds[task]), float(self.seconds[task, self.device_class[device]]))

    def path(self, source: int, target: int) -> tuple[int, ...]:
        """Memories on the way from one to another, both included; empty when there is no way."""
        stops = [source]
        while stops[-1] != target:
            following = int(self.next_memory[stops[-1], target])
            if following < 0:
                return ()
            stops.append(following)
        return tuple(stops)

    def hop_seconds(self, value: int, source: int, target: int) -> float:
        """Time of one direct copy of a value."""
        return float(self.latency[source, target] + self.value_bytes[value] * self.seconds_per_byte[source, target])

    def transfer_seconds(self, value: int, source: int, target: int) -> float:
        """Time of all copies on the way from one memory to another; inf when there is no way."""
        stops = self.path(source, target)
        if not stops:
            return float("inf")
        return sum(self.hop_seconds(value, a, b) for a, b in pairwise(stops))

    @classmethod
    def load(cls, path: str | Path, memory: bool = False, contention: bool = False) -> Problem:
        """Read an instance file (the JSON format of scheduling benchmarks that `hetsched schedule` takes).

        Args:
            path: of the instance.
            memory: hold each device to its ``memory_bytes``, tasks' static ``mem`` counted.
            contention: let each directed link carry one copy at a time.

        Raises:
            ScheduleError: the file cannot be read or is malformed; names file and field.
        """
        from hetsched.schedule.instance import load_instance

        return load_instance(Path(path), memory=memory, contention=contention)


def _check_numbers(problem: Problem) -> None:
    tasks, values, memories = problem.task_names, problem.value_names, problem.memory_names
    for what, table, names, may_be_infinite in (
        ("seconds", problem.seconds, tasks, True),
        ("deviation", problem.deviation, tasks, False),
        ("bytes", problem.value_bytes, values, False),
        ("static bytes", problem.static_bytes, tasks, False),
        ("capacity", problem.capacity, memories, True),
        ("latency", problem.latency, memories, True),
        ("seconds per byte", problem.seconds_per_byte, memories, True),
    ):
        wrong = np.isnan(table) | (table < 0)
        if not may_be_infinite:
            wrong |= np.isinf(table)
        if wrong.any():
            place = np.argwhere(wrong)[0].tolist()
            raise CostError(f"{names[place[0]]!r}: {what} is {table[tuple(place)]}; it must be a number, zero or more")


def _check_allowed(problem: Problem) -> None:
    has_time = np.isfinite(problem.seconds)
    nowhere = np.ones(problem.n_tasks, dtype=bool)
    for device, kind in enumerate(problem.device_class.tolist()):  # not all at once: there may be thousands of devices
        nowhere &= ~(problem.allowed[:, device] & has_time[:, kind])
    if nowhere.any():
        task = int(np.argmax(nowhere))
        raise ScheduleError(
            f"task {problem.task_names[task]!r} can run on none of the devices {', '.join(problem.device_names)}; "
            "give its op a kernel for one of them, or loosen device=, devices= or keep_on="
        )
