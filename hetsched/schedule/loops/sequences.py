"""A schedule as a sequence of tasks for each device: how long its paths are, and moving a task elsewhere."""

from __future__ import annotations

from typing import NamedTuple

from hetsched.schedule.flat import Flat
from hetsched.schedule.loops.compiled import Numbers, helper


class Sequences(NamedTuple):
    """A schedule as sequences, and all that is known of its paths.

    Attributes:
        random: the state of the random numbers, one integer.
        device: of each task.
        seconds: of each task on its device.
        sequence: tasks by (device, position), with room for all tasks on each device.
        length: of each device's sequence.
        position: of each task in its sequence.
        head: start of each task.
        tail: longest time from each task's end to the end of all.
        new_head: ``head`` after the move that is being tried.
        topological: tasks in an order that extends graph and sequences.
        missing: room for the number of predecessors that each task waits for.
        critical: room for tasks on longest paths.
        used: static bytes in each memory.
        moved: room for tasks that are moved together.
        whence: their positions before.
        source: their devices before.
        best_device: of each task in the best schedule so far.
        best_start: of each task, likewise.
        best: its makespan, one number.
    """

    random: Numbers
    device: Numbers
    seconds: Numbers
    sequence: Numbers
    length: Numbers
    position: Numbers
    head: Numbers
    tail: Numbers
    new_head: Numbers
    topological: Numbers
    missing: Numbers
    critical: Numbers
    used: Numbers
    moved: Numbers
    whence: Numbers
    source: Numbers
    best_device: Numbers
    best_start: Numbers
    best: Numbers


def fill(flat: Flat, order: Numbers, state: Sequences) -> float:
    """Set the sequences up from the devices in ``state`` and an order of the tasks; returns the makespan."""
    for device in range(flat.n_devices):
        state.length[device] = 0
    for memory in range(flat.n_memories):
        state.used[memory] = 0.0
    for index in range(flat.n_tasks):
        task = order[index]
        device = state.device[task]
        position = state.length[device]
        state.sequence[device * flat.n_tasks + position] = task
        state.position[task] = position
        state.length[device] = position + 1
        state.seconds[task] = flat.seconds[task * flat.n_columns + flat.column[device]]
        if len(flat.capacity):
            state.used[flat.memory[device]] += flat.static_bytes[task]
    makespan = heads(flat, state, state.head)
    tails(flat, state)
    keep(flat, state, makespan)
    return makespan


@helper
def heads(flat: Flat, state: Sequences, head: Numbers) -> float:
    """Fill ``head`` and the topological order; returns the makespan, -1 if the sequences close a cycle."""
    n_tasks, n_memories, read_ptr = flat.n_tasks, flat.n_memories, flat.read_ptr
    next_ptr, next_task, next_read = flat.next_ptr, flat.next_task, flat.next_read
    read_bytes, read_way, latency, per_byte = flat.read_bytes, flat.read_way, flat.latency, flat.seconds_per_byte
    memory_of, start_row, start, finish_row, finish = (
        flat.memory,
        flat.start_row,
        flat.start,
        flat.finish_row,
        flat.finish,
    )
    device_of, seconds, sequence, length = state.device, state.seconds, state.sequence, state.length
    position, topological, missing = state.position, state.topological, state.missing
    n_ready = 0
    for task in range(n_tasks):
        waits = read_ptr[task + 1] - read_ptr[task]
        if position[task] > 0:
            waits += 1
        missing[task] = waits
        head[task] = start[start_row[task] * n_memories + memory_of[device_of[task]]]
        if waits == 0:
            topological[n_ready] = task
            n_ready += 1
    makespan = 0.0
    index = 0
    while index < n_ready:
        task = topological[index]
        index += 1
        device = device_of[task]
        source = memory_of[device]
        end = head[task] + seconds[task]
        done = end + finish[finish_row[task] * n_memories + source]
        if done > makespan:
            makespan = done
        if position[task] + 1 < length[device]:
            follower = sequence[device * n_tasks + position[task] + 1]
            if end > head[follower]:
                head[follower] = end
            missing[follower] -= 1
            if missing[follower] == 0:
                topological[n_ready] = follower
                n_ready += 1
        for entry in range(next_ptr[task], next_ptr[task + 1]):
            follower = next_task[entry]
            target = memory_of[device_of[follower]]
            arrival = end
            if target != source:
                read = next_read[entry]
                way = read_way[read] + source * n_memories + target
                arrival += latency[way] + read_bytes[read] * per_byte[way]
            if arrival > head[follower]:
                head[follower] = arrival
            missing[follower] -= 1
            if missing[follower] == 0:
                topological[n_ready] = follower
                n_ready += 1
    return makespan if n_ready == n_tasks else -1.0


@helper
def tails(flat: Flat, state: Sequences) -> None:
    """Fill ``tail``, along the topological order that `heads` left."""
    n_tasks, n_memories = flat.n_tasks, flat.n_memories
    next_ptr, next_task, next_read = flat.next_ptr, flat.next_task, flat.next_read
    read_bytes, read_way, latency, per_byte = flat.read_bytes, flat.read_way, flat.latency, flat.seconds_per_byte
    memory_of, finish_row, finish = flat.memory, flat.finish_row, flat.finish
    device_of, seconds, sequence, length = state.device, state.seconds, state.sequence, state.length
    position, topological, tail = state.position, state.topological, state.tail
    for index in range(n_tasks - 1, -1, -1):
        task = topological[index]
        device = device_of[task]
        source = memory_of[device]
        after = finish[finish_row[task] * n_memories + source]
        if position[task] + 1 < length[device]:
            follower = sequence[device * n_tasks + position[task] + 1]
            after = max(after, tail[follower] + seconds[follower])
        for entry in range(next_ptr[task], next_ptr[task + 1]):
            follower = next_task[entry]
            target = memory_of[device_of[follower]]
            remaining = tail[follower] + seconds[follower]
            if target != source:
                read = next_read[entry]
                way = read_way[read] + source * n_memories + target
                remaining += latency[way] + read_bytes[read] * per_byte[way]
            if remaining > after:
                after = remaining
        tail[task] = after


@helper
def move(flat: Flat, state: Sequences, task: int, target: int, where: int) -> None:
    """Take a task out of its sequence and insert it into another, or the same, at a position that does not count it."""
    n_tasks, sequence, length, position = flat.n_tasks, state.sequence, state.length, state.position
    source = state.device[task]
    first = source * n_tasks
    length[source] -= 1
    for place in range(position[task], length[source]):
        other = sequence[first + place + 1]
        sequence[first + place] = other
        position[other] = place
    first = target * n_tasks
    for place in range(length[target], where, -1):
        other = sequence[first + place - 1]
        sequence[first + place] = other
        position[other] = place
    sequence[first + where] = task
    position[task] = where
    length[target] += 1
    state.device[task] = target
    state.seconds[task] = flat.seconds[task * flat.n_columns + flat.column[target]]
    if len(flat.capacity):
        state.used[flat.memory[source]] -= flat.static_bytes[task]
        state.used[flat.memory[target]] += flat.static_bytes[task]


@helper
def fits(flat: Flat, state: Sequences) -> bool:
    """Whether no memory holds more static bytes than it has room for."""
    fits = True
    for memory in range(len(flat.capacity)):
        fits = fits and state.used[memory] <= flat.capacity[memory]
    return fits


@helper
def keep(flat: Flat, state: Sequences, makespan: float) -> None:
    """Remember this schedule as the best so far."""
    state.best[0] = makespan
    for task in range(flat.n_tasks):
        state.best_device[task] = state.device[task]
        state.best_start[task] = state.head[task]
