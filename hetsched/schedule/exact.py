"""Exact: a proven optimum, or how far from one at most, by constraint programming.

Tasks are optional intervals, one on each group of like devices, which a cumulative or a no-overlap constraint shares
(Laborie et al. 2018, doi:10.1007/s10601-018-9281-x); CP-SAT solves that (Perron et al. 2023,
doi:10.4230/LIPIcs.CP.2023.3), from the best schedule that other algorithms find. The model knows times, copies, links,
interpreters and static bytes, not what values take of memories while they are there. What it decides is placed on a
`Timeline` in its order, and only what this takes, against the bound of the model, counts as proof.

The optimum is that of schedules that run each task once and copy along `Ways`, as all schedulers do. If it is proven,
equal problems get equally long schedules. Which ones, and what is found where time does not suffice, may differ, as
CP-SAT searches in several threads.
"""

from __future__ import annotations

import importlib
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING

from hetsched.errors import ScheduleError
from hetsched.schedule.auto import auto
from hetsched.schedule.drafts import Drafting
from hetsched.schedule.exact_facts import Facts, Scale, exact_scale
from hetsched.schedule.finished import finished, values_are_tight
from hetsched.schedule.heft import heft
from hetsched.schedule.portfolio import portfolio
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.timeline import Timeline

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    from hetsched.schedule.exact_model import Model

log = logging.getLogger(__name__)

BUDGET_SECONDS = 20.0

PROVEN = 1e-9
"""Relative; a schedule that is longer than the bound by no more than this is optimal."""

COARSE_UNITS, FINE_UNITS = 1 << 27, 1 << 38
"""Units that a makespan is first counted in where no unit is exact; and then, to tell what rounding hides.

With so many, CP-SAT's arithmetic may overflow, which makes it wrong. So this is only asked when the coarse units have
left no more than `HIDDEN` open, and all that it could get wrong is that.
"""

HIDDEN = 1e-6

N_WORKERS = 8
"""CP-SAT's threads: its strategies differ so much that all of them are worth a try, on fewer cores as well."""

STEP_SECONDS = 0.1
"""Between two looks whether the search has ended, while Ctrl-C can be noticed."""


def exact(problem: Problem, budget_seconds: float = BUDGET_SECONDS) -> Schedule:
    """The shortest schedule that runs each task once, or the best one found in time; its bound and notes say which.

    Ctrl-C ends the search early; what it had found is returned.

    Args:
        problem: what to schedule.
        budget_seconds: after which the search for a proof is given up.

    Raises:
        ScheduleError: there is no OR-tools, the objective is not the makespan, or no schedule is found.
    """
    started = time.perf_counter()
    for module in ("ortools", "ortools.sat.python.cp_model"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ScheduleError(
                "the exact scheduler needs OR-tools, which is not installed: pip install 'hetsched[exact]'"
            ) from error
    if problem.objective.aim != "makespan" or problem.objective.budget_money < math.inf:
        raise ScheduleError(
            "the exact scheduler minimises the makespan and nothing else; leave out objective= and budget_money=, or "
            "take another scheduler"
        )
    search = _Search(problem, started + budget_seconds)
    try:
        search.run()
    except KeyboardInterrupt:
        if search.best is None:
            raise
        log.info("search interrupted after %.1f s; the best schedule so far is taken", time.perf_counter() - started)
    return search.result()


class _Search:
    """What is known so far.

    Attributes:
        best: the shortest schedule.
        bound: seconds that no schedule can beat which runs each task once, and copies along the ways.
    """

    def __init__(self, problem: Problem, until: float) -> None:
        self._problem = problem
        self._until = until
        self.best: Schedule | None = None
        self.bound = problem.lower_bound_seconds
        self._failed: ScheduleError | None = None

    def run(self) -> None:
        """Search; may be interrupted at any time."""
        self._take(lambda: heft(self._problem))
        self._take(lambda: _best_of_portfolio(self._problem))
        if self._is_proven(PROVEN):
            return
        facts = Facts(self._problem)
        if facts.is_large:
            log.info("%s is too large to be proven optimal", self._problem.name)
            return
        horizon = (facts.horizon() or 1.0) if self.best is None else self.best.makespan_seconds
        scale = exact_scale(facts, horizon) or Scale(COARSE_UNITS / horizon)
        self._solve(facts, scale, horizon)
        if self.best is not None and not scale.is_exact and self._is_proven(HIDDEN) and not self._is_proven(PROVEN):
            horizon = self.best.makespan_seconds
            self._solve(facts, Scale(FINE_UNITS / horizon), horizon)

    def result(self) -> Schedule:
        """The best schedule, with its bound, and a note that says what is proven.

        Raises:
            ScheduleError: none was found.
        """
        if self.best is None:
            raise self._failed or ScheduleError(f"no schedule of {self._problem.name} was found in time")
        bound = max(self._problem.lower_bound_seconds, self.bound * (1 - PROVEN))
        if self._is_proven(PROVEN):
            note = "proven optimal"
        else:
            note = f"optimum lies between {bound:.9g} and {self.best.makespan_seconds:.9g} s"
        return replace(self.best, scheduler="exact", lower_bound_seconds=bound, notes=(note,))

    def _is_proven(self, tolerance: float) -> bool:
        return self.best is not None and self.best.makespan_seconds <= self.bound * (1 + tolerance)

    def _take(self, make: Callable[[], Schedule]) -> None:
        try:
            made = make()
        except ScheduleError as error:  # full memories can stop one algorithm and not another
            self._failed = error
            return
        if self.best is None or made.makespan_seconds < self.best.makespan_seconds:
            self.best = made

    def _solve(self, facts: Facts, scale: Scale, horizon: float) -> None:
        """Ask CP-SAT for less than the horizon.

        Raises:
            ScheduleError: there is no schedule at all.
        """
        from ortools.sat.python import cp_model

        from hetsched.schedule.exact_model import Model

        model = Model(facts, scale, self.bound, horizon)
        if self.best is not None:
            model.hint(self.best)
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = max(self._until - time.perf_counter(), 0.0)
        solver.parameters.num_workers = N_WORKERS
        solver.parameters.random_seed = 1
        solver.parameters.catch_sigint_signal = False
        solver.parameters.presolve_inclusion_work_limit = 0  # its products overflow first
        status, interrupt = _solved(solver, model)
        if status == cp_model.INFEASIBLE and self.best is None:
            raise ScheduleError(
                f"{self._problem.name} has no schedule: the static bytes of its tasks do not fit into the memories "
                "that they may run in, or their values cannot be brought there; raise capacities, or loosen device=, "
                "devices= or keep_on="
            ) from self._failed
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            self._take(lambda: _replayed(facts, solver, model))
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN):
            self._raise_bound(solver.best_objective_bound / scale.per_second)
        if interrupt is not None:
            raise interrupt

    def _raise_bound(self, bound: float) -> None:
        longest = math.inf if self.best is None else self.best.makespan_seconds
        if bound <= longest * (1 + HIDDEN):  # otherwise it is wrong
            self.bound = max(self.bound, min(bound, longest))


def _best_of_portfolio(problem: Problem) -> Schedule:
    if values_are_tight(problem):
        return auto(problem)
    drafting = Drafting(problem)
    return finished(drafting, min(portfolio(drafting), key=lambda draft: draft.makespan))


def _solved(solver: cp_model.CpSolver, model: Model) -> tuple[cp_model.CpSolverStatus, KeyboardInterrupt | None]:
    """How the search ended, and whether by Ctrl-C; it runs in a thread, so that this one can be interrupted."""
    interrupt: KeyboardInterrupt | None = None
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(solver.solve, model.model)
        while not running.done():
            try:
                while not wait([running], timeout=STEP_SECONDS).done:
                    if interrupt is not None:
                        solver.stop_search()  # does nothing before the search has begun, hence again
            except KeyboardInterrupt as error:
                interrupt = error
    return running.result(), interrupt


def _replayed(facts: Facts, solver: cp_model.CpSolver, model: Model) -> Schedule:
    """What the model decided, in real times.

    Placed by start, no task starts later than in the model, but for rounding, and for what the model does not know.

    Raises:
        ScheduleError: a task finds no room anywhere.
    """
    timeline, tasks = Timeline(facts.problem), range(facts.problem.n_tasks)
    chosen = [next(group for group, on in model.on[task].items() if solver.value(on)) for task in tasks]
    start = [solver.value(model.start[task]) for task in tasks]
    end = [start[task] + model.units[task][chosen[task]] for task in tasks]
    for task in sorted(tasks, key=lambda task: (start[task], end[task], task)):
        timeline.place(task, timeline.best(task, prefer=facts.groups[chosen[task]].devices))
    return timeline.finish("exact")
