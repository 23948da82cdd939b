"""Where tasks and copies end up in time."""

import pytest
from strategies import make_problem

from hetsched.errors import ScheduleError
from hetsched.schedule.gaps import Gaps
from hetsched.schedule.schedule import Transfer
from hetsched.schedule.timeline import Timeline
from hetsched.schedule.validate import validate

TWO_GPUS = {
    "devices": {"cpu:0": "ram", "cuda:0": "vram:0", "cuda:1": "vram:1"},
    "links": {"pcie:0": (0.0, 1.0), "pcie:1": (0.0, 1.0)},
    "routes": {
        ("ram", "vram:0"): ("pcie:0",),
        ("vram:0", "ram"): ("pcie:0",),
        ("ram", "vram:1"): ("pcie:1",),
        ("vram:1", "ram"): ("pcie:1",),
    },
}


def test_gaps_are_filled_and_given_back() -> None:
    gaps = Gaps()
    gaps.book(2.0, 4.0)
    undo = gaps.book(5.0, 6.0)
    assert gaps.earliest(0.0, 2.0) == 0.0
    assert gaps.earliest(1.0, 2.0) == 6.0
    assert gaps.earliest(0.5, 1.0) == 0.5
    undo()
    assert gaps.earliest(1.0, 2.0) == 4.0


def test_nothing_runs_across_a_task_of_no_length() -> None:
    gaps = Gaps()
    gaps.book(3.0, 3.0)
    assert gaps.earliest(0.0, 4.0) == 3.0
    assert gaps.earliest(0.0, 3.0) == 0.0


def test_asking_changes_nothing() -> None:
    problem = make_problem(
        {"a": ((), 1.0), "b": (("a",), {"cuda": 1.0})}, n_bytes=1.0, required=[("b", "ram")], **TWO_GPUS
    )
    timeline = Timeline(problem)
    timeline.place(0, 0)
    assert timeline.earliest(1, 0) == (float("inf"), float("inf"))
    assert timeline.earliest(1, 1) == timeline.earliest(1, 1) == (2.0, 3.0)
    assert timeline.best(1) == 1
    assert timeline.copies.transfers == []
    assert timeline.place(1, 1).start == 2.0


def test_a_short_task_goes_into_an_earlier_gap() -> None:
    problem = make_problem(
        {"a": ((), 5.0), "b": (("a",), 1.0), "c": ((), 2.0)}, devices={"cpu:0": "ram", "cpu:1": "ram"}
    )
    timeline = Timeline(problem)
    timeline.place(0, 0)
    timeline.place(1, 1)
    assert timeline.place(2, 1).start == 0.0


def test_a_value_crosses_once_and_by_way_of_memories_between() -> None:
    problem = make_problem(
        {
            "a": ((), {"cuda": 1.0}),
            "b": (("a",), {"cuda": 1.0}),
            "c": (("a",), {"cuda": 1.0}),
            "d": (("a",), {"cpu": 1.0}),
        },
        n_bytes=2.0,
        **TWO_GPUS,
    )
    timeline = Timeline(problem)
    timeline.place(0, 1)
    for task, device in ((1, 2), (2, 2), (3, 0)):
        timeline.place(task, device)
    schedule = timeline.finish("by hand")
    assert schedule.transfers == (Transfer(0, 1, 0, 1.0, 3.0), Transfer(0, 0, 2, 3.0, 5.0))
    assert validate(problem, schedule) == []


@pytest.mark.parametrize(("contention", "start"), [(True, 4.0), (False, 2.0)])
def test_copies_wait_for_a_link_only_with_contention(contention: bool, start: float) -> None:
    problem = make_problem(
        {"a": (("x", "y"), {"cuda": 1.0})},
        sources={"x": ("ram",), "y": ("ram",)},
        n_bytes=2.0,
        contention=contention,
        **TWO_GPUS,
    )
    assert Timeline(problem).place(0, 1).start == start


def test_persistent_sources_cost_nothing_in_a_run() -> None:
    problem = make_problem(
        {"a": (("w",), {"cuda": 1.0})},
        sources={"w": ("ram",)},
        n_bytes=9.0,
        persistent=["w"],
        expected_runs=2,
        **TWO_GPUS,
    )
    timeline = Timeline(problem)
    assert timeline.place(0, 2).start == 0.0
    assert timeline.finish("by hand").transfers == (Transfer(0, 0, 2, 0.0, 0.0),)


def test_values_are_taken_from_where_they_are_already() -> None:
    problem = make_problem({"a": (("x",), {"cuda": 1.0})}, sources={"x": ("ram", "vram:1")}, n_bytes=9.0, **TWO_GPUS)
    timeline = Timeline(problem)
    assert timeline.best(0) == 2
    assert timeline.place(0, 2).start == 0.0


def test_the_way_home_counts_when_a_device_is_chosen() -> None:
    problem = make_problem({"a": ((), {"cpu": 2.0, "cuda": 1.0})}, n_bytes=5.0, required=[("a", "ram")], **TWO_GPUS)
    assert Timeline(problem).best(0) == 0


def test_a_value_never_passes_through_a_memory_that_may_not_hold_it() -> None:
    machine = dict(TWO_GPUS)
    machine["links"] = {**TWO_GPUS["links"], "nvlink": (0.0, 0.125)}
    machine["routes"] = {**TWO_GPUS["routes"], ("vram:0", "vram:1"): ("nvlink",)}
    tasks = {"a": ((), {"cuda": 1.0}), "b": (("a",), {"cuda": 1.0})}
    free = Timeline(make_problem(tasks, n_bytes=1.0, **machine))
    kept = Timeline(make_problem(tasks, n_bytes=1.0, may_hold={"a": ("vram:0", "vram:1")}, **machine))
    for timeline in (free, kept):
        timeline.place(0, 1)
    assert free.place(1, 2).start == 3.0
    assert kept.place(1, 2).start == 9.0


def test_what_cannot_be_brought_is_named() -> None:
    problem = make_problem(
        {"a": ((), {"cpu": 1.0}), "b": (("a",), {"cuda": 1.0})},
        devices={"cpu:0": "ram", "cuda:0": "vram:0"},
    )
    timeline = Timeline(problem)
    timeline.place(0, 0)
    with pytest.raises(ScheduleError, match=r"task 'b' may run on cuda:0.*'a' in ram.*add a route"):
        timeline.place(1, timeline.best(1))


def test_a_required_value_that_cannot_be_delivered_is_named() -> None:
    problem = make_problem(
        {"a": ((), {"cuda": 1.0})}, devices={"cpu:0": "ram", "cuda:0": "vram:0"}, required=[("a", "ram")]
    )
    timeline = Timeline(problem)
    timeline.place(0, 1)
    with pytest.raises(ScheduleError, match="'a' is required in ram and cannot be brought there from vram:0"):
        timeline.finish("by hand")
