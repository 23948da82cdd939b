"""Ranks of tasks: what list schedulers order them by."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hetsched.schedule.drafts import Drafting
from hetsched.schedule.loops import ranks as loops
from hetsched.schedule.loops.compiled import Numbers
from hetsched.schedule.problem import Floats

Mean = Literal["arithmetic", "harmonic", "least"]
"""How a task's times on all devices become one: means, or the least, which also forgets copies."""


def upward_ranks(drafting: Drafting, mean: Mean = "arithmetic") -> Numbers:
    """Time from each task's start to the end of all that follows, copies at their mean over pairs of devices."""
    rank = drafting.room.floats(drafting.flat.n_tasks)
    copies, finishing = _copies(drafting, mean)
    drafting.room.call(loops.upward, drafting.flat, computing(drafting, mean), copies, finishing, rank)
    return rank


def downward_ranks(drafting: Drafting, mean: Mean = "arithmetic") -> Numbers:
    """Time from the beginning to each task's start, likewise."""
    rank = drafting.room.floats(drafting.flat.n_tasks)
    copies, _ = _copies(drafting, mean)
    drafting.room.call(loops.downward, drafting.flat, computing(drafting, mean), copies, rank)
    return rank


def optimistic_costs(drafting: Drafting) -> Numbers:
    """PEFT's table: the time from a task's end in each place to the end of all, shape (n_tasks, n_places)."""
    flat = drafting.flat
    table = drafting.room.floats(flat.n_tasks * flat.n_places)
    drafting.room.call(loops.optimistic, flat, table)
    return table


def ready_order(drafting: Drafting, rank: Numbers) -> Numbers:
    """Tasks in the order in which a list of ready tasks gives out the one of the highest rank."""
    n_tasks = drafting.flat.n_tasks
    order = drafting.room.ints(n_tasks)
    drafting.room.call(loops.ready_order, drafting.flat, rank, drafting.room.ints(n_tasks), order)
    return order


def computing(drafting: Drafting, mean: Mean) -> Numbers:
    """One time for each task, of those on the devices that may run it."""
    flat = drafting.flat
    seconds = np.asarray(flat.seconds, dtype=np.float64).reshape(flat.n_tasks, flat.n_columns)
    n_devices = np.bincount(np.asarray(flat.column, dtype=np.int64), minlength=flat.n_columns)
    possible = np.isfinite(seconds)
    n_possible = (possible * n_devices).sum(axis=1)
    if mean == "least":
        result = seconds.min(axis=1, initial=np.inf)
    elif mean == "harmonic":
        with np.errstate(divide="ignore"):
            result = n_possible / (n_devices / seconds).sum(axis=1)
    else:
        result = np.where(possible, seconds * n_devices, 0.0).sum(axis=1) / n_possible
    return drafting.room.of(result)


def _copies(drafting: Drafting, mean: Mean) -> tuple[Numbers, Numbers]:
    """Mean seconds of each entry of ``read_*``, and of bringing each task's requested values home."""
    flat, room = drafting.flat, drafting.room
    if mean == "least":
        return room.floats(len(flat.read_task)), room.floats(flat.n_tasks)
    latency, per_byte = mean_way(drafting)
    read = latency + per_byte * np.asarray(flat.read_bytes, dtype=np.float64)
    memory = np.asarray(flat.memory, dtype=np.int64)
    finish: Floats = np.asarray(flat.finish, dtype=np.float64).reshape(-1, flat.n_memories)[:, memory]
    possible = np.isfinite(finish)
    home = np.where(possible, finish, 0.0).sum(axis=1) / np.maximum(possible.sum(axis=1), 1)
    return room.of(read), room.of(home[np.asarray(flat.finish_row, dtype=np.int64)])


def mean_way(drafting: Drafting) -> tuple[float, float]:
    """Mean latency and seconds per byte between two different devices, none where they share a memory."""
    flat = drafting.flat
    n_memories = flat.n_memories
    there = np.bincount(np.asarray(flat.memory, dtype=np.int64), minlength=n_memories).astype(np.float64)
    latency = np.asarray(flat.latency[: n_memories**2], dtype=np.float64).reshape(n_memories, n_memories)
    joined = np.isfinite(latency)
    weight = np.where(joined, there[:, None] * there[None, :] - np.diag(there), 0.0)
    n_pairs = max(weight.sum(), 1.0)
    per_byte = np.asarray(flat.seconds_per_byte[: n_memories**2], dtype=np.float64).reshape(n_memories, n_memories)
    return float((np.where(joined, latency, 0.0) * weight).sum() / n_pairs), float((per_byte * weight).sum() / n_pairs)
