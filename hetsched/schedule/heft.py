"""HEFT: tasks by upward rank, each on the device where it ends first (Topcuoglu et al. 2002, doi:10.1109/71.993206)."""

from __future__ import annotations

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished
from hetsched.schedule.problem import Problem
from hetsched.schedule.ranks import Mean, upward_ranks
from hetsched.schedule.schedule import Schedule


def heft(problem: Problem) -> Schedule:
    """Heterogeneous earliest finish time, with insertion and requested outputs brought home."""
    drafting = Drafting(problem)
    return finished(drafting, heft_draft(drafting))


def heft_draft(drafting: Drafting, mean: Mean = "arithmetic", name: str = "heft") -> Draft:
    """HEFT with one of the means of a task's times over devices, or the least of them, for its ranks."""
    return drafting.place(drafting.by_rank(upward_ranks(drafting, mean)), name)
