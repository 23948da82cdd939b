"""HeteroPrio: every kind of device takes the ready tasks that it speeds up most, and runs late ones anew.

For two kinds (Beaumont et al. 2017, doi:10.1109/IPDPS.2017.71) ready tasks stand in one line by acceleration, the time
on one kind over that on the other; either kind takes from its end of the line, so that work is divided by affinity and
no device idles. What that does wrong in the end, when a slow device holds a task that a fast one would finish sooner,
is undone by spoliation: an idle device runs it anew, and the first attempt is aborted. A schedule is a prediction here,
so that aborted attempts are not in it.

For more kinds each has a line of its own, as in Flint et al. 2022 (doi:10.7717/peerj-cs.969): by the time on the other
kinds, their geometric mean, over its own.
"""

from __future__ import annotations

import numpy as np

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished
from hetsched.schedule.loops.ready import by_affinity
from hetsched.schedule.problem import Floats, Ints, Problem
from hetsched.schedule.ranks import upward_ranks
from hetsched.schedule.schedule import Schedule

ABSENT = 100.0
"""A kind that cannot run a task counts as so many times slower than the slowest that can."""

DIGITS = 9
"""Accelerations whose logarithms are equal to so many digits are equal."""


def heteroprio(problem: Problem) -> Schedule:
    """Affinity lines with spoliation; upward rank decides among equal accelerations, and what is run anew."""
    drafting = Drafting(problem)
    return finished(drafting, heteroprio_draft(drafting))


def heteroprio_draft(drafting: Drafting) -> Draft:
    """Devices and order are simulated as if copies never waited, and then placed."""
    free = drafting.relaxed()
    room, flat = free.room, free.flat
    n_tasks = flat.n_tasks
    affinity, kind = acceleration(free)
    rank = upward_ranks(free, "least")
    first = np.unique(np.asarray(flat.column, dtype=np.int64), return_index=True)[1]
    liked = [np.lexsort((-np.asarray(rank), -affinity[:, kind[device]])) for device in first]
    liking = np.zeros((flat.n_columns, n_tasks), dtype=np.int32)
    for column, tasks in enumerate(liked):
        liking[column, tasks] = np.arange(n_tasks)
    device_of, starts, ends = room.ints(n_tasks, -1), room.floats(n_tasks, np.inf), room.floats(n_tasks, np.inf)
    room.call(
        by_affinity,
        flat,
        rank,
        room.of(fastest_first(free)),
        room.of(liking),
        room.of(np.array(liked, dtype=np.int32)),
        device_of,
        starts,
        ends,
        room.floats(n_tasks * flat.n_memories),
        room.ints(n_tasks),
        room.ints(flat.n_devices, -1),
    )
    order = drafting.by_start(Draft(device_of, starts, ends, np.inf))
    return drafting.place(order, "heteroprio", wanted=device_of)


def acceleration(drafting: Drafting) -> tuple[Floats, Ints]:
    """Logarithm of the time elsewhere over the time here by task and kind; and the kind of each device.

    It is inf where a task can only run here, and -inf where it cannot run. Devices of one class are of one kind, even
    if not all of them may run the same tasks.
    """
    problem = drafting.problem
    kinds, kind = np.unique(problem.device_class[list(drafting.form.devices)], return_inverse=True)
    allowed = np.stack([problem.allowed[:, problem.device_class == number].any(axis=1) for number in kinds], axis=1)
    seconds = np.where(allowed, problem.seconds[:, kinds], np.inf)
    possible = np.isfinite(seconds)
    slowest = np.where(possible, seconds, 0.0).max(axis=1, initial=0.0, keepdims=True)
    seconds = np.where(possible, np.maximum(seconds, slowest * 1e-12), slowest * ABSENT)
    logarithms = np.log(np.where(slowest > 0, seconds, np.where(possible, 1.0, ABSENT)))
    n_others = max(len(kinds) - 1, 1)
    elsewhere = (logarithms.sum(axis=1, keepdims=True) - logarithms) / n_others
    result = np.where(possible.sum(axis=1, keepdims=True) > 1, elsewhere - logarithms, np.inf)
    return np.where(possible, np.round(result, DIGITS), -np.inf), kind.reshape(-1).astype(np.int32)


def fastest_first(drafting: Drafting) -> Ints:
    """Devices by how fast they run all that they may run, compared with the fastest for each task; ties by name."""
    flat = drafting.flat
    seconds = np.asarray(flat.seconds, dtype=np.float64).reshape(flat.n_tasks, flat.n_columns)
    least = seconds.min(axis=1, initial=np.inf, keepdims=True)
    possible = np.isfinite(seconds)
    slower = np.where(possible, np.minimum(seconds / np.where(least > 0, least, 1.0), ABSENT), 0.0)
    mean = slower.sum(axis=0) / np.maximum(possible.sum(axis=0), 1)
    return np.argsort(mean[np.asarray(flat.column, dtype=np.int64)], kind="stable").astype(np.int32)
