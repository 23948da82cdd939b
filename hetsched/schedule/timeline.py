"""Timeline: a schedule in the making, which every list scheduler places its tasks on.

A scheduler decides the order of the tasks and the device of each; the timeline finds the earliest time, inserts the
task into a gap of its device, and moves what it reads: each value once to a memory, when links are free and it has room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hetsched.errors import ScheduleError
from hetsched.schedule.evict import evict_one
from hetsched.schedule.gaps import Gaps
from hetsched.schedule.memory import Holds, Journal, require_room, too_small
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Eviction, Placement, Schedule, Transfer
from hetsched.schedule.ways import Hop, Way, Ways


class Timeline:
    """What is placed so far; `best` and `earliest` ask, `place` decides, `finish` delivers the outputs.

    Raises:
        ScheduleError: a task needs more bytes than any memory has that it may run in.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._journal: Journal = []
        self._seconds: list[list[float]] = problem.device_seconds.tolist()
        require_room(problem, self._seconds)
        self._bytes: list[float] = problem.value_bytes.tolist()
        self._memory_of: list[int] = problem.device_memory.tolist()
        self._persistent: list[bool] = problem.persistent.tolist()
        self._devices = [Gaps() for _ in range(problem.n_devices)]
        self._links = [Gaps() for _ in problem.link_names]
        self.arrival: list[dict[int, float]] = [
            {memory: 0.0 for memory, there in enumerate(row) if there} for row in problem.resident.tolist()
        ]
        self._origins: list[list[int]] = [sorted(held) for held in self.arrival]
        self.required: list[list[int]] = [[] for _ in range(problem.n_values)]
        for value, memory in problem.required:
            self.required[value].append(memory)
        self.unread: list[set[int]] = [set(readers) for readers in problem.readers]
        self.holds = Holds(problem, self._journal)
        self._ways = Ways(problem, self.holds.levels).of_value
        self._copies_wait = problem.contention or bool(self.holds.levels)
        self._full: int | None = None
        self._options = [self._by_memory(task) for task in range(problem.n_tasks)]
        self._placements: list[Placement] = []
        self._transfers: list[Transfer] = []
        self._evictions: list[Eviction] = []
        self._release(range(problem.n_values))

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
        with self._rehearsal():
            ready = self._ready(task, self._memory_of[device])
        start = self._devices[device].earliest(ready, seconds) if ready < math.inf else math.inf
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
            for evict in (False, True) if self.holds.levels else (False,):
                device = self._best(task, among, evict)
                if device is not None:
                    return device
        raise self._stuck(task)

    def _best(self, task: int, among: Sequence[int] | None, evict: bool) -> int | None:
        names = self.problem.device_names
        found: tuple[float, str, int] | None = None
        for memory, devices in self._options[task]:
            possible = devices if among is None else [device for device in devices if device in among]
            if not possible:
                continue
            with self._rehearsal():
                if evict:
                    self._make_room(task, memory)
                ready = self._ready(task, memory)
            if ready == math.inf:
                continue
            delivery = self._delivery(task, memory)
            for device in possible:
                seconds = self._seconds[task][device]
                end = self._devices[device].earliest(ready, seconds) + seconds + delivery
                if found is None or (end, names[device]) < found[:2]:
                    found = (end, names[device], device)
        return None if found is None else found[2]

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
        start = self._devices[device].earliest(ready, seconds)
        placement = Placement(task, device, start, start + seconds)
        self._devices[device].book(start, placement.end)
        self._placements.append(placement)
        for value in self.problem.writes[task]:
            self.arrival[value][memory] = placement.end
            self._origins[value].append(memory)
            self.holds.open(value, memory, start, placement.end, copied=False)
        for value in self.problem.reads[task]:
            self.holds.use(value, memory, placement.end)
            self.unread[value].discard(task)
        self.holds.take_static(task, memory, start)
        self._release((*self.problem.reads[task], *self.problem.writes[task]))
        self._journal.clear()
        return placement

    def finish(self, scheduler: str, notes: Sequence[str] = ()) -> Schedule:
        """Bring the required values to where they are required, and return the schedule.

        Raises:
            ScheduleError: a required value cannot be brought there.
        """
        missing = [
            (min(self.arrival[value].values(), default=math.inf), value, memory)
            for value, memory in self.problem.required
            if memory not in self.arrival[value]
        ]
        for _, value, memory in sorted(missing):
            self._deliver(value, memory)
            self._release((value,))
        return Schedule(
            problem=self.problem,
            scheduler=scheduler,
            placements=tuple(sorted(self._placements, key=lambda p: (p.start, p.end, p.task))),
            transfers=tuple(sorted(self._transfers, key=lambda t: (t.start, t.end, t.value, t.source, t.target))),
            evictions=tuple(sorted(self._evictions, key=lambda e: (e.time, e.value, e.memory))),
            lower_bound_seconds=self.problem.lower_bound_seconds,
            notes=tuple(notes),
        )

    def _deliver(self, value: int, memory: int) -> None:
        if memory in self.arrival[value]:
            return
        where = self.problem.memory_names[memory]
        self._evict_until(lambda: self.bring(value, memory), last={value})
        if self.bring(value, memory) == math.inf:
            raise ScheduleError(
                f"value {self.problem.value_names[value]!r} is required in {where} and cannot be brought there from "
                f"{self._holders(value)}; add a route, raise the capacity of {where}, or loosen keep_on="
            )

    def _holders(self, value: int) -> str:
        return ", ".join(self.problem.memory_names[memory] for memory in sorted(self.arrival[value])) or "no memory"

    @contextmanager
    def _rehearsal(self) -> Iterator[None]:
        """What is booked inside is undone at the end."""
        mark = len(self._journal)
        try:
            yield
        finally:
            self.undo_to(mark)

    def undo_to(self, mark: int) -> None:
        """Undo all that was journalled after the journal was ``mark`` long."""
        while len(self._journal) > mark:
            self._journal.pop()()

    def mark(self) -> int:
        """Where `undo_to` comes back to."""
        return len(self._journal)

    def _ready(self, task: int, memory: int, book: bool = False) -> float:
        """When all that the task reads is in a memory, with room for what it writes; inf when that cannot be.

        Copies are booked to find out where they might have to wait for one another; undo them if it is only a question.
        """
        ready = 0.0
        missing = []
        for value in self.problem.reads[task]:
            at = self.arrival[value].get(memory)
            if at is None:
                missing.append(value)
            elif at > ready:
                ready = at
        if missing and not (book or self._copies_wait):
            return max(ready, *(self._quickest(value, memory)[0] for value in missing))
        if len(missing) > 1:
            missing.sort(key=lambda value: (min(self.arrival[value].values(), default=math.inf), value))
        for value in missing:
            ready = max(ready, self.bring(value, memory))
            if ready == math.inf:
                return ready
        since = self.holds.outputs_since(task, memory)
        if since == math.inf:
            self._full = memory
        return max(ready, since)

    def _quickest(self, value: int, memory: int) -> tuple[float, Way]:
        """When a value could arrive in a memory, and what is left of its way from where it was made.

        Ways begin where it was made or was from the start: other copies are stops on such ways, or no sooner. When it is
        no longer there, they begin at any memory that holds it.
        """
        found: tuple[float, int, int] = (math.inf, 0, 0)
        chosen: Way = ()
        held = self.arrival[value]
        for source in [origin for origin in self._origins[value] if origin in held] or sorted(held):
            for way in self._ways[value][source][memory]:
                n_done = max((stop for stop, hop in enumerate(way, start=1) if hop.target in held), default=0)
                left = way[n_done:]
                at = held[left[0].source]
                for hop in left:
                    at = self._hop(value, hop, at)[1] if at < math.inf else at
                if (at, len(left), source) < found:
                    found, chosen = (at, len(left), source), left
        return found[0], chosen

    def _hop(self, value: int, hop: Hop, ready: float) -> tuple[float, float]:
        """When a copy would start and end: its links free together, and room for it; inf when there never is."""
        start = max(ready, self.holds.copy_since(value, hop.target)) if self.holds.levels else ready
        if start == math.inf:
            self._full = hop.target
            return start, start
        if self._persistent[value]:
            return (0.0, 0.0) if start <= 0 else (math.inf, math.inf)
        seconds = hop.seconds(self._bytes[value])
        if self.problem.contention:
            before = -1.0
            while start != before:
                before = start
                for link in hop.links:
                    start = self._links[link].earliest(start, seconds)
        return start, start + seconds

    def bring(self, value: int, memory: int) -> float:
        """Book the copies that bring a value to a memory soonest; returns when it arrives, inf when it cannot."""
        self._full = None
        at, way = self._quickest(value, memory)
        if at == math.inf:
            return at
        at = self.arrival[value][way[0].source]
        for hop in way:
            start, end = self._hop(value, hop, at)
            if self.problem.contention and not self._persistent[value]:
                self._journal += [self._links[link].book(start, end) for link in hop.links]
            self._copy(Transfer(value, hop.source, hop.target, start, end))
            at = end
        return at

    def _copy(self, transfer: Transfer) -> None:
        arrival = self.arrival[transfer.value]
        arrival[transfer.target] = transfer.end
        self._transfers.append(transfer)
        self._journal += [lambda: arrival.pop(transfer.target), self._transfers.pop]
        self.holds.use(transfer.value, transfer.source, transfer.end)
        self.holds.open(transfer.value, transfer.target, transfer.start, transfer.end, copied=True)

    def _delivery(self, task: int, memory: int) -> float:
        """How long the task's required values are on their way home when nothing is in their way."""
        longest = 0.0
        for value in self.problem.writes[task]:
            for home in self.required[value]:
                ways = self._ways[value][memory][home]
                longest = max(longest, sum(hop.seconds(self._bytes[value]) for hop in ways[0]) if ways else math.inf)
        return longest

    def _release(self, values: Sequence[int]) -> None:
        """End the holds of values that nothing needs any more."""
        if not self.holds.levels:
            return
        for value in values:
            if not self.unread[value] and self.arrival[value].keys() >= set(self.required[value]):
                self.holds.release(value)

    def _make_room(self, task: int, memory: int) -> None:
        """Evict until the task fits, if that can be."""
        touched = {*self.problem.reads[task], *self.problem.writes[task]}
        self._evict_until(lambda: self._ready(task, memory, book=True), last=touched)

    def _evict_until(self, attempt: Callable[[], float], last: set[int]) -> None:
        mark, gone = len(self._journal), set[tuple[int, int]]()
        while True:
            with self._rehearsal():
                if attempt() < math.inf:
                    return
                full = self._full
            if full is None or not evict_one(self, full, last, gone):
                self.undo_to(mark)
                return

    def evict(self, value: int, memory: int) -> None:
        """Give up a hold after its last use so far; the value is held elsewhere."""
        arrival, key = self.arrival[value], (value, memory)
        at = arrival.pop(memory)
        time = max(at, self.holds.last_use[key])
        before = self.holds.evicted.get(key, 0.0)
        self.holds.evicted[key] = time
        self._evictions.append(Eviction(value, memory, time))

        def undo() -> None:
            arrival[memory] = at
            self.holds.evicted[key] = before
            self._evictions.pop()

        self._journal.append(undo)
        self.holds.close(value, memory)

    def _stuck(self, task: int) -> ScheduleError:
        if self._full is not None:
            return too_small(self.problem, task)
        problem = self.problem
        held = [f"{problem.value_names[value]!r} in {self._holders(value)}" for value in problem.reads[task]]
        devices = ", ".join(problem.device_names[device] for device in self.devices_of(task))
        return ScheduleError(
            f"task {problem.task_names[task]!r} may run on {devices}, where not all that it reads can be brought "
            f"({'; '.join(held)}); add a route, or loosen device=, devices= or keep_on="
        )
