"""The default: several algorithms, of which the best predicted wins."""

from __future__ import annotations

from hetsched.errors import ScheduleError
from hetsched.schedule.heft import heft
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule, Scheduler
from hetsched.schedule.single_device import best_device

MEMBERS: tuple[Scheduler, ...] = (best_device, heft)
"""From the simplest; of equally good schedules the simplest wins."""


def auto(problem: Problem) -> Schedule:
    """The shortest schedule of the members; never longer, as predicted, than the best single device.

    Raises:
        ScheduleError: no member finds a schedule; the error is that of the last.
    """
    found: list[Schedule] = []
    failed: ScheduleError | None = None
    for member in MEMBERS:
        try:
            found.append(member(problem))
        except ScheduleError as error:  # full memories can stop one algorithm and not another
            failed = error
    if not found and failed is not None:
        raise failed
    return min(found, key=lambda schedule: schedule.makespan_seconds)
