"""Objective: what a schedule is to be good at, within which limits; and the figures that tell.

How each figure is defined is written in `Figures`. `hetsched.schedule.loops.score` counts them in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hetsched.errors import ScheduleError

if TYPE_CHECKING:
    from hetsched.schedule.problem import Floats, Problem
    from hetsched.schedule.schedule import Schedule

AIMS = ("makespan", "throughput", "energy", "money")
"""What can be minimised: the makespan, the period, the joules, or the money of `Figures`."""

FORBIDDEN = 1e30
"""Scores from here on break a limit, by the more the larger they are."""

LIMIT_ROUNDING = 1e-9
"""Relative; a limit that is passed by no more than this is kept."""


class Figures(NamedTuple):
    """What a schedule is judged by.

    Attributes:
        makespan_seconds: when one run ends.
        period_seconds: from one result to the next, when runs follow one another without a pause: the busy seconds of
            the busiest resource. Resources are devices; where copies wait for links, links; and where devices share an
            interpreter, interpreters.
        energy_joules: of one run. All devices draw their idle watts until the makespan, used or not; a task adds its
            seconds times what its device draws more when it is busy.
        money: of one run. A device that runs anything is rented until the makespan; the others cost nothing.
    """

    makespan_seconds: float
    period_seconds: float
    energy_joules: float
    money: float


@dataclass(frozen=True, slots=True)
class Objective:
    """One aim, and limits that come first.

    Attributes:
        aim: one of `AIMS`.
        deadline_seconds: for the makespan.
        budget_money: for the money of one run.

    Raises:
        ScheduleError: there is no such aim, or a limit is not more than zero.
    """

    aim: str = "makespan"
    deadline_seconds: float = math.inf
    budget_money: float = math.inf

    def __post_init__(self) -> None:
        if self.aim not in AIMS:
            raise ScheduleError(f"objective is {self.aim!r}; it can be {', '.join(AIMS)}")
        for name in ("deadline_seconds", "budget_money"):
            limit = getattr(self, name)
            if not limit > 0:
                raise ScheduleError(f"{name} is {limit}; it must be more than zero")

    def excess(self, figures: Figures) -> float:
        """By how much the limits are passed, relative to them and summed; 0 where they are kept."""
        over = max(figures.makespan_seconds / self.deadline_seconds - 1, 0.0)
        over += max(figures.money / self.budget_money - 1, 0.0)
        return over if over > LIMIT_ROUNDING else 0.0

    def score(self, figures: Figures) -> float:
        """Less is better: the aim's figure where the limits are kept, else more than `FORBIDDEN`."""
        excess = self.excess(figures)
        return FORBIDDEN * (1 + excess) if excess else figures[AIMS.index(self.aim)]


MAKESPAN = Objective()


def figures_of(schedule: Schedule) -> Figures:
    """The figures of a schedule."""
    problem, makespan = schedule.problem, schedule.makespan_seconds
    placed = np.array(sorted((p.task, p.device) for p in schedule.placements), dtype=np.int64).reshape(-1, 2)
    task, device = placed[:, 0], placed[:, 1]
    seconds = problem.seconds[task, problem.device_class[device]]
    busy = np.bincount(device, weights=seconds, minlength=problem.n_devices)
    extra_watts = problem.busy_watts - problem.idle_watts
    per_hour = problem.price_per_hour[np.unique(device)].sum()
    interpreter, brief = problem.dispatcher[device], np.minimum(problem.dispatch_seconds[task], seconds)
    interpreters = np.bincount(interpreter[interpreter >= 0], weights=brief[interpreter >= 0])
    resources = (busy, interpreters, _busy_links(schedule) if problem.contention else np.zeros(0))
    return Figures(
        makespan_seconds=makespan,
        period_seconds=max(float(seconds.max(initial=0.0)) for seconds in resources),
        energy_joules=float(problem.idle_watts.sum() * makespan + busy @ extra_watts),
        money=float(per_hour / 3600 * makespan),
    )


def _busy_links(schedule: Schedule) -> Floats:
    """Seconds for which each link carries copies; those in setup take none."""
    problem: Problem = schedule.problem
    busy = np.zeros(len(problem.link_names))
    for transfer in schedule.transfers:
        for link in problem.route_links.get((transfer.source, transfer.target), ()):
            busy[link] += transfer.end - transfer.start
    return busy
