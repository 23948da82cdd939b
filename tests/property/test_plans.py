"""What holds for the plan of every schedule: in time, in room, one crossing, nothing after free, and as text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from plans import spilling_schedule
from strategies import problems

from hetsched.errors import PlanError, ScheduleError
from hetsched.plan.dependencies import dependencies, lanes
from hetsched.plan.lower import lower
from hetsched.plan.plan import Compute, Copy, Free, Plan, writes_of
from hetsched.plan.rules import Violation
from hetsched.plan.simulate import check_plan, simulate
from hetsched.schedule import SCHEDULERS
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.trace.trace import Trace

NONE: list[Violation] = []


@st.composite
def spilled(draw: st.DrawFn) -> Schedule:
    try:
        return spilling_schedule(draw(problems()), lambda n: draw(st.integers(0, n - 1)))
    except ScheduleError:
        reject()


def scheduled(name: str) -> st.SearchStrategy[Schedule]:
    return problems().map(SCHEDULERS[name])


NAMES = [name for name in SCHEDULERS if name not in ("exact", "thorough")]  # which take their time for every example

every_scheduler = pytest.mark.parametrize(
    "schedules", [*(scheduled(name) for name in NAMES), spilled()], ids=[*NAMES, "spilling"]
)


@every_scheduler
@given(data=st.data())
def test_plan_keeps_every_promise_of_its_schedule(schedules: st.SearchStrategy[Schedule], data: st.DataObject) -> None:
    schedule = data.draw(schedules)
    problem = schedule.problem
    plan = lower(problem, schedule)
    assert check_plan(plan, problem) == NONE
    assert Plan.parse(str(plan)) == plan
    assert_order_extends_dependencies(plan)
    strict = simulate(plan, problem)
    assert_in_time(schedule, strict)
    for trace in (strict, simulate(plan, problem, slack=True)):
        assert_fits(problem, trace)
        assert_serial(problem, plan, trace)


def assert_order_extends_dependencies(plan: Plan) -> None:
    for position, waits in enumerate(dependencies(plan)):
        assert all(earlier < position for earlier in waits)
    assert sorted(position for lane in lanes(plan).values() for position in lane) == list(range(len(plan.body)))


def assert_in_time(schedule: Schedule, trace: Trace) -> None:
    """No placement and no transfer ends later than scheduled."""
    problem = schedule.problem
    due: dict[tuple[str, str], list[float]] = {}
    for placement in schedule.placements:
        key = (problem.task_names[placement.task], problem.device_names[placement.device])
        due.setdefault(key, []).append(placement.end)
    for transfer in schedule.transfers:
        route = f"{problem.memory_names[transfer.source]}->{problem.memory_names[transfer.target]}"
        if not problem.persistent[transfer.value]:
            due.setdefault((problem.value_names[transfer.value], route), []).append(transfer.end)
    ended: dict[tuple[str, str], list[float]] = {}
    for span in trace:
        if span.phase == "body":
            ended.setdefault((span.name, span.lane), []).append(span.end_seconds)
    assert due.keys() == ended.keys()
    for key, ends in due.items():
        for promised, simulated in zip(sorted(ends), sorted(ended[key]), strict=True):
            assert simulated <= promised * (1 + 1e-12), key
    assert trace.makespan_seconds <= schedule.makespan_seconds * (1 + 1e-12)


def assert_fits(problem: Problem, trace: Trace) -> None:
    for memory, capacity in zip(problem.memory_names, problem.capacity.tolist(), strict=True):
        assert trace.peak_bytes[memory] <= capacity


def assert_serial(problem: Problem, plan: Plan, trace: Trace) -> None:
    """Nothing overlaps on a device or, where links are contended, on a link."""
    links = {f"{c.source}->{c.target}": c.links for c in plan.body if isinstance(c, Copy)}
    busy: dict[str, list[tuple[float, float]]] = {}
    for span in trace:
        if span.phase == "body" and (span.kind == "compute" or problem.contention):
            for resource in links.get(span.lane, (span.lane,)):
                busy.setdefault(resource, []).append((span.start_seconds, span.end_seconds))
    for spans in busy.values():
        last = 0.0
        for start, end in sorted(spans):
            assert start >= last or math.isclose(start, last)
            last = end


def positions(plan: Plan, kind: type) -> list[int]:
    return [position for position, instruction in enumerate(plan.body) if isinstance(instruction, kind)]


def without(plan: Plan, position: int) -> Plan:
    return replace(plan, body=plan.body[:position] + plan.body[position + 1 :], after={})


def drop_a_copy(plan: Plan, pick: Callable[[int], int]) -> tuple[Plan, set[str]]:
    copies = positions(plan, Copy)
    assume(copies)
    return without(plan, copies[pick(len(copies))]), {"not-there", "order", "use-after-free"}


def free_too_early(plan: Plan, pick: Callable[[int], int]) -> tuple[Plan, set[str]]:
    frees = positions(plan, Free)
    assume(frees)
    position = frees[pick(len(frees))]
    free = plan.body[position]
    assert isinstance(free, Free)
    last_use = dependencies(replace(plan, after={}))[position][-1]
    rest = without(plan, position).body
    return replace(plan, body=(*rest[:last_use], free, *rest[last_use:]), after={}), {"use-after-free", "order"}


def swap_a_writer_and_its_reader(plan: Plan, pick: Callable[[int], int]) -> tuple[Plan, set[str]]:
    pairs = [
        (waits[-1], position)
        for position, waits in enumerate(dependencies(replace(plan, after={})))
        if waits and isinstance(plan.body[position], Compute) and not isinstance(plan.body[waits[-1]], Free)
    ]
    assume(pairs)
    writer, reader = pairs[pick(len(pairs))]
    body = list(plan.body)
    body[writer], body[reader] = body[reader], body[writer]
    return replace(plan, body=tuple(body), after={}), {"order"}


def write_nothing(plan: Plan, pick: Callable[[int], int]) -> tuple[Plan, set[str]]:
    writers = [position for position in positions(plan, Compute) if writes_of(plan.body[position])]
    assume(writers)
    position = writers[pick(len(writers))]
    compute = plan.body[position]
    assert isinstance(compute, Compute)
    body = list(plan.body)
    body[position] = replace(compute, writes=())
    return replace(plan, body=tuple(body)), {"never-written", "not-there", "order"}


def copy_again(plan: Plan, pick: Callable[[int], int]) -> tuple[Plan, set[str]]:
    copies = positions(plan, Copy)
    assume(copies)
    position = copies[pick(len(copies))]
    body = (*plan.body[: position + 1], plan.body[position], *plan.body[position + 1 :])
    return replace(plan, body=body, after={}), {"double-crossing"}


def wait_in_a_circle(plan: Plan, pick: Callable[[int], int]) -> tuple[Plan, set[str]]:
    pairs = [(waits[-1], position) for position, waits in enumerate(dependencies(plan)) if waits]
    assume(pairs)
    earlier, later = pairs[pick(len(pairs))]
    after = {**plan.after, earlier: (*plan.after.get(earlier, ()), later)}
    return replace(plan, after=after), {"deadlock"}


@pytest.mark.parametrize(
    "breakage",
    [drop_a_copy, free_too_early, swap_a_writer_and_its_reader, write_nothing, copy_again, wait_in_a_circle],
)
@given(data=st.data())
def test_broken_plan_is_caught_by_the_rule_it_breaks(
    breakage: Callable[[Plan, Callable[[int], int]], tuple[Plan, set[str]]], data: st.DataObject
) -> None:
    schedule = data.draw(spilled())
    plan, rules = breakage(lower(schedule.problem, schedule), lambda n: data.draw(st.integers(0, n - 1)))
    assert rules & {violation.rule for violation in check_plan(plan, schedule.problem)}


names = st.text(max_size=4) | st.sampled_from(
    [
        "after",
        "->",
        "a b",
        'say "so"',
        "back\\slash",
        "new\nline",
        "\r",
        "#1",
        "x@ram",
        "é",
        "\ud83d\ude00",
        "\u2028",
        "0",
    ]
)
places = st.tuples(names, names)
some_names = st.lists(names, max_size=2).map(tuple)
copies = st.builds(Copy, names, names, names, some_names)
instructions = st.one_of(
    st.builds(Compute, names, names, names, some_names, some_names), copies, st.builds(Free, names, names)
)


@st.composite
def any_plan(draw: st.DrawFn) -> Plan:
    body = draw(st.lists(instructions, max_size=4).map(tuple))
    numbers = st.integers(0, 9)
    waits = st.lists(numbers, max_size=3).map(tuple)
    after = draw(st.dictionaries(st.integers(0, len(body) - 1), waits, max_size=3)) if body else {}
    several = st.lists(places, max_size=2).map(tuple)
    setup = draw(st.lists(copies, max_size=2).map(tuple))
    return Plan(draw(names), setup, body, draw(several), draw(several), draw(several), after)


@given(plan=any_plan())
def test_text_of_any_plan_reads_back_equal(plan: Plan) -> None:
    assert Plan.parse(str(plan)) == plan


words = st.sampled_from(
    ["plan", "on", "p", "body", "setup", "\n", "0", "copy", "device", "a", "in", "to", "after", "@", '"']
)


@given(text=st.text() | st.lists(words).map(" ".join))
def test_text_is_a_plan_or_an_error_that_names_a_line(text: str) -> None:
    try:
        plan = Plan.parse(text)
    except PlanError as error:
        message = str(error)
    else:
        message = "line " if Plan.parse(str(plan)) == plan else "reads back different"
    assert message.startswith("line ")
