"""Priced affinity: HEFT in which no task goes to a device that costs it too much of what is scarce.

Prices of the devices' time under which the work is balanced over them (see `bounds.balance`) tell what a task's time
is worth on each kind of device; a kind where it is worth several times the least is banned for it. Where total work is
the limit this keeps scarce accelerators for the tasks that they speed up most, as the affinity-based schedulers of
StarPU do (Beaumont et al. 2020, doi:10.1145/3387110), with priorities and copies taken care of by HEFT.
"""

from __future__ import annotations

import numpy as np

from hetsched.schedule.bounds import balance
from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished
from hetsched.schedule.loops.compiled import Numbers
from hetsched.schedule.problem import Floats, Problem
from hetsched.schedule.ranks import upward_ranks
from hetsched.schedule.schedule import Schedule

TOLERANCES = (1.0, 1.5, 2.5, 5.0)
"""How many times the least price a device may cost a task."""


def priced_affinity(problem: Problem) -> Schedule:
    """The best of the tolerances."""
    drafting = Drafting(problem)
    order = drafting.by_rank(upward_ranks(drafting))
    costs = priced(drafting)
    drafts = [affinity_draft(drafting, order, costs, tolerance) for tolerance in TOLERANCES]
    return finished(drafting, min(drafts, key=lambda draft: draft.makespan))


def priced(drafting: Drafting) -> Floats:
    """What each task's time is worth by column, relative to the least; inf where it cannot run."""
    flat = drafting.flat
    seconds = np.asarray(flat.seconds, dtype=np.float64).reshape(flat.n_tasks, flat.n_columns)
    n_devices = np.bincount(np.asarray(flat.column, dtype=np.int64), minlength=flat.n_columns)
    possible = np.isfinite(seconds)
    costs = np.where(possible, np.where(possible, seconds, 0.0) * balance(seconds, n_devices).prices, np.inf)
    least = costs.min(axis=1, initial=np.inf, keepdims=True)
    return np.where(costs <= least, 1.0, costs / np.where(least > 0, least, 1.0))


def affinity_draft(
    drafting: Drafting, order: Numbers, costs: Floats, tolerance: float, ahead: Numbers | None = None
) -> Draft:
    """HEFT without the devices that cost a task more than ``tolerance`` times the least."""
    banned = drafting.room.of((costs > tolerance * (1 + 1e-9)).astype(np.int32))
    return drafting.place(order, "priced_affinity", banned=banned, ahead=ahead)
