"""Anytime search: it keeps to its budget, tells how it goes, and gives what it has when it is interrupted."""

import time

import pytest
from strategies import Shape, random_problem

from hetsched.schedule import solve
from hetsched.schedule.problem import Problem
from hetsched.schedule.validate import validate


def hard_problem(contention: bool = False) -> Problem:
    """One whose bound no schedule reaches, so that the search goes on."""
    shape = Shape(n_tasks=80, n_workers=4, capacities=False, second_host=False)
    for seed in range(200):
        problem = random_problem(seed, shape)
        gap = solve(problem).gap
        if problem.n_tasks > 40 and problem.contention == contention and gap > 0.05:
            return problem
    raise AssertionError("no such problem among the first")


@pytest.mark.parametrize("contention", [False, True])
def test_the_search_only_ever_improves_and_ends_in_time(contention: bool) -> None:
    problem = hard_problem(contention)
    told: list[tuple[float, float]] = []
    solve(problem, "thorough", budget_seconds=0.01)  # compiles, if nothing has yet
    started = time.perf_counter()
    schedule = solve(problem, "thorough", budget_seconds=0.5, progress=lambda *so_far: told.append(so_far))
    assert time.perf_counter() - started < 2.0
    assert validate(problem, schedule) == []
    assert schedule.makespan_seconds <= solve(problem).makespan_seconds
    seconds, best = zip(*told, strict=True)
    assert len(told) >= 3
    assert list(seconds) == sorted(seconds)
    assert schedule.makespan_seconds <= min(best) * (1 + 1e-9)


def test_an_interrupt_ends_the_search_with_the_best_so_far() -> None:
    problem = hard_problem()

    def interrupt(seconds: float, best: float) -> None:
        raise KeyboardInterrupt

    started = time.perf_counter()
    schedule = solve(problem, "thorough", budget_seconds=60.0, progress=interrupt)
    assert time.perf_counter() - started < 50.0
    assert validate(problem, schedule) == []
    assert schedule.scheduler == "thorough"


def test_a_budget_makes_the_default_search_on() -> None:
    assert solve(hard_problem(), budget_seconds=0.05).scheduler == "thorough"
