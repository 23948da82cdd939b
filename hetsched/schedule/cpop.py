"""CPOP: the critical path on the one device that runs all of it fastest, other tasks where they end first.

Of the ready tasks the one on the longest path from the beginning to the end of the graph is always next (Topcuoglu et
al. 2002, doi:10.1109/71.993206).
"""

from __future__ import annotations

import numpy as np

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished
from hetsched.schedule.loops.compiled import Numbers
from hetsched.schedule.problem import Problem
from hetsched.schedule.ranks import downward_ranks, mean_way, ready_order, upward_ranks
from hetsched.schedule.schedule import Schedule


def cpop(problem: Problem) -> Schedule:
    """Critical path on a processor."""
    drafting = Drafting(problem)
    return finished(drafting, cpop_draft(drafting))


def cpop_draft(drafting: Drafting) -> Draft:
    """The draft; where no device can run the whole critical path, the one that can run most of it gets that part."""
    upward = upward_ranks(drafting)
    through = np.asarray(upward, dtype=np.float64) + np.asarray(downward_ranks(drafting), dtype=np.float64)
    order = ready_order(drafting, drafting.room.of(through))
    path = critical_path(drafting, upward)
    wanted = drafting.room.ints(drafting.flat.n_tasks, -1)
    device = _fastest(drafting, path)
    for task in path:
        wanted[task] = device
    return drafting.place(order, "cpop", wanted=wanted)


def critical_path(drafting: Drafting, upward: Numbers) -> list[int]:
    """The path with the longest mean times of tasks and copies; ties break by topological order."""
    flat = drafting.flat
    if not flat.n_tasks:
        return []
    latency, per_byte = mean_way(drafting)
    path = [int(np.argmax(np.asarray(upward)))]  # a task that something comes before ranks below that
    while True:
        best, following = -1.0, -1
        for position in range(flat.next_ptr[path[-1]], flat.next_ptr[path[-1] + 1]):
            task = int(flat.next_task[position])
            length = latency + per_byte * flat.read_bytes[flat.next_read[position]] + upward[task]
            if length > best or (length == best and task < following):
                best, following = length, task
        if following < 0:
            return path
        path.append(following)


def _fastest(drafting: Drafting, path: list[int]) -> int:
    """The device that can run most of some tasks; of several, the one that runs those fastest, then by name."""
    flat = drafting.flat
    seconds = np.asarray(flat.seconds, dtype=np.float64).reshape(flat.n_tasks, flat.n_columns)[path]
    possible = np.isfinite(seconds)
    missing, total = (~possible).sum(axis=0), np.where(possible, seconds, 0.0).sum(axis=0)
    columns = np.asarray(flat.column, dtype=np.int64)
    return min(range(flat.n_devices), key=lambda device: (missing[columns[device]], total[columns[device]]))
