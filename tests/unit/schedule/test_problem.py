"""What a Problem checks and derives, and what a Schedule says of itself."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import make_problem, random_problem

from hetsched.errors import CostError, ScheduleError
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Placement, Schedule, Transfer

PROBLEM = make_problem(
    {"a": (("x",), {"cpu": 2.0, "cuda": 1.0}), "b": (("a#0", "x"), {"cpu": 2.0}), "c": (("a#1", "b"), 1.0)},
    writes={"a": ("a#0", "a#1")},
    devices={"cpu:0": "ram", "cuda:0": "vram:0", "cuda:1": "vram:1"},
    sources={"x": ("ram",)},
    n_bytes=4.0,
    links={"pcie": (0.5, 2.0)},
    routes=dict.fromkeys([("ram", "vram:0"), ("vram:0", "ram"), ("ram", "vram:1"), ("vram:1", "ram")], ("pcie",)),
)


def test_the_dag_can_be_read_from_all_sides() -> None:
    assert PROBLEM.reads == ((0,), (0, 1), (2, 3))
    assert PROBLEM.writes == ((1, 2), (3,), (4,))
    assert PROBLEM.readers == ((0, 1), (1,), (2,), (2,), ())
    assert PROBLEM.predecessors == ((), (0,), (0, 1))
    assert PROBLEM.successors == ((1, 2), (2,), ())
    assert PROBLEM.device_seconds.tolist() == [[2.0, 1.0, 1.0], [2.0, np.inf, np.inf], [1.0, 1.0, 1.0]]


def test_transfers_go_hop_by_hop() -> None:
    assert PROBLEM.path(1, 2) == (1, 0, 2)
    assert PROBLEM.path(0, 0) == (0,)
    assert PROBLEM.hop_seconds(0, 0, 1) == 2.5
    assert PROBLEM.transfer_seconds(0, 1, 2) == 5.0
    assert PROBLEM.transfer_seconds(0, 1, 1) == 0.0
    alone = make_problem({"a": ((), 1.0)}, devices={"cpu:0": "ram", "cuda:0": "vram:0"})
    assert alone.path(0, 1) == ()
    assert alone.transfer_seconds(0, 0, 1) == np.inf


@pytest.mark.parametrize("wrong", [np.nan, -1.0])
def test_a_time_that_is_no_time_is_named(wrong: float) -> None:
    with pytest.raises(CostError, match=f"'b': seconds is {wrong}; it must be a number, zero or more"):
        make_problem({"a": ((), 1.0), "b": ((), wrong)})


@pytest.mark.parametrize(
    ("name", "first", "wrong"),
    [
        ("value_bytes", "x", np.inf),
        ("deviation", "a", np.nan),
        ("static_bytes", "a", -1.0),
        ("capacity", "ram", np.nan),
        ("latency", "ram", -1.0),
        ("seconds_per_byte", "ram", np.nan),
    ],
)
def test_a_number_that_makes_no_sense_is_named(name: str, first: str, wrong: float) -> None:
    numbers = getattr(PROBLEM, name).copy()
    numbers.flat[0] = wrong
    with pytest.raises(CostError, match=f"'{first}'.* is {wrong}"):
        replace(PROBLEM, **{name: numbers})


def test_a_task_that_can_run_nowhere_is_named() -> None:
    with pytest.raises(ScheduleError, match="task 'a' can run on none of the devices cpu:0"):
        make_problem({"a": ((), {"tpu": 1.0})})


def test_a_schedule_knows_how_long_it_takes_and_how_good_it_is() -> None:
    placements = (Placement(0, 1, 2.5, 3.5), Placement(1, 0, 6.0, 8.0))
    schedule = Schedule(PROBLEM, "by hand", placements, (Transfer(1, 1, 0, 8.0, 10.0),), lower_bound_seconds=8.0)
    assert schedule.makespan_seconds == 10.0
    assert schedule.gap == pytest.approx(0.25)
    assert schedule.device_of("a") == "cuda:0"
    assert replace(schedule, lower_bound_seconds=0.0).gap == 0.0
    assert Schedule(PROBLEM, "empty", ()).makespan_seconds == 0.0


def test_random_problems_are_reproducible_and_varied() -> None:
    drawn: list[Problem] = [random_problem(seed) for seed in range(200)]
    again = [random_problem(seed) for seed in range(200)]
    assert [str(problem) for problem in drawn] == [str(problem) for problem in again]
    features = {
        "several memories": [problem.n_memories > 1 for problem in drawn],
        "shared memories": [len(set(p.device_memory.tolist())) < p.n_devices for p in drawn],
        "ways of several hops": [
            any(len(p.path(a, b)) > 2 for a in range(p.n_memories) for b in range(p.n_memories)) for p in drawn
        ],
        "kinds without a kernel": [bool(np.isinf(problem.seconds).any()) for problem in drawn],
        "pins": [bool((problem.allowed.sum(axis=1) == 1).any()) for problem in drawn],
        "kept values": [not problem.may_hold.all() for problem in drawn],
        "sources in several places": [bool((problem.resident.sum(axis=1) > 1).any()) for problem in drawn],
        "persistent values": [bool(problem.persistent.any()) for problem in drawn],
        "required outputs": [any(problem.producer[value] >= 0 for value, _ in problem.required) for problem in drawn],
        "views": [bool((problem.alias >= 0).any()) for problem in drawn],
        "capacities": [bool(np.isfinite(problem.capacity).any()) for problem in drawn],
        "contention": [problem.contention for problem in drawn],
    }
    for feature, having in features.items():
        assert 10 <= sum(having) < 200, feature
