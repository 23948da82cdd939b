"""Exact: optima against exhaustive search, honest bounds, and what happens when there is none or no OR-tools."""

import json
import math
import sys
import time
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optimum import optimum
from strategies import Shape, make_problem, random_problem

from hetsched.errors import ScheduleError
from hetsched.schedule import solve
from hetsched.schedule.exact import exact
from hetsched.schedule.exact_facts import gaps
from hetsched.schedule.heft import heft
from hetsched.schedule.objective import Objective
from hetsched.schedule.problem import Problem
from hetsched.schedule.validate import validate

pytest.importorskip("ortools", reason="the exact scheduler needs OR-tools: pip install 'hetsched[exact]'")

ONE_HOP = Shape(n_tasks=7, n_workers=2, n_gpus=1, second_host=False, contention=False, capacities=False)
"""Here ways of one hop are all there are, and the exhaustive search knows all rules."""

PROVEN = ("proven optimal",)


def hard_problem() -> Problem:
    """Of four nodes and sixty tasks, far too many for a proof."""
    pick = np.random.default_rng(7)
    nodes = {f"n{node}:0": f"ram{node}" for node in range(4)}
    pairs = [(a, b) for a in nodes.values() for b in nodes.values() if a != b]
    tasks = {
        f"t{i}": (
            [f"t{j}" for j in range(max(0, i - 12), i) if pick.random() < 0.3],
            dict.fromkeys([f"n{n}" for n in range(4)], float(pick.uniform(5, 15))),
        )
        for i in range(60)
    }
    return make_problem(
        tasks,
        devices=nodes,
        n_bytes=1.0,
        links={f"{a}->{b}": (0.0, 2.0) for a, b in pairs},
        routes={(a, b): (f"{a}->{b}",) for a, b in pairs},
        contention=False,
    )


@pytest.mark.parametrize("seed", range(60))
def test_the_optimum_is_that_of_exhaustive_search(seed: int) -> None:
    problem = random_problem(seed, ONE_HOP)
    best = optimum(problem)
    schedule = exact(problem, 5.0)
    assert validate(problem, schedule) == []
    assert schedule.notes == PROVEN
    assert schedule.makespan_seconds == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert problem.lower_bound_seconds <= schedule.lower_bound_seconds <= best * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(25))
def test_times_that_are_no_multiples_of_any_unit_are_proven_too(seed: int) -> None:
    problem = random_problem(seed, ONE_HOP)
    problem = replace(problem, seconds=problem.seconds * math.pi, latency=problem.latency * math.e)
    best = optimum(problem)
    schedule = exact(problem, 5.0)
    assert schedule.notes == PROVEN
    assert schedule.makespan_seconds == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert schedule.lower_bound_seconds <= best * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_where_links_memories_and_interpreters_are_short_schedules_are_valid(seed: int) -> None:
    problem = random_problem(seed, Shape(n_tasks=8))
    brief = np.random.default_rng(seed).integers(0, 4, problem.n_tasks) / 8
    processes = np.zeros(problem.n_devices, dtype=np.int32)
    problem = replace(problem, contention=True, dispatcher=processes, dispatch_seconds=brief)
    schedule = exact(problem, 0.3)
    assert validate(problem, schedule) == []
    assert schedule.makespan_seconds <= heft(problem).makespan_seconds
    assert schedule.lower_bound_seconds <= schedule.makespan_seconds


def test_copies_that_wait_for_a_link_are_part_of_the_proof() -> None:
    problem = make_problem(
        {"a": ((), {"cpu": 1.0}), "b": ((), {"cpu": 1.0}), "c": (("a", "b"), {"gpu": 1.0})},
        devices={"cpu:0": "ram", "cpu:1": "ram", "gpu:0": "vram"},
        n_bytes=2.0,
        links={"up": (0.0, 1.0), "down": (0.0, 1.0)},
        routes={("ram", "vram"): ("up",), ("vram", "ram"): ("down",)},
    )
    schedule = exact(problem)
    assert schedule.notes == PROVEN
    assert schedule.makespan_seconds == 1 + 2 + 2 + 1
    assert exact(replace(problem, contention=False)).makespan_seconds == 1 + 2 + 1


def test_the_way_home_of_required_values_counts() -> None:
    problem = make_problem(
        {"a": ((), {"cpu": 4.0, "gpu": 1.0})},
        devices={"cpu:0": "ram", "gpu:0": "vram"},
        n_bytes=2.5,
        links={"up": (0.0, 1.0), "down": (0.0, 1.0)},
        routes={("ram", "vram"): ("up",), ("vram", "ram"): ("down",)},
        required=[("a", "ram")],
    )
    assert exact(problem).makespan_seconds == 3.5
    assert exact(replace(problem, value_bytes=np.array([9.0]))).makespan_seconds == 4.0


def test_an_interpreter_starts_one_task_at_a_time() -> None:
    problem = make_problem(dict.fromkeys("ab", ((), 2.0)), devices={"cpu:0": "ram", "cpu:1": "ram"})
    assert exact(problem).makespan_seconds == 2.0
    shared = replace(problem, dispatcher=np.zeros(2, dtype=np.int32), dispatch_seconds=np.array([0.5, 0.75]))
    schedule = exact(shared)
    assert schedule.makespan_seconds == 2.5
    assert schedule.notes == PROVEN


def test_a_problem_without_tasks_is_optimal() -> None:
    schedule = exact(make_problem({}))
    assert (schedule.makespan_seconds, schedule.notes, list(schedule.placements)) == (0.0, PROVEN, [])


def test_static_bytes_that_fit_only_one_way_are_placed_that_way() -> None:
    pair = {"cpu:0": "ram0", "cpu:1": "ram1"}
    problem = make_problem(
        dict.fromkeys("abcd", ((), 1.0)),
        devices=pair,
        capacity={"ram0": 10.0, "ram1": 8.0},
        static_bytes={"a": 5.0, "b": 5.0, "c": 5.0, "d": 3.0},
    )
    schedule = exact(problem)
    assert validate(problem, schedule) == []
    assert schedule.notes == PROVEN


def test_static_bytes_that_fit_no_way_are_one_clear_error() -> None:
    problem = make_problem(
        dict.fromkeys("abc", ((), 1.0)),
        devices={"cpu:0": "ram0", "cpu:1": "ram1"},
        capacity={"ram0": 10.0, "ram1": 10.0},
        static_bytes=dict.fromkeys("abc", 6.0),
    )
    with pytest.raises(ScheduleError, match=r"no schedule.*static bytes.*raise capacities"):
        exact(problem)
    with pytest.raises(ScheduleError, match="'a' needs 6 bytes in ram0"):
        exact(replace(problem, capacity=np.array([5.0, 5.0])))


@pytest.mark.parametrize("module", ["ortools", "ortools.sat.python.cp_model"])
def test_without_ortools_the_error_says_how_to_get_it(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ScheduleError, match=r"pip install 'hetsched\[exact\]'"):
        exact(make_problem({"a": ((), 1.0)}))


def test_other_objectives_are_refused() -> None:
    problem = make_problem({"a": ((), 1.0)})
    for objective in (Objective("energy"), Objective(budget_money=1.0)):
        with pytest.raises(ScheduleError, match="minimises the makespan and nothing else"):
            exact(replace(problem, objective=objective))


def test_a_budget_that_does_not_suffice_leaves_the_best_and_an_honest_note() -> None:
    problem = hard_problem()
    begun = time.perf_counter()
    schedule = solve(problem, "exact", budget_seconds=0.7)
    assert time.perf_counter() - begun < 10
    assert validate(problem, schedule) == []
    assert schedule.scheduler == "exact"
    low, high = schedule.lower_bound_seconds, schedule.makespan_seconds
    assert schedule.notes == (f"optimum lies between {low:.9g} and {high:.9g} s",)
    assert problem.lower_bound_seconds <= low < high <= heft(problem).makespan_seconds


def test_ctrl_c_ends_the_search_with_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, n_waits = hard_problem(), 0

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        nonlocal n_waits
        n_waits += 1
        if n_waits == 4:
            raise KeyboardInterrupt
        return wait(*args, **kwargs)

    monkeypatch.setattr(sys.modules["hetsched.schedule.exact"], "wait", interrupted)
    begun = time.perf_counter()
    schedule = exact(problem, 60.0)
    assert time.perf_counter() - begun < 10
    assert n_waits >= 4
    assert validate(problem, schedule) == []
    assert schedule.notes[0].startswith("optimum lies between")


def test_what_is_too_large_to_prove_still_gets_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hetsched.schedule.exact_facts.MAX_TERMS", 10)
    problem = hard_problem()
    schedule = exact(problem, 5.0)
    assert validate(problem, schedule) == []
    assert schedule.lower_bound_seconds == problem.lower_bound_seconds


def test_between_a_fork_and_its_join_there_is_time_for_all_branches() -> None:
    fork_join = [(), *[(0,)] * 5, (1, 2, 3, 4, 5)]
    least = [1, 3, 3, 3, 3, 3, 1]
    assert list(gaps(fork_join, least, n_devices=2)) == [(0, 6, 9)]
    assert list(gaps(fork_join, least, n_devices=5)) == []


def test_an_instance_with_a_unit_of_its_own_is_proven_exactly(tmp_path: Path) -> None:
    links = {f"{a}->{b}": {"latency_s": 0.01, "bytes_per_s": 1000.0} for a in "xyz" for b in "xyz" if a != b}
    tasks = [{"id": f"t{i}", "times": dict.fromkeys("xyz", 0.1 * (1 + i % 4))} for i in range(14)]
    edges = [[f"t{i}", f"t{j}", 10.0] for i in range(14) for j in range(i + 1, 14) if (i * j) % 5 == 1]
    path = tmp_path / "instance.json"
    path.write_text(json.dumps({"tasks": tasks, "edges": edges, "devices": list("xyz"), "links": links}))
    schedule = exact(Problem.load(path), 10.0)
    assert schedule.notes == PROVEN
    assert round(schedule.makespan_seconds * 100) == pytest.approx(schedule.makespan_seconds * 100, abs=1e-9)


def test_an_instance_copies_directly_though_a_detour_would_be_faster(tmp_path: Path) -> None:
    seconds = {"x->y": 10.0, "x->z": 1.0, "z->y": 1.0}
    links = {name: {"latency_s": latency, "bytes_per_s": 1e15} for name, latency in seconds.items()}
    tasks = [{"id": "a", "times": {"x": 1.0}}, {"id": "b", "times": {"y": 1.0}}, {"id": "c", "times": {"x": 2, "z": 1}}]
    path = tmp_path / "instance.json"
    path.write_text(json.dumps({"tasks": tasks, "edges": [["a", "b", 0.0]], "devices": list("xyz"), "links": links}))
    schedule = exact(Problem.load(path))
    assert (schedule.makespan_seconds, schedule.notes) == (12.0, PROVEN)
