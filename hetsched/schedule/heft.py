"""HEFT: tasks by upward rank, each on the device where it ends first (Topcuoglu et al. 2002, doi:10.1109/71.993206)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.timeline import Timeline


def heft(problem: Problem) -> Schedule:
    """Heterogeneous earliest finish time, with insertion and requested outputs brought home."""
    timeline = Timeline(problem)
    ranks = upward_ranks(problem)
    for task in sorted(range(problem.n_tasks), key=lambda task: (-ranks[task], task)):
        timeline.place(task, timeline.best(task))
    return timeline.finish("heft")


def upward_ranks(problem: Problem) -> list[float]:
    """Mean time from each task's start to the end of all that follows: means over devices and over pairs of them."""
    seconds = problem.device_seconds
    possible = np.isfinite(seconds)
    computing = (np.where(possible, seconds, 0.0).sum(axis=1) / possible.sum(axis=1)).tolist()
    moving = mean_transfer_seconds(problem).tolist()
    home = {value for value, memory in problem.required if problem.producer[value] >= 0}
    ranks = [0.0] * problem.n_tasks
    for task in reversed(range(problem.n_tasks)):
        after = 0.0
        for value in problem.writes[task]:
            following = max((ranks[reader] for reader in problem.readers[value]), default=None)
            if following is not None:
                after = max(after, moving[value] + following)
            if value in home:
                after = max(after, moving[value])
        ranks[task] = computing[task] + after
    return ranks


def mean_transfer_seconds(problem: Problem) -> np.ndarray:
    """Mean time to move each value between two different devices, none where they share a memory, shape (n_values,)."""
    latency, per_byte = way_costs(problem)
    memories = problem.device_memory
    joined = np.isfinite(latency[np.ix_(memories, memories)]) & ~np.eye(len(memories), dtype=bool)
    n_pairs = max(int(joined.sum()), 1)
    mean = [
        float(np.where(joined, cost[np.ix_(memories, memories)], 0.0).sum()) / n_pairs for cost in (latency, per_byte)
    ]
    return mean[0] + mean[1] * problem.value_bytes


def way_costs(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Latency and seconds per byte summed over the hops between memories, inf without a way."""
    n_memories = problem.n_memories
    latency, per_byte = np.full((n_memories, n_memories), np.inf), np.full((n_memories, n_memories), np.inf)
    for a in range(n_memories):
        for b in range(n_memories):
            stops = problem.path(a, b)
            if stops:
                hops = list(pairwise(stops))
                latency[a, b] = sum(problem.latency[hop] for hop in hops)
                per_byte[a, b] = sum(problem.seconds_per_byte[hop] for hop in hops)
    return latency, per_byte
