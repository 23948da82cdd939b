"""Plans that a person has read: each file beside this one is what `str(lower(...))` prints, exactly."""

from pathlib import Path

import plans
import pytest

from hetsched.plan.lower import lower
from hetsched.plan.plan import Plan
from hetsched.plan.rules import Violation
from hetsched.plan.simulate import check_plan, simulate
from hetsched.schedule.schedule import Schedule

CASES = {"diamond": plans.diamond(), "spill": plans.spill(), "two_hops": plans.two_hops()}


@pytest.mark.parametrize("name", CASES)
def test_plan_reads_as_reviewed(name: str) -> None:
    schedule = CASES[name]
    plan = lower(schedule.problem, schedule, constants=["w"], platform="one box")
    reviewed = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8")
    assert f"{plan}\n" == reviewed
    assert Plan.parse(reviewed) == plan


@pytest.mark.parametrize("schedule", CASES.values(), ids=list(CASES))
def test_simulation_takes_as_long_as_the_schedule_says(schedule: Schedule) -> None:
    plan = lower(schedule.problem, schedule)
    trace = simulate(plan, schedule.problem)
    placed = {(schedule.problem.task_names[p.task], p.start, p.end) for p in schedule.placements}
    assert {(s.name, s.start_seconds, s.end_seconds) for s in trace.of_kind("compute")} == placed
    assert trace.makespan_seconds == schedule.makespan_seconds
    no_violation: list[Violation] = []
    assert check_plan(plan, schedule.problem) == no_violation
