"""Other aims than the makespan, and limits, against what trying all assignments gives."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from strategies import Shape, make_problem, random_problem

from hetsched.errors import ScheduleError
from hetsched.schedule import solve
from hetsched.schedule.objective import Figures, Objective, figures_of
from hetsched.schedule.problem import Problem
from hetsched.schedule.validate import validate

N_TASKS = 8
GPU = {
    "devices": {"cpu:0": "ram", "cuda:0": "vram:0"},
    "links": {"up": (0.0, 1e12), "down": (0.0, 1e12)},
    "routes": {("ram", "vram:0"): ("up",), ("vram:0", "ram"): ("down",)},
}


def frugal_cpu(objective: Objective) -> Problem:
    """The GPU is 4 times faster, 10 times hungrier and 6 times dearer; tasks are alike and independent."""
    problem = make_problem({f"t{index}": ((), {"cpu": 4.0, "cuda": 1.0}) for index in range(N_TASKS)}, **GPU)
    return replace(
        problem,
        idle_watts=np.array([0.1, 0.1]),
        busy_watts=np.array([1.0, 10.0]),
        price_per_hour=np.array([1.0, 6.0]),
        objective=objective,
    )


def assignments() -> list[Figures]:
    """Figures by the number of tasks on the GPU, which is all that tells assignments apart."""
    found = []
    for on_gpu in range(N_TASKS + 1):
        makespan = max(on_gpu * 1.0, (N_TASKS - on_gpu) * 4.0)
        joules = 0.2 * makespan + (N_TASKS - on_gpu) * 4.0 * 0.9 + on_gpu * 9.9
        per_hour = (1.0 if on_gpu < N_TASKS else 0.0) + (6.0 if on_gpu else 0.0)
        found.append(Figures(makespan, makespan, joules, per_hour * makespan / 3600))
    return found


AIMS: dict[str, tuple[Objective, Callable[[Figures], bool], Callable[[Figures], float]]] = {
    "makespan": (Objective(), lambda f: True, lambda f: f.makespan_seconds),
    "energy": (Objective("energy"), lambda f: True, lambda f: f.energy_joules),
    "energy by a deadline": (
        Objective("energy", deadline_seconds=12.0),
        lambda f: f.makespan_seconds <= 12.0,
        lambda f: f.energy_joules,
    ),
    "makespan within a budget": (
        Objective(budget_money=48.5 / 3600),
        lambda f: f.money <= 48.5 / 3600,
        lambda f: f.makespan_seconds,
    ),
}


@pytest.mark.parametrize("aim", AIMS)
def test_each_aim_gets_the_best_of_all_assignments(aim: str) -> None:
    objective, is_kept, value = AIMS[aim]
    problem = frugal_cpu(objective)
    schedule = solve(problem)
    figures = figures_of(schedule)
    assert validate(problem, schedule) == []
    assert is_kept(figures)
    assert value(figures) == pytest.approx(min(value(f) for f in assignments() if is_kept(f)))
    assert solve(replace(problem)).placements == schedule.placements


def test_the_four_plans_differ() -> None:
    on_gpu = {sum(p.device == 1 for p in solve(frugal_cpu(objective)).placements) for objective, _, _ in AIMS.values()}
    assert len(on_gpu) == len(AIMS)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (Objective("energy", deadline_seconds=0.5), r"within deadline_seconds=0.5: the shortest takes 7 s"),
        (Objective(budget_money=1e-9), r"at most budget_money=1e-09: the cheapest costs 0.00888"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_answered_with_what_can(objective: Objective, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        solve(frugal_cpu(objective))


def test_a_chain_of_three_stages_gives_a_result_every_stage() -> None:
    chain = make_problem(
        {"a": ((), 10e-3), "b": (("a",), 10e-3), "c": (("b",), 10e-3)},
        devices={"cpu:0": "ram", "cpu:1": "ram", "cpu:2": "ram"},
    )
    schedule = solve(replace(chain, objective=Objective("throughput")))
    assert figures_of(schedule).period_seconds <= 10.5e-3


def test_a_fork_join_in_steady_state_beats_its_shortest_schedule_repeated() -> None:
    work = {f"w{index}": (("s",), {"cpu": 4.0, "cuda": 1.0}) for index in range(7)}
    ends = {"s": ((), {"cpu": 1.0, "cuda": 1.0})}
    problem = make_problem({**ends, **work, "j": (list(work), {"cpu": 1.0, "cuda": 1.0})}, **GPU)
    repeated = solve(problem).makespan_seconds
    steady = figures_of(solve(replace(problem, objective=Objective("throughput")))).period_seconds
    assert steady <= 0.8 * repeated


@pytest.mark.parametrize("aim", ["throughput", "energy", "money"])
def test_schedules_for_other_aims_are_valid_whatever_the_problem(aim: str) -> None:
    for seed in range(12):
        problem = random_problem(seed, Shape())
        n_devices = problem.n_devices
        asked = replace(
            problem,
            idle_watts=np.full(n_devices, 1.0),
            busy_watts=1.0 + np.arange(1, n_devices + 1),
            price_per_hour=np.arange(1.0, n_devices + 1),
            objective=Objective(aim),
        )
        assert validate(asked, solve(asked)) == []
