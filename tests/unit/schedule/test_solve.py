"""The schedulers by name, and what each of them decides on small problems."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import make_problem

from hetsched.errors import ScheduleError
from hetsched.plan.lower import lower
from hetsched.plan.simulate import simulate
from hetsched.schedule import SCHEDULERS, solve
from hetsched.schedule.drafts import Drafting
from hetsched.schedule.objective import Objective
from hetsched.schedule.problem import Problem
from hetsched.schedule.ranks import upward_ranks
from hetsched.schedule.schedule import Placement, Schedule
from hetsched.schedule.validate import validate

GPU = {
    "devices": {"cpu:0": "ram", "cuda:0": "vram:0"},
    "links": {"up": (0.0, 1.0), "down": (0.0, 1.0)},
    "routes": {("ram", "vram:0"): ("up",), ("vram:0", "ram"): ("down",)},
}


def topcuoglu() -> Problem:
    """The worked example of the HEFT paper (figure 2 and table 1 of doi:10.1109/71.993206)."""
    times = {
        1: (14, 16, 9),
        2: (13, 19, 18),
        3: (11, 13, 19),
        4: (13, 8, 17),
        5: (12, 13, 10),
        6: (13, 16, 9),
        7: (7, 15, 11),
        8: (5, 11, 14),
        9: (18, 12, 20),
        10: (21, 7, 16),
    }
    edges = {
        (1, 2): 18,
        (1, 3): 12,
        (1, 4): 9,
        (1, 5): 11,
        (1, 6): 14,
        (2, 8): 19,
        (2, 9): 16,
        (3, 7): 23,
        (4, 8): 27,
        (4, 9): 23,
        (5, 9): 13,
        (6, 8): 15,
        (7, 10): 17,
        (8, 10): 11,
        (9, 10): 13,
    }
    processors = ("p1", "p2", "p3")
    memories = [f"m{p}" for p in processors]
    return make_problem(
        {
            f"t{task}": (
                [f"t{a}-t{b}" for a, b in edges if b == task],
                dict(zip(processors, map(float, row), strict=True)),
            )
            for task, row in times.items()
        },
        writes={f"t{task}": [f"t{a}-t{b}" for a, b in edges if a == task] or ["t10"] for task in times},
        n_bytes={f"t{a}-t{b}": float(cost) for (a, b), cost in edges.items()},
        devices=dict(zip(processors, memories, strict=True)),
        links={f"{a}-{b}": (0.0, 1.0) for a in memories for b in memories if a != b},
        routes={(a, b): (f"{a}-{b}",) for a in memories for b in memories if a != b},
        contention=False,
    )


def test_heft_gives_the_schedule_of_its_paper() -> None:
    problem = topcuoglu()
    schedule = solve(problem, "heft")
    assert schedule.makespan_seconds == 80.0
    assert validate(problem, schedule) == []
    assert [schedule.device_of(f"t{task}") for task in range(1, 11)] == [
        *("p3", "p1", "p3", "p2", "p3", "p2", "p3", "p1", "p2", "p2")
    ]


def test_ranks_fall_along_every_edge() -> None:
    problem = topcuoglu()
    ranks = upward_ranks(Drafting(problem))
    assert all(ranks[a] > ranks[b] for b in range(problem.n_tasks) for a in problem.predecessors[b])


def test_the_best_single_device_is_the_one_that_ends_first() -> None:
    problem = make_problem(
        {"a": (("x",), {"cpu": 2.0, "cuda": 1.0}), "b": (("a",), {"cpu": 2.0, "cuda": 1.0})},
        sources={"x": ("ram",)},
        n_bytes={"x": 1.0},
        **GPU,
    )
    schedule = solve(problem, "single_device")
    assert {schedule.device_of("a"), schedule.device_of("b")} == {"cuda:0"}
    assert schedule.notes == ()


def test_a_task_that_cannot_run_on_the_single_device_is_noted() -> None:
    problem = make_problem({"a": ((), {"cpu": 9.0, "cuda": 1.0}), "b": (("a",), {"cpu": 1.0})}, **GPU)
    schedule = solve(problem, "single_device")
    assert (schedule.device_of("a"), schedule.device_of("b")) == ("cuda:0", "cpu:0")
    assert schedule.notes == ("b is not on cuda:0: it cannot run there, or finds no room",)


def test_round_robin_takes_turns_among_the_allowed() -> None:
    problem = make_problem(
        dict.fromkeys("abcd", ((), 1.0)),
        devices={"cpu:0": "ram", "cpu:1": "ram", "cpu:2": "ram"},
        allowed={"b": ["cpu:2"]},
    )
    schedule = solve(problem, "round_robin")
    assert [schedule.device_of(name) for name in "abcd"] == ["cpu:0", "cpu:2", "cpu:0", "cpu:1"]


def test_of_equally_good_schedules_the_simplest_wins() -> None:
    problem = make_problem({"a": ((), 1.0), "b": (("a",), 1.0)}, devices={"cpu:0": "ram", "cpu:1": "ram"})
    assert solve(problem).scheduler == "single_device"
    wide = make_problem({"a": ((), 1.0), "b": ((), 1.0)}, devices={"cpu:0": "ram", "cpu:1": "ram"})
    assert solve(wide).scheduler == "heft"


def test_ties_break_by_name() -> None:
    problem = make_problem({"a": ((), 1.0)}, devices={"cpu:1": "ram", "cpu:0": "ram"})
    for name in ("auto", "heft", "single_device"):
        assert solve(problem, name).device_of("a") == "cpu:0"


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_nothing_to_do_takes_no_time(name: str) -> None:
    empty = make_problem({}, sources={"x": ("ram",)})
    schedule = solve(empty, name)
    assert schedule.makespan_seconds == 0.0
    assert schedule.lower_bound_seconds == 0.0
    assert validate(empty, schedule) == []


def test_any_function_is_a_scheduler() -> None:
    def backwards(problem: Problem) -> Schedule:
        return Schedule(problem, "backwards", (Placement(0, 0, 0.0, 1.0),))

    assert solve(make_problem({"a": ((), 1.0)}), backwards).scheduler == "backwards"


def test_an_unknown_scheduler_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        ScheduleError, match=r"no scheduler 'hefty'; there are auto, .*heft, .*round_robin, single_device"
    ):
        solve(make_problem({"a": ((), 1.0)}), "hefty")


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan")])
def test_a_budget_is_some_time(budget: float) -> None:
    with pytest.raises(ScheduleError, match="budget_seconds is"):
        solve(make_problem({"a": ((), 1.0)}), budget_seconds=budget)
    assert solve(make_problem({"a": ((), 1.0)}), budget_seconds=1.0).makespan_seconds == 1.0


def test_a_scheduler_of_ones_own_must_return_a_schedule() -> None:
    with pytest.raises(ScheduleError, match="the scheduler returned a NoneType; it must return a Schedule"):
        solve(make_problem({"a": ((), 1.0)}), lambda _problem: None)  # type: ignore[arg-type,return-value] # the point


def test_tiny_tasks_stay_on_one_worker_where_one_interpreter_starts_them_all() -> None:
    problem = make_problem(
        dict.fromkeys([f"t{index}" for index in range(40)], ((), 2e-6)), devices={"cpu:0": "ram", "cpu:1": "ram"}
    )
    shared = replace(problem, dispatcher=np.array([0, 0]), dispatch_seconds=np.full(40, 2e-6))
    assert {placement.device for placement in solve(problem).placements} == {0, 1}
    schedule = solve(shared)
    assert {placement.device for placement in schedule.placements} == {0}
    assert validate(shared, schedule) == []
    longer = replace(shared, seconds=np.full((40, 1), 2e-5))
    schedule = solve(longer)
    assert {placement.device for placement in schedule.placements} == {0, 1}
    assert validate(longer, schedule) == []
    assert simulate(lower(longer, schedule), longer).makespan_seconds == pytest.approx(schedule.makespan_seconds)


def test_what_predictions_cannot_tell_apart_is_as_simple_as_can_be_and_says_so() -> None:
    tasks = {"a": ((), {"cpu": 10.0, "cuda": 9.8}), "b": (("a",), {"cpu": 10.0, "cuda": 10.1})}
    problem = make_problem(tasks, deviation=0.5, n_bytes=0.0, **GPU)
    schedule = solve(problem)
    assert {placement.device for placement in schedule.placements} == {1}
    assert schedule.makespan_seconds == solve(problem, "single_device").makespan_seconds
    assert "within its error" in schedule.notes[0]
    certain = solve(replace(problem, deviation=np.zeros((2, 2))))
    assert {placement.device for placement in certain.placements} == {0, 1}
    assert certain.notes == ()


@pytest.mark.parametrize("scheduler", ["auto", "thorough", "heft", "peft"])
def test_what_cannot_be_brought_anywhere_is_named(scheduler: str) -> None:
    apart = make_problem(
        {"a": ((), {"cpu": 1.0}), "b": (("a",), {"cuda": 1.0})}, devices={"cpu:0": "ram", "cuda:0": "vram:0"}
    )
    with pytest.raises(ScheduleError, match=r"task 'b' may run on cuda:0, where .* can be brought \('a' in ram\)"):
        solve(apart, scheduler)


@pytest.mark.parametrize("objective", [Objective("energy"), Objective(deadline_seconds=9.0)])
def test_schedulers_that_know_no_objective_say_so(objective: Objective) -> None:
    asked = replace(make_problem({"a": ((), 1.0)}), objective=objective)
    with pytest.raises(ScheduleError, match=r"'heft' minimises the makespan and knows no limits; .* need 'auto' or"):
        solve(asked, "heft")
    assert solve(asked, "auto").makespan_seconds == 1.0
