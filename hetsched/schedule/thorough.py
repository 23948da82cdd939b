"""Thorough: anytime search, improving until its budget is spent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from hetsched.schedule.anneal import Annealing, can_anneal
from hetsched.schedule.auto import auto
from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished, values_are_tight
from hetsched.schedule.flat import flatten
from hetsched.schedule.late_acceptance import LateAcceptance
from hetsched.schedule.loops.compiled import Room
from hetsched.schedule.objective import MAKESPAN
from hetsched.schedule.pace import Progress, rounds
from hetsched.schedule.portfolio import COOL, distinct, portfolio
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.simplest import TIE
from hetsched.schedule.tradeoff import tradeoff

log = logging.getLogger(__name__)

BUDGET_SECONDS = 1.0

N_STARTS = 4
"""Annealing starts from what so many algorithms found, as schedules of one are often alike."""

CYCLES = ((0.1, COOL, 1e-4), (0.3, 5e-2, 1e-2))
"""Share of the budget for all starts together, and temperatures over the makespan from when to when.

First cool, as long chains of short tasks fall apart in the heat, then hot, as few long tasks do not move without it.
"""

LAST = (1e-2, 1e-4)
"""Temperatures for the rest of the budget, from the best of all."""


def thorough(problem: Problem, budget_seconds: float = BUDGET_SECONDS, progress: Progress | None = None) -> Schedule:
    """The best schedule found within a budget of time, by annealing and late acceptance from the portfolio's best.

    Ctrl-C ends the search early; what it had found is returned.

    Args:
        problem: what to schedule.
        budget_seconds: of the whole, more or less; the portfolio is made in any case.
        progress: is called after every round.

    Raises:
        ScheduleError: no algorithm finds a schedule.
    """
    if problem.objective != MAKESPAN:
        return tradeoff(problem, budget_seconds, progress)
    started = time.perf_counter()
    if values_are_tight(problem):
        return replace(auto(problem), scheduler="thorough")
    drafting = Drafting(problem, flatten(problem, Room(compiled=True)))
    drafts = portfolio(drafting)
    search = _Search(drafting, distinct(drafts), started, budget_seconds, progress)
    try:
        search.run()
    except KeyboardInterrupt:
        log.info("search interrupted after %.1f s; the best schedule so far is taken", time.perf_counter() - started)
    best = search.best()
    return finished(drafting, replace(best, name="thorough"))


class _Search:
    """Rounds of search until the budget is spent."""

    def __init__(
        self,
        drafting: Drafting,
        drafts: list[Draft],
        started: float,
        budget_seconds: float,
        progress: Progress | None,
    ) -> None:
        self._drafting = drafting
        self._drafts = drafts
        self._started = started
        self._budget_seconds = budget_seconds
        self._progress = progress
        self._running: list[Annealing | LateAcceptance] = []

    def run(self) -> None:
        """Search; may be interrupted at any time."""
        if can_anneal(self._drafting):
            self._anneal()
        else:
            search = LateAcceptance(self._drafting, self._drafts[0])
            self._running.append(search)
            self._rounds(lambda n_steps, _: search.run(n_steps), self._budget_seconds)

    def best(self) -> Draft:
        """The best schedule so far."""
        found = [search.best("thorough") for search in self._running]
        return min([*self._drafts, *found], key=lambda draft: draft.makespan)

    def _anneal(self) -> None:
        by_algorithm = {draft.name.partition("+")[0]: draft for draft in reversed(self._drafts)}  # the best of each
        starts = sorted(by_algorithm.values(), key=lambda draft: draft.makespan)[:N_STARTS]
        left, end = self._budget_seconds - self._spent, self._spent
        for share, hot, cold in CYCLES:
            for draft in starts:
                annealing = Annealing(self._drafting, draft, seed=len(self._running) + 1)
                self._running.append(annealing)
                end += share * left / len(starts)
                self._cool(annealing, hot, cold, end)
        annealing = Annealing(self._drafting, self.best(), seed=len(self._running) + 1)
        self._running.append(annealing)
        self._cool(annealing, *LAST, self._budget_seconds)

    def _cool(self, annealing: Annealing, hot: float, cold: float, until: float) -> None:
        scale = annealing.makespan
        begun = self._spent

        def temperature(seconds: float) -> float:
            share = min(1.0, (seconds - begun) / max(until - begun, 1e-9))
            return scale * float(hot * (cold / hot) ** share)

        def one_round(n_steps: int, seconds: float) -> None:
            annealing.run(n_steps, temperature(self._spent), temperature(self._spent + seconds))

        self._rounds(one_round, until)

    def _rounds(self, one_round: Callable[[int, float], None], until: float) -> None:
        if self._is_optimal():
            return
        for _ in rounds(one_round, lambda: self._spent, until):
            if self._progress is not None:
                self._progress(self._spent, self._best_score())
            if self._is_optimal():
                return

    def _best_score(self) -> float:
        scores = [s.best_makespan if isinstance(s, Annealing) else s.best_score for s in self._running]
        return min(scores)

    def _is_optimal(self) -> bool:
        """Whether nothing better can be found."""
        return self._best_score() <= self._drafting.problem.lower_bound_seconds * (1 + TIE)

    @property
    def _spent(self) -> float:
        return time.perf_counter() - self._started
