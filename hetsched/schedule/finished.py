"""From a draft to a Schedule: the copies that its placements need, or a replay where memories or links decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetsched.errors import ScheduleError
from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.fill import no_room
from hetsched.schedule.memory import require_room, tight_memories
from hetsched.schedule.problem import Problem
from hetsched.schedule.rows import Rows
from hetsched.schedule.schedule import Placement, Schedule, Transfer
from hetsched.schedule.timeline import Timeline

Numeric = NDArray[Any]
"""Arrays of indices, times, sizes or truths."""

LATE = 1e-9
"""Relative to the makespan; a copy that arrives this much after its reader starts is late."""


def values_are_tight(problem: Problem) -> bool:
    """Whether values could overflow a memory: then only a `Timeline` knows what fits when."""
    return problem.values_take_room and bool(problem.value_bytes.any()) and bool(tight_memories(problem))


def finished(drafting: Drafting, draft: Draft, notes: Iterable[str] = ()) -> Schedule:
    """The Schedule of a draft.

    Raises:
        ScheduleError: no schedule has these devices and this order.
    """
    if draft.makespan == np.inf:
        raise no_schedule(drafting, draft.name)
    if values_are_tight(drafting.problem):
        return replayed(drafting, draft, notes)
    copies = _booked(drafting, draft) if drafting.links.n_links else _free_copies(drafting, draft)
    return replayed(drafting, draft, notes) if copies is None else _schedule(drafting, *copies, notes)


def replayed(drafting: Drafting, draft: Draft, notes: Iterable[str] = ()) -> Schedule:
    """The draft's tasks in its order on its devices, as far as memories have room for that.

    Raises:
        ScheduleError: a task finds no room anywhere.
    """
    timeline = Timeline(drafting.problem)
    for task in map(int, drafting.by_start(draft)):
        timeline.place(task, timeline.best(task, prefer=(drafting.form.devices[int(draft.device[task])],)))
    return timeline.finish(draft.name, notes)


def no_schedule(drafting: Drafting, name: str) -> ScheduleError:
    """The error of an algorithm that finds none: what stands in the way of placing the tasks one after another."""
    problem = drafting.problem
    try:
        require_room(problem, problem.device_seconds.tolist())
        if len(drafting.flat.capacity):
            return no_room(drafting, name)
        timeline = Timeline(problem)
        for task in range(problem.n_tasks):
            timeline.place(task, timeline.best(task))
        timeline.finish(name)
    except ScheduleError as error:
        return error
    return ScheduleError(f"{name} finds no schedule of {problem.name}, though there is one: scheduler='auto'")


_Copies = tuple[Numeric, Numeric, Numeric, Numeric, Numeric]
"""Value, source and target memory, start and end."""


def _schedule(drafting: Drafting, draft: Draft, copies: _Copies, notes: Iterable[str]) -> Schedule:
    problem = drafting.problem
    devices = np.array(drafting.form.devices)[np.asarray(draft.device, dtype=np.int64)]
    start, end = np.asarray(draft.start, dtype=np.float64), np.asarray(draft.end, dtype=np.float64)
    by_time = np.lexsort((np.arange(problem.n_tasks), end, start))
    value, source, target, begins, ends = copies
    in_order = np.lexsort((target, source, value, ends, begins))
    return Schedule(
        problem=problem,
        scheduler=draft.name,
        placements=Rows(Placement, by_time, devices[by_time], start[by_time], end[by_time]),
        transfers=Rows(Transfer, *(column[in_order] for column in (value, source, target, begins, ends))),
        lower_bound_seconds=problem.lower_bound_seconds,
        notes=tuple(notes),
    )


def _booked(drafting: Drafting, draft: Draft) -> tuple[Draft, _Copies]:
    """The draft with the copies that placing it anew books on the links."""
    placed = drafting.place(drafting.order_of(draft), draft.name, wanted=draft.device)
    copies = drafting.booked_copies()
    setup = _copies_of_sources(drafting, placed, drafting.problem.persistent)
    return placed, _joined(copies, setup)


def _joined(*parts: _Copies) -> _Copies:
    value, source, target, start, end = (np.concatenate(columns) for columns in map(list, zip(*parts, strict=True)))
    return value, source, target, start, end


def _free_copies(drafting: Drafting, draft: Draft) -> tuple[Draft, _Copies] | None:
    """Copies that start as soon as what they copy is there; None if one of them is late, as ways may differ."""
    problem = drafting.problem
    memory = problem.device_memory[np.array(drafting.form.devices)][np.asarray(draft.device, dtype=np.int64)]
    end = np.asarray(draft.end, dtype=np.float64)
    reader = np.repeat(np.arange(problem.n_tasks), np.diff(problem.read_ptr))
    value, target = problem.read_values, memory[reader]
    if problem.required:
        required = np.array(problem.required, dtype=np.int64).reshape(-1, 2)
        made_here = problem.producer[required[:, 0]] >= 0
        value = np.concatenate((value, required[made_here, 0]))
        target = np.concatenate((target, required[made_here, 1]))
    made = problem.producer[value] >= 0
    pairs = np.unique(value[made].astype(np.int64) * problem.n_memories + target[made])
    value, target = pairs // problem.n_memories, pairs % problem.n_memories
    maker = problem.producer[value]
    copies = _along_ways(drafting, value, memory[maker], target, end[maker])
    sources = _copies_of_sources(drafting, draft, problem.producer < 0)
    joined = _joined(copies, sources)
    return None if _is_late(drafting, draft, memory, joined) else (draft, joined)


def _along_ways(drafting: Drafting, value: Numeric, here: Numeric, target: Numeric, at: Numeric) -> _Copies:
    """All hops of some values from where they are to where they are to be; a stop that several pass is passed once."""
    problem, ways = drafting.problem, drafting.form.ways
    n_memories = problem.n_memories
    parts: list[_Copies] = []
    going = here != target
    while going.any():
        value, here, target, at = value[going], here[going], target[going], at[going]
        stop = ways.next_memory.reshape(-1)[ways.offset[value] + here * n_memories + target]
        seconds = problem.latency[here, stop] + problem.value_bytes[value] * problem.seconds_per_byte[here, stop]
        parts.append((value, here, stop, at, at + seconds))
        here, at = stop, at + seconds
        going = here != target
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return none, none, none, np.zeros(0), np.zeros(0)
    value, source, stop, start, end = (np.concatenate(part) for part in zip(*parts, strict=True))
    in_order = np.lexsort((end, stop, value))
    key = value[in_order] * n_memories + stop[in_order]
    first = in_order[np.concatenate(([True], key[1:] != key[:-1]))]
    return value[first], source[first], stop[first], start[first], end[first]


def _copies_of_sources(drafting: Drafting, draft: Draft, chosen: Numeric) -> _Copies:
    """Copies of sources to where tasks read them; those that persist are copied in setup, at time zero."""
    problem = drafting.problem
    memory = problem.device_memory[np.array(drafting.form.devices)][np.asarray(draft.device, dtype=np.int64)]
    reader = np.repeat(np.arange(problem.n_tasks), np.diff(problem.read_ptr))
    read = chosen[problem.read_values] & (problem.producer[problem.read_values] < 0)
    pairs = {*zip(problem.read_values[read].tolist(), memory[reader[read]].tolist(), strict=True)}
    pairs |= {(v, m) for v, m in problem.required if problem.producer[v] < 0 and chosen[v]}
    wanted = sorted((v, m) for v, m in pairs if not problem.resident[v, m])
    if not wanted:
        none = np.zeros(0, dtype=np.int64)
        return _along_ways(drafting, none, none, none, np.zeros(0))
    value, target = (np.array(column, dtype=np.int64) for column in zip(*wanted, strict=True))
    origin = np.array([drafting.form.origin(problem, v, m) for v, m in wanted], dtype=np.int64)
    value, source, stop, start, end = _along_ways(drafting, value, origin, target, np.zeros(len(value)))
    new = ~problem.resident[value, stop]
    value, source, stop, start, end = value[new], source[new], stop[new], start[new], end[new]
    still = ~problem.persistent[value]
    return value, source, stop, start * still, end * still


def _is_late(drafting: Drafting, draft: Draft, memory: Numeric, copies: _Copies) -> bool:
    """Whether a copy ends after a reader of it starts; on single hops it cannot."""
    if drafting.form.ways.max_hops < 2:
        return False
    problem = drafting.problem
    value, _, target, _, end = copies
    reader = np.repeat(np.arange(problem.n_tasks), np.diff(problem.read_ptr))
    key = problem.read_values.astype(np.int64) * problem.n_memories + memory[reader]
    known = value.astype(np.int64) * problem.n_memories + target
    in_order = np.argsort(known)
    found = np.searchsorted(known[in_order], key)
    found = np.where(found < len(known), found, 0)
    there = known[in_order][found] == key if len(known) else np.zeros(len(key), bool)
    arrival = np.where(there, end[in_order][found] if len(known) else 0.0, 0.0)
    return bool((arrival > np.asarray(draft.start)[reader] + LATE * draft.makespan).any())
