"""The default: the best of a portfolio, or the simplest that the predictions cannot tell from it."""

from __future__ import annotations

import math

from hetsched.errors import ScheduleError
from hetsched.schedule.drafts import Drafting
from hetsched.schedule.finished import finished, replayed, values_are_tight
from hetsched.schedule.objective import MAKESPAN
from hetsched.schedule.portfolio import distinct, members, portfolio
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.simplest import simplest
from hetsched.schedule.single_device import best_device
from hetsched.schedule.tradeoff import tradeoff

N_REPLAYS = 3
"""Drafts that are tried where values can overflow memories, which takes longer than making them."""


def auto(problem: Problem) -> Schedule:
    """The shortest schedule found, or the best one for another objective; never longer than the best single device.

    Where a schedule on fewer devices, or with fewer copies, is longer by less than the predictions can tell, it is
    that one, and a note says so; otherwise it is no longer than those of HEFT, PEFT and CPOP.

    Raises:
        ScheduleError: no algorithm finds a schedule; the error is that of the last.
    """
    if problem.objective != MAKESPAN:
        return tradeoff(problem)
    drafting = Drafting(problem)
    if values_are_tight(problem):
        return _with_room(drafting)
    chosen, notes = simplest(drafting, portfolio(drafting))
    return finished(drafting, chosen, notes)


def _with_room(drafting: Drafting) -> Schedule:
    """The best of replays in which nothing overflows, single devices among them."""
    found: list[Schedule] = []
    failed: ScheduleError | None = None
    drafts = [draft for draft in distinct(list(members(drafting))) if draft.makespan < math.inf]
    for make in (best_device, *(lambda _, draft=draft: replayed(drafting, draft) for draft in drafts[:N_REPLAYS])):
        try:
            found.append(make(drafting.problem))
        except ScheduleError as error:  # full memories can stop one draft and not another
            failed = error
    if not found and failed is not None:
        raise failed
    return min(found, key=lambda schedule: schedule.makespan_seconds)
