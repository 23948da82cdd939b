from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import plans
import pytest
from strategies import make_problem

from hetsched.errors import PlanError
from hetsched.plan.lower import lower
from hetsched.plan.plan import Compute, Copy, Free, Plan
from hetsched.plan.waits import extra_waits
from hetsched.schedule.problem import Problem


def chain(capacity: float, **fields: Any) -> tuple[Plan, Problem]:
    """a -> b -> c in one memory, one value of 8 bytes each, freed when read."""
    problem = make_problem(
        {"a": ([], 1), "b": (["a"], 1), "c": (["b"], 1)}, n_bytes=8, capacity={"ram": capacity}, **fields
    )
    schedule = plans.schedule_of(problem, [("a", "cpu:0", 0, 1), ("b", "cpu:0", 1, 2), ("c", "cpu:0", 2, 3)])
    return lower(problem, schedule), problem


def test_enough_room_for_everything_needs_no_waits() -> None:
    assert chain(24)[0].after == {}


def test_task_waits_for_the_first_free_that_makes_room() -> None:
    plan, _ = chain(16)
    assert [type(step).__name__ for step in plan.body] == ["Compute", "Compute", "Free", "Compute", "Free", "Free"]
    assert plan.after == {3: (2,)}


def test_too_little_room_is_an_error_that_names_task_memory_and_bytes() -> None:
    with pytest.raises(PlanError, match=r"compute 'b' on cpu:0: ram would hold 16 bytes and has room for 15"):
        chain(15)


def test_views_take_no_room_and_keep_their_base_until_the_last_of_them_is_freed() -> None:
    plan, _ = chain(16, alias={"b": "a"})
    assert plan.after == {}
    with pytest.raises(PlanError, match="compute 'c' on cpu:0: ram would hold 16 bytes and has room for 15"):
        chain(15, alias={"b": "a"})


def test_frees_that_are_waited_for_wait_for_one_another() -> None:
    schedule = plans.spill()
    plan = lower(schedule.problem, schedule)
    frees = [position for position, step in enumerate(plan.body) if isinstance(step, Free) and step.memory == "vram:0"]
    waited = [position for position in frees if any(position in waits for waits in plan.after.values())]
    for first, second in itertools.pairwise(waited):
        assert first in plan.after[second]


def test_static_bytes_and_inputs_take_room_once() -> None:
    reads = {"a": (["x"], 1), "b": (["x", "a"], 1)}
    placed = [("a", "cpu:0", 0.0, 1.0), ("b", "cpu:0", 1.0, 2.0)]
    fields = {"sources": {"x": ["ram"]}, "n_bytes": 8, "static_bytes": {"a": 100, "b": 10}}
    enough = make_problem(reads, capacity={"ram": 8 + 100 + 8 + 10 + 8}, **fields)
    assert lower(enough, plans.schedule_of(enough, placed)).after == {}
    short = make_problem(reads, capacity={"ram": 8 + 100 + 8 + 10 + 7}, **fields)
    with pytest.raises(PlanError, match="would hold 134 bytes and has room for 133"):
        lower(short, plans.schedule_of(short, placed))


def test_copies_of_other_lanes_over_a_shared_link_wait_for_one_another_only_when_contended() -> None:
    schedule = plans.two_hops()
    plan = lower(schedule.problem, schedule)
    copies = [position for position, step in enumerate(plan.body) if isinstance(step, Copy)]
    assert plan.after == {copies[1]: (copies[0],), copies[2]: (copies[1],)}
    assert extra_waits(plan, replace(schedule.problem, contention=False)) == {}


def test_copies_of_one_lane_need_no_waits() -> None:
    problem = make_problem(
        {}, devices=plans.DEVICES, sources={"x": ["ram"], "y": ["ram"]}, links=plans.PCIE, routes=plans.ROUTES
    )
    body = (Copy("x", "ram", "vram:0", ("down",)), Copy("y", "ram", "vram:0", ("down",)))
    assert extra_waits(Plan("box", (), body, (("x", "ram"), ("y", "ram"))), problem) == {}


def test_compute_is_where_the_room_is_taken() -> None:
    plan, problem = chain(16)
    assert isinstance(plan.body[3], Compute)
    assert extra_waits(replace(plan, after={}), problem) == plan.after
