"""Schedules of memories that overflow: waiting, dropping, copying out, giving up."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import make_problem

from hetsched.errors import ScheduleError
from hetsched.schedule import SCHEDULERS, solve
from hetsched.schedule.drafts import Drafting
from hetsched.schedule.fill import fill_draft
from hetsched.schedule.finished import finished
from hetsched.schedule.journal import Journal
from hetsched.schedule.memory import Holds, Level, tight_memories
from hetsched.schedule.validate import validate

GPU = {
    "devices": {"cpu:0": "ram", "cuda:0": "vram:0"},
    "links": {"up": (0.0, 1.0), "down": (0.0, 1.0)},
    "routes": {("ram", "vram:0"): ("up",), ("vram:0", "ram"): ("down",)},
}


def test_a_level_knows_from_when_on_more_fits() -> None:
    level = Level(10.0)
    level.add(1.0, 6.0)
    undo = level.add(3.0, -4.0)
    assert level.since(4.0) == 0.0
    assert level.since(5.0) == 3.0
    assert level.since(9.0) == float("inf")
    undo()
    assert level.since(5.0) == float("inf")


def test_memories_that_cannot_overflow_are_not_tracked() -> None:
    tasks = {"a": ((), {"cuda": 1.0}), "b": (("a",), {"cuda": 1.0})}
    for capacity, tight in ((20.0, []), (19.0, [1])):
        problem = make_problem(tasks, n_bytes=10.0, capacity={"vram:0": capacity}, **GPU)
        assert tight_memories(problem) == tight
        assert list(Holds(problem, Journal()).levels) == tight


def test_a_copy_waits_until_there_is_room() -> None:
    problem = make_problem(
        {"a": (("x",), {"cuda": 1.0}), "b": (("y",), {"cuda": 1.0})},
        sources={"x": ("ram",), "y": ("ram",)},
        n_bytes={"x": 4.0, "y": 4.0},
        capacity={"vram:0": 6.0},
        **GPU,
    )
    schedule = solve(problem, "heft")
    assert validate(problem, schedule) == []
    assert [(transfer.start, transfer.end) for transfer in schedule.transfers] == [(0.0, 4.0), (5.0, 9.0)]
    assert schedule.evictions == ()


def test_what_is_held_elsewhere_too_is_dropped_and_comes_back() -> None:
    problem = make_problem(
        {"a": (("x",), {"cuda": 1.0}), "b": (("a", "y"), {"cuda": 1.0}), "c": (("b", "x"), {"cuda": 1.0})},
        sources={"x": ("ram",), "y": ("ram",)},
        n_bytes={"x": 4.0, "y": 4.0, "a": 1.0, "b": 1.0, "c": 1.0},
        capacity={"vram:0": 7.0},
        **GPU,
    )
    schedule = solve(problem, "heft")
    assert validate(problem, schedule) == []
    assert [problem.value_names[eviction.value] for eviction in schedule.evictions] == ["x"]
    assert [problem.value_names[transfer.value] for transfer in schedule.transfers] == ["x", "y", "x"]


def test_what_is_nowhere_else_is_copied_out_and_comes_back() -> None:
    problem = make_problem(
        {
            "a": ((), {"cuda": 1.0}),
            "b": ((), {"cuda": 1.0}),
            "c": (("b",), {"cuda": 1.0}),
            "d": (("a", "c"), {"cuda": 1.0}),
        },
        n_bytes={"a": 4.0, "b": 4.0, "c": 1.0, "d": 1.0},
        capacity={"vram:0": 7.0},
        **GPU,
    )
    schedule = solve(problem, "heft")
    assert validate(problem, schedule) == []
    assert schedule.evictions
    for eviction in schedule.evictions:
        moves = [(t.source, t.target) for t in schedule.transfers if t.value == eviction.value]
        assert moves == [(1, 0), (0, 1)]


def test_what_does_not_fit_beside_goes_to_another_device() -> None:
    problem = make_problem({"a": ((), {"cuda": 1.0, "cpu": 50.0})}, n_bytes=10.0, capacity={"vram:0": 9.0}, **GPU)
    assert solve(problem, "heft").device_of("a") == "cpu:0"


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_a_task_too_big_for_every_memory_is_named_with_the_capacity_that_would_do(scheduler: str) -> None:
    problem = make_problem(
        {"small": ((), 1.0), "big": (("small", "x"), {"cuda": 1.0})},
        sources={"x": ("ram",)},
        n_bytes={"small": 1.0, "x": 6.0, "big": 5.0},
        capacity={"vram:0": 11.0},
        **GPU,
    )
    with pytest.raises(
        ScheduleError, match="task 'big' needs 12 bytes in vram:0, which has 11; a capacity of 12 bytes"
    ):
        solve(problem, scheduler)


def test_a_memory_too_small_for_the_inputs_is_named() -> None:
    problem = make_problem(
        {"a": ((), {"cuda": 1.0})}, sources={"x": ("ram",), "y": ("ram",)}, n_bytes=5.0, capacity={"ram": 9.0}, **GPU
    )
    with pytest.raises(ScheduleError, match="memory 'ram' has 9 bytes, and what is there from the start takes 10"):
        solve(problem)


def test_outputs_that_do_not_fit_at_home_are_named() -> None:
    problem = make_problem(
        {"a": ((), {"cuda": 1.0}), "b": ((), {"cuda": 1.0})},
        n_bytes=5.0,
        required=[("a", "ram"), ("b", "ram")],
        capacity={"ram": 9.0},
        **GPU,
    )
    with pytest.raises(ScheduleError, match="value 'b' is required in ram and cannot be brought there from vram:0"):
        solve(problem, "heft")


def test_views_keep_the_storage_they_share() -> None:
    problem = make_problem(
        {
            "base": ((), {"cuda": 1.0}),
            "view": (("base",), {"cuda": 1.0}),
            "next": ((), {"cuda": 1.0}),
            "end": (("view", "next"), {"cuda": 1.0}),
        },
        n_bytes={"base": 8.0, "view": 2.0, "next": 3.0, "end": 1.0},
        alias={"view": "base"},
        capacity={"vram:0": 11.0},
        **GPU,
    )
    schedule = solve(problem, "heft")
    assert validate(problem, schedule) == []
    assert "view" in {problem.value_names[eviction.value] for eviction in schedule.evictions}


def test_static_bytes_fill_one_memory_and_then_the_next() -> None:
    problem = make_problem(
        {name: ((), {"cuda": 1.0, "cpu": 9.0}) for name in "abc"},
        static_bytes=dict.fromkeys("abc", 4.0),
        capacity={"vram:0": 8.0},
        **GPU,
    )
    schedule = solve(problem, "heft")
    assert validate(problem, schedule) == []
    assert sorted(schedule.device_of(name) for name in "abc") == ["cpu:0", "cuda:0", "cuda:0"]


def test_persistent_weights_that_do_not_fit_together_send_tasks_elsewhere() -> None:
    problem = make_problem(
        {name: ((f"w{name}",), {"cuda": 1.0, "cpu": 9.0}) for name in "abc"},
        sources={f"w{name}": ("ram",) for name in "abc"},
        persistent=[f"w{name}" for name in "abc"],
        n_bytes={f"w{name}": 4.0 for name in "abc"},
        capacity={"vram:0": 8.0},
        expected_runs=2,
        **GPU,
    )
    schedule = solve(problem, "heft")
    assert validate(problem, schedule) == []
    assert sorted(schedule.device_of(name) for name in "abc") == ["cpu:0", "cuda:0", "cuda:0"]


def test_filling_one_device_after_another_keeps_static_bytes_within_capacity() -> None:
    names = [f"t{index}" for index in range(6)]
    problem = make_problem(
        {name: (names[:index][-1:], {"cpu": 8.0, "cuda": 1.0}) for index, name in enumerate(names)},
        devices={"cpu:0": "ram", "cuda:0": "vram:0", "cuda:1": "vram:1"},
        links={f"{a}-{b}": (0.0, 1.0) for a in ("ram", "vram:0", "vram:1") for b in ("ram", "vram:0", "vram:1")},
        routes={
            (a, b): (f"{a}-{b}",) for a in ("ram", "vram:0", "vram:1") for b in ("ram", "vram:0", "vram:1") if a != b
        },
        n_bytes=0.0,
        static_bytes=dict.fromkeys(names, 1.0),
        capacity={"vram:0": 3.0, "vram:1": 2.0},
    )
    drafting = Drafting(problem)
    schedule = finished(drafting, fill_draft(drafting, list(range(6))))
    assert [schedule.device_of(name) for name in names] == ["cuda:0"] * 3 + ["cuda:1"] * 2 + ["cpu:0"]
    assert validate(problem, schedule) == []
    assert solve(problem).makespan_seconds <= schedule.makespan_seconds


def test_static_bytes_that_fit_nowhere_are_answered_with_a_capacity_that_does() -> None:
    tasks = {name: ((), {"cuda": 1.0}) for name in "abc"}
    devices = {"cuda:0": "vram:0", "cuda:1": "vram:1"}
    problem = make_problem(
        tasks, devices=devices, static_bytes=dict.fromkeys("abc", 6.0), capacity={"vram:0": 10.0, "vram:1": 7.0}
    )
    for scheduler in ("auto", "thorough", "heft", "single_device"):
        with pytest.raises(ScheduleError, match="this capacity would do: vram:0 with 12 instead of 10 bytes"):
            solve(problem, scheduler)
    enough = replace(problem, capacity=np.array([12.0, 7.0]))
    assert validate(enough, solve(enough)) == []


def test_what_fits_only_when_packed_well_is_packed() -> None:
    n_bytes = {"a": 2.0, "b": 2.0, "c": 4.0, "d": 3.0, "e": 3.0}
    tasks = {name: ((), {"cuda": 1.0}) for name in n_bytes}
    devices = {"cuda:0": "vram:0", "cuda:1": "vram:1"}
    problem = make_problem(tasks, devices=devices, static_bytes=n_bytes, capacity={"vram:0": 7.0, "vram:1": 7.0})
    assert validate(problem, solve(problem)) == []
