"""Who waits for whom in a plan's body, and which lane runs what.

`dependencies` is what the data and ``plan.after`` demand; `lanes` is the order in which each device and link works. The
simulator and every executor build on both, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping

from hetsched.errors import PlanError
from hetsched.plan.plan import Free, Place, Plan, describe, lane_of, reads_of, writes_of


def dependencies(plan: Plan) -> tuple[tuple[int, ...], ...]:
    """For each body position, the positions that must have ended before it starts, ascending; lane order not included.

    A read waits for the arrival it reads, an arrival for the Free that gave the value up there before, and a Free for
    the arrival and all uses that it follows.
    """
    arrived: dict[Place, int] = {}
    touched: dict[Place, list[int]] = {}
    freed: dict[Place, int] = {}
    found: list[tuple[int, ...]] = []
    for position, instruction in enumerate(plan.body):
        waits = set(plan.after.get(position, ()))
        if isinstance(instruction, Free):
            place = (instruction.value, instruction.memory)
            waits.update(touched.pop(place, ()))
            arrived.pop(place, None)
            freed[place] = position
        else:
            for place in reads_of(instruction):
                if place in arrived:
                    waits.add(arrived[place])
                touched.setdefault(place, []).append(position)
            for place in writes_of(instruction):
                if place in freed:
                    waits.add(freed[place])
                arrived[place] = position
                touched.setdefault(place, []).append(position)
        found.append(tuple(sorted(waits)))
    return tuple(found)


def lanes(plan: Plan) -> Mapping[str, tuple[int, ...]]:
    """The body positions of each lane, ascending; lanes in order of their first instruction.

    A Free belongs to the lane of the last earlier instruction that touched its value there, and never blocks it.

    Raises:
        PlanError: a Free follows no instruction that touched its value there, so no lane would run it.
    """
    found: dict[str, list[int]] = {}
    for position, owner in enumerate(owners(plan)):
        instruction = plan.body[position] if owner is None else plan.body[owner]
        if isinstance(instruction, Free):
            raise PlanError(f"body[{position}] {describe(instruction)}: nothing before it touches that value there")
        found.setdefault(lane_of(instruction), []).append(position)
    return {lane: tuple(positions) for lane, positions in found.items()}


def owners(plan: Plan) -> tuple[int | None, ...]:
    """For each body position, the position of the Compute or Copy whose lane runs it; None for a Free without one."""
    touched: dict[Place, int] = {}
    found: list[int | None] = []
    for position, instruction in enumerate(plan.body):
        if isinstance(instruction, Free):
            found.append(touched.get((instruction.value, instruction.memory)))
            continue
        found.append(position)
        for place in reads_of(instruction) + writes_of(instruction):
            touched[place] = position
    return tuple(found)
