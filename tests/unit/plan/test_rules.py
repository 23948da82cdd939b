from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import plans
import pytest

from hetsched.errors import PlanError
from hetsched.plan.lower import lower
from hetsched.plan.plan import Compute, Copy, Free, Instruction, Plan
from hetsched.plan.simulate import check_plan, simulate

SCHEDULE = plans.diamond()
PROBLEM = SCHEDULE.problem
PLAN = lower(PROBLEM, SCHEDULE, constants=["w"])


def at(predicate: Instruction) -> int:
    return PLAN.body.index(predicate)


def changed(*body: Instruction) -> Plan:
    return replace(PLAN, body=body, after={})


COPY_IN = at(Copy("decode", "ram", "vram:0", ("down",)))
DECODE = next(i for i, step in enumerate(PLAN.body) if isinstance(step, Compute) and step.task == "decode")
CLASSIFY = next(i for i, step in enumerate(PLAN.body) if isinstance(step, Compute) and step.task == "classify")
FREE_DECODE = at(Free("decode", "vram:0"))


def test_lowered_plan_keeps_every_rule() -> None:
    assert check_plan(PLAN) == []
    assert check_plan(PLAN, PROBLEM) == []


def drop_a_copy() -> Plan:
    return changed(*(step for position, step in enumerate(PLAN.body) if position not in (COPY_IN, FREE_DECODE)))


def free_too_early() -> Plan:
    body = [step for step in PLAN.body if step != Free("decode", "vram:0")]
    body.insert(body.index(PLAN.body[CLASSIFY]), Free("decode", "vram:0"))
    return changed(*body)


def free_twice() -> Plan:
    return changed(*PLAN.body, Free("decode", "vram:0"))


def swap_order() -> Plan:
    body = list(PLAN.body)
    body[DECODE], body[COPY_IN] = body[COPY_IN], body[DECODE]
    return changed(*body)


def write_nothing() -> Plan:
    body = [step for step in PLAN.body if not (isinstance(step, Copy) and step.value == "classify")]
    position = body.index(PLAN.body[CLASSIFY])
    body[position] = replace(PLAN.body[CLASSIFY], writes=())
    return changed(*body)


def copy_again() -> Plan:
    return changed(*PLAN.body[: COPY_IN + 1], *PLAN.body[COPY_IN:])


def free_an_output() -> Plan:
    return changed(*PLAN.body, Free("report", "ram"))


def wait_for_what_comes_later() -> Plan:
    return replace(PLAN, after={DECODE: (CLASSIFY,)})


BROKEN = {
    drop_a_copy: "not-there",
    free_too_early: "use-after-free",
    free_twice: "use-after-free",
    swap_order: "order",
    write_nothing: "never-written",
    copy_again: "double-crossing",
    free_an_output: "use-after-free",
    wait_for_what_comes_later: "deadlock",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_broken_plan_breaks_its_rule_and_cannot_be_simulated(broken: Callable[[], Plan]) -> None:
    plan = broken()
    violations = check_plan(plan, PROBLEM)
    assert BROKEN[broken] in {violation.rule for violation in violations}
    with pytest.raises(PlanError, match=r"body\[\d+\]|the end of the run"):
        simulate(plan, PROBLEM)


def test_waiting_for_a_later_instruction_without_a_circle_is_an_order_but_no_deadlock() -> None:
    make = Compute("a", "cpu:0", "ram", (), ("a",))
    plan = Plan("box", (), (make, replace(make, task="b", device="cpu:1", writes=("b",))), after={0: (1,)})
    assert [violation.rule for violation in check_plan(plan)] == ["order"]


def test_deadlock_names_who_waits() -> None:
    with pytest.raises(PlanError, match="compute 'decode' on cpu:0"):
        simulate(wait_for_what_comes_later(), PROBLEM)


def test_too_small_a_memory_breaks_capacity() -> None:
    capacity = PROBLEM.capacity.copy()
    capacity[PROBLEM.memory_names.index("vram:0")] = 23
    violations = check_plan(PLAN, replace(PROBLEM, capacity=capacity))
    assert {violation.rule for violation in violations} == {"capacity"}
    assert str(violations[0]) == "capacity: vram:0 would hold 24 bytes and has room for 23"


def test_setup_is_checked_too() -> None:
    setup = (*PLAN.setup, *PLAN.setup)
    assert [str(found) for found in check_plan(replace(PLAN, setup=setup))] == [
        "double-crossing: setup[1] copy 'w' ram -> vram:0: vram:0 holds 'w' already"
    ]
