"""Lower bounds on the makespan: what every schedule takes, whatever it does.

Each is a relaxation, so that recomputing a task, or copying over other ways, beats none of them:

- The path bound forgets that devices, links and memories are shared: the longest chain of tasks and copies, each task
  where that makes the chain shortest, each copy at the least latency and the least time per byte of any way. Of more
  than `MAX_SITES` memories, those with like devices are taken for one, the costs between two of these being the least
  between their memories and none within; where even these are too many, copies cost nothing.
- The work bound forgets order, copies, and that a task runs on one device only: the least time in which all devices
  can do the work, tasks divided among them at will. This is a linear program. By weak duality any prices of devices'
  time that sum to one are a bound: the price of all work, each task where it is cheapest.
- Windows join them: tasks that have at least R before them and Q behind them run after R and before Q from the end
  (Fernandez and Bussell 1973, doi:10.1109/TC.1973.5009153), and on devices that none of them reaches before some later
  time, after that. What is left of the makespan has to do for their work.
- Path prices are a work bound that keeps order: a task that is divided takes the mean of its times on every chain of
  tasks that it is on, and no chain takes more than the makespan (the linear program of Amaris et al. 2017,
  doi:10.1007/978-3-319-64203-1_16). Again, any prices of devices' time and of time on chains that sum to one are a
  bound: the price of all work, each task on one device for both. A task that runs twice pays no less than the shorter
  of its runs alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetsched.schedule.flat import FlatProblem
from hetsched.schedule.loops.compiled import UNCOMPILED_TASKS
from hetsched.schedule.loops.paths import heads, price_paths, tails, windows
from hetsched.schedule.problem import Floats, Problem

Indices = NDArray[np.integer[Any]]

ROUNDING = 1e-12
"""Relative, besides that of each term of a long sum; sums in another order may differ by this much."""

MAX_SITES = 16
"""The path bound tells so many memories apart."""

N_LEVELS = 32
"""So many thresholds are tried of the time before tasks, and of the time behind them."""

MIN_ROUNDS, MAX_ROUNDS = 12, 64
TASK_ROUNDS = {False: 2500, True: 1 << 21}
"""By whether loops are compiled: so many tasks, counted again in each round, is the search of path prices worth."""

LEAST_PRICE = 0.01
"""Of each device's time when that search starts, in parts of the mean price."""

MAX_SAMPLE, MAX_COLUMNS = 1 << 13, 32
"""Prices are balanced for a sample of so many tasks; of more columns, those that are about as fast share a price."""

MAX_STEPS, GAP = 40, 1e-4
"""Steps towards balanced prices end by then, or when they are that close to the best, relatively."""


@dataclass(frozen=True, eq=False, slots=True)
class Balance:
    """Work that is divided among devices so that they end together.

    Attributes:
        seconds: what every schedule of this work takes: the work bound.
        prices: of a second of one device, by column; all devices together cost one. Devices that are short of time
            are dear; a task belongs where it costs least.
    """

    seconds: float
    prices: Floats


def lower_bound(problem: Problem, form: FlatProblem | None = None) -> float:
    """Seconds that no schedule can beat: the longest of all bounds; by the problem's flat form, or another one."""
    if not problem.n_tasks:
        return 0.0
    form = form or problem.flat_form
    paths, n_devices = _Paths(problem, form), np.bincount(np.asarray(form.flat.column))
    columns = np.ascontiguousarray(paths.table.T)
    prices, costs = _balanced(columns, n_devices)
    found = [paths.bound, paths.windowed(prices, costs)]
    if len(n_devices) > 1:  # otherwise nothing can be chosen
        found.append(paths.windowed(*_with_path_prices(form, columns, n_devices, prices)))
    return max(found) * (1 - ROUNDING - problem.n_tasks * float(np.finfo(float).eps))


def path_bound(problem: Problem) -> float:
    """Longest chain of tasks and copies, each task where that makes the chain shortest."""
    return _Paths(problem, problem.flat_form).bound if problem.n_tasks else 0.0


def balance(seconds: Floats, n_devices: Indices) -> Balance:
    """The work bound of some tasks, and the prices that give it.

    Args:
        seconds: by task and column, inf where a task cannot run, shape (n_tasks, n_columns).
        n_devices: of each column, shape (n_columns,).
    """
    prices, costs = _balanced(np.ascontiguousarray(seconds.T), np.asarray(n_devices))
    return Balance(float(costs.sum()), prices)


class _Sites(NamedTuple):
    """Memories, or several that are taken for one; those that have devices come first.

    Attributes:
        of_memory: the site of each memory.
        latency: at least, over any way, inf without one, shape (n_sites, n_sites).
        seconds_per_byte: likewise, 0 without one.
    """

    of_memory: Indices
    latency: Floats
    seconds_per_byte: Floats


def _sites(problem: Problem, form: FlatProblem) -> _Sites:
    has = np.zeros((problem.n_memories, form.flat.n_columns), dtype=bool)
    has[form.flat.place_memory, form.flat.place_column] = True
    kind = np.arange(problem.n_memories)
    if len(kind) > MAX_SITES:
        kind = np.unique(has, axis=0, return_inverse=True)[1].reshape(-1)
        kind *= kind.max() < MAX_SITES
    n_sites = int(kind.max()) + 1
    empty = np.ones(n_sites, dtype=bool)
    empty[kind[has.any(axis=1)]] = False
    of_memory = np.argsort(np.argsort(empty, kind="stable"))[kind]
    costs = []
    for direct in (problem.latency, np.where(np.isfinite(problem.latency), problem.seconds_per_byte, np.inf)):
        cost = np.full((n_sites, n_sites), np.inf)
        np.minimum.at(cost, (of_memory[:, None], of_memory), direct)
        np.fill_diagonal(cost, 0.0)
        for middle in range(n_sites):
            np.minimum(cost, cost[:, middle, None] + cost[None, middle, :], out=cost)
        costs.append(cost)
    return _Sites(of_memory, costs[0], np.where(np.isfinite(costs[0]), costs[1], 0.0))


class _Paths:
    """Longest paths through the graph.

    Attributes:
        table: seconds by task and column, inf where a task cannot run.
        bound: the path bound.
    """

    def __init__(self, problem: Problem, form: FlatProblem) -> None:
        self._form, flat, room = form, form.flat, form.room
        sites = _sites(problem, form)
        spot = sites.of_memory[flat.place_memory] * flat.n_columns + np.asarray(flat.place_column)
        spots, of_place = np.unique(spot, return_inverse=True)
        self._site, self._column = np.divmod(spots, flat.n_columns)
        self._n_devices = np.bincount(of_place.reshape(-1), weights=np.diff(flat.place_ptr))
        n_sites = int(self._site.max()) + 1
        self.table = np.asarray(flat.seconds, dtype=np.float64).reshape(flat.n_tasks, flat.n_columns)
        self._seconds = np.full((flat.n_tasks, n_sites), np.inf)
        for site, column in zip(self._site.tolist(), self._column.tolist(), strict=True):
            np.minimum(self._seconds[:, site], self.table[:, column], out=self._seconds[:, site])
        ways = [room.of(cost[:n_sites, :n_sites]) for cost in (sites.latency, sites.seconds_per_byte)]
        self._start, end = room.of(_source_arrivals(problem, sites, n_sites)), room.of(self._seconds.copy())
        room.call(heads, flat, n_sites, *ways, self._start, end)
        ends = np.asarray(end).reshape(self._seconds.shape)
        tail, delivered = _deliveries(problem, sites, self._seconds, ends)
        after = room.of(tail)
        room.call(tails, flat, n_sites, *ways, room.of(self._seconds), after, room.floats(n_sites))
        self._tail = np.asarray(after).reshape(ends.shape)
        self.bound = max(_longest(ends.min(axis=1)), delivered)

    def windowed(self, prices: Floats, costs: Floats) -> float:
        """The longest of the bounds that windows give.

        In each window, the makespan is where the worth of all time that is left to its tasks is what they cost.

        Args:
            prices: of a second of one device by column; behind them, that of a second on paths where paths have one.
            costs: the least cost of each task at these prices, shape (n_tasks,).
        """
        group, shape, waits, order = self._windows
        work = np.bincount(group, weights=costs, minlength=shape[0] * shape[1]).reshape(shape)
        work = work[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
        worth = np.append(self._n_devices * prices[self._column], prices[self.table.shape[1] :].sum())[order]
        worth[np.isinf(waits)] = 0.0
        per_second, waited = worth.cumsum(axis=2), (worth * np.where(worth > 0, waits, 0.0)).cumsum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.where(per_second > 0, (work[:, :, None] + waited) / per_second, np.inf).min(axis=2)
        return _longest(np.where(work > 0, ends, 0.0))

    @cached_property
    def _windows(self) -> tuple[Indices, tuple[int, int], Floats, Indices]:
        """For each pair of thresholds, how much less than the makespan its tasks have of each spot, and on paths.

        Devices of one column at one site are a spot.

        Returns:
            The last pair that each task passes, the numbers of thresholds, the times that are lost in ascending order,
            and which spot, or the paths behind all spots, each of them belongs to.
        """
        form, room, n_sites = self._form, self._form.room, self._seconds.shape[1]
        possible = np.isfinite(self._seconds)
        head = np.where(possible, np.asarray(self._start).reshape(possible.shape), np.inf).min(axis=1)
        tail = np.where(possible, self._tail, np.inf).min(axis=1)
        before, behind = _levels(head), _levels(tail)
        shape = len(before), len(behind)
        group = (np.searchsorted(before, head, "right") - 1) * shape[1] + np.searchsorted(behind, tail, "right") - 1
        first = room.floats(shape[0] * shape[1] * len(self._site), np.inf)
        spots = room.of(self._site), room.of(self._column)
        room.call(windows, form.flat, n_sites, *spots, self._start, room.of(group), first)
        earliest = np.asarray(first).reshape(*shape, -1)[::-1, ::-1]
        for axis in (0, 1):
            earliest = np.minimum.accumulate(earliest, axis=axis)
        waits = np.dstack([earliest[::-1, ::-1], np.broadcast_to(before[:, None], shape)]) + behind[:, None]
        order = np.argsort(waits, axis=2, kind="stable")
        return group, shape, np.take_along_axis(waits, order, axis=2), order


def _longest(seconds: Floats) -> float:
    """Of those that are finite: where they are not, there is no schedule."""
    return float(seconds[np.isfinite(seconds)].max(initial=0.0))


def _levels(times: Floats) -> Floats:
    """The least of some times and others, ascending, the denser the smaller they are."""
    sample = np.unique(np.append(times[:: len(times) // MAX_SAMPLE + 1], times.min()))
    return np.unique(sample[np.geomspace(1, len(sample), N_LEVELS).astype(np.int64) - 1])


def _source_arrivals(problem: Problem, sites: _Sites, n_sites: int) -> Floats:
    """When all sources that a task reads can be at a site, shape (n_tasks, n_sites)."""
    arrivals = np.zeros((problem.n_tasks, n_sites))
    read = problem.producer[problem.read_values] < 0
    if read.any():
        values, which = np.unique(problem.read_values[read], return_inverse=True)
        reader = np.repeat(np.arange(problem.n_tasks), np.diff(problem.read_ptr))[read]
        first = np.flatnonzero(np.diff(reader, prepend=-1))
        at = _arrivals(problem, sites, values)[which.reshape(-1), :n_sites]
        arrivals[reader[first]] = np.maximum.reduceat(at, first, axis=0)
    return arrivals


def _arrivals(problem: Problem, sites: _Sites, sources: Indices) -> Floats:
    """When each of some sources can be at each site: from the start, if it moves in setup."""
    arrival = np.full((len(sources), len(sites.latency)), np.inf)
    held = np.zeros(arrival.shape, dtype=bool)
    source, memory = np.nonzero(problem.resident[sources])
    held[source, sites.of_memory[memory]] = True
    for site in np.flatnonzero(held.any(axis=0)).tolist():
        here = held[:, site]
        moving = sites.latency[site] + problem.value_bytes[sources[here], None] * sites.seconds_per_byte[site]
        arrival[here] = np.minimum(arrival[here], moving)
    stays = problem.persistent[sources]
    arrival[stays] = np.where(np.isfinite(arrival[stays]), 0.0, np.inf)
    return arrival


def _deliveries(problem: Problem, sites: _Sites, seconds: Floats, ends: Floats) -> tuple[Floats, float]:
    """How long the slowest of each task's required values takes from each site, and when all are where they should."""
    tail = np.zeros_like(seconds)
    if not problem.required:
        return tail, 0.0
    value, memory = np.array(problem.required, dtype=np.int64).T
    target, task = sites.of_memory[memory], problem.producer[value]
    moved, made = (task < 0) & ~problem.persistent[value], task >= 0
    arrivals = _arrivals(problem, sites, value[moved])[np.arange(moved.sum()), target[moved]]
    value, target, task, here = value[made], target[made], task[made], slice(seconds.shape[1])
    moving = sites.latency[here, target].T + problem.value_bytes[value, None] * sites.seconds_per_byte[here, target].T
    order = np.argsort(np.where(np.isfinite(seconds[task]), moving, np.inf).min(axis=1), kind="stable")
    tail[task[order]] = moving[order]  # the slowest of a task comes last, and stays
    return tail, max(_longest(arrivals), _longest((ends[task] + moving).min(axis=1)))


def _with_path_prices(form: FlatProblem, columns: Floats, n_devices: Indices, prices: Floats) -> tuple[Floats, Floats]:
    """Prices with that of a second on paths behind them, and the least cost of each task at these prices."""
    room, n_tasks = form.room, form.flat.n_tasks
    n_rounds = max(MIN_ROUNDS, min(MAX_ROUNDS, TASK_ROUNDS[n_tasks > UNCOMPILED_TASKS] // n_tasks))
    start = np.append(prices * (1 - LEAST_PRICE) + LEAST_PRICE / n_devices.sum(), 1.0) / 2
    fixed = room.of(n_devices.astype(np.float64)), n_rounds
    scratch = room.of(start), room.floats(len(start)), room.of(columns.min(axis=0)), room.ints(n_tasks)
    flow, length, cost, best_costs = (room.floats(n_tasks) for _ in range(4))
    best_prices = room.floats(len(start))
    room.call(price_paths, form.flat, *fixed, *scratch, flow, length, cost, best_prices, best_costs)
    return np.asarray(best_prices), np.asarray(best_costs)


def _balanced(columns: Floats, n_devices: Indices) -> tuple[Floats, Floats]:
    """Prices at which all work costs as much as at any, or nearly, and the least cost of each task at these prices.

    Args:
        columns: seconds by column and task.
        n_devices: of each column.
    """
    least = columns.min(axis=0)
    works = least > 0
    prices = np.full(len(n_devices), 1.0 / n_devices.sum())
    if len(n_devices) == 2 and works.any():
        prices = _balance_two(columns[:, works], n_devices)
    elif len(n_devices) > 2 and works.any():
        ratios, weight = _sample(columns[:, works], least[works])
        order = (weight / ratios).sum(axis=1).argsort(kind="stable")
        first = np.unique(np.linspace(0, len(order), MAX_COLUMNS, endpoint=False).astype(np.int64))
        groups = np.minimum.reduceat(ratios[order], first), weight, np.add.reduceat(n_devices[order], first)
        prices[order] = np.repeat(_balance_many(*groups), np.diff(first, append=len(order)))
    costs = np.full(len(least), np.inf)
    for seconds, price in zip(columns, prices.tolist(), strict=True):
        np.minimum(costs, seconds * price if price > 0 else np.where(np.isfinite(seconds), 0.0, np.inf), out=costs)
    return prices, costs


def _balance_two(columns: Floats, n_devices: Indices) -> Floats:
    """Exact prices of two columns.

    Tasks go to the first by the ratio of their times until it has as much to do as the second. The task at which that
    happens costs the same in both; where it never does, one column is short of time whatever goes to the other.
    """
    only = [float(columns[here][np.isinf(columns[1 - here])].sum()) for here in (0, 1)]
    first, second = columns[:, np.isfinite(columns).all(axis=0)]
    order = np.argsort(first / second, kind="stable")
    first, second = first[order], second[order]
    load_first = (only[0] + np.append(0.0, first.cumsum())) / n_devices[0]
    load_second = (only[1] + np.append(second[::-1].cumsum()[::-1], 0.0)) / n_devices[1]
    divided = int((load_first < load_second).sum()) - 1
    if 0 <= divided < len(first):
        prices = np.array([second[divided], first[divided]])
    else:
        prices = np.array([float(divided < 0), float(divided >= 0)])
    return prices / (prices @ n_devices)


def _sample(columns: Floats, least: Floats) -> tuple[Floats, Floats]:
    """Tasks that stand for all: seconds by column and task, relative to the least of the task; and how much for.

    Tasks whose times have equal ratios become one. Of many, some are taken first, in proportion to their least times:
    prices are a bound whatever they were found for.
    """
    weight = least
    if len(least) > MAX_SAMPLE:
        total = least.cumsum()
        picked = np.searchsorted(total, (np.arange(MAX_SAMPLE) + 0.5) * (total[-1] / MAX_SAMPLE))
        columns, least, weight = columns[:, picked], least[picked], np.ones(MAX_SAMPLE)
    ratios = columns / least
    key = np.cos(np.arange(len(columns))) @ np.where(np.isfinite(ratios), ratios, -1.0)
    _, first, of_task = np.unique(key.round(9), return_index=True, return_inverse=True)
    stands_for = np.zeros(len(first))
    np.add.at(stands_for, of_task.reshape(-1), weight)
    return ratios[:, first], stands_for


def _balance_many(seconds: Floats, weight: Floats, n_devices: Indices) -> Floats:
    """Prices of any number of columns, nearly exact: an interior point method for the linear program.

    It has shares of tasks by column, the end of all work, prices, and a value of each task that is less than its cost
    anywhere. What shares pay in excess of their value, and the price of spare time, are driven to zero together
    (Wright 1997, doi:10.1137/1.9781611971453).

    Args:
        seconds: by column and task, relative to the least of the task, inf where it cannot run.
        weight: of each task.
        n_devices: of each column.
    """
    possible = np.isfinite(seconds)
    seconds = np.where(possible, seconds, 0.0)
    n_columns = len(n_devices)
    prices = np.full(n_columns, 1.0 / n_devices.sum())
    excess = np.where(possible, seconds * prices[:, None] - prices[0] / 2, 1.0)
    shares = possible / excess
    shares *= weight / weight.sum() / shares.sum(axis=0)
    load = (seconds * shares).sum(axis=1)
    end = 2.0 * float((load / n_devices).max())
    spare = n_devices * end - load
    matrix = np.zeros((n_columns + 1, n_columns + 1))
    matrix[:-1, -1] = matrix[-1, :-1] = n_devices
    for _ in range(MAX_STEPS):
        gap = float((shares * excess).sum() + prices @ spare)
        if gap <= GAP * end:
            break
        aim = 0.3 * gap / (possible.sum() + n_columns)
        weights = shares / excess
        pull = np.where(possible, aim / excess, 0.0) - shares
        slope, total = weights * seconds, weights.sum(axis=0)
        change = pull.sum(axis=0) / total
        matrix[:-1, :-1] = -np.einsum("ct,dt->cd", slope / total, slope)  # as one thread: BLAS takes all cores
        matrix[np.diag_indices(n_columns)] += (slope * seconds).sum(axis=1) + spare / prices
        right = (seconds * pull).sum(axis=1) - slope @ change + aim / prices - spare
        step = np.linalg.solve(matrix, np.append(right, 0.0))
        price_step, end_step = step[:-1], float(step[-1])
        excess_step = np.where(possible, seconds * price_step[:, None] - (price_step @ slope / total - change), 0.0)
        share_step = pull - weights * excess_step
        spare_step = aim / prices - spare - spare / prices * price_step
        far = min(_far(shares, share_step), _far(spare, spare_step))
        shares, spare, end = shares + far * share_step, spare + far * spare_step, end + far * end_step
        far = min(_far(excess, excess_step), _far(prices, price_step))
        excess, prices = excess + far * excess_step, prices + far * price_step
    return prices / (prices @ n_devices)


def _far(values: Floats, step: Floats) -> float:
    """How much of a step leaves positive values positive."""
    return min(1.0, 0.95 * float((values[step < 0] / -step[step < 0]).min(initial=2.0)))
