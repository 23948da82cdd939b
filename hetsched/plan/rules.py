"""The rules that every plan keeps, checked from its data alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetsched.plan.dependencies import dependencies
from hetsched.plan.plan import Compute, Copy, Free, Instruction, Place, Plan, describe, lane_of, reads_of, writes_of
from hetsched.schedule.problem import Problem


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule.

    Attributes:
        rule: ``use-after-free``, ``not-there``, ``never-written``, ``double-crossing``, ``order``, ``deadlock``,
            ``unknown-name`` or ``capacity``.
        message: what breaks it, and where.
    """

    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


def data_violations(plan: Plan) -> list[Violation]:
    """Rules that the flow of values breaks: every use finds its value, and a value crosses once until it is freed."""
    walk = _Walk(plan)
    for number, copy in enumerate(plan.setup):
        walk.step("setup", number, copy)
    for position, instruction in enumerate(plan.body):
        walk.step("body", position, instruction)
    for place in plan.outputs:
        walk.use(place, "the end of the run", len(plan.body))
    return walk.violations


def name_violations(plan: Plan, problem: Problem) -> list[Violation]:
    """Tasks, values, devices and memories that the problem does not have, each once."""
    used: dict[str, set[str]] = {"task": set(), "device": set(), "value": set(), "memory": set()}
    places = {*plan.inputs, *plan.constants, *plan.outputs}
    for instruction in plan.setup + plan.body:
        if isinstance(instruction, Free):
            places.add((instruction.value, instruction.memory))
            continue
        places.update(reads_of(instruction), writes_of(instruction))
        if isinstance(instruction, Compute):
            used["task"].add(instruction.task)
            used["device"].add(instruction.device)
            used["memory"].add(instruction.memory)
    used["value"] |= {value for value, _ in places}
    used["memory"] |= {memory for _, memory in places}
    known = (problem.task_names, problem.device_names, problem.value_names, problem.memory_names)
    return [
        Violation("unknown-name", f"problem {problem.name!r} has no {what} {name!r}; give the plan's own problem")
        for (what, names), there in zip(used.items(), known, strict=True)
        for name in sorted(names.difference(there))
    ]


def order_violations(plan: Plan) -> list[Violation]:
    """Entries of ``plan.after`` that do not point back, and the deadlocks that they make."""
    backwards = [
        Violation("order", f"body[{position}] waits for body[{earlier}], which does not stand before it")
        for position, waits in sorted(plan.after.items())
        for earlier in waits
        if not 0 <= earlier < position
    ]
    stuck = deadlocked(plan) if backwards else ()
    return backwards + ([Violation("deadlock", waiting_message(plan.body, stuck))] if stuck else [])


def deadlocked(plan: Plan) -> tuple[int, ...]:
    """The body positions that can never start when every lane keeps its order."""
    waits = [set(found) for found in dependencies(plan)]
    last: dict[str, int] = {}
    for position, instruction in enumerate(plan.body):
        if not isinstance(instruction, Free):
            lane = lane_of(instruction)
            if lane in last:
                waits[position].add(last[lane])
            last[lane] = position
    waiters: list[list[int]] = [[] for _ in plan.body]
    n_waits = [len(found) for found in waits]
    for position, found in enumerate(waits):
        for earlier in found:
            if 0 <= earlier < len(waiters):
                waiters[earlier].append(position)
    able = [position for position, count in enumerate(n_waits) if not count]
    for position in able:
        for waiter in waiters[position]:
            n_waits[waiter] -= 1
            if not n_waits[waiter]:
                able.append(waiter)
    return tuple(sorted(set(range(len(waits))) - set(able)))


def waiting_message(body: Sequence[Instruction], stuck: Sequence[int], limit: int = 5) -> str:
    """Names the instructions that wait for ever."""
    shown = "; ".join(f"body[{position}] {describe(body[position])}" for position in stuck[:limit])
    more = f" and {len(stuck) - limit} more" if len(stuck) > limit else ""
    return f"these wait for one another for ever: {shown}{more}"


class _Walk:
    def __init__(self, plan: Plan) -> None:
        self.violations: list[Violation] = []
        self._there: set[Place] = set(plan.inputs) | set(plan.constants)
        self._freed: set[Place] = set()
        self._comes: dict[Place, int] = {}
        for position, instruction in enumerate(plan.body):
            if not isinstance(instruction, Free):
                self._comes |= dict.fromkeys(writes_of(instruction), position)
        self._written = {value for value, _ in (*self._there, *self._comes)}

    def step(self, section: str, position: int, instruction: Instruction) -> None:
        where = f"{section}[{position}] {describe(instruction)}"
        now = position if section == "body" else -1
        if isinstance(instruction, Free):
            place = (instruction.value, instruction.memory)
            self.use(place, where, now)
            self._there.discard(place)
            self._freed.add(place)
            return
        for place in reads_of(instruction):
            self.use(place, where, now)
        for place in writes_of(instruction):
            if place in self._there and isinstance(instruction, Copy):
                self._found("double-crossing", f"{where}: {place[1]} holds {place[0]!r} already")
            self._there.add(place)
            self._freed.discard(place)

    def use(self, place: Place, where: str, now: int) -> None:
        value, memory = place
        if place in self._there:
            return
        if self._comes.get(place, -1) > now:
            self._found("order", f"{where}: {value!r} comes to {memory} only with body[{self._comes[place]}]")
        elif place in self._freed:
            self._found("use-after-free", f"{where}: {value!r} was freed in {memory} before")
        elif value in self._written:
            self._found("not-there", f"{where}: {memory} does not hold {value!r}; copy it there first")
        else:
            self._found("never-written", f"{where}: nothing writes {value!r}, and it is no input or constant")

    def _found(self, rule: str, message: str) -> None:
        self.violations.append(Violation(rule, message))
