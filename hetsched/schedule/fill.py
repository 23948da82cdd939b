"""Fill: one device after another, each with the next tasks in an order until its memory is full.

Where weights that stay fill memories, consecutive tasks in one place keep copies few; search goes on from there.
"""

from __future__ import annotations

import math

import numpy as np

from hetsched.errors import ScheduleError
from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.loops.compiled import Numbers


def fill_draft(drafting: Drafting, order: Numbers) -> Draft:
    """Tasks in an order, which extends the graph, on the fastest device first; only where static bytes are limited."""
    flat = drafting.flat
    seconds = np.asarray(flat.seconds, dtype=np.float64).reshape(flat.n_tasks, flat.n_columns)
    total = np.where(np.isfinite(seconds), seconds, seconds[np.isfinite(seconds)].max(initial=0.0) * 10).sum(axis=0)
    devices = sorted(range(flat.n_devices), key=lambda device: (total[flat.column[device]], device))
    left = [float(room) for room in flat.capacity]
    wanted = drafting.room.ints(flat.n_tasks, -1)
    current = 0
    for position in range(flat.n_tasks):
        task = int(order[position])
        n_bytes = float(flat.static_bytes[task])
        while current < len(devices) and n_bytes > left[flat.memory[devices[current]]]:
            current += 1
        if current == len(devices):
            break
        left[flat.memory[devices[current]]] -= n_bytes
        wanted[task] = devices[current]
    return drafting.place(order, "fill", wanted=wanted)


def packed_draft(drafting: Drafting, order: Numbers) -> Draft:
    """Tasks in an order, each in the memory that `packing` found room for it in."""
    wanted, _ = packing(drafting)
    return drafting.place(order, "packed", wanted=drafting.room.of(np.array(wanted, dtype=np.int32)))


def packing(drafting: Drafting) -> tuple[list[int], dict[int, float]]:
    """A device for each task such that static bytes fit, or nearly; and by memory the bytes that it is short of.

    Tasks with the most bytes come first, each where most room is left; what fits nowhere goes to the largest memory.
    """
    flat = drafting.flat
    left, lacking = [float(room) for room in flat.capacity], dict[int, float]()
    wanted = [-1] * flat.n_tasks
    for task in sorted(range(flat.n_tasks), key=lambda task: (-flat.static_bytes[task], task)):
        n_bytes = float(flat.static_bytes[task])
        seconds = [float(flat.seconds[task * flat.n_columns + flat.column[d]]) for d in range(flat.n_devices)]
        allowed = [device for device in range(flat.n_devices) if seconds[device] < math.inf]
        roomy = [device for device in allowed if left[flat.memory[device]] >= n_bytes]
        key = left if roomy else flat.capacity
        device = max(roomy or allowed, key=lambda device: (key[flat.memory[device]], -seconds[device], -device))
        wanted[task], memory = device, int(flat.memory[device])
        if roomy:
            left[memory] -= n_bytes
        else:
            lacking[memory] = lacking.get(memory, 0.0) + n_bytes - max(left[memory], 0.0)
            left[memory] = 0.0
    return wanted, lacking


def no_room(drafting: Drafting, name: str) -> ScheduleError:
    """The error of an algorithm that keeps no schedule within capacities, with capacities that would do."""
    problem = drafting.problem
    _, lacking = packing(drafting)
    if not lacking:
        return ScheduleError(
            f"{name} finds no schedule of {problem.name} within its memories, though there is one: scheduler='auto'"
        )
    cures = ", ".join(
        f"{problem.memory_names[memory]} with {problem.capacity[memory] + n_bytes:.0f} instead of "
        f"{problem.capacity[memory]:.0f}"
        for memory, n_bytes in sorted(lacking.items())
    )
    return ScheduleError(
        f"the tasks of {problem.name} hold {problem.static_bytes.sum():.0f} bytes for good, more than fits into the "
        f"memories that they may run in; this capacity would do: {cures} bytes"
    )
