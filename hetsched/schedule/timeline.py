"""Timeline: a schedule in the making, which every list scheduler places its tasks on.

A scheduler decides the order of the tasks and the device of each; the timeline finds the earliest time, inserts the
task into a gap of its device, has what it reads copied there, and makes room where a memory is full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from hetsched.errors import ScheduleError
from hetsched.schedule.copies import Copies
from hetsched.schedule.evict import evict_one
from hetsched.schedule.gaps import Gaps
from hetsched.schedule.journal import Journal
from hetsched.schedule.memory import Holds, require_room, too_small, used_until
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Placement, Schedule


class Timeline:
    """What is placed so far; `best` and `earliest` ask, `place` decides, `finish` delivers the outputs.

    Attributes:
        unread: by value, the tasks that have yet to read it.
        required: by value, the memories that it must be in at the end.

    Raises:
        ScheduleError: a task needs more bytes than any memory has that it may run in, or a memory is too small for what
            is there from the start.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.journal = Journal()
        self.holds = Holds(problem, self.journal)
        self.copies = Copies(problem, self.holds, self.journal)
        self.unread: list[set[int]] = [set(readers) for readers in problem.readers]
        self.required: list[set[int]] = [set() for _ in range(problem.n_values)]
        for value, memory in problem.required:
            self.required[value].add(memory)
        self._seconds: list[list[float]] = problem.device_seconds.tolist()
        require_room(problem, self._seconds)
        self._memory_of: list[int] = problem.device_memory.tolist()
        self._devices = [Gaps() for _ in range(problem.n_devices)]
        self._interpreters = {process: Gaps() for process in problem.dispatcher.tolist() if process >= 0}
        self._options = [self._by_memory(task) for task in range(problem.n_tasks)]
        self._placements: list[Placement] = []
        self._release(range(problem.n_values))
        self.holds.require_start()

    def _by_memory(self, task: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
        devices: dict[int, list[int]] = {}
        for device, seconds in enumerate(self._seconds[task]):
            if seconds < math.inf:
                devices.setdefault(self._memory_of[device], []).append(device)
        return tuple((memory, tuple(there)) for memory, there in devices.items())

    def devices_of(self, task: int) -> tuple[int, ...]:
        """Devices that the task may run on."""
        return tuple(sorted(device for _, devices in self._options[task] for device in devices))

    def earliest(self, task: int, device: int) -> tuple[float, float]:
        """When the task would start and end on a device; inf where it cannot run, or only if something is evicted."""
        seconds = self._seconds[task][device]
        if seconds == math.inf:
            return math.inf, math.inf
        with self.journal.rehearsal():
            ready = self._ready(task, self._memory_of[device])
        start = self._earliest_start(task, device, ready) if ready < math.inf else math.inf
        return start, start + seconds

    def best(self, task: int, prefer: Sequence[int] | None = None) -> int:
        """The device where the task ends first, its requested outputs' way home counted; ties break by name.

        Args:
            task: whose operands are all placed.
            prefer: devices to choose from as long as the task can run on one of them.

        Raises:
            ScheduleError: not all that the task reads can be brought to a device that has room for it.
        """
        for among in (prefer, None) if prefer is not None else (None,):
            for evicting in (False, True) if self.holds.levels else (False,):
                device = self._best(task, among, evicting)
                if device is not None:
                    return device
        raise self._stuck(task)

    def _best(self, task: int, among: Sequence[int] | None, evicting: bool) -> int | None:
        names = self.problem.device_names
        found: tuple[float, str, int] | None = None
        for memory, devices in self._options[task]:
            possible = devices if among is None else [device for device in devices if device in among]
            if not possible:
                continue
            with self.journal.rehearsal():
                if evicting:
                    self._make_room(task, memory)
                ready = self._ready(task, memory)
            if ready == math.inf:
                continue
            delivery = self._delivery_seconds(task, memory)
            for device in possible:
                end = self._earliest_start(task, device, ready) + self._seconds[task][device] + delivery
                if found is None or (end, names[device]) < found[:2]:
                    found = (end, names[device], device)
        return None if found is None else found[2]

    def _earliest_start(self, task: int, device: int, ready: float) -> float:
        """When the device is free for the task, and the interpreter that starts it."""
        gaps, seconds = self._devices[device], self._seconds[task][device]
        start, brief = gaps.earliest(ready, seconds), self.problem.dispatch_of(task, device)
        if not brief:
            return start
        interpreter, before = self._interpreters[int(self.problem.dispatcher[device])], -1.0
        while start != before:
            before = start
            start = gaps.earliest(interpreter.earliest(start, brief), seconds)
        return start

    def _delivery_seconds(self, task: int, memory: int) -> float:
        """How long the task's required values are on their way when nothing is in their way."""
        ways = [(value, home) for value in self.problem.writes[task] for home in self.required[value]]
        return max((self.copies.seconds(value, memory, home) for value, home in ways), default=0.0)

    def place(self, task: int, device: int) -> Placement:
        """Book the task, and the copies of what it reads, as early as they fit.

        Raises:
            ScheduleError: something that the task reads cannot be brought to the device, or there is no room for it.
        """
        seconds, memory = self._seconds[task][device], self._memory_of[device]
        if seconds == math.inf:
            raise self._stuck(task)
        if self.holds.levels:
            self._make_room(task, memory)
        ready = self._ready(task, memory, book=True)
        if ready == math.inf:
            raise self._stuck(task)
        start = self._earliest_start(task, device, ready)
        placement = Placement(task, device, start, start + seconds)
        self._devices[device].book(start, placement.end)
        brief = self.problem.dispatch_of(task, device)
        if brief:
            self._interpreters[int(self.problem.dispatcher[device])].book(start, start + brief)
        self._placements.append(placement)
        for value in self.problem.writes[task]:
            self.copies.computed(value, memory, start, placement.end)
        for value in self.problem.reads[task]:
            self.holds.use(value, memory, used_until(start, placement.end))
            self.unread[value].discard(task)
        self.holds.take_static(task, memory, start)
        self._release((*self.problem.reads[task], *self.problem.writes[task]))
        self.journal.forget()
        return placement

    def finish(self, scheduler: str, notes: Iterable[str] = ()) -> Schedule:
        """Bring the required values to where they are required, and return the schedule.

        Raises:
            ScheduleError: a required value cannot be brought there.
        """
        for value, memory in sorted(self.problem.required, key=lambda pair: (self.copies.since(pair[0]), *pair)):
            self._deliver(value, memory)
            self._release((value,))
        return Schedule(
            problem=self.problem,
            scheduler=scheduler,
            placements=tuple(sorted(self._placements, key=lambda p: (p.start, p.end, p.task))),
            transfers=tuple(sorted(self.copies.transfers, key=lambda t: (t.start, t.end, t.value, t.source, t.target))),
            evictions=tuple(sorted(self.copies.evictions, key=lambda e: (e.time, e.value, e.memory))),
            lower_bound_seconds=self.problem.lower_bound_seconds,
            notes=tuple(notes),
        )

    def _deliver(self, value: int, memory: int) -> None:
        if memory in self.copies.arrival[value]:
            return
        if self.holds.levels:
            self._evict_until(lambda: self.copies.bring(value, memory), last={value})
        if self.copies.bring(value, memory) == math.inf:
            where = self.problem.memory_names[memory]
            raise ScheduleError(
                f"value {self.problem.value_names[value]!r} is required in {where} and cannot be brought there from "
                f"{self._holders(value)}; add a route, raise the capacity of {where}, or loosen keep_on="
            )

    def _ready(self, task: int, memory: int, book: bool = False) -> float:
        """When all that the task reads is in a memory, with room for what it writes; inf when that cannot be.

        Copies are booked where they might have to wait for one another; undo them if it is only a question.
        """
        ready = 0.0
        missing = []
        for value in self.problem.reads[task]:
            at = self.copies.arrival[value].get(memory)
            if at is None:
                missing.append(value)
            elif at > ready:
                ready = at
        if missing and not (book or self.copies.wait):
            return max(ready, *(self.copies.quickest(value, memory)[0] for value in missing))
        if len(missing) > 1:
            missing.sort(key=lambda value: (self.copies.since(value), value))
        for value in missing:
            ready = max(ready, self.copies.bring(value, memory))
            if ready == math.inf:
                return ready
        since = self.holds.outputs_since(task, memory)
        if since == math.inf:
            self.copies.full = memory
        return max(ready, since)

    def _release(self, values: Iterable[int]) -> None:
        """End the holds of values that nothing needs any more."""
        if not self.holds.levels:
            return
        for value in values:
            if not self.unread[value] and self.copies.arrival[value].keys() >= self.required[value]:
                self.holds.release(value)

    def _make_room(self, task: int, memory: int) -> None:
        """Evict until the task fits, if that can be."""
        touched = {*self.problem.reads[task], *self.problem.writes[task]}
        self._evict_until(lambda: self._ready(task, memory, book=True), last=touched)

    def _evict_until(self, attempt: Callable[[], float], last: set[int]) -> None:
        mark, gone = self.journal.mark(), set[tuple[int, int]]()
        while True:
            with self.journal.rehearsal():
                if attempt() < math.inf:
                    return
            full = self.copies.full
            if full is None or not evict_one(self, full, last, gone):
                self.journal.undo_to(mark)
                return

    def _stuck(self, task: int) -> ScheduleError:
        if self.copies.full is not None:
            return too_small(self.problem, task)
        problem = self.problem
        held = [f"{problem.value_names[value]!r} in {self._holders(value)}" for value in problem.reads[task]]
        devices = ", ".join(problem.device_names[device] for device in self.devices_of(task))
        return ScheduleError(
            f"task {problem.task_names[task]!r} may run on {devices}, where not all that it reads can be brought "
            f"({'; '.join(held)}); add a route, or loosen device=, devices= or keep_on="
        )

    def _holders(self, value: int) -> str:
        return ", ".join(self.problem.memory_names[m] for m in sorted(self.copies.arrival[value])) or "no memory"
