"""Memory over time: what is held in the memories that could overflow, and from when on more fits.

A hold is reserved for ever when it begins and shrunk when its last reader is placed. Memories that could never
overflow, whatever is placed, are not tracked at all. Everything that changes can be undone, last change first.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hetsched.errors import ScheduleError
from hetsched.schedule.journal import Journal
from hetsched.schedule.problem import Floats, Problem

TOLERANCE = 1e-9
"""Relative; sums of bytes that are not whole numbers are no more exact."""


class Level:
    """Bytes taken in one memory as a step function of time."""

    __slots__ = ("_bytes", "_times", "room")

    def __init__(self, capacity: float) -> None:
        self.room = capacity * (1 + TOLERANCE)
        self._times = [0.0]
        self._bytes = [0.0]

    def since(self, n_bytes: float) -> float:
        """From when on this many bytes more fit for ever; inf when never."""
        most = self.room - n_bytes
        for step in range(len(self._times) - 1, -1, -1):
            if self._bytes[step] > most:
                return self._times[step + 1] if step + 1 < len(self._times) else math.inf
        return 0.0

    def add(self, time: float, n_bytes: float) -> Callable[[], None]:
        """Take bytes from a time on, or give them back (negative); returns what undoes it."""
        step = bisect_left(self._times, time)
        new = step == len(self._times) or self._times[step] != time
        if new:
            self._times.insert(step, time)
            self._bytes.insert(step, self._bytes[step - 1])
        before = self._bytes[step:]
        self._bytes[step:] = [taken + n_bytes for taken in before]

        def undo() -> None:
            self._bytes[step:] = before
            if new:
                del self._times[step], self._bytes[step]

        return undo


def used_until(start: float, end: float) -> float:
    """From when on what was in use is no longer: what takes no time needs its bytes all the same, for a moment."""
    return end if end > start else math.nextafter(end, math.inf)


@dataclass(eq=False, slots=True)
class Storage:
    """One piece of a memory; a value and the views that were computed there share it."""

    memory: int
    n_bytes: float
    values: list[int] = field(default_factory=list)
    until: float = 0.0


class Holds:
    """What is held in the memories that could overflow."""

    def __init__(self, problem: Problem, journal: Journal) -> None:
        self._problem = problem
        self._journal = journal
        self._bytes: list[float] = room_of_values(problem).tolist()
        self._alias: list[int] = problem.alias.tolist()
        self.levels = {memory: Level(float(problem.capacity[memory])) for memory in tight_memories(problem)}
        self.required = set(problem.required)
        self.storage: dict[tuple[int, int], Storage] = {}
        self.last_use: dict[tuple[int, int], float] = {}
        self.evicted: dict[tuple[int, int], float] = {}
        for memory in self.levels:
            for value in map(int, problem.resident[:, memory].nonzero()[0]):
                self.open(value, memory, 0.0, 0.0, copied=True)

    def require_start(self) -> None:
        """Check that all that is there from the start, and needed, fits.

        Raises:
            ScheduleError: it does not; names the memory and the capacity that would do.
        """
        for memory, level in self.levels.items():
            if level.since(0.0) > 0:
                where = self._problem.memory_names[memory]
                taken = sum(piece.n_bytes for piece in set(self.storage.values()) if piece.memory == memory)
                raise ScheduleError(
                    f"memory {where!r} has {self._problem.capacity[memory]:.0f} bytes, and what is there from the "
                    f"start takes {taken:.0f}; raise its capacity to more than that, or give the graph less"
                )

    def stays(self, value: int, memory: int) -> bool:
        """Whether a memory never gives the value up."""
        return (value, memory) in self.required or bool(self._problem.persistent[value])

    def copy_since(self, value: int, memory: int) -> float:
        """From when on a copy of the value may come into a memory."""
        level = self.levels.get(memory)
        if level is None:
            return 0.0
        return max(level.since(self._bytes[value]), self.evicted.get((value, memory), 0.0))

    def outputs_since(self, task: int, memory: int) -> float:
        """From when on a memory has room for what the task writes, and for its static bytes."""
        level = self.levels.get(memory)
        if level is None:
            return 0.0
        own = sum(self._bytes[v] for v in self._problem.writes[task] if self._shared(v, memory) is None)
        return level.since(own + float(self._problem.static_bytes[task]))

    def _shared(self, value: int, memory: int) -> Storage | None:
        return self.storage.get((self._alias[value], memory)) if self._alias[value] >= 0 else None

    def take_static(self, task: int, memory: int, start: float) -> None:
        """Take the task's static bytes for ever."""
        if memory in self.levels and self._problem.static_bytes[task]:
            self._journal.add(self.levels[memory].add(start, float(self._problem.static_bytes[task])))

    def open(self, value: int, memory: int, start: float, until: float, copied: bool) -> None:
        """Begin a hold that is written until ``until``; a view that is computed shares its base's storage."""
        level = self.levels.get(memory)
        if level is None:
            return
        storage = None if copied else self._shared(value, memory)
        if storage is None:
            storage = Storage(memory, self._bytes[value])
            self._journal.add(level.add(start, storage.n_bytes))
        storage.values.append(value)
        self.storage[value, memory] = storage
        self._journal.add(storage.values.pop, lambda: self.storage.pop((value, memory)))
        self.use(value, memory, until)

    def use(self, value: int, memory: int, until: float) -> None:
        """Something reads or writes the value there; see `used_until`."""
        storage = self.storage.get((value, memory))
        if storage is None:
            return
        before, last = storage.until, self.last_use.get((value, memory), 0.0)
        storage.until = max(before, until)
        self.last_use[value, memory] = max(last, until)

        def undo() -> None:
            storage.until = before
            self.last_use[value, memory] = last

        self._journal.add(undo)

    def close(self, value: int, memory: int) -> None:
        """End a hold at its last use; the storage is free when the last hold on it has ended."""
        storage = self.storage.pop((value, memory), None)
        if storage is None:
            return
        place = storage.values.index(value)
        del storage.values[place]
        last = self.last_use.pop((value, memory))

        def undo() -> None:
            storage.values.insert(place, value)
            self.storage[value, memory] = storage
            self.last_use[value, memory] = last

        self._journal.add(undo)
        if not storage.values:
            self._journal.add(self.levels[memory].add(storage.until, -storage.n_bytes))

    def evict(self, value: int, memory: int, arrived: float) -> float:
        """End a hold before its last use; returns when, which is the earliest that the value may come back."""
        key = (value, memory)
        time, before = max(arrived, self.last_use[key]), self.evicted.get(key, 0.0)
        self.evicted[key] = time
        self._journal.add(lambda: self.evicted.update({key: before}))
        self.close(value, memory)
        return time

    def release(self, value: int) -> None:
        """Nothing will read the value any more: end its holds, but those that stay."""
        for memory in self.levels:
            if not self.stays(value, memory):
                self.close(value, memory)


def room_of_values(problem: Problem) -> Floats:
    """Bytes that each value takes in a memory, shape (n_values,)."""
    return problem.value_bytes if problem.values_take_room else np.zeros(problem.n_values)


def tight_memories(problem: Problem) -> list[int]:
    """Memories that could overflow if everything that may be in them were there at once."""
    own = room_of_values(problem)
    shared = own[problem.alias] * (problem.alias >= 0)
    values = problem.may_hold.T.astype(float) @ (own + shared)
    tight = []
    for memory in range(problem.n_memories):
        there = problem.allowed[:, problem.device_memory == memory].any(axis=1)
        if values[memory] + problem.static_bytes[there].sum() > problem.capacity[memory]:
            tight.append(memory)
    return tight


def least_bytes(problem: Problem, task: int, memory: int) -> float:
    """What a memory has to hold at the least while the task runs there: its values, and what stays there anyway."""
    touched = {*problem.reads[task], *problem.writes[task]}
    views = {value for value in touched if int(problem.alias[value]) in touched}
    for value, home in problem.required:
        if home == memory and problem.resident[value, memory]:
            touched.add(value)
    room = room_of_values(problem)
    own = sum(float(room[value]) for value in touched - views)
    return own + float(problem.static_bytes[task])


def require_room(problem: Problem, allowed: list[list[float]]) -> None:
    """Take from ``allowed`` (seconds by task and device) the devices whose memory is too small for the task alone.

    Raises:
        ScheduleError: none is left; names the task, the biggest memory and the capacity that would do.
    """
    tight = set(tight_memories(problem))
    for task in range(problem.n_tasks) if tight else ():
        options = allowed[task]
        for device, seconds in enumerate(options):
            memory = int(problem.device_memory[device])
            if seconds < math.inf and memory in tight:
                needed = least_bytes(problem, task, memory)
                if needed > problem.capacity[memory] * (1 + TOLERANCE):
                    options[device] = math.inf
        if min(options) == math.inf:
            raise too_small(problem, task)


def too_small(problem: Problem, task: int) -> ScheduleError:
    """The error of a task that fits into no memory it may run in."""
    memories = sorted(
        {int(problem.device_memory[device]) for device in problem.allowed[task].nonzero()[0]},
        key=lambda memory: (-problem.capacity[memory], problem.memory_names[memory]),
    )
    memory = memories[0]
    needed = least_bytes(problem, task, memory)
    name, where = problem.task_names[task], problem.memory_names[memory]
    capacity = float(problem.capacity[memory])
    if needed > capacity:
        return ScheduleError(
            f"task {name!r} needs {needed:.0f} bytes in {where}, which has {capacity:.0f}; "
            f"a capacity of {needed:.0f} bytes would do, or let it run beside a bigger memory, or split it"
        )
    return ScheduleError(
        f"task {name!r} needs {needed:.0f} bytes in {where}, which has {capacity:.0f} but is full of what cannot be "
        f"moved out; give {where}, or another memory that it has a route to, more capacity"
    )
