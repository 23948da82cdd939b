"""HEFT's order, and of the devices the one where a task's end and its optimistic cost are least (EFT+OCT)."""

from __future__ import annotations

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished
from hetsched.schedule.heft import heft_draft
from hetsched.schedule.loops.compiled import Numbers
from hetsched.schedule.peft import affordable
from hetsched.schedule.problem import Problem
from hetsched.schedule.ranks import Mean, optimistic_costs, upward_ranks
from hetsched.schedule.schedule import Schedule


def optimistic(problem: Problem) -> Schedule:
    """PEFT's look ahead in HEFT; where that would take too long, HEFT."""
    drafting = Drafting(problem)
    if not affordable(drafting):
        return finished(drafting, heft_draft(drafting))
    return finished(drafting, optimistic_draft(drafting, optimistic_costs(drafting)))


def optimistic_draft(drafting: Drafting, costs: Numbers, mean: Mean = "arithmetic") -> Draft:
    """The draft, with one of HEFT's means; ``costs`` are `ranks.optimistic_costs`."""
    return drafting.place(drafting.by_rank(upward_ranks(drafting, mean)), "optimistic", ahead=costs)
