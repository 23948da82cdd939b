"""The search over candidates: what is chosen is the best for what was asked, not the fastest."""

from pathlib import Path

import pytest

import hetsched
from hetsched.errors import ScheduleError
from hetsched.schedule.objective import Figures

LAPTOP = Path(__file__).parents[2] / "configs" / "platforms" / "laptop.yaml"


def six_products() -> hetsched.TaskGraph:
    graph = hetsched.TaskGraph()
    x = graph.input("x", shape=(256, 256))
    for index in range(6):
        graph.add("matmul", x, x, name=f"m{index}")
    return graph


def figures(**asked: object) -> Figures:
    with hetsched.compile(six_products(), platform=LAPTOP, **asked) as program:
        return program.schedule.figures


def test_layouts_are_chosen_by_the_objective() -> None:
    fastest, frugal = figures(), figures(objective="energy")
    assert frugal.energy_joules < 0.9 * fastest.energy_joules
    assert frugal.makespan_seconds > fastest.makespan_seconds


def test_a_deadline_that_one_layout_keeps_is_kept() -> None:
    fastest, frugal = figures(), figures(objective="energy")
    deadline = (fastest.makespan_seconds + frugal.makespan_seconds) / 2
    between = figures(objective="energy", deadline_seconds=deadline)
    assert between.makespan_seconds <= deadline
    assert frugal.energy_joules <= between.energy_joules <= fastest.energy_joules


def test_a_deadline_that_no_layout_keeps_is_an_error() -> None:
    with pytest.raises(ScheduleError, match="within deadline_seconds=1e-09: the shortest takes"):
        figures(deadline_seconds=1e-9)
