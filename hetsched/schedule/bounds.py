"""Lower bounds on the makespan: what every schedule takes, whatever it does.

Both are relaxations: the path bound forgets that devices, links and memories are shared, the work bound forgets order,
copies, and that a task runs on one device only. Recomputing a task, or copying over other ways, beats neither.
"""

from __future__ import annotations

import numpy as np

from hetsched.schedule.problem import Floats, Problem

N_PRICE_ROUNDS = 60
"""How often the prices of the work bound are adjusted; any prices give a bound."""

ROUNDING = 1e-12
"""Relative; sums in another order may differ by this much."""


def lower_bound(problem: Problem) -> float:
    """Seconds that no schedule can beat: the longer of the path bound and the work bound."""
    return max(path_bound(problem), work_bound(problem)) * (1 - ROUNDING) if problem.n_tasks else 0.0


def path_bound(problem: Problem) -> float:
    """Longest chain of tasks and copies, each task where that makes the chain shortest."""
    latency, seconds_per_byte = _least_costs(problem)
    n_memories = problem.n_memories
    fastest = np.full((problem.n_tasks, n_memories), np.inf)
    for device, memory in enumerate(problem.device_memory.tolist()):
        fastest[:, memory] = np.minimum(fastest[:, memory], problem.device_seconds[:, device])
    made = np.where(problem.resident, 0.0, np.inf)
    there: dict[int, Floats] = {}

    def arrival(value: int) -> Floats:
        """Earliest possible time of a value in each memory."""
        if value not in there:
            moving = latency + problem.value_bytes[value] * seconds_per_byte
            if problem.persistent[value]:
                moving = np.where(np.isfinite(moving), 0.0, np.inf)
            there[value] = (made[value][:, None] + moving).min(axis=0)
        return there[value]

    longest = 0.0
    for task in range(problem.n_tasks):
        ready = np.zeros(n_memories)
        for value in problem.reads[task]:
            ready = np.maximum(ready, arrival(value))
        end = ready + fastest[task]
        longest = max(longest, float(end.min()))
        for value in problem.writes[task]:
            made[value] = np.minimum(made[value], end)
    delivered = [float(arrival(value)[memory]) for value, memory in problem.required if not problem.persistent[value]]
    finite = [time for time in (longest, *delivered) if np.isfinite(time)]
    return max(finite, default=0.0)


def work_bound(problem: Problem) -> float:
    """Least time in which all devices together can do the work, tasks divided among them at will.

    For any prices of the devices' time that sum to one, the work at its cheapest is a bound (weak duality of linear
    programming); prices of devices that are short of time are raised step by step (multiplicative weights, Arora et al.
    2012, doi:10.4086/toc.2012.v008a006).
    """
    columns, n_devices = np.unique(problem.device_seconds, axis=1, return_counts=True)
    finite = np.isfinite(columns)
    seconds = np.where(finite, columns, 0.0)
    tasks = np.arange(problem.n_tasks)
    only_here = finite & (finite.sum(axis=1) == 1)[:, None]
    best = float((np.where(only_here, seconds, 0.0).sum(axis=0) / n_devices).max())
    prices = np.ones(len(n_devices))
    for round_ in range(N_PRICE_ROUNDS):
        prices /= (prices * n_devices).sum()
        costs = np.where(finite, seconds * prices, np.inf)
        choice = costs.argmin(axis=1)
        best = max(best, float(costs[tasks, choice].sum()))
        load = np.bincount(choice, weights=seconds[tasks, choice], minlength=len(n_devices)) / n_devices
        if load.max() <= 0:
            break
        prices = prices * np.exp(load / load.max() / (1 + round_ / 4))
    return best


def _least_costs(problem: Problem) -> tuple[Floats, Floats]:
    """Least latency and least seconds per byte over any hops between memories: together no way costs less."""
    latency, seconds_per_byte = problem.latency.copy(), problem.seconds_per_byte.copy()
    for cost in (latency, seconds_per_byte):
        np.fill_diagonal(cost, 0.0)
        for middle in range(problem.n_memories):
            np.minimum(cost, cost[:, middle, None] + cost[None, middle, :], out=cost)
    return latency, np.where(np.isfinite(latency), seconds_per_byte, 0.0)
