"""What a plan's instructions wait for besides data: links that several routes share, and room in full memories.

With these waits every order that the data allows is safe: no link is promised twice and no capacity is exceeded,
whichever instruction a lane starts early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from hetsched.errors import PlanError
from hetsched.plan.plan import Copy, Free, Instruction, Plan, describe, lane_of
from hetsched.plan.storage import Storages
from hetsched.schedule.problem import Problem

_TOLERANCE = 1 + 1e-9


def extra_waits(plan: Plan, problem: Problem) -> Mapping[int, tuple[int, ...]]:
    """``Plan.after`` for a plan whose body is in its final order.

    Raises:
        PlanError: a memory has no room for what an instruction writes, whatever was freed before.
    """
    found: dict[int, set[int]] = {}
    if problem.contention:
        _wait_for_links(plan.body, found)
    _wait_for_room(plan, problem, found)
    return {position: tuple(sorted(found[position])) for position in sorted(found)}


def _wait_for_links(body: Sequence[Instruction], found: dict[int, set[int]]) -> None:
    last: dict[str, int] = {}
    for position, instruction in enumerate(body):
        if not isinstance(instruction, Copy):
            continue
        for link in instruction.links:
            before = last.get(link)
            if before is not None:
                earlier = body[before]
                if isinstance(earlier, Copy) and lane_of(earlier) != lane_of(instruction):
                    found.setdefault(position, set()).add(before)
            last[link] = position


def _wait_for_room(plan: Plan, problem: Problem, found: dict[int, set[int]]) -> None:
    """Let each instruction wait for the shortest run of Frees after which all that was ever taken up to it still fits.

    Counting only releases that were waited for is what makes starting early safe: whatever else runs, the bytes taken
    up to an instruction, less those it knows to be released, fit. Frees that are waited for wait for one another, so
    that one wait stands for all.
    """
    storages = Storages(plan, problem)
    for copy in plan.setup:
        storages.start(copy)
    taken_bytes = dict(storages.held_bytes)
    capacity = dict(zip(problem.memory_names, (problem.capacity * _TOLERANCE).tolist(), strict=True))
    freed: dict[str, deque[tuple[int, float]]] = {memory: deque() for memory in capacity}
    last: dict[str, int] = {}
    for position, instruction in enumerate(plan.body):
        if isinstance(instruction, Free):
            freed[instruction.memory].append((position, storages.free(instruction)))
            continue
        memory, n_bytes = storages.start(instruction)
        if not n_bytes:
            continue
        taken_bytes[memory] += n_bytes
        while taken_bytes[memory] > capacity[memory]:
            if not freed[memory]:
                room_bytes = problem.capacity[problem.memory_names.index(memory)]
                raise PlanError(
                    f"body[{position}] {describe(instruction)}: {memory} would hold {taken_bytes[memory]:.12g} bytes "
                    f"and has room for {room_bytes:.12g}; the schedule does not fit"
                )
            free, released_bytes = freed[memory].popleft()
            if memory in last:
                found.setdefault(free, set()).add(last[memory])
            last[memory] = free
            taken_bytes[memory] -= released_bytes
        if memory in last:
            found.setdefault(position, set()).add(last[memory])
