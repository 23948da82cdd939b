"""PEFT: tasks by mean optimistic cost, each where its end and that cost are least.

Arabnejad and Barbosa 2014, doi:10.1109/TPDS.2013.57.
"""

from __future__ import annotations

import numpy as np

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished
from hetsched.schedule.heft import heft_draft
from hetsched.schedule.loops.compiled import Numbers
from hetsched.schedule.problem import Problem
from hetsched.schedule.ranks import optimistic_costs, ready_order
from hetsched.schedule.schedule import Schedule

MAX_WORK = 2e9
"""Filling the table takes about so many steps at most; where it would take more, PEFT is HEFT."""


def peft(problem: Problem) -> Schedule:
    """Predict earliest finish time."""
    drafting = Drafting(problem)
    return finished(drafting, peft_draft(drafting) if affordable(drafting) else heft_draft(drafting))


def peft_draft(drafting: Drafting, costs: Numbers | None = None, name: str = "peft") -> Draft:
    """PEFT, with the table of `optimistic_costs` if it is there already."""
    costs = optimistic_costs(drafting) if costs is None else costs
    return drafting.place(ready_order(drafting, optimistic_ranks(drafting, costs)), name, ahead=costs)


def optimistic_ranks(drafting: Drafting, costs: Numbers) -> Numbers:
    """Mean optimistic cost of each task over the devices."""
    flat = drafting.flat
    n_devices = np.bincount(np.asarray(flat.place, dtype=np.int64), minlength=flat.n_places)
    table = np.asarray(costs, dtype=np.float64).reshape(flat.n_tasks, flat.n_places)
    possible = np.isfinite(table)
    total = np.where(possible, table * n_devices, 0.0).sum(axis=1)
    return drafting.room.of(total / np.maximum((possible * n_devices).sum(axis=1), 1))


def affordable(drafting: Drafting) -> bool:
    """Whether the optimistic costs of this problem are worth their time."""
    return len(drafting.flat.read_task) * drafting.flat.n_places**2 <= MAX_WORK
