"""Each rule is broken by one change to a valid schedule, and is the only one reported."""

from dataclasses import replace

import pytest
from strategies import make_problem

from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Eviction, Placement, Schedule, Transfer
from hetsched.schedule.validate import RULES, validate

RAM, VRAM, FAR = 0, 1, 2
CPU, GPU = 0, 1
X, Y, A, B, C = range(5)


def problem_(**changes: object) -> Problem:
    problem = make_problem(
        {
            "a": (("x",), {"cpu": 4.0, "cuda": 2.0}),
            "b": (("a", "y"), {"cpu": 3.0}),
            "c": (("a",), {"cpu": 9.0, "cuda": 1.0}),
        },
        devices={"cpu:0": "ram", "cuda:0": "vram:0", "far:0": "far/ram"},
        sources={"x": ("ram",), "y": ("ram",)},
        n_bytes={"x": 8.0, "y": 1.0, "a": 4.0, "b": 2.0, "c": 2.0},
        links={"up": (0.0, 8.0), "down": (0.0, 4.0), "net": (1.0, 1.0)},
        routes={("ram", "vram:0"): ("up",), ("vram:0", "ram"): ("down",), ("ram", "far/ram"): ("net",)},
        required=[("b", "ram"), ("c", "ram")],
        capacity={"vram:0": 20.0},
    )
    return replace(problem, **changes)  # type: ignore[arg-type]


PLACED = (Placement(0, GPU, 1.0, 3.0), Placement(2, GPU, 3.0, 4.0), Placement(1, CPU, 4.0, 7.0))
COPIED = (Transfer(X, RAM, VRAM, 0.0, 1.0), Transfer(A, VRAM, RAM, 3.0, 4.0), Transfer(C, VRAM, RAM, 4.0, 4.5))


def rules(problem: Problem, placements=PLACED, transfers=COPIED, evictions=()) -> set[str]:
    return {v.rule for v in validate(problem, Schedule(problem, "by hand", placements, transfers, evictions))}


def test_the_schedule_that_is_broken_below_is_valid() -> None:
    assert rules(problem_()) == set()


a, c, b = PLACED
x_up, a_down, c_down = COPIED
BROKEN = {
    "missing-task": {"placements": (a, b), "transfers": (x_up, a_down), "problem": problem_(required=((X, RAM),))},
    "allowed": {"placements": (a, c, replace(b, device=2))},
    "negative-start": {"transfers": (replace(x_up, start=-1.0, end=0.0), a_down, c_down)},
    "duration": {"placements": (a, c, replace(b, end=8.0))},
    "device-overlap": {
        "placements": (a, c, replace(b, start=6.0, end=9.0), replace(a, device=CPU, start=3.5, end=7.5)),
        "transfers": (x_up, c_down, a_down),
    },
    "precedence": {"placements": (a, c, replace(b, start=3.5, end=6.5))},
    "transfer-source": {"transfers": (x_up, replace(a_down, start=2.5, end=3.5), c_down)},
    "transfer-route": {"transfers": (*COPIED, Transfer(A, VRAM, FAR, 5.0, 6.0))},
    "transfer-duration": {"transfers": (x_up, replace(a_down, end=3.75), c_down)},
    "link-overlap": {"transfers": (x_up, a_down, replace(c_down, start=4.25, end=4.75), Transfer(A, VRAM, RAM, 9, 10))},
    "crossing": {"transfers": (*COPIED, Transfer(X, RAM, VRAM, 5.0, 6.0))},
    "eviction": {"evictions": (Eviction(A, VRAM, 3.5),)},
    "residency": {},
    "capacity": {"problem": problem_(capacity=problem_().capacity * 0 + [99.0, 13.0, 99.0])},
    "required": {"transfers": (x_up, a_down)},
}
may_hold = problem_().may_hold.copy()
may_hold[A, VRAM] = False
BROKEN["residency"] = {"problem": problem_(may_hold=may_hold)}
BROKEN["link-overlap"] = {"transfers": (x_up, a_down, replace(c_down, start=3.9, end=4.4)), "placements": (a, c, b)}
BROKEN["link-overlap"]["placements"] = (a, replace(c, start=3.0, end=4.0), b)


def test_every_rule_is_broken_by_an_example() -> None:
    assert set(BROKEN) == set(RULES)
