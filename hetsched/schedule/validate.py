"""Validation: every rule that a schedule breaks, by name; shares no code with what makes schedules."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Placement, Schedule, Transfer

TOLERANCE = 1e-9
"""Relative, of times to the makespan and of bytes to the capacity."""

RULES = {
    "missing-task": "every task is placed",
    "allowed": "tasks run on devices that they may run on",
    "negative-start": "nothing starts before time zero, and all times are finite",
    "duration": "a task takes the seconds that the problem says",
    "device-overlap": "a device runs one task at a time",
    "dispatch": "the interpreter of a process starts one task at a time",
    "precedence": "what a task reads is in its device's memory when it starts",
    "transfer-source": "what is copied is in the memory that it is copied from",
    "transfer-route": "there is a direct route between the two memories of a copy",
    "transfer-duration": "a copy takes the seconds that the problem says",
    "link-overlap": "with contention, a link carries one copy at a time",
    "crossing": "a value comes to a memory only once, unless it was evicted in between",
    "eviction": "what is evicted was there, is not used afterwards, and was not to stay",
    "residency": "values are only in memories that may hold them",
    "capacity": "a memory never holds more bytes than it has",
    "required": "what is required in a memory is there at the end",
}
"""What each rule says."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule, and where."""

    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


def validate(problem: Problem, schedule: Schedule) -> list[Violation]:
    """All rules (see `RULES`) that the schedule breaks, and where; empty when it is valid."""
    return list(_Check(problem, schedule).violations())


@dataclass(eq=False, slots=True)
class _Stay:
    """A value in a memory, from its arrival to its eviction, or for ever."""

    value: int
    memory: int
    begins: float
    available: float
    computed_by: Placement | None = None
    evicted: float = math.inf
    last_use: float = 0.0


class _Check:
    def __init__(self, problem: Problem, schedule: Schedule) -> None:
        self.problem = problem
        self.schedule = schedule
        self.placements = sorted(schedule.placements, key=lambda p: (p.start, p.end, p.task))
        self.transfers = sorted(schedule.transfers, key=lambda t: (t.start, t.end))
        self.epsilon = TOLERANCE * schedule.makespan_seconds
        self.required = set(problem.required)
        self.stays: dict[tuple[int, int], list[_Stay]] = defaultdict(list)
        self.touched: dict[Placement, list[_Stay]] = defaultdict(list)

    def violations(self) -> Iterator[Violation]:
        yield from self.check_placements()
        yield from self.check_overlap_on_devices()
        yield from self.check_dispatch()
        yield from self.check_transfers()
        yield from self.check_overlap_on_links()
        yield from self.check_residency()
        yield from self.check_stays()
        yield from self.check_reads()
        yield from self.check_copies()
        yield from self.check_required()
        yield from self.check_capacity()

    def memory_of(self, placement: Placement) -> int:
        return int(self.problem.device_memory[placement.device])

    def in_setup(self, transfer: Transfer) -> bool:
        return bool(self.problem.persistent[transfer.value]) and transfer.start == transfer.end == 0

    def what(self, thing: Placement | Transfer) -> str:
        problem = self.problem
        if isinstance(thing, Placement):
            return f"{problem.task_names[thing.task]} on {problem.device_names[thing.device]} at {thing.start:.9g}"
        way = f"{problem.memory_names[thing.source]} -> {problem.memory_names[thing.target]}"
        return f"{problem.value_names[thing.value]} {way} at {thing.start:.9g}"

    def where(self, value: int, memory: int) -> str:
        return f"{self.problem.value_names[value]} in {self.problem.memory_names[memory]}"

    def check_placements(self) -> Iterator[Violation]:
        problem = self.problem
        placed = {placement.task for placement in self.placements}
        for task in set(range(problem.n_tasks)) - placed:
            yield Violation("missing-task", f"{problem.task_names[task]} is placed nowhere")
        for placement in self.placements:
            if not _is_time(placement.start, placement.end, self.epsilon):
                yield Violation("negative-start", self.what(placement))
            seconds = float(problem.device_seconds[placement.task, placement.device])
            taken = placement.end - placement.start
            if math.isinf(seconds):
                yield Violation("allowed", self.what(placement))
            elif not abs(taken - seconds) <= self.epsilon:
                yield Violation("duration", f"{self.what(placement)} takes {taken:.9g} instead of {seconds:.9g}")

    def check_overlap_on_devices(self) -> Iterator[Violation]:
        by_device: dict[int, list[Placement]] = defaultdict(list)
        for placement in self.placements:
            by_device[placement.device].append(placement)
        for placements in by_device.values():
            for one, other in _overlaps(placements, self.epsilon):
                yield Violation("device-overlap", f"{self.what(other)} while {self.what(one)} ends at {one.end:.9g}")

    def check_dispatch(self) -> Iterator[Violation]:
        by_process: dict[int, list[Placement]] = defaultdict(list)
        for placement in self.placements:
            brief = self.problem.dispatch_of(placement.task, placement.device)
            if brief:
                started = replace(placement, end=placement.start + brief)
                by_process[int(self.problem.dispatcher[placement.device])].append(started)
        for starts in by_process.values():
            for one, other in _overlaps(starts, self.epsilon):
                yield Violation("dispatch", f"{self.what(other)} while {self.what(one)} is being started")

    def check_transfers(self) -> Iterator[Violation]:
        for transfer in self.transfers:
            if not _is_time(transfer.start, transfer.end, self.epsilon):
                yield Violation("negative-start", self.what(transfer))
            seconds = self.problem.hop_seconds(transfer.value, transfer.source, transfer.target)
            if transfer.source == transfer.target or math.isinf(seconds):
                yield Violation("transfer-route", self.what(transfer))
                continue
            taken = transfer.end - transfer.start
            if not (abs(taken - seconds) <= self.epsilon or self.in_setup(transfer)):
                yield Violation(
                    "transfer-duration", f"{self.what(transfer)} takes {taken:.9g} instead of {seconds:.9g}"
                )

    def check_overlap_on_links(self) -> Iterator[Violation]:
        if not self.problem.contention:
            return
        by_link: dict[int, list[Transfer]] = defaultdict(list)
        for transfer in self.transfers:
            if not self.in_setup(transfer):
                for link in self.problem.route_links.get((transfer.source, transfer.target), ()):
                    by_link[link].append(transfer)
        for link, transfers in by_link.items():
            for one, other in _overlaps(transfers, self.epsilon):
                where = self.problem.link_names[link]
                yield Violation("link-overlap", f"{self.what(other)} on {where} while {self.what(one)} is under way")

    def check_residency(self) -> Iterator[Violation]:
        problem = self.problem
        touched = [
            (value, self.memory_of(placement))
            for placement in self.placements
            for value in (*problem.reads[placement.task], *problem.writes[placement.task])
        ]
        copied = [(transfer.value, transfer.target) for transfer in self.transfers]
        for value, memory in dict.fromkeys((*touched, *copied)):
            if not problem.may_hold[value, memory]:
                yield Violation("residency", f"{self.where(value, memory)}, which may not hold it")

    def check_stays(self) -> Iterator[Violation]:
        """Find out when each value is in each memory, from its arrivals and evictions."""
        for value, memory in zip(*map(list, self.problem.resident.nonzero()), strict=True):
            self.stays[int(value), int(memory)].append(_Stay(int(value), int(memory), 0.0, 0.0))
        for p in self.placements:
            for value in self.problem.writes[p.task]:
                made = _Stay(value, self.memory_of(p), p.start, p.end, p)
                self.stays[value, made.memory].append(made)
                self.touched[p].append(made)
        for t in self.transfers:
            self.stays[t.value, t.target].append(_Stay(t.value, t.target, t.start, t.end))
        evictions: dict[tuple[int, int], list[float]] = defaultdict(list)
        for eviction in sorted(self.schedule.evictions, key=lambda eviction: eviction.time):
            evictions[eviction.value, eviction.memory].append(eviction.time)
        for place in sorted({*self.stays, *evictions}):
            yield from self.check_stay(place, evictions[place])

    def check_stay(self, place: tuple[int, int], times: list[float]) -> Iterator[Violation]:
        stays = sorted(self.stays[place], key=lambda stay: (stay.begins, stay.available))
        if times and self.problem.persistent[place[0]]:
            yield Violation("eviction", f"{self.where(*place)} stays for ever")
        for stay, following in zip_longest(stays, stays[1:]):
            until = math.inf if following is None else following.begins + self.epsilon
            if times and stay.available - self.epsilon <= times[0] <= until:
                stay.evicted = times.pop(0)
            elif following is not None:
                yield Violation(
                    "crossing", f"{self.where(*place)} arrives at {following.available:.9g} for a second time"
                )
        for time in times:
            yield Violation("eviction", f"{self.where(*place)} at {time:.9g} when it is not there")

    def check_reads(self) -> Iterator[Violation]:
        for placement in self.placements:
            for value in self.problem.reads[placement.task]:
                place = value, self.memory_of(placement)
                yield from self.check_use(place, placement, "precedence")

    def check_copies(self) -> Iterator[Violation]:
        for transfer in self.transfers:
            yield from self.check_use((transfer.value, transfer.source), transfer, "transfer-source")

    def check_use(self, place: tuple[int, int], use: Placement | Transfer, rule: str) -> Iterator[Violation]:
        arrived = [stay for stay in self.stays.get(place, ()) if stay.available <= use.start + self.epsilon]
        present = [stay for stay in arrived if use.end <= stay.evicted + self.epsilon]
        if present:
            present[0].last_use = max(present[0].last_use, use.end)
            if isinstance(use, Placement):
                self.touched[use].append(present[0])
        elif arrived:
            yield Violation("eviction", f"{self.what(use)} uses {self.where(*place)}, which is evicted before it ends")
        else:
            yield Violation(rule, f"{self.what(use)} starts before {self.where(*place)} is there")

    def check_required(self) -> Iterator[Violation]:
        for value, memory in self.problem.required:
            if not any(math.isinf(stay.evicted) for stay in self.stays.get((value, memory), ())):
                yield Violation("required", f"{self.where(value, memory)} is not there at the end")

    def check_capacity(self) -> Iterator[Violation]:
        """Sweep over time; what takes no time needs, in its moment, its own bytes besides those held across it."""
        problem = self.problem
        room = problem.value_bytes if problem.values_take_room else 0 * problem.value_bytes
        steps: dict[int, list[tuple[float, bool, float]]] = defaultdict(list)
        storage_of: dict[_Stay, tuple[_Stay, float, float]] = {}
        for stays in self.storages():
            first, ends = stays[0], max(map(self.end_of, stays)) - self.epsilon
            storage_of |= dict.fromkeys(stays, (first, first.begins, ends))
            n_bytes = float(room[first.value])
            if first.begins < ends:
                steps[first.memory] += [(first.begins, True, n_bytes), (ends, True, -n_bytes)]
            else:
                steps[first.memory].append((first.begins, False, n_bytes))
        for placement, touched in self.touched.items():
            if placement.end - placement.start <= self.epsilon:
                storages = {storage_of[stay] for stay in touched}
                brief = [s for s, begins, ends in storages if not begins < placement.start <= ends]
                n_bytes = sum(float(room[storage.value]) for storage in brief)
                steps[self.memory_of(placement)].append((placement.start, False, n_bytes))
        for task, placement in {placement.task: placement for placement in reversed(self.placements)}.items():
            steps[self.memory_of(placement)].append((placement.start, True, float(problem.static_bytes[task])))
        for memory, changes in sorted(steps.items()):
            taken, capacity = 0.0, float(problem.capacity[memory])
            for time, lasts, n_bytes in sorted(changes):
                held = taken + n_bytes
                if held > capacity * (1 + TOLERANCE):
                    where = problem.memory_names[memory]
                    yield Violation("capacity", f"{where} holds {held:.9g} bytes at {time:.9g} and has {capacity:.9g}")
                    break
                taken = held if lasts else taken

    def end_of(self, stay: _Stay) -> float:
        if (stay.value, stay.memory) in self.required or self.problem.persistent[stay.value]:
            return stay.evicted
        return min(stay.evicted, max(stay.available, stay.last_use))

    def storages(self) -> Iterable[list[_Stay]]:
        """Stays that share one storage: a value's own first, then those of views of it that were computed beside it."""
        root: dict[_Stay, _Stay] = {}
        for stay in sorted(
            (stay for stays in self.stays.values() for stay in stays), key=lambda s: (s.begins, s.value)
        ):
            base = self.base_of(stay)
            root[stay] = stay if base is None else root[base]
        shared: dict[_Stay, list[_Stay]] = defaultdict(list)
        for stay, first in root.items():
            shared[first].append(stay)
        return shared.values()

    def base_of(self, stay: _Stay) -> _Stay | None:
        alias = int(self.problem.alias[stay.value])
        if stay.computed_by is None or alias < 0:
            return None
        held = self.stays.get((alias, stay.memory), ())
        there = [
            s for s in held if s.available <= stay.begins + self.epsilon and stay.begins < s.evicted + self.epsilon
        ]
        return there[-1] if there else None


def _is_time(start: float, end: float, epsilon: float) -> bool:
    return start >= -epsilon and math.isfinite(start) and math.isfinite(end)


def _overlaps(
    things: list[Placement] | list[Transfer], epsilon: float
) -> Iterator[tuple[Placement | Transfer, Placement | Transfer]]:
    """Pairs of things on one serial resource, sorted by start, where the second starts before the first ends."""
    latest: Placement | Transfer | None = None
    for thing in things:
        if latest is not None and thing.start < latest.end - epsilon:
            yield latest, thing
        if latest is None or thing.end > latest.end:
            latest = thing
