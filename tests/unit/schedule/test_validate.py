"""Each rule is broken by one change to a valid schedule, and is then the only one reported."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from strategies import make_problem

from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Eviction, Placement, Schedule, Transfer
from hetsched.schedule.validate import RULES, validate

RAM, VRAM, FAR = 0, 1, 2
CPU, GPU, FAR_CPU = 0, 1, 2
X, Y, A, B, C, D = range(6)

PROBLEM = make_problem(
    {
        "a": (("x",), {"cpu": 4.0, "cuda": 2.0}),
        "b": (("a", "y"), {"cpu": 3.0}),
        "c": (("a",), {"cpu": 9.0, "cuda": 1.0}),
        "d": ((), {"cpu": 1.0}),
    },
    devices={"cpu:0": "ram", "cuda:0": "vram:0", "far:0": "far/ram"},
    sources={"x": ("ram",), "y": ("ram",)},
    n_bytes={"x": 8.0, "y": 1.0, "a": 4.0, "b": 2.0, "c": 2.0, "d": 1.0},
    links={"up": (0.0, 8.0), "down": (0.0, 4.0), "net": (1.0, 1.0)},
    routes={("ram", "vram:0"): ("up",), ("vram:0", "ram"): ("down",), ("ram", "far/ram"): ("net",)},
    required=[("b", "ram"), ("c", "ram")],
    capacity={"vram:0": 12.0},
)
a, c = Placement(0, GPU, 1.0, 3.0), Placement(2, GPU, 3.0, 4.0)
b, d = Placement(1, CPU, 5.0, 8.0), Placement(3, CPU, 9.0, 10.0)
x_up, a_down, c_down = (
    Transfer(X, RAM, VRAM, 0.0, 1.0),
    Transfer(A, VRAM, RAM, 3.0, 4.0),
    Transfer(C, VRAM, RAM, 4.0, 4.5),
)


def rules(
    problem: Problem = PROBLEM,
    placements: tuple[Placement, ...] = (a, c, b, d),
    transfers: tuple[Transfer, ...] = (x_up, a_down, c_down),
    evictions: tuple[Eviction, ...] = (),
) -> set[str]:
    return {found.rule for found in validate(problem, Schedule(problem, "by hand", placements, transfers, evictions))}


def without(value: int, memory: int) -> np.ndarray:
    may_hold = PROBLEM.may_hold.copy()
    may_hold[value, memory] = False
    return may_hold


def later(thing: Any, seconds: float) -> Any:
    return replace(thing, start=thing.start + seconds, end=thing.end + seconds)


BROKEN: dict[str, dict[str, Any]] = {
    "missing-task": {"placements": (a, c, b)},
    "allowed": {"placements": (a, c, b, replace(d, device=FAR_CPU))},
    "negative-start": {"placements": (a, c, b, Placement(3, CPU, -1.0, 0.0))},
    "duration": {"placements": (a, c, b, replace(d, end=10.5))},
    "device-overlap": {"placements": (a, c, b, later(d, -1.5))},
    "dispatch": {
        "problem": replace(PROBLEM, dispatcher=np.array([0, 0, -1]), dispatch_seconds=np.full(4, 0.5)),
        "placements": (a, c, b, later(d, -6.0)),
    },
    "precedence": {"placements": (a, c, later(b, -1.5), d)},
    "transfer-source": {"transfers": (x_up, later(a_down, -0.5), c_down)},
    "transfer-route": {"transfers": (x_up, a_down, c_down, Transfer(A, VRAM, FAR, 4.0, 5.0))},
    "transfer-duration": {"transfers": (x_up, replace(a_down, end=3.75), c_down)},
    "link-overlap": {"transfers": (x_up, later(a_down, 0.75), c_down)},
    "crossing": {"transfers": (x_up, a_down, c_down, Transfer(X, RAM, VRAM, 5.0, 6.0))},
    "eviction": {"evictions": (Eviction(A, VRAM, 3.5),)},
    "residency": {"problem": replace(PROBLEM, may_hold=without(A, VRAM))},
    "capacity": {"problem": replace(PROBLEM, capacity=np.array([np.inf, 11.0, np.inf]))},
    "required": {"transfers": (x_up, a_down)},
}


def test_the_schedule_that_is_broken_below_is_valid() -> None:
    assert rules() == set()


def test_every_rule_has_its_example() -> None:
    assert set(BROKEN) == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_schedule_that_breaks_one_rule_is_caught_by_it_alone(rule: str) -> None:
    assert rules(**BROKEN[rule]) == {rule}


def test_a_violation_names_what_and_where() -> None:
    (found,) = validate(PROBLEM, Schedule(PROBLEM, "by hand", (a, c, b, replace(d, end=10.5)), (x_up, a_down, c_down)))
    assert str(found) == "duration: d on cpu:0 at 9 takes 1.5 instead of 1"


@pytest.mark.parametrize("end", [float("nan"), float("inf")])
def test_times_that_are_no_times_are_caught(end: float) -> None:
    assert "negative-start" in rules(placements=(a, c, b, replace(d, end=end)))


def test_swapping_the_device_leaves_operands_behind() -> None:
    assert rules(placements=(replace(a, device=CPU, end=5.0), c, b, d)) == {
        "precedence",  # of c
        "transfer-source",
        "crossing",  # it is made where it is copied to
    }


def test_links_overlap_only_with_contention() -> None:
    assert rules(replace(PROBLEM, contention=False), **BROKEN["link-overlap"]) == set()


def test_what_is_evicted_may_come_back_and_be_used() -> None:
    evicted = (Eviction(X, VRAM, 3.0),)
    back = Transfer(X, RAM, VRAM, 5.0, 6.0)
    assert rules(transfers=(x_up, a_down, c_down, back), evictions=evicted) == set()


def test_what_is_not_there_cannot_be_evicted() -> None:
    assert rules(evictions=(Eviction(D, VRAM, 3.0),)) == {"eviction"}
    assert rules(evictions=(Eviction(X, VRAM, 3.0), Eviction(X, VRAM, 4.0))) == {"eviction"}


def test_what_is_required_may_not_be_evicted() -> None:
    assert rules(evictions=(Eviction(C, RAM, 8.0),)) == {"required"}


def test_persistent_sources_move_in_setup_and_stay() -> None:
    problem = replace(PROBLEM, persistent=np.arange(6) == X)
    setup = Transfer(X, RAM, VRAM, 0.0, 0.0)
    assert rules(problem, transfers=(setup, a_down, c_down)) == {"capacity"}
    roomy = replace(problem, capacity=np.array([np.inf, 14.0, np.inf]))
    assert rules(roomy, transfers=(setup, a_down, c_down)) == set()
    assert rules(roomy, transfers=(setup, a_down, c_down), evictions=(Eviction(X, VRAM, 5.0),)) == {"eviction"}


def test_a_task_may_be_computed_twice() -> None:
    again = Placement(0, CPU, 0.0, 4.0)
    assert rules(placements=(a, again, c, b, d), transfers=(x_up, c_down)) == set()


VIEWS = make_problem(
    {"base": ((), 1.0), "view": (("base",), 1.0), "end": (("view",), 1.0)},
    n_bytes={"base": 10.0, "view": 10.0, "end": 1.0},
    alias={"view": "base"},
)
IN_TURN = tuple(Placement(task, 0, float(task), task + 1.0) for task in range(3))


@pytest.mark.parametrize(("capacity", "broken"), [(11.0, set()), (10.0, {"capacity"})])
def test_a_view_shares_storage_for_as_long_as_it_is_used(capacity: float, broken: set[str]) -> None:
    problem = replace(VIEWS, capacity=np.array([capacity]))
    assert rules(problem, IN_TURN, ()) == broken


def test_static_bytes_are_taken_for_ever() -> None:
    problem = make_problem({"a": ((), 1.0), "b": ((), 1.0)}, static_bytes={"a": 6.0, "b": 6.0}, capacity={"ram": 11.0})
    placed = (Placement(0, 0, 0.0, 1.0), Placement(1, 0, 1.0, 2.0))
    assert rules(problem, placed, ()) == {"capacity"}
    assert rules(replace(problem, capacity=np.array([12.0])), placed, ()) == set()


@pytest.mark.parametrize(("capacity", "broken"), [(18.0, set()), (17.0, {"capacity"})])
def test_a_task_that_takes_no_time_needs_room_for_all_that_it_touches(capacity: float, broken: set[str]) -> None:
    tasks = {"held": ((), 1.0), "read": ((), 1.0), "moment": (("read",), 0.0), "last": (("held",), 1.0)}
    problem = make_problem(tasks, n_bytes={"held": 8.0, "read": 4.0, "moment": 6.0}, capacity={"ram": capacity})
    placed = tuple(Placement(task, 0, float(task), task + problem.seconds[task, 0]) for task in range(3))
    assert rules(problem, (*placed, Placement(3, 0, 2.0, 3.0)), ()) == broken
