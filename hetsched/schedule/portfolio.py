"""The default: several algorithms, of which the best predicted wins."""

from __future__ import annotations

from hetsched.schedule.heft import heft
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule, Scheduler
from hetsched.schedule.single_device import best_device

MEMBERS: tuple[Scheduler, ...] = (best_device, heft)
"""From the simplest; of equally good schedules the simplest wins."""


def auto(problem: Problem) -> Schedule:
    """The shortest schedule of the members; never longer, as predicted, than the best single device."""
    return min((member(problem) for member in MEMBERS), key=lambda schedule: schedule.makespan_seconds)
