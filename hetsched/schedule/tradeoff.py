"""Tradeoff: schedules for other objectives than the shortest makespan, and what they cost one another.

Drafts of the portfolio, and others that suit the aim, are judged by the objective; late acceptance goes on from the
best of them. The amount of work is counted, not measured, unless a budget of time is given.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import nsmallest

import numpy as np

from hetsched.errors import ScheduleError
from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished, values_are_tight
from hetsched.schedule.flat import flatten
from hetsched.schedule.late_acceptance import LateAcceptance
from hetsched.schedule.loops.compiled import Room
from hetsched.schedule.loops.room import Aim
from hetsched.schedule.objective import FORBIDDEN, LIMIT_ROUNDING, MAKESPAN, Figures, Objective
from hetsched.schedule.pace import Progress, rounds
from hetsched.schedule.portfolio import portfolio
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.single_device import best_device
from hetsched.schedule.starts import Fewer, cheap, even, evened, everywhere, frugal, rates_by_column

log = logging.getLogger(__name__)

N_STARTS = 3
"""Late acceptance starts from so many drafts, and goes on from the best."""

N_NEAR, SOFT = 2, 10.0
"""And from so many that pass the limits, but would be better if each percent by which they do cost ten."""

N_AGAIN = 2
"""From the best so many times, each with other random numbers."""

SHARE_OF_STARTS = 0.5
"""Of all steps, or of the time."""

N_FINISHED = 3
"""So many drafts are finished where the best does not keep, when it is, what it promised."""

N_EVENED = 3
"""Loads are evened out in so many drafts; in more of them where there are few tasks."""

N_BETWEEN = 3
"""Between the fastest schedule and the cheapest one, so many deadlines are tried."""

N_PARETO = 16
"""So many schedules are made of drafts that do not dominate each other."""

N_ASSIGNMENTS = 4096
"""Where there are no more ways to give the tasks to devices, all of them are tried."""

N_OF_ALL = 20
"""Of all those ways, so many are looked at further."""

MIN_TRIES, MAX_TRIES = 12, 60
"""So many sets of devices are tried, and so many moves of tasks that save joules."""

TIE = 1e-9
"""What the makespan weighs beside the aim, both relative."""


def tradeoff(problem: Problem, budget_seconds: float | None = None, progress: Progress | None = None) -> Schedule:
    """The best schedule found for the problem's objective.

    Args:
        problem: what to schedule, and what for.
        budget_seconds: how long to search, more or less; equal problems get equal schedules without it. Ctrl-C ends
            the search early; what it had found is returned.
        progress: is called after every round of a search with a budget.

    Raises:
        ScheduleError: no schedule was found, or none that keeps the limits; says what would do.
    """
    schedule = _best(problem, budget_seconds, progress)
    if problem.objective.excess(schedule.figures):
        raise ScheduleError(_limits_not_kept(problem, schedule))
    return schedule


def pareto(problem: Problem) -> list[Schedule]:
    """Schedules none of which is better than another in makespan, joules and money together; the fastest first.

    They are the best that the searches of these aims saw, some of them with deadlines in between.
    """
    drafting = Drafting(problem)
    usual = portfolio(drafting)
    drafts = _seen(drafting, usual, MAKESPAN)
    fastest = min((draft.makespan for draft in drafts), default=0.0)
    for aim, rates in (("energy", problem.busy_watts), ("money", problem.price_per_hour)):
        if rates.any():
            found = _seen(drafting, usual, Objective(aim))
            slowest = found[0].makespan if found else 0.0
            drafts += found
            for deadline in np.geomspace(fastest, slowest, N_BETWEEN + 2)[1:-1] if slowest > fastest > 0 else ():
                drafts += _seen(drafting, usual, Objective(aim, deadline_seconds=float(deadline)))
    rows = _undominated([_rough_figures(drafting, draft) for draft in drafts])
    spread = np.linspace(0, len(rows) - 1, min(len(rows), N_PARETO)).round().astype(np.int64)
    schedules = list(_finished(drafting, [drafts[rows[index]] for index in spread])) or [best_device(problem)]
    return [schedules[row] for row in _undominated([_three(schedule.figures) for schedule in schedules])]


def _seen(drafting: Drafting, usual: Iterable[Draft], objective: Objective) -> list[Draft]:
    """All drafts that the search for an objective judges, the best first."""
    search = _Search(drafting, objective)
    search.run(usual, None, None)
    return [draft for _, draft in search.best()]


def _best(problem: Problem, budget_seconds: float | None = None, progress: Progress | None = None) -> Schedule:
    """The best schedule found; where no draft keeps the limits, one that passes them by little."""
    drafting = Drafting(problem, None if budget_seconds is None else flatten(problem, Room(compiled=True)))
    search = _Search(drafting, problem.objective)
    search.run(None, budget_seconds, progress)
    best = search.best(N_FINISHED)
    made: list[Schedule] = []
    for schedule in _finished(drafting, [draft for _, draft in best]):
        made.append(schedule)
        if _value(schedule) <= best[0][0] * (1 + TIE):
            break
    if not made or values_are_tight(problem):
        made.append(best_device(problem))
    return min(made, key=lambda schedule: (_value(schedule), schedule.makespan_seconds))


def _finished(drafting: Drafting, drafts: Iterable[Draft]) -> Iterator[Schedule]:
    """Schedules of drafts, as far as there are any: full memories can stop one draft and not another."""
    for draft in drafts:
        try:
            yield finished(drafting, draft)
        except ScheduleError as error:
            log.debug("%s cannot be finished: %s", draft.name, error)


def _value(schedule: Schedule) -> float:
    return schedule.problem.objective.score(schedule.figures)


class _Search:
    """Drafts of a problem, judged by an objective."""

    def __init__(self, drafting: Drafting, objective: Objective) -> None:
        self._drafting = drafting
        self._objective = objective
        self._aim = drafting.aim_for(objective)
        self._unlimited = drafting.aim_for(Objective(objective.aim))
        self._scored: dict[tuple[float, float], Draft] = {}
        self._near: dict[tuple[float, float], Draft] = {}

    def run(self, usual: Iterable[Draft] | None, budget_seconds: float | None, progress: Progress | None) -> None:
        """Judge the usual drafts and those that suit the aim, and search from the best; Ctrl-C ends the search."""
        pace = _Pace(n_steps(self._drafting), budget_seconds, progress)
        for draft in portfolio(self._drafting) if usual is None else usual:
            self.judge(draft)
        for draft in self._best_of_all():
            self.judge(draft)
        self._suited()
        if self._drafting.flat.n_tasks:
            try:
                self._late_acceptance(pace)
            except KeyboardInterrupt:
                if budget_seconds is None:
                    raise
                log.info("search interrupted; the best schedule so far is taken")

    def judge(self, draft: Draft) -> tuple[float, float]:
        """Keep a draft, placed anew; its score and makespan."""
        if draft.makespan == math.inf:
            return math.inf, math.inf
        drafting = self._drafting
        placed = drafting.place(drafting.order_of(draft), draft.name, wanted=draft.device)
        key = drafting.score(placed, self._aim), placed.makespan
        self._scored.setdefault(key, placed)
        if key[0] >= FORBIDDEN:
            soft = drafting.score(placed, self._unlimited) * (1 + SOFT * (key[0] / FORBIDDEN - 1))
            self._near.setdefault((soft, placed.makespan), placed)
        return key

    def best(self, n: int | None = None) -> list[tuple[float, Draft]]:
        """Score and draft of the best few, or of all."""
        return [(key[0], self._scored[key]) for key in sorted(self._scored)[:n]]

    def _best_of_all(self) -> list[Draft]:
        """The best ways to give the tasks to devices, if all can be tried."""
        tried = (
            (self._drafting.score(draft, self._aim), draft.makespan, number, draft)
            for number, draft in enumerate(everywhere(self._drafting, N_ASSIGNMENTS))
        )
        return [draft for *_, draft in nsmallest(N_OF_ALL, tried)]

    def _suited(self) -> None:
        """Judge drafts that suit the aim."""
        drafting, problem, objective = self._drafting, self._drafting.problem, self._objective
        n_tasks = max(drafting.flat.n_tasks, 1)
        n_tries = min(MAX_TRIES, max(MIN_TRIES, n_steps(drafting) // 2))
        if objective.aim == "energy":
            rates = rates_by_column(drafting, problem.busy_watts - problem.idle_watts)
            cheap(drafting, rates, self.judge)
            for _, draft in self.best(1):
                frugal(drafting, draft, rates, self.judge, n_tries)
        if objective.aim == "throughput":
            for draft in even(drafting):
                self.judge(draft)
            for _, draft in self.best(max(N_EVENED, min(4 * N_EVENED, 600 // n_tasks))):
                self.judge(evened(drafting, draft))
        if objective.aim == "money" or objective.budget_money < math.inf:
            Fewer(drafting, self.judge, n_tries).climb()

    def _late_acceptance(self, pace: _Pace) -> None:
        best = self.best(N_STARTS)
        aim = self._aim
        if best and best[0][0] < FORBIDDEN:
            score, draft = best[0]
            aim = aim._replace(tie=TIE * score / draft.makespan if draft.makespan > 0 else 0.0)
        near = [self._near[key] for key in sorted(self._near)[:N_NEAR] if not best or key[0] < best[0][0]]
        starts = [draft for _, draft in best] + near
        for number, draft in enumerate(starts, start=1):
            self._improve(draft, aim, pace, SHARE_OF_STARTS * number / len(starts), number)
        for number in range(1, N_AGAIN + 1):
            until = SHARE_OF_STARTS + (1 - SHARE_OF_STARTS) * number / N_AGAIN
            for _, draft in self.best(1):
                self._improve(draft, aim, pace, until, len(starts) + number)

    def _improve(self, draft: Draft, aim: Aim, pace: _Pace, until: float, seed: int) -> None:
        drafting = self._drafting
        by_start = drafting.place(drafting.by_start(draft), draft.name, wanted=draft.device)
        search = LateAcceptance(drafting, by_start if by_start.makespan <= draft.makespan else draft, aim, seed)
        try:
            pace.run(search, until)
        finally:
            best = search.best()
            self.judge(replace(best, name=f"{draft.name.removesuffix('+search')}+search"))


class _Pace:
    """How much to search: so many steps, or for so long."""

    def __init__(self, n_steps: int, budget_seconds: float | None, progress: Progress | None) -> None:
        self._n_steps = n_steps
        self._n_done = 0
        self._started = time.perf_counter()
        self._budget_seconds = budget_seconds
        self._progress = progress
        self._best = math.inf

    def run(self, search: LateAcceptance, until: float) -> None:
        """Take steps until a share of the whole is done."""
        if self._budget_seconds is None:
            n_steps = int(self._n_steps * until) - self._n_done
            search.run(n_steps)
            self._n_done += n_steps
        else:
            self._rounds(search, self._budget_seconds * until)

    def _rounds(self, search: LateAcceptance, until: float) -> None:
        for _ in rounds(lambda n_steps, _: search.run(n_steps), lambda: self._spent, until):
            self._best = min(self._best, search.best_score)
            if self._progress is not None:
                self._progress(self._spent, self._best)

    @property
    def _spent(self) -> float:
        return time.perf_counter() - self._started


def n_steps(drafting: Drafting) -> int:
    """Steps of late acceptance that take about 20 ms, and 30 ms for every thousand tasks; uncompiled ones 100 ms."""
    n_tasks = drafting.flat.n_tasks
    seconds = 20e-3 + 30e-6 * n_tasks if drafting.room.compiled else 80e-3
    per_task = (0.1e-6 if drafting.room.compiled else 3e-6) * (5 if drafting.links.n_links else 1)
    return int(seconds / (per_task * max(n_tasks, 5)))


def _limits_not_kept(problem: Problem, schedule: Schedule) -> str:
    """Which limit cannot be kept, and what could be."""
    objective, figures = problem.objective, schedule.figures
    deadline, budget = objective.deadline_seconds, objective.budget_money
    fastest = min(figures, _figures_for(problem, MAKESPAN))
    if fastest.makespan_seconds > deadline * (1 + LIMIT_ROUNDING):
        return (
            f"no schedule was found that ends within deadline_seconds={deadline:.6g}: the shortest takes "
            f"{fastest.makespan_seconds:.6g} s, and none can take less than {problem.lower_bound_seconds:.6g} s; "
            "raise the deadline"
        )
    cheapest = min(figures, _figures_for(problem, Objective("money")), key=lambda found: found.money)
    if cheapest.money > budget * (1 + LIMIT_ROUNDING):
        return (
            f"no schedule was found that costs at most budget_money={budget:.6g}: the cheapest costs "
            f"{cheapest.money:.6g}, and takes {cheapest.makespan_seconds:.6g} s; raise the budget"
        )
    in_budget = _figures_for(problem, Objective(budget_money=budget))
    in_time = _figures_for(problem, Objective("money", deadline_seconds=deadline))
    return (
        f"no schedule was found that keeps both deadline_seconds={deadline:.6g} and budget_money={budget:.6g}: within "
        f"the budget the shortest takes {in_budget.makespan_seconds:.6g} s, and within the deadline the cheapest costs "
        f"{in_time.money:.6g}; raise one of them"
    )


def _figures_for(problem: Problem, objective: Objective) -> Figures:
    """Of the best schedule found for another objective."""
    return _best(replace(problem, objective=objective)).figures


def _three(figures: Figures) -> tuple[float, float, float]:
    return figures.makespan_seconds, figures.energy_joules, figures.money


def _rough_figures(drafting: Drafting, draft: Draft) -> tuple[float, float, float]:
    """Makespan, joules and money of a draft."""
    problem, flat = drafting.problem, drafting.flat
    device = np.array(drafting.form.devices)[np.asarray(draft.device, dtype=np.int64)]
    seconds = problem.seconds[np.arange(flat.n_tasks), problem.device_class[device]]
    joules = problem.idle_watts.sum() * draft.makespan + seconds @ (problem.busy_watts - problem.idle_watts)[device]
    money = problem.price_per_hour[np.unique(device)].sum() / 3600 * draft.makespan
    return draft.makespan, float(joules), float(money)


def _undominated(rows: list[tuple[float, float, float]]) -> list[int]:
    """Those that no other is as good as in everything, by their first number; one of each."""
    kept: list[int] = []
    for row in sorted(range(len(rows)), key=rows.__getitem__):
        if not any(all(a <= b * (1 + TIE) for a, b in zip(rows[other], rows[row], strict=True)) for other in kept):
            kept.append(row)
    return kept
