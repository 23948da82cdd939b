"""CPOP, min-min, max-min and HeteroPrio: what each decides on small problems, and rules on random ones."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from strategies import Shape, make_problem, random_problem

from hetsched.schedule.cpop import cpop, critical_path
from hetsched.schedule.drafts import Drafting
from hetsched.schedule.heteroprio import acceleration, fastest_first, heteroprio
from hetsched.schedule.min_min import max_min, min_min
from hetsched.schedule.problem import Problem
from hetsched.schedule.ranks import upward_ranks
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.validate import validate

SCHEDULERS: tuple[Callable[[Problem], Schedule], ...] = (cpop, min_min, max_min, heteroprio)
every_scheduler = pytest.mark.parametrize("scheduler", SCHEDULERS)
SHARED = {"cpu:0": "ram", "cuda:0": "ram"}
"""Devices between which nothing needs to be copied."""
SHAPES = {
    "default": Shape(),
    "one device": Shape(n_workers=1, n_gpus=0, second_host=False),
    "large": Shape(n_tasks=40, n_sources=6, n_workers=6, n_gpus=2),
    "copies never wait": Shape(n_tasks=40, contention=False),
    "wide memories": Shape(n_tasks=40, capacities=False),
    "plain": Shape(30, 0, 3, 2, *[False] * 10),
}


def worked_example() -> Problem:
    """The one of the HEFT and CPOP paper (figure 2 and table 1 of doi:10.1109/71.993206)."""
    rows = [(14, 16, 9), (13, 19, 18), (11, 13, 19), (13, 8, 17), (12, 13, 10), (13, 16, 9), (7, 15, 11), (5, 11, 14)]
    rows += [(18, 12, 20), (21, 7, 16)]
    edges = {(1, 2): 18, (1, 3): 12, (1, 4): 9, (1, 5): 11, (1, 6): 14, (2, 8): 19, (2, 9): 16, (3, 7): 23}
    edges |= {(4, 8): 27, (4, 9): 23, (5, 9): 13, (6, 8): 15, (7, 10): 17, (8, 10): 11, (9, 10): 13}
    processors = ("p1", "p2", "p3")
    ways = [(a, b) for a in "123" for b in "123" if a != b]
    return make_problem(
        {
            f"t{task}": (
                [f"t{a}-t{b}" for a, b in edges if b == task],
                dict(zip(processors, map(float, row), strict=True)),
            )
            for task, row in enumerate(rows, start=1)
        },
        writes={f"t{task}": [f"t{a}-t{b}" for a, b in edges if a == task] or ["t10"] for task in range(1, 11)},
        n_bytes={f"t{a}-t{b}": float(cost) for (a, b), cost in edges.items()},
        devices={p: f"m{p[1]}" for p in processors},
        links={f"{a}-{b}": (0.0, 1.0) for a, b in ways},
        routes={(f"m{a}", f"m{b}"): (f"{a}-{b}",) for a, b in ways},
        contention=False,
    )


def test_cpop_gives_the_schedule_of_its_paper() -> None:
    problem = worked_example()
    drafting = Drafting(problem)
    assert [problem.task_names[task] for task in critical_path(drafting, upward_ranks(drafting))] == [
        *("t1", "t2", "t9", "t10")
    ]
    schedule = cpop(problem)
    assert schedule.makespan_seconds == 86.0
    assert {schedule.device_of(task) for task in ("t1", "t2", "t9", "t10")} == {"p2"}
    assert validate(problem, schedule) == []


def test_cpop_leaves_what_its_device_cannot_run_to_others() -> None:
    problem = make_problem(
        {
            "a": ((), {"cpu": 1.0, "cuda": 2.0}),
            "b": (("a",), {"cpu": 1.0}),
            "c": (("b",), {"cpu": 1.0, "cuda": 2.0}),
            "d": (("c",), {"cuda": 1.0}),
            "e": (("d",), {"cuda": 1.0}),
        },
        devices=SHARED,
    )
    schedule = cpop(problem)
    assert [schedule.device_of(task) for task in "abcde"] == ["cuda:0", "cpu:0", "cuda:0", "cuda:0", "cuda:0"]


def test_min_min_takes_the_shortest_first_and_max_min_the_longest() -> None:
    problem = make_problem(
        {"long": ((), 4.0), "short": ((), 1.0), "middle": ((), 3.0)}, devices={"cpu:0": "ram", "cpu:1": "ram"}
    )
    shortest, longest = min_min(problem), max_min(problem)
    assert starts(shortest) == {"short": 0.0, "middle": 0.0, "long": 1.0}
    assert starts(longest) == {"long": 0.0, "middle": 0.0, "short": 3.0}
    assert (shortest.makespan_seconds, longest.makespan_seconds) == (5.0, 4.0)


def test_the_best_end_is_what_min_min_and_max_min_compare() -> None:
    """Task b is long on the CPU only, so that for max-min task a is longer."""
    problem = make_problem(
        {"a": ((), {"cpu": 3.0, "cuda": 3.0}), "b": ((), {"cpu": 9.0, "cuda": 2.0})}, devices={"cuda:0": "ram"}
    )
    assert starts(min_min(problem)) == {"b": 0.0, "a": 2.0}
    assert starts(max_min(problem)) == {"a": 0.0, "b": 3.0}


def test_min_min_counts_the_way_home_of_what_is_requested() -> None:
    problem = make_problem(
        {"a": ((), {"cpu": 3.0, "cuda": 2.0}), "b": ((), {"cpu": 2.5})},
        devices={"cpu:0": "ram", "cuda:0": "vram"},
        n_bytes={"a": 5.0},
        links={"up": (0.0, 1.0), "down": (0.0, 1.0)},
        routes={("ram", "vram"): ("up",), ("vram", "ram"): ("down",)},
        required=[("a", "ram")],
    )
    assert starts(min_min(problem)) == {"b": 0.0, "a": 2.5}


@pytest.mark.parametrize("scheduler", [min_min, max_min])
def test_kept_ends_are_those_of_a_plain_search(scheduler: Callable[[Problem], Schedule]) -> None:
    for seed in range(30):
        problem = random_problem(seed, Shape(25, 0, 3, 2, *[False] * 10))
        noise = np.random.default_rng(seed).uniform(0.1, 0.2, problem.seconds.shape)  # so that nothing ties
        problem = replace(problem, seconds=problem.seconds + noise)
        drafting = Drafting(problem)
        order = plain_order(problem, drafting.form.devices, largest=scheduler is max_min)
        expected = drafting.place(drafting.room.of(np.array(order, dtype=np.int32)))
        schedule = scheduler(problem)
        assert starts(schedule) == {problem.task_names[t]: expected.start[t] for t in range(problem.n_tasks)}


def test_of_too_many_ready_tasks_the_first_ones_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["hetsched.schedule.min_min"], "MAX_READY", 2)
    problem = make_problem({"a": ((), 3.0), "b": ((), 2.0), "c": ((), 1.0), "d": (("c",), 1.0)})
    assert starts(min_min(problem)) == {"b": 0.0, "c": 2.0, "d": 3.0, "a": 4.0}
    assert starts(max_min(problem)) == {"a": 0.0, "b": 3.0, "c": 5.0, "d": 6.0}


def plain_order(problem: Problem, devices: tuple[int, ...], *, largest: bool) -> list[int]:
    """Min-min and max-min as they are written down, everything computed anew for every task."""
    free, done, order = [0.0] * problem.n_devices, dict[int, tuple[float, int]](), []
    seconds, memory_of = problem.device_seconds.tolist(), problem.device_memory.tolist()

    def start(task: int, device: int) -> float:
        ready = 0.0
        for value in problem.reads[task]:
            end, maker = done[int(problem.producer[value])]
            ready = max(ready, end + problem.transfer_seconds(value, memory_of[maker], memory_of[device]))
        return max(ready, free[device])

    while len(order) < problem.n_tasks:
        ready = [t for t in range(problem.n_tasks) if t not in done and done.keys() >= set(problem.predecessors[t])]
        ends = {
            task: min(
                (start(task, device) + seconds[task][device], free[device], at) for at, device in enumerate(devices)
            )
            for task in ready
        }
        task = min(ready, key=lambda task: (-ends[task][0] if largest else ends[task][0], task))
        device = devices[ends[task][2]]
        done[task] = ends[task][0], device
        free[device] = ends[task][0]
        order.append(task)
    return order


def test_heteroprio_gives_each_kind_what_it_is_best_at() -> None:
    cpu_seconds = {"a": 2.0, "b": 10.0, "c": 0.5, "d": 5.0}
    problem = make_problem(
        {name: ((), {"cpu": seconds, "cuda": 1.0}) for name, seconds in cpu_seconds.items()}, devices=SHARED
    )
    schedule = heteroprio(problem)
    assert [schedule.device_of(name) for name in "abcd"] == ["cpu:0", "cuda:0", "cpu:0", "cuda:0"]
    assert starts(schedule) == {"b": 0.0, "c": 0.0, "a": 0.5, "d": 1.0}


def test_among_equal_accelerations_heteroprio_takes_the_highest_rank() -> None:
    problem = make_problem(
        {"a": ((), {"cpu": 4.0, "cuda": 1.0}), "b": ((), {"cpu": 8.0, "cuda": 2.0}), "c": (("b",), 9.0)},
        devices=SHARED,
    )
    assert starts(heteroprio(problem))["b"] == 0.0
    assert heteroprio(problem).device_of("b") == "cuda:0"


def test_heteroprio_runs_a_task_anew_where_it_ends_earlier() -> None:
    both = {"a": ((), {"cpu": 10.0, "cuda": 1.0}), "b": ((), {"cpu": 10.0, "cuda": 1.0})}
    schedule = heteroprio(make_problem(both, devices=SHARED))
    assert (schedule.device_of("a"), schedule.device_of("b")) == ("cuda:0", "cuda:0")
    assert len(schedule.placements) == 2
    assert schedule.makespan_seconds == 2.0


def test_the_device_that_a_task_is_taken_from_goes_on() -> None:
    """At 1.0 the GPU takes task b from the second CPU, so that both CPUs are there for what follows task e."""
    problem = make_problem(
        {
            "a": ((), {"cpu": 10.0, "cuda": 1.0}),
            "b": ((), {"cpu": 10.0, "cuda": 1.0}),
            "e": ((), {"cpu": 1.5}),
            "f": (("e",), {"cpu": 1.0}),
            "g": (("e",), {"cpu": 1.0}),
        },
        devices={"cpu:0": "ram", "cpu:1": "ram", "cuda:0": "ram"},
    )
    assert heteroprio(problem).makespan_seconds == 2.5


def test_heteroprio_lets_a_task_end_that_would_not_end_earlier_elsewhere() -> None:
    both = {"a": ((), {"cpu": 2.0, "cuda": 1.0}), "b": ((), {"cpu": 2.0, "cuda": 1.0})}
    schedule = heteroprio(make_problem(both, devices=SHARED))
    assert {schedule.device_of("a"), schedule.device_of("b")} == {"cpu:0", "cuda:0"}


def test_a_task_that_is_run_anew_counts_the_copies_of_what_it_reads() -> None:
    problem = make_problem(
        {"a": (("x",), {"cpu": 10.0, "cuda": 1.0}), "b": ((), {"cuda": 1.0})},
        sources={"x": ("ram",)},
        n_bytes={"x": 20.0},
        devices={"cpu:0": "ram", "cuda:0": "vram"},
        links={"up": (0.0, 1.0), "down": (0.0, 1.0)},
        routes={("ram", "vram"): ("up",), ("vram", "ram"): ("down",)},
    )
    assert heteroprio(problem).device_of("a") == "cpu:0"


def test_acceleration_is_the_time_elsewhere_over_the_time_here() -> None:
    problem = make_problem(
        {
            "two": ((), {"cpu": 8.0, "cuda": 2.0}),
            "three": ((), {"cpu": 8.0, "cuda": 1.0, "npu": 2.0}),
            "one": ((), {"npu": 5.0}),
            "none": ((), 0.0),
        },
        devices={"cpu:0": "ram", "cuda:0": "ram", "npu:0": "ram"},
    )
    drafting = Drafting(problem)
    affinity, kind = acceleration(drafting)
    assert kind.tolist() == [0, 1, 2]
    assert np.exp(affinity[0]).tolist() == pytest.approx([(2 * 800) ** 0.5 / 8, (8 * 800) ** 0.5 / 2, 0.0])
    assert np.exp(affinity[1]).tolist() == pytest.approx([2**0.5 / 8, 4.0, 8**0.5 / 2])
    assert affinity[2].tolist() == [-np.inf, -np.inf, np.inf]
    assert affinity[3].tolist() == [0.0, 0.0, 0.0]
    assert fastest_first(drafting).tolist() == [1, 2, 0]


def test_a_pin_does_not_make_a_kind_of_its_own() -> None:
    """Devices of one class stay one kind, so that what is pinned to one does not change what the other likes."""
    problem = make_problem(
        {"pinned": ((), 1.0), "a": ((), {"cpu": 4.0, "cuda": 1.0}), "b": ((), {"cpu": 2.0, "cuda": 1.0})},
        devices={"cpu:0": "ram", "cuda:0": "ram", "cuda:1": "ram"},
        allowed={"pinned": ["cuda:1"]},
    )
    affinity, kind = acceleration(Drafting(problem))
    assert kind.tolist() == [0, 1, 1]
    assert np.exp(affinity[1:, 1]).tolist() == pytest.approx([4.0, 2.0])


@every_scheduler
@pytest.mark.parametrize("shape", SHAPES)
def test_a_schedule_breaks_no_rule_and_not_its_bound(scheduler: Callable[[Problem], Schedule], shape: str) -> None:
    for seed in range(25):
        problem = random_problem(seed, SHAPES[shape])
        schedule = scheduler(problem)
        assert validate(problem, schedule) == []
        assert schedule.makespan_seconds >= schedule.lower_bound_seconds
        again = scheduler(replace(problem))
        assert (schedule.placements, schedule.transfers) == (again.placements, again.transfers)


@every_scheduler
def test_static_bytes_are_kept_to(scheduler: Callable[[Problem], Schedule]) -> None:
    problem = make_problem(
        {name: ((), {"cpu": 9.0, "cuda": 1.0}) for name in "abcd"},
        devices={"cpu:0": "ram", "cuda:0": "vram"},
        capacity={"vram": 20.0},
        static_bytes=dict.fromkeys("abcd", 10.0),
    )
    schedule = scheduler(problem)
    assert validate(problem, schedule) == []
    assert [schedule.device_of(name) for name in "abcd"].count("cuda:0") == 2


@every_scheduler
def test_nothing_to_do_takes_no_time(scheduler: Callable[[Problem], Schedule]) -> None:
    empty = make_problem({}, sources={"x": ("ram",)})
    assert scheduler(empty).makespan_seconds == 0.0
    assert validate(empty, scheduler(empty)) == []


@every_scheduler
def test_tasks_may_take_no_time(scheduler: Callable[[Problem], Schedule]) -> None:
    problem = make_problem({"a": ((), 0.0), "b": (("a",), 0.0), "c": (("b",), 0.0)}, devices=SHARED)
    assert scheduler(problem).makespan_seconds == 0.0
    assert validate(problem, scheduler(problem)) == []


@every_scheduler
def test_ten_thousand_ready_tasks_take_less_than_two_seconds(scheduler: Callable[[Problem], Schedule]) -> None:
    scheduler(wide(300))  # compiles, where that was never done
    problem = wide(10_000)
    assert problem.lower_bound_seconds > 0  # is not what is measured
    before = time.process_time()
    schedule = scheduler(problem)
    assert time.process_time() - before < 2.0
    assert schedule.makespan_seconds < 2 * problem.lower_bound_seconds


def wide(n_tasks: int) -> Problem:
    """Independent tasks of random times for four CPUs and a GPU."""
    seconds = np.random.default_rng(1).uniform(1.0, 10.0, (n_tasks, 2)).tolist()
    return make_problem(
        {f"t{task}": ((), {"cpu": cpu, "cuda": gpu}) for task, (cpu, gpu) in enumerate(seconds)},
        devices={"cpu:0": "ram", "cpu:1": "ram", "cpu:2": "ram", "cpu:3": "ram", "cuda:0": "vram"},
    )


def starts(schedule: Schedule) -> dict[str, float]:
    return {schedule.problem.task_names[placement.task]: placement.start for placement in schedule.placements}
