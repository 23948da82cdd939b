"""Figures by hand, limits, and that inner loops count scores as they are defined."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import Shape, make_problem, random_problem

from hetsched.errors import ScheduleError
from hetsched.schedule.drafts import Drafting
from hetsched.schedule.finished import finished
from hetsched.schedule.flat import flatten
from hetsched.schedule.heft import heft_draft
from hetsched.schedule.loops.compiled import Room
from hetsched.schedule.objective import AIMS, FORBIDDEN, Figures, Objective
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Placement, Schedule, Transfer

LINKED = {
    "devices": {"cpu:0": "ram", "cpu:1": "ram", "cuda:0": "vram:0"},
    "links": {"up": (0.0, 1.0), "down": (0.0, 1.0)},
    "routes": {("ram", "vram:0"): ("up",), ("vram:0", "ram"): ("down",)},
}
OBJECTIVES = [*map(Objective, AIMS), Objective(deadline_seconds=4.0), Objective("energy", budget_money=0.01)]


def powered(problem: Problem) -> Problem:
    """Every device has watts and a price of its own."""
    number = np.arange(1.0, problem.n_devices + 1)
    return replace(problem, idle_watts=number / 4, busy_watts=2 * number, price_per_hour=3 * number)


def by_hand(contention: bool = True) -> Schedule:
    """Two seconds on ``cpu:0``, three of copying, one on ``cuda:0``."""
    problem = make_problem(
        {"a": ((), {"cpu": 2.0}), "b": (("a",), {"cuda": 1.0})}, n_bytes=3.0, contention=contention, **LINKED
    )
    problem = replace(
        problem,
        idle_watts=np.array([1.0, 1.0, 10.0]),
        busy_watts=np.array([4.0, 4.0, 100.0]),
        price_per_hour=np.array([3600.0, 3600.0, 7200.0]),
    )
    return Schedule(
        problem, "hand", (Placement(0, 0, 0.0, 2.0), Placement(1, 2, 5.0, 6.0)), (Transfer(0, 0, 1, 2.0, 5.0),)
    )


def test_idle_devices_draw_power_and_unused_ones_cost_no_money() -> None:
    schedule = by_hand()
    assert schedule.energy_joules == pytest.approx(12.0 * 6.0 + 2.0 * 3.0 + 1.0 * 90.0)
    assert schedule.money == pytest.approx((1.0 + 2.0) * 6.0)


def test_the_busiest_resource_sets_the_period_links_only_where_copies_wait_for_them() -> None:
    assert by_hand().period_seconds == 3.0
    assert by_hand(contention=False).period_seconds == 2.0


def test_an_interpreter_is_a_resource_too() -> None:
    problem = make_problem({"a": ((), 2.0), "b": ((), 2.0)}, devices={"cpu:0": "ram", "cpu:1": "ram"})
    problem = replace(problem, dispatcher=np.zeros(2, dtype=np.int32), dispatch_seconds=np.array([1.5, 9.0]))
    schedule = Schedule(problem, "hand", (Placement(0, 0, 0.0, 2.0), Placement(1, 1, 1.5, 3.5)))
    assert schedule.period_seconds == 3.5


def test_what_moves_in_setup_keeps_no_link_busy() -> None:
    problem = make_problem(
        {"a": (("w",), {"cuda": 1.0})}, sources={"w": ("ram",)}, n_bytes=9.0, persistent=["w"], **LINKED
    )
    schedule = Schedule(problem, "hand", (Placement(0, 2, 0.0, 1.0),), (Transfer(0, 0, 1, 0.0, 0.0),))
    assert schedule.period_seconds == 1.0


def test_a_device_whose_tasks_take_no_time_is_used_all_the_same() -> None:
    problem = powered(make_problem({"a": ((), {"cpu": 0.0, "cuda": 9.0}), "b": ((), {"cuda": 2.0})}, **LINKED))
    schedule = Schedule(problem, "hand", (Placement(0, 0, 0.0, 0.0), Placement(1, 2, 0.0, 2.0)))
    assert schedule.money == pytest.approx((3.0 + 9.0) * 2.0 / 3600)


def test_nothing_to_do_costs_nothing() -> None:
    assert Schedule(powered(make_problem({})), "hand", ()).figures == Figures(0.0, 0.0, 0.0, 0.0)


def test_limits_come_before_the_aim() -> None:
    kept, late = Figures(5.0, 5.0, 90.0, 1.0), Figures(6.0, 5.0, 10.0, 1.0)
    objective = Objective("energy", deadline_seconds=5.0)
    assert objective.score(kept) == 90.0
    assert objective.score(late) == pytest.approx(FORBIDDEN * 1.2)
    assert objective.excess(late) == pytest.approx(0.2)
    assert objective.excess(kept._replace(makespan_seconds=5.0 * (1 + 1e-12))) == 0.0
    assert Objective(budget_money=0.5).excess(kept) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"aim": "speed"}, "objective is 'speed'; it can be makespan, throughput, energy, money"),
        ({"deadline_seconds": 0.0}, "deadline_seconds is 0.0; it must be more than zero"),
        ({"budget_money": float("nan")}, "budget_money is nan; it must be more than zero"),
    ],
)
def test_an_objective_is_checked(asked: dict[str, object], message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        Objective(**asked)  # type: ignore[arg-type] # the point


@pytest.mark.parametrize("seed", range(60))
def test_loops_count_the_score_that_a_schedule_has(seed: int) -> None:
    problem = powered(random_problem(seed, Shape(capacities=False)))
    if seed % 3 == 0:
        one_interpreter = np.zeros(problem.n_devices, dtype=np.int32)
        problem = replace(problem, dispatcher=one_interpreter, dispatch_seconds=np.full(problem.n_tasks, 0.2))
    drafting = Drafting(problem, flatten(problem, Room(compiled=seed % 5 == 0)))
    draft = heft_draft(drafting)
    scores = [drafting.score(draft, drafting.aim_for(objective)) for objective in OBJECTIVES]
    schedule = finished(drafting, draft)
    assert schedule.makespan_seconds == pytest.approx(draft.makespan, rel=1e-12)
    assert scores == pytest.approx([objective.score(schedule.figures) for objective in OBJECTIVES], rel=1e-12)
