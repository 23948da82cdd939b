"""The shortest makespan of a small problem, by exhaustive search."""

import math

import numpy as np

from hetsched.schedule.problem import Problem


def least_seconds(problem: Problem) -> np.ndarray:
    """Least seconds of moving each value between memories over any hops, shape (values, memories, memories)."""
    cost = problem.latency[None] + problem.value_bytes[:, None, None] * problem.seconds_per_byte[None]
    cost[problem.persistent] = np.where(np.isfinite(cost[problem.persistent]), 0.0, np.inf)
    for middle in range(problem.n_memories):
        cost = np.minimum(cost, cost[:, :, middle, None] + cost[:, None, middle, :])
    return cost


def optimum(problem: Problem) -> float:
    """The shortest makespan when copies never wait and memories never fill, by trying every order and every device."""
    moving = least_seconds(problem).tolist()
    seconds, memory_of = problem.device_seconds.tolist(), problem.device_memory.tolist()
    sources = {
        value: [(0.0, int(memory)) for memory in np.flatnonzero(problem.resident[value])]
        for value in range(problem.n_values)
        if problem.producer[value] < 0
    }
    shortest = [min(row) for row in seconds]
    tail = [0.0] * problem.n_tasks
    for task in reversed(range(problem.n_tasks)):
        tail[task] = shortest[task] + max((tail[after] for after in problem.successors[task]), default=0.0)
    best = math.inf

    def explore(done: dict[int, tuple[float, int]], free: tuple[float, ...]) -> None:
        nonlocal best
        if len(done) == problem.n_tasks:
            best = min(best, ending(done))
            return
        for task in range(problem.n_tasks):
            if task in done or any(before not in done for before in problem.predecessors[task]):
                continue
            for device, taken in enumerate(seconds[task]):
                if taken == math.inf:
                    continue
                memory = memory_of[device]
                ready = max((arrival(done, value, memory) for value in problem.reads[task]), default=0.0)
                start = max(ready, free[device])
                if start + tail[task] >= best:
                    continue
                explore(done | {task: (start + taken, memory)}, (*free[:device], start + taken, *free[device + 1 :]))

    def arrival(done: dict[int, tuple[float, int]], value: int, memory: int) -> float:
        task = int(problem.producer[value])
        origins = sources[value] if task < 0 else [done[task]]
        return min((at + moving[value][source][memory] for at, source in origins), default=math.inf)

    def ending(done: dict[int, tuple[float, int]]) -> float:
        delivered = [
            arrival(done, value, memory) for value, memory in problem.required if not problem.persistent[value]
        ]
        return max([end for end, _ in done.values()] + delivered, default=0.0)

    explore({}, (0.0,) * problem.n_devices)
    return best
