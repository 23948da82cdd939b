from __future__ import annotations

from dataclasses import replace

import plans
import pytest
from strategies import make_problem

from hetsched.errors import PlanError
from hetsched.plan.lower import lower
from hetsched.plan.plan import Compute, Copy, Plan
from hetsched.plan.simulate import simulate
from hetsched.schedule.problem import Problem
from hetsched.trace.trace import Span, Trace


def times(trace: Trace) -> dict[str, tuple[float, float]]:
    return {span.name: (span.start_seconds, span.end_seconds) for span in trace if span.phase == "body"}


def test_diamond_overlaps_the_copy_with_the_other_branch() -> None:
    schedule = plans.diamond()
    trace = simulate(lower(schedule.problem, schedule, platform="box"), schedule.problem)
    assert trace.spans[0] == Span("copy", "w", "ram->vram:0", 0.0, 1.0, n_bytes=8.0, phase="setup")
    assert trace.spans[1] == Span("compute", "decode", "cpu:0", 0.0, 1.0)
    assert (trace.platform, trace.predicted, trace.makespan_seconds) == ("box", True, 6.0)
    assert trace.peak_bytes == {"ram": 40.0, "vram:0": 24.0}


def test_body_without_instructions_takes_no_time() -> None:
    assert simulate(Plan("box", (), ()), make_problem({})).makespan_seconds == 0.0


def late_first() -> tuple[Plan, Problem]:
    """cpu:0 is to run 'late', which waits for the other device, before 'free'."""
    problem = make_problem(
        {"other": ([], 5), "late": (["other"], 1), "free": ([], 2)}, devices={"cpu:0": "ram", "cpu:1": "ram"}
    )
    body = (
        Compute("other", "cpu:1", "ram", (), ("other",)),
        Compute("late", "cpu:0", "ram", ("other",), ("late",)),
        Compute("free", "cpu:0", "ram", (), ("free",)),
    )
    return Plan("box", (), body), problem


def test_strict_lane_keeps_its_order_and_slack_takes_what_is_ready() -> None:
    plan, problem = late_first()
    assert times(simulate(plan, problem))["free"] == (6, 8)
    assert times(simulate(plan, problem, slack=True)) == {"other": (0, 5), "free": (0, 2), "late": (5, 6)}


def test_slack_prefers_the_lowest_position_among_the_ready() -> None:
    problem = make_problem({"a": ([], 1), "b": ([], 1)})
    body = tuple(Compute(task, "cpu:0", "ram", (), (task,)) for task in "ba")
    assert times(simulate(Plan("box", (), body), problem, slack=True)) == {"b": (0, 1), "a": (1, 2)}


@pytest.mark.parametrize(("contention", "end"), [(True, 3.0), (False, 1.0)])
def test_links_carry_one_copy_at_a_time_only_when_contended(contention: bool, end: float) -> None:
    problem = make_problem(
        {},
        devices={"cpu:0": "ram", "cuda:0": "vram:0", "cuda:1": "vram:1"},
        sources=dict.fromkeys("xyz", ("ram",)),
        n_bytes=8,
        links={"bus": (0, 8)},
        routes={("ram", "vram:0"): ["bus"], ("ram", "vram:1"): ["bus"]},
        contention=contention,
    )
    body = tuple(Copy(value, "ram", f"vram:{gpu}", ("bus",)) for value, gpu in (("x", 0), ("y", 1), ("z", 0)))
    plan = Plan("box", (), body, tuple((value, "ram") for value in "xyz"))
    for slack in (False, True):
        assert max(span.end_seconds for span in simulate(plan, problem, slack=slack)) == end


def test_peak_counts_a_view_and_its_base_once_until_both_are_freed() -> None:
    problem = make_problem(
        {"base": ([], 1), "view": (["base"], 1), "other": (["view"], 1), "end": (["other"], 1)},
        n_bytes=8,
        alias={"view": "base"},
    )
    placed = [
        ("base", "cpu:0", 0.0, 1.0),
        ("view", "cpu:0", 1.0, 2.0),
        ("other", "cpu:0", 2.0, 3.0),
        ("end", "cpu:0", 3.0, 4.0),
    ]
    plan = lower(problem, plans.schedule_of(problem, placed))
    assert simulate(plan, problem).peak_bytes == {"ram": 16.0}


def test_copied_view_has_a_storage_of_its_own() -> None:
    problem = make_problem(
        {"base": ([], 1), "view": (["base"], 1), "end": (["base", "view"], 1)},
        devices=plans.DEVICES,
        n_bytes={"base": 8, "view": 2, "end": 0},
        links=plans.PCIE,
        routes=plans.ROUTES,
        alias={"view": "base"},
    )
    schedule = plans.schedule_of(
        problem,
        [("base", "cpu:0", 0, 1), ("view", "cpu:0", 1, 2), ("end", "cuda:0", 3, 4)],
        [("base", "ram", "vram:0", 1, 2), ("view", "ram", "vram:0", 2, 3)],
    )
    assert simulate(lower(problem, schedule), problem).peak_bytes == {"ram": 8.0, "vram:0": 10.0}


def test_unknown_names_are_errors() -> None:
    schedule = plans.diamond()
    plan = lower(schedule.problem, schedule)
    body = (replace(plan.body[0], task="decoed"), *plan.body[1:])
    with pytest.raises(PlanError, match="problem 'problem' has no task 'decoed'"):
        simulate(replace(plan, body=body), schedule.problem)
    with pytest.raises(PlanError, match="no memory 'elsewhere'"):
        simulate(replace(plan, inputs=(*plan.inputs, ("x", "elsewhere"))), schedule.problem)
    with pytest.raises(PlanError, match="no value 'stranger'"):
        simulate(replace(plan, inputs=(*plan.inputs, ("stranger", "ram"))), schedule.problem)
