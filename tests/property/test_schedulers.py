"""Invariants of every scheduler, on random problems."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optimum import optimum
from strategies import Shape, problems, random_problem

from hetsched.schedule import SCHEDULERS, solve
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.validate import Violation, validate

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
every_scheduler = pytest.mark.parametrize("name", sorted(SCHEDULERS))
TIMED = ("exact", "thorough")  # search until their time is up, so that equal problems may get other schedules
SMALL = Shape(n_tasks=7, n_workers=2, n_gpus=1, second_host=False)


def solved(name: str, problem: Problem) -> Schedule:
    return solve(problem, name, budget_seconds=0.1 if name in TIMED else None)


@every_scheduler
@given(problem=problems())
@few
def test_a_schedule_breaks_no_rule_and_not_its_bound(name: str, problem: Problem) -> None:
    schedule = solved(name, problem)
    assert validate(problem, schedule) == []
    assert schedule.makespan_seconds >= schedule.lower_bound_seconds
    assert schedule.lower_bound_seconds >= problem.lower_bound_seconds


@every_scheduler
@given(problem=problems(SMALL))
@few
def test_no_schedule_and_no_bound_beats_the_exhaustive_optimum(name: str, problem: Problem) -> None:
    best = optimum(problem)
    assert problem.lower_bound_seconds <= best * (1 + 1e-12)
    assert solved(name, problem).makespan_seconds >= best * (1 - 1e-12)


@pytest.mark.parametrize("name", sorted(SCHEDULERS.keys() - set(TIMED)))
@given(problem=problems())
@few
def test_equal_problems_get_equal_schedules(name: str, problem: Problem) -> None:
    one, other = solved(name, problem), solved(name, replace(problem))
    assert (one.placements, one.transfers, one.evictions) == (other.placements, other.transfers, other.evictions)


@given(problem=problems())
@few
def test_the_default_is_never_longer_than_the_best_single_device(problem: Problem) -> None:
    assert SCHEDULERS["auto"](problem).makespan_seconds <= SCHEDULERS["single_device"](problem).makespan_seconds


@every_scheduler
def test_capacity_is_never_exceeded_where_it_would_be(name: str) -> None:
    n_tight = n_evictions = 0
    for seed in range(60):
        problem = random_problem(seed, Shape(n_tasks=40, n_sources=6))
        boundless = replace(problem, capacity=np.full(problem.n_memories, np.inf))
        careless = replace(solved(name, boundless), problem=problem)
        if {violation.rule for violation in validate(problem, careless)} != {"capacity"}:
            continue
        n_tight += 1
        schedule = solved(name, problem)
        n_evictions += len(schedule.evictions)
        assert validate(problem, schedule) == []
    assert n_tight >= 5
    assert n_evictions >= 5


def rules(problem: Problem, schedule: Schedule) -> set[str]:
    violations: list[Violation] = validate(problem, schedule)
    return {violation.rule for violation in violations}


@given(problem=problems(), data=st.data())
@few
def test_a_broken_schedule_is_caught_by_the_rule_it_breaks(problem: Problem, data: st.DataObject) -> None:
    schedule = SCHEDULERS["heft"](problem)
    placements, transfers = tuple(schedule.placements), tuple(schedule.transfers)
    chosen = data.draw(st.sampled_from(placements))
    others = tuple(placement for placement in placements if placement is not chosen)
    delay = schedule.makespan_seconds + 1

    assert "missing-task" in rules(problem, replace(schedule, placements=others))

    longer = replace(chosen, end=chosen.end + delay)
    assert "duration" in rules(problem, replace(schedule, placements=(*others, longer)))

    before_time = replace(chosen, start=chosen.start - delay, end=chosen.end - delay)
    assert "negative-start" in rules(problem, replace(schedule, placements=(*others, before_time)))

    forbidden = np.flatnonzero(~problem.allowed[chosen.task])
    if len(forbidden):
        elsewhere = replace(chosen, device=int(forbidden[0]))
        assert "allowed" in rules(problem, replace(schedule, placements=(*others, elsewhere)))

    readers = {reader for value in problem.writes[chosen.task] for reader in problem.readers[value]}
    late = replace(chosen, start=chosen.start + delay, end=chosen.end + delay)
    if readers:
        found = rules(problem, replace(schedule, placements=(*others, late)))
        assert found & {"precedence", "transfer-source"}

    for transfer in transfers[:3]:
        rest = tuple(other for other in transfers if other is not transfer)
        assert rules(problem, replace(schedule, transfers=rest)) & {
            "precedence",
            "transfer-source",
            "required",
            "eviction",
        }
        twice = replace(schedule, transfers=(*transfers, replace(transfer, start=delay, end=2 * delay)))
        assert rules(problem, twice) & {"crossing", "transfer-duration"}
