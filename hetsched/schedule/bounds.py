"""Lower bounds on the makespan: what every schedule takes, whatever it does.

Each is a relaxation, so that recomputing a task, or copying over other ways, beats none of them:

- The path bound forgets that devices, links and memories are shared: the longest chain of tasks and copies, each task
  where that makes the chain shortest, each copy at the least latency and the least time per byte of any way. Where
  there are many memories, those with like devices are taken for one, with the least of their costs between them and
  none among them; where there are many kinds of them, copies cost nothing.
- The work bound forgets order, copies, and that a task runs on one device only: the least time in which all devices
  can do the work, tasks divided among them at will. This is a linear program. By weak duality any prices of devices'
  time that sum to one are a bound: the price of all work, each task where it is cheapest.
- Windows combine them: tasks that have at least R before them and Q behind them are worked on in all but R and Q of
  the makespan (Fernandez and Bussell 1973, doi:10.1109/TC.1973.5009153), on devices that they cannot reach before
  some later time in even less. The work bound of these tasks tells how long that is.
- Path prices relax less: still no copies, but a task that is divided among devices takes its mean time on every path
  that it is on, and no path may be longer than the makespan (the linear program of Amaris et al. 2017,
  doi:10.1007/978-3-319-64203-1_16). Here paths have prices too, and each task chooses one device for both prices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hetsched.schedule.flat import FlatProblem
from hetsched.schedule.loops.paths import heads, price_paths, tails, windows
from hetsched.schedule.problem import Floats, Ints, Problem

ROUNDING = 1e-12
"""Relative, as is that of each term of a long sum; sums in another order may differ by this much."""

MAX_SITES = 16
"""The path bound tells so many memories apart."""

MAX_CELLS = 1 << 26
"""About so many multiplications are spent on a step towards balanced prices; a sample of the tasks has to do then."""

N_LEVELS = 32
"""So many thresholds are tried of the time before tasks, and of the time behind them."""


@dataclass(frozen=True, eq=False, slots=True)
class Balance:
    """Work that is divided among devices so that they finish together.

    Attributes:
        seconds: what every schedule of this work takes.
        prices: of one second of one device, by column; all devices together cost one. A task belongs where it costs
            least: devices that are short of time are dear.
    """

    seconds: float
    prices: Floats


def lower_bound(problem: Problem, form: FlatProblem | None = None) -> float:
    """Seconds that no schedule can beat: the longest of all bounds."""
    if not problem.n_tasks:
        return 0.0
    form = form or problem.flat_form
    paths = _Paths(problem, form)
    flat = form.flat
    seconds = np.asarray(flat.seconds).reshape(flat.n_tasks, flat.n_columns)
    n_devices = np.bincount(np.asarray(flat.column), minlength=flat.n_columns)
    prices = balance(seconds, n_devices).prices
    found = [paths.bound, paths.windowed(_cheapest(seconds, prices), prices, 0.0)]
    if flat.n_columns > 1:  # otherwise nothing can be chosen
        found.append(paths.windowed(*_with_path_prices(form, seconds, n_devices, prices)))
    return max(found) * (1 - ROUNDING - problem.n_tasks * float(np.finfo(float).eps))


def path_bound(problem: Problem) -> float:
    """Longest chain of tasks and copies, each task where that makes the chain shortest."""
    return _Paths(problem, problem.flat_form).bound


class _Sites(NamedTuple):
    """Memories, or several that are taken for one; those that have devices come first.

    Attributes:
        of_memory: the site of each memory.
        latency: at least, over any way, inf without one, shape (n_sites, n_sites).
        seconds_per_byte: likewise, 0 without one.
    """

    of_memory: Ints
    latency: Floats
    seconds_per_byte: Floats

    def moving(self, n_bytes: Floats, source: int) -> Floats:
        """Seconds from one site to all, shape (n_values, n_sites)."""
        seconds: Floats = self.latency[source] + n_bytes[:, None] * self.seconds_per_byte[source]
        return seconds


def _sites(problem: Problem, form: FlatProblem) -> _Sites:
    flat, n_memories = form.flat, problem.n_memories
    memory, column = np.asarray(flat.place_memory), np.asarray(flat.place_column)
    of_memory = np.arange(n_memories)
    if n_memories > MAX_SITES:
        has = np.zeros((n_memories, flat.n_columns), dtype=bool)
        has[memory, column] = True
        kinds, of_memory = np.unique(has, axis=0, return_inverse=True)
        of_memory = of_memory.reshape(-1) if len(kinds) <= MAX_SITES else np.zeros(n_memories, dtype=np.int64)
    n_sites = int(of_memory.max()) + 1
    empty = np.ones(n_sites, dtype=bool)
    empty[of_memory[memory]] = False
    number = np.empty(n_sites, dtype=np.int64)
    number[np.argsort(empty, kind="stable")] = np.arange(n_sites)
    of_memory = number[of_memory]
    joined = np.isfinite(problem.latency)
    costs = []
    for direct in (problem.latency, np.where(joined, problem.seconds_per_byte, np.inf)):
        cost = np.full((n_sites, n_sites), np.inf)
        np.minimum.at(cost, (of_memory[:, None], of_memory[None, :]), direct)
        np.fill_diagonal(cost, 0.0)
        for middle in range(n_sites):
            np.minimum(cost, cost[:, middle, None] + cost[None, middle, :], out=cost)
        costs.append(cost)
    return _Sites(of_memory, costs[0], np.where(np.isfinite(costs[0]), costs[1], 0.0))


class _Paths:
    """Longest paths through the graph.

    Attributes:
        bound: the path bound.
        start: earliest start of each task at each site, shape (n_tasks, n_sites).
        head: earliest start of each task, shape (n_tasks,).
        tail: least time after the end of each task, likewise.
    """

    def __init__(self, problem: Problem, form: FlatProblem) -> None:
        self._form = form
        flat, room = form.flat, form.room
        sites = _sites(problem, form)
        memory, column = np.asarray(flat.place_memory), np.asarray(flat.place_column)
        self._site, self._column = sites.of_memory[memory], column
        n_tasks, n_sites = flat.n_tasks, int(self._site.max()) + 1
        table = np.asarray(flat.seconds).reshape(n_tasks, flat.n_columns)
        seconds = np.empty((n_tasks, n_sites))
        for site in range(n_sites):
            columns = np.unique(column[self._site == site])
            seconds[:, site] = table[:, columns].min(axis=1) if len(columns) > 1 else table[:, columns[0]]
        ways = room.of(sites.latency[:n_sites, :n_sites]), room.of(sites.seconds_per_byte[:n_sites, :n_sites])
        first, end = room.of(_source_arrivals(problem, sites, n_sites)), room.of(seconds.copy())
        room.call(heads, flat, n_sites, *ways, first, end)
        self.start = np.asarray(first).reshape(n_tasks, n_sites)
        ends = np.asarray(end).reshape(n_tasks, n_sites)
        behind, delivered = _deliveries(problem, sites, seconds, ends)
        after = room.of(behind)
        room.call(tails, flat, n_sites, *ways, room.of(seconds), after, room.floats(n_sites))
        possible = np.isfinite(seconds)
        self.head = np.where(possible, self.start, np.inf).min(axis=1)
        self.tail = np.where(possible, np.asarray(after).reshape(n_tasks, n_sites), np.inf).min(axis=1)
        longest = ends.min(axis=1)
        self.bound = max(float(longest[np.isfinite(longest)].max(initial=0.0)), delivered)
