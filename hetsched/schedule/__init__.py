"""Deciding what runs where and when: Problem -> Schedule."""

from __future__ import annotations

from hetsched.errors import ScheduleError
from hetsched.schedule.auto import auto
from hetsched.schedule.cpop import cpop
from hetsched.schedule.exact import exact
from hetsched.schedule.heft import heft
from hetsched.schedule.heteroprio import heteroprio
from hetsched.schedule.min_min import max_min, min_min
from hetsched.schedule.objective import MAKESPAN
from hetsched.schedule.optimistic import optimistic
from hetsched.schedule.pace import Progress
from hetsched.schedule.peft import peft
from hetsched.schedule.priced_affinity import priced_affinity
from hetsched.schedule.problem import Problem
from hetsched.schedule.round_robin import round_robin
from hetsched.schedule.schedule import Schedule, Scheduler
from hetsched.schedule.single_device import best_device
from hetsched.schedule.thorough import BUDGET_SECONDS, thorough

SCHEDULERS: dict[str, Scheduler] = {
    "auto": auto,
    "thorough": thorough,
    "exact": exact,
    "heft": heft,
    "cpop": cpop,
    "peft": peft,
    "optimistic": optimistic,
    "priced_affinity": priced_affinity,
    "heteroprio": heteroprio,
    "min_min": min_min,
    "max_min": max_min,
    "single_device": best_device,
    "round_robin": round_robin,
}
"""Every scheduler by the name that users give."""


KNOW_OBJECTIVES = ("auto", "thorough")
"""Schedulers that minimise other things than the makespan, and keep limits."""


def solve(
    problem: Problem,
    scheduler: str | Scheduler = "auto",
    budget_seconds: float | None = None,
    progress: Progress | None = None,
) -> Schedule:
    """Schedule a problem.

    Args:
        problem: what to schedule.
        scheduler: a name in `SCHEDULERS`, or any function from Problem to Schedule.
        budget_seconds: how long to search: ``auto`` and ``thorough`` improve their schedule until then, ``exact`` gives
            up its proof. The others end by themselves, in less than a second for a thousand tasks.
        progress: is called now and then during such a search, with the seconds spent and the best makespan so far.

    Raises:
        ScheduleError: there is no such scheduler, or no schedule satisfies the constraints.
    """
    if budget_seconds is not None and not budget_seconds > 0:
        raise ScheduleError(f"budget_seconds is {budget_seconds}; it must be more than zero, or None for no limit")
    if callable(scheduler):
        made = scheduler(problem)
        if not isinstance(made, Schedule):
            raise ScheduleError(f"the scheduler returned a {type(made).__name__}; it must return a Schedule")
        return made
    if scheduler not in SCHEDULERS:
        raise ScheduleError(f"there is no scheduler {scheduler!r}; there are {', '.join(sorted(SCHEDULERS))}")
    if problem.objective != MAKESPAN and scheduler not in KNOW_OBJECTIVES:
        raise ScheduleError(
            f"scheduler {scheduler!r} minimises the makespan and knows no limits; objective=, deadline_seconds= and "
            f"budget_money= need {' or '.join(map(repr, KNOW_OBJECTIVES))}"
        )
    if scheduler == "thorough" or (scheduler == "auto" and budget_seconds is not None):
        return thorough(problem, budget_seconds or BUDGET_SECONDS, progress)
    if scheduler == "exact" and budget_seconds is not None:
        return exact(problem, budget_seconds)
    return SCHEDULERS[scheduler](problem)


__all__ = ["SCHEDULERS", "Problem", "Schedule", "Scheduler", "solve"]
