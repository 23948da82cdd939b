"""Bounds on problems whose best makespan is known."""

import pytest
from strategies import make_problem

from hetsched.schedule.bounds import lower_bound, path_bound, work_bound

GPU = {
    "devices": {"cpu:0": "ram", "cuda:0": "vram:0"},
    "links": {"up": (0.5, 4.0), "down": (0.5, 4.0)},
    "routes": {("ram", "vram:0"): ("up",), ("vram:0", "ram"): ("down",)},
}


def test_a_chain_takes_its_tasks_and_the_copies_between_them() -> None:
    problem = make_problem(
        {"a": (("x",), {"cuda": 2.0}), "b": (("a",), {"cpu": 3.0}), "c": (("b",), {"cpu": 1.0, "cuda": 1.0})},
        sources={"x": ("ram",)},
        n_bytes={"x": 4.0, "a": 2.0, "b": 100.0},
        **GPU,
    )
    assert path_bound(problem) == pytest.approx(1.5 + 2.0 + 1.0 + 3.0 + 1.0)


def test_delivery_is_part_of_the_path() -> None:
    problem = make_problem({"a": ((), {"cuda": 2.0})}, n_bytes=6.0, required=[("a", "ram")], **GPU)
    assert path_bound(problem) == pytest.approx(4.0)


def test_persistent_sources_are_there_already() -> None:
    problem = make_problem(
        {"a": (("w",), {"cuda": 2.0})}, sources={"w": ("ram",)}, n_bytes=6.0, persistent=["w"], **GPU
    )
    assert path_bound(problem) == pytest.approx(2.0)


def test_equal_devices_share_the_work() -> None:
    problem = make_problem(dict.fromkeys("abc", ((), 1.0)), devices={"cpu:0": "ram", "cpu:1": "ram"})
    assert work_bound(problem) == pytest.approx(1.5)


def test_tasks_of_one_kind_only_wait_for_that_kind() -> None:
    problem = make_problem({name: ((), {"cuda": 1.0}) for name in "abcd"}, **GPU)
    assert lower_bound(problem) == pytest.approx(4.0)


def test_unlike_devices_are_used_for_what_they_are_good_at() -> None:
    tasks = {f"dense{i}": ((), {"cpu": 8.0, "cuda": 1.0}) for i in range(4)}
    tasks |= {f"branchy{i}": ((), {"cpu": 1.0, "cuda": 2.0}) for i in range(4)}
    assert work_bound(make_problem(tasks, **GPU)) == pytest.approx(4.0, rel=0.02)
