"""Runs a plan on a virtual clock: predicts every start and end, the makespan, and the peak bytes of every memory."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from hetsched.errors import PlanError
from hetsched.plan.dependencies import dependencies
from hetsched.plan.plan import Compute, Copy, Free, Instruction, Plan, lane_of
from hetsched.plan.rules import Violation, data_violations, name_violations, order_violations, waiting_message
from hetsched.plan.storage import Storages
from hetsched.schedule.problem import Problem
from hetsched.trace.trace import Span, Trace


def simulate(plan: Plan, problem: Problem, *, slack: bool = False) -> Trace:
    """What the plan would do if every instruction took as long as the problem predicts.

    Args:
        plan: any plan over the problem's names.
        problem: gives times, sizes and whether links are contended.
        slack: a lane takes its first instruction that can start, instead of waiting for the next in order.

    Returns:
        A predicted trace. Setup runs before the body, on a clock of its own; the makespan is the body's.

    Raises:
        PlanError: the plan breaks a rule, cannot go on, or names what the problem does not have.
    """
    for violation in name_violations(plan, problem) + data_violations(plan):
        raise PlanError(violation.message)
    storages = Storages(plan, problem)
    seconds, dispatch = _seconds_of(problem), _dispatch_of(problem)
    setup = replace(plan, setup=(), body=plan.setup, after={})
    spans = _spans(setup, _Clock(setup, seconds, dispatch, storages, problem.contention, slack).run(), problem, "setup")
    body = _spans(plan, _Clock(plan, seconds, dispatch, storages, problem.contention, slack).run(), problem, "body")
    return Trace(
        spans=(*spans, *body),
        makespan_seconds=max((span.end_seconds for span in body), default=0.0),
        platform=plan.platform,
        predicted=True,
        peak_bytes=storages.peak_bytes,
    )


def check_plan(plan: Plan, problem: Problem | None = None) -> list[Violation]:
    """Every rule that a plan breaks; its names and the room in its memories only where the problem is given."""
    violations = data_violations(plan) + order_violations(plan)
    if problem is not None:
        violations += name_violations(plan, problem)
    if violations or problem is None:
        return violations
    for slack in (False, True):
        peak_bytes = simulate(plan, problem, slack=slack).peak_bytes
        violations += [
            Violation(
                "capacity", f"{memory} would hold {peak_bytes[memory]:.12g} bytes and has room for {capacity:.12g}"
            )
            for memory, capacity in zip(problem.memory_names, problem.capacity.tolist(), strict=True)
            if peak_bytes[memory] > capacity * (1 + 1e-9)
        ]
    return violations


def _seconds_of(problem: Problem) -> Callable[[Compute | Copy], float]:
    task_of = {name: index for index, name in enumerate(problem.task_names)}
    value_of: dict[str, int] = {name: index for index, name in enumerate(problem.value_names)}
    memory_of = {name: index for index, name in enumerate(problem.memory_names)}
    class_of: dict[str, int] = dict(zip(problem.device_names, problem.device_class.tolist(), strict=True))
    seconds: list[list[float]] = problem.seconds.tolist()

    def seconds_of(instruction: Compute | Copy) -> float:
        if isinstance(instruction, Compute):
            return seconds[task_of[instruction.task]][class_of[instruction.device]]
        source, target = memory_of[instruction.source], memory_of[instruction.target]
        return problem.hop_seconds(value_of[instruction.value], source, target)

    return seconds_of


def _dispatch_of(problem: Problem) -> Callable[[Instruction], tuple[str, float]]:
    task_of = {name: index for index, name in enumerate(problem.task_names)}
    device_of = {name: index for index, name in enumerate(problem.device_names)}

    def dispatch_of(instruction: Instruction) -> tuple[str, float]:
        """The interpreter that starts an instruction, and for how long; none where that takes no time."""
        if not isinstance(instruction, Compute):
            return "", 0.0
        device = device_of[instruction.device]
        seconds = problem.dispatch_of(task_of[instruction.task], device)
        return (f"interpreter {problem.dispatcher[device]}", seconds) if seconds else ("", 0.0)

    return dispatch_of


def _spans(
    plan: Plan, times: list[tuple[float, float]], problem: Problem, phase: Literal["setup", "body"]
) -> list[Span]:
    value_bytes = dict(zip(problem.value_names, problem.value_bytes.tolist(), strict=True))
    spans = []
    for instruction, (start, end) in zip(plan.body, times, strict=True):
        if isinstance(instruction, Compute):
            spans.append(Span("compute", instruction.task, lane_of(instruction), start, end, phase=phase))
        elif isinstance(instruction, Copy):
            n_bytes = value_bytes[instruction.value]
            spans.append(
                Span("copy", instruction.value, lane_of(instruction), start, end, n_bytes=n_bytes, phase=phase)
            )
    return sorted(spans, key=lambda span: span.start_seconds)


class _Clock:
    """Starts instructions as what they wait for ends, and their device, or their links, are idle."""

    def __init__(
        self,
        plan: Plan,
        seconds_of: Callable[[Compute | Copy], float],
        dispatch_of: Callable[[Instruction], tuple[str, float]],
        storages: Storages,
        contention: bool,
        slack: bool,
    ) -> None:
        self._body = plan.body
        self._seconds_of = seconds_of
        self._storages = storages
        self._resources = [_resources(instruction, contention) for instruction in plan.body]
        self._dispatch = [dispatch_of(instruction) for instruction in plan.body]
        for position, (interpreter, _) in enumerate(self._dispatch):
            if interpreter:
                self._resources[position] += (interpreter,)
        waits = [list(found) for found in dependencies(plan)]
        if not slack:
            self._keep_lane_order(waits)
        self._n_waits = [len(found) for found in waits]
        self._waiters: list[list[int]] = [[] for _ in plan.body]
        for position, found in enumerate(waits):
            for earlier in found:
                if not 0 <= earlier < len(waits):
                    raise PlanError(f"body[{position}] waits for body[{earlier}], which does not exist")
                self._waiters[earlier].append(position)
        self._queues: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._queues_on: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        self._busy: set[str] = set()
        self._running: list[tuple[float, int]] = []
        self._times: dict[int, tuple[float, float]] = {}

    def run(self) -> list[tuple[float, float]]:
        """Start and end of each body position."""
        now = 0.0
        startable = self._settle([position for position, count in enumerate(self._n_waits) if not count], now)
        while True:
            self._start(startable, now)
            if not self._running:
                break
            now = self._running[0][0]
            ended: list[int] = []
            startable = set()
            while self._running and self._running[0][0] == now:
                position = heapq.heappop(self._running)[1]
                for resource in self._released(position):
                    self._busy.discard(resource)
                    startable |= self._queues_on[resource]
                ended += self._woken_by(position) if position >= 0 else []
            startable |= self._settle(ended, now)
        if len(self._times) < len(self._body):
            stuck = [position for position in range(len(self._body)) if position not in self._times]
            raise PlanError(waiting_message(self._body, stuck))
        return [self._times[position] for position in range(len(self._body))]

    def _released(self, position: int) -> tuple[str, ...]:
        """What becomes idle: the interpreter that has started ~position, or all else that position kept to itself."""
        interpreter = self._dispatch[position if position >= 0 else ~position][0]
        if position < 0:
            return (interpreter,)
        return tuple(resource for resource in self._resources[position] if resource != interpreter)

    def _keep_lane_order(self, waits: list[list[int]]) -> None:
        last: dict[str, int] = {}
        for position, resources in enumerate(self._resources):
            for resource in resources:
                if resource in last and resource != self._dispatch[position][0]:
                    waits[position].append(last[resource])
                last[resource] = position

    def _woken_by(self, position: int) -> list[int]:
        woken = []
        for waiter in self._waiters[position]:
            self._n_waits[waiter] -= 1
            if not self._n_waits[waiter]:
                woken.append(waiter)
        return woken

    def _settle(self, ready: list[int], now: float) -> set[tuple[str, ...]]:
        """Carry out the Frees among ``ready`` and queue the others; returns the queues that have grown."""
        grown = set()
        for position in ready:
            instruction = self._body[position]
            if isinstance(instruction, Free):
                self._storages.free(instruction)
                self._times[position] = (now, now)
                ready += self._woken_by(position)
            else:
                resources = self._resources[position]
                if not self._queues[resources]:
                    for resource in resources:
                        self._queues_on[resource].add(resources)
                heapq.heappush(self._queues[resources], position)
                grown.add(resources)
        return grown

    def _start(self, startable: set[tuple[str, ...]], now: float) -> None:
        """Start the lowest position of each queue whose resources are idle, lowest positions first."""
        heads = [(self._queues[resources][0], resources) for resources in startable if self._queues[resources]]
        for _, resources in sorted(heads):
            queue = self._queues[resources]
            while queue and self._busy.isdisjoint(resources):
                position = heapq.heappop(queue)
                instruction = self._body[position]
                assert not isinstance(instruction, Free)
                self._storages.start(instruction)
                self._busy.update(resources)
                end = now + self._seconds_of(instruction)
                self._times[position] = (now, end)
                heapq.heappush(self._running, (end, position))
                if self._dispatch[position][0]:
                    heapq.heappush(self._running, (now + self._dispatch[position][1], ~position))


def _resources(instruction: Compute | Copy | Free, contention: bool) -> tuple[str, ...]:
    """What an instruction keeps to itself: its device, or its links where they are contended."""
    if isinstance(instruction, Compute):
        return ("device " + instruction.device,)
    if isinstance(instruction, Copy) and contention:
        return tuple("link " + link for link in instruction.links)
    return ()
