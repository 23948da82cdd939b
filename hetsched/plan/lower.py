"""Schedule -> Plan: translates times into one global order, and last uses into Frees; decides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hetsched.errors import PlanError
from hetsched.plan.plan import Compute, Copy, Free, Instruction, Plan
from hetsched.plan.waits import extra_waits
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Eviction, Placement, Schedule, Transfer

_Key = tuple[Any, ...]
"""Sorts the body: start, end, level of the producing task, hops travelled, then indices.

Ends come second so that what takes no time stands before what starts at the same moment and takes some; levels come
third so that among things that take no time producers stand before transfers, and transfers before readers.
"""


def lower(problem: Problem, schedule: Schedule, *, constants: Collection[str] = (), platform: str = "") -> Plan:
    """The plan that carries a schedule out.

    Args:
        problem: what was scheduled.
        schedule: a valid one.
        constants: names of those values resident at time zero that are the same in every run; the others are inputs.
        platform: name for the plan's heading; the problem's name when left out.

    Returns:
        A plan whose outputs are the required (value, memory) pairs of values that tasks make; required sources are
        where they were already.

    Raises:
        PlanError: the schedule uses a value where it is not, or does not fit a memory.
    """
    names, memories = problem.value_names, problem.memory_names
    producer = problem.producer.tolist()
    resident = [(names[value], memories[memory]) for value, memory in _resident(problem)]
    plan = Plan(
        platform=platform or problem.name,
        setup=_setup(problem, schedule),
        body=_body(problem, schedule),
        inputs=tuple(place for place in resident if place[0] not in constants),
        constants=tuple(place for place in resident if place[0] in constants),
        outputs=tuple((names[value], memories[memory]) for value, memory in problem.required if producer[value] >= 0),
    )
    return replace(plan, after=extra_waits(plan, problem))


def _setup(problem: Problem, schedule: Schedule) -> tuple[Copy, ...]:
    persistent = problem.persistent.tolist()
    moved = [transfer for transfer in schedule.transfers if persistent[transfer.value]]
    hops = _hops(problem, schedule, moved)
    moved.sort(key=lambda transfer: (transfer.value, hops[transfer.value, transfer.source], transfer.target))
    return tuple(_copy(problem, transfer) for transfer in moved)


def _body(problem: Problem, schedule: Schedule) -> tuple[Instruction, ...]:
    events = _events(problem, schedule)
    events += _frees(problem, schedule, events)
    events.sort(key=lambda event: event[0])
    return tuple(_instruction(problem, event) for _, event in events)


_Event = tuple[_Key, Placement | Transfer | Eviction]


def _events(problem: Problem, schedule: Schedule) -> list[_Event]:
    """Placements and transfers of a run, in order."""
    persistent, producer = problem.persistent.tolist(), problem.producer.tolist()
    moved = [transfer for transfer in schedule.transfers if not persistent[transfer.value]]
    hops = _hops(problem, schedule, moved)
    events: list[_Event] = [((p.start, p.end, p.task, 0, p.device, 0), p) for p in schedule.placements]
    events += [((t.start, t.end, producer[t.value], 1 + hops[t.value, t.source], t.value, t.target), t) for t in moved]
    events.sort(key=lambda event: event[0])
    return events


def _hops(problem: Problem, schedule: Schedule, moved: Iterable[Transfer]) -> Mapping[tuple[int, int], int]:
    """Hops from where a value is made or found to each memory, so that equal times cannot turn a way around."""
    by_value: dict[int, list[Transfer]] = defaultdict(list)
    for transfer in moved:
        by_value[transfer.value].append(transfer)
    hops: dict[tuple[int, int], int] = defaultdict(int)
    several = {value: transfers for value, transfers in by_value.items() if len(transfers) > 1}
    if not several:
        return hops
    homes: dict[int, set[int]] = defaultdict(set)
    for value, memory in _resident(problem):
        homes[value].add(memory)
    device_memory = problem.device_memory.tolist()
    for placement in schedule.placements:
        for value in problem.writes[placement.task]:
            homes[value].add(device_memory[placement.device])
    for value, transfers in several.items():
        reached, frontier, distance = set(homes[value]), set(homes[value]), 0
        while frontier:
            hops.update({(value, memory): distance for memory in frontier})
            frontier = {t.target for t in transfers if t.source in frontier} - reached
            reached |= frontier
            distance += 1
    return hops


@dataclass(slots=True)
class _Hold:
    """A value in a memory from its arrival on: when its last use ends, and the last use's place in the order."""

    end: float = 0.0
    key: _Key = ()


def _frees(problem: Problem, schedule: Schedule, events: list[_Event]) -> list[_Event]:
    """An Eviction for the end of every hold that ends, with its place in the order."""
    persistent, required = problem.persistent.tolist(), set(problem.required)
    device_memory = problem.device_memory.tolist()
    evictions: list[_Event] = [((e.time, e.time, problem.n_tasks), e) for e in schedule.evictions]
    pending = set(schedule.evictions)
    holds = {place: _Hold() for place in _resident(problem)}
    holds |= {(t.value, t.target): _Hold() for t in schedule.transfers if persistent[t.value]}
    ended: list[_Event] = []
    for key, event in sorted(events + evictions, key=lambda event: event[0]) if evictions else events:
        evicted = event
        if isinstance(event, Transfer):  # which may take no time and come back at the moment of the eviction
            evicted = Eviction(event.value, event.target, event.start)
        if isinstance(evicted, Eviction) and evicted in pending:
            pending.remove(evicted)
            place = (evicted.value, evicted.memory)
            if place not in holds:
                raise _not_there(problem, evicted, place)
            ended.append((_end_key(place, holds.pop(place), evicted.time), evicted))
        if isinstance(event, Eviction):
            continue
        used, made = _touched(problem, device_memory, event)
        for place in used:
            if place not in holds:
                raise _not_there(problem, event, place)
        for place in used + made:
            hold = holds.setdefault(place, _Hold())
            hold.end, hold.key = max(hold.end, event.end), max(hold.key, key)
    for place, hold in holds.items():
        if hold.key and place not in required and not persistent[place[0]]:
            ended.append((_end_key(place, hold, hold.end), Eviction(*place, hold.end)))
    return ended


def _touched(
    problem: Problem, device_memory: list[int], event: Placement | Transfer
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The (value, memory) pairs that must be there before, and those that are there after."""
    if isinstance(event, Transfer):
        return [(event.value, event.source)], [(event.value, event.target)]
    memory = device_memory[event.device]
    reads, writes = problem.reads[event.task], problem.writes[event.task]
    return [(value, memory) for value in reads], [(value, memory) for value in writes]


def _end_key(place: tuple[int, int], hold: _Hold, time: float) -> _Key:
    """Before all that starts at that time, unless the hold's last use takes no time and is among it."""
    return max(hold.key, (time, time, -2)) + place


def _instruction(problem: Problem, event: Placement | Transfer | Eviction) -> Instruction:
    if isinstance(event, Transfer):
        return _copy(problem, event)
    if isinstance(event, Eviction):
        return Free(problem.value_names[event.value], problem.memory_names[event.memory])
    return Compute(
        task=problem.task_names[event.task],
        device=problem.device_names[event.device],
        memory=problem.memory_names[problem.device_memory[event.device]],
        reads=tuple(problem.value_names[value] for value in problem.reads[event.task]),
        writes=tuple(problem.value_names[value] for value in problem.writes[event.task]),
    )


def _copy(problem: Problem, transfer: Transfer) -> Copy:
    links = problem.route_links.get((transfer.source, transfer.target), ())
    return Copy(
        value=problem.value_names[transfer.value],
        source=problem.memory_names[transfer.source],
        target=problem.memory_names[transfer.target],
        links=tuple(problem.link_names[link] for link in links),
    )


def _resident(problem: Problem) -> list[tuple[int, int]]:
    values, memories = problem.resident.nonzero()
    return list(zip(values.tolist(), memories.tolist(), strict=True))


def _not_there(problem: Problem, event: Placement | Transfer | Eviction, place: tuple[int, int]) -> PlanError:
    value, memory = problem.value_names[place[0]], problem.memory_names[place[1]]
    if isinstance(event, Placement):
        what = f"task {problem.task_names[event.task]!r} at {event.start} s"
    elif isinstance(event, Transfer):
        what = f"transfer of {value!r} to {problem.memory_names[event.target]} at {event.start} s"
    else:
        what = f"eviction at {event.time} s"
    return PlanError(f"{what}: {value!r} is not in {memory} then; the schedule is not valid")
