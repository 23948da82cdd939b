"""Simulated annealing over sequences of tasks by device, for problems whose copies never wait.

A move takes a task that is on a longest path, or nearly, and inserts it elsewhere: on any device, at the best of the
positions that close no cycle (the neighbourhood of Mastrolilli and Gambardella 2000,
doi:10.1002/(SICI)1099-1425(200001/02)3:1<3::AID-JOS32>3.0.CO;2-Y, with transfers). What a path through the task would
become is known without touching anything else; only moves that pass that test are carried out, measured and, if they
turn out too bad, taken back.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hetsched.schedule.flat import Flat
from hetsched.schedule.loops.compiled import Numbers, helper

N_TRIES = 64
"""So many moves are looked at before a step is given up."""

EVERY = 8
"""One step in so many moves several tasks together."""

CLOSE = 1e-12
"""Relative; path lengths that differ by less are equal."""


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
    makespan = _heads(flat, state, state.head)
    _tails(flat, state)
    _keep(flat, state, makespan)
    return makespan


def anneal(flat: Flat, state: Sequences, n_steps: int, n_tries: int, makespan: float, hot: float, cold: float) -> float:
    """Take some steps from ``state``; returns its makespan, the best is in ``state.best``.

    Args:
        flat: the problem.
        state: as `fill` or an earlier call left it.
        n_steps: moves to be carried out, or given up.
        n_tries: moves that are compared for one step.
        makespan: of ``state``.
        hot: temperature at the beginning, in seconds.
        cold: temperature at the end.
    """
    n_tasks = flat.n_tasks
    head, tail, seconds, critical = state.head, state.tail, state.seconds, state.critical
    position, device_of, random = state.position, state.device, state.random
    temperature = hot
    cooling = (cold / hot) ** (1.0 / max(n_steps, 1))
    n_critical = 0
    for _ in range(n_steps):
        temperature *= cooling
        if n_critical == 0:
            least = makespan * (1 - CLOSE)
            for task in range(n_tasks):
                if head[task] + seconds[task] + tail[task] >= least:
                    critical[n_critical] = task
                    n_critical += 1
        limit = makespan - temperature * math.log(_draw(random) / 2147483647.0)
        if _draw(random) % EVERY == 0:
            found = _move_together(flat, state, n_critical, limit)
            if found >= 0:
                makespan = found
                n_critical = 0
                if makespan < state.best[0] * (1 - CLOSE):
                    _keep(flat, state, makespan)
            continue
        moved, target, where = _find_move(flat, state, n_critical, limit, n_tries, -1, -1, True)
        if moved < 0:
            continue
        source, whence = device_of[moved], position[moved]
        _move(flat, state, moved, target, where)
        found = _heads(flat, state, state.new_head)
        if found < 0 or found > limit:
            _move(flat, state, moved, source, whence)
            continue
        makespan = found
        n_critical = 0
        for task in range(n_tasks):
            head[task] = state.new_head[task]
        _tails(flat, state)
        if makespan < state.best[0] * (1 - CLOSE):
            _keep(flat, state, makespan)
    return makespan


@helper
def _move_together(flat: Flat, state: Sequences, n_critical: int, limit: float) -> float:
    """Move a critical task, and with it others; returns the makespan, -1 if that was too long and is undone.

    Either neighbours in the graph follow to the same device, as a task alone only adds copies where they are dear. Or
    a task of that device takes its place, as long tasks, or many bytes, find no room where there is none.
    """
    random, position, device_of = state.random, state.position, state.device
    moved, whence, source = state.moved, state.whence, state.source
    swap = _draw(random) % 2 == 0
    task, target, where = _find_move(flat, state, n_critical, math.inf, 1, -1, -1, not swap)
    n_moved = 0
    makespan = -1.0
    while task >= 0:
        left = device_of[task]
        moved[n_moved], whence[n_moved], source[n_moved] = task, position[task], left
        n_moved += 1
        _move(flat, state, task, target, where)
        makespan = _heads(flat, state, state.head)
        if makespan < 0:
            break
        _tails(flat, state)
        if (makespan <= limit and _fits(flat, state)) or n_moved == len(moved) or (swap and n_moved == 2):
            break
        if swap:
            other = state.sequence[target * flat.n_tasks + _draw(random) % state.length[target]]
            target = left
        else:
            other = _neighbour(flat, task, random)
        if other < 0 or other == task or device_of[other] == target:
            break
        task, target, where = _find_move(flat, state, n_critical, math.inf, 1, other, target, True)
    if 0 <= makespan <= limit and _fits(flat, state):
        return makespan
    for index in range(n_moved - 1, -1, -1):
        _move(flat, state, moved[index], source[index], whence[index])
    if n_moved:
        _heads(flat, state, state.head)
        _tails(flat, state)
    return -1.0


@helper
def _fits(flat: Flat, state: Sequences) -> bool:
    """Whether no memory holds more static bytes than it has room for."""
    fits = True
    for memory in range(len(flat.capacity)):
        fits = fits and state.used[memory] <= flat.capacity[memory]
    return fits


@helper
def _neighbour(flat: Flat, task: int, random: Numbers) -> int:
    """A task that it reads from or that reads from it, -1 if there is none."""
    n_before = flat.read_ptr[task + 1] - flat.read_ptr[task]
    n_after = flat.next_ptr[task + 1] - flat.next_ptr[task]
    if n_before + n_after == 0:
        return -1
    chosen = _draw(random) % (n_before + n_after)
    if chosen < n_before:
        return flat.read_task[flat.read_ptr[task] + chosen]
    return flat.next_task[flat.next_ptr[task] + chosen - n_before]


@helper
def _draw(random: Numbers) -> int:
    """The next of Lehmer's random numbers, 1 to 2^31 - 2 (Park and Miller 1988, doi:10.1145/63039.63042)."""
    random[0] = random[0] * 48271 % 2147483647
    return random[0]


@helper
def _keep(flat: Flat, state: Sequences, makespan: float) -> None:
    state.best[0] = makespan
    for task in range(flat.n_tasks):
        state.best_device[task] = state.device[task]
        state.best_start[task] = state.head[task]


@helper
def _heads(flat: Flat, state: Sequences, head: Numbers) -> float:
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
def _tails(flat: Flat, state: Sequences) -> None:
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
def _move(flat: Flat, state: Sequences, task: int, target: int, where: int) -> None:
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
def _find_move(
    flat: Flat, state: Sequences, n_critical: int, limit: float, n_tries: int, only: int, target: int, strict: bool
) -> tuple[int, int, int]:
    """A critical task, a device, and where in its sequence, the task itself not counted; (-1, 0, 0) if none is found.

    Of the positions that close no cycle it is the one where the longest path through the task is shortest, and within
    ``limit``. Before a task that ends after all makers of its operands have ended, and behind one whose rest is longer
    than that of all its readers, no cycle can arise.
    """
    n_tasks, n_memories, n_columns, n_devices = flat.n_tasks, flat.n_memories, flat.n_columns, flat.n_devices
    read_ptr, read_task, read_bytes, read_way = flat.read_ptr, flat.read_task, flat.read_bytes, flat.read_way
    next_ptr, next_task, next_read = flat.next_ptr, flat.next_task, flat.next_read
    all_seconds, column_of, memory_of = flat.seconds, flat.column, flat.memory
    latency, per_byte, start_row, start = flat.latency, flat.seconds_per_byte, flat.start_row, flat.start
    finish_row, finish, static, capacity = flat.finish_row, flat.finish, flat.static_bytes, flat.capacity
    random, critical, device_of, seconds = state.random, state.critical, state.device, state.seconds
    head, tail, sequence, length, position = state.head, state.tail, state.sequence, state.length, state.position
    used = state.used
    best_task, best_device, best_where = -1, 0, 0
    for attempt in range(N_TRIES):
        if attempt >= n_tries and best_task >= 0:
            break
        task = critical[_draw(random) % n_critical] if only < 0 else only
        device = _draw(random) % n_devices if target < 0 else target
        duration = all_seconds[task * n_columns + column_of[device]]
        memory = memory_of[device]
        if duration == math.inf:
            continue
        moves = strict and len(capacity) and memory != memory_of[device_of[task]]
        if moves and used[memory] + static[task] > capacity[memory]:
            continue
        ready = start[start_row[task] * n_memories + memory]
        makers_end = -1.0
        for entry in range(read_ptr[task], read_ptr[task + 1]):
            maker = read_task[entry]
            at = head[maker] + seconds[maker]
            if at > makers_end:
                makers_end = at
            source = memory_of[device_of[maker]]
            if source != memory:
                way = read_way[entry] + source * n_memories + memory
                at += latency[way] + read_bytes[entry] * per_byte[way]
            if at > ready:
                ready = at
        if ready + duration > limit:
            continue
        rest = finish[finish_row[task] * n_memories + memory]
        readers_rest = -1.0
        for place in range(next_ptr[task], next_ptr[task + 1]):
            reader = next_task[place]
            remaining = tail[reader] + seconds[reader]
            if remaining > readers_rest:
                readers_rest = remaining
            other_memory = memory_of[device_of[reader]]
            if other_memory != memory:
                read = next_read[place]
                way = read_way[read] + memory * n_memories + other_memory
                remaining += latency[way] + read_bytes[read] * per_byte[way]
            if remaining > rest:
                rest = remaining
        if ready + duration + rest > limit:
            continue
        first, n_others, own = device * n_tasks, length[device], n_tasks
        if device_of[task] == device:
            own = position[task]
            n_others -= 1
        low, high = 0, n_others
        while low < high:
            middle = (low + high) // 2
            other = sequence[first + middle + (1 if middle >= own else 0)]
            if head[other] + seconds[other] > makers_end:
                high = middle
            else:
                low = middle + 1
        best, chosen = limit, -1
        for where in range(low, n_others + 1):
            before, after = ready, rest
            if where > 0:
                other = sequence[first + where - 1 + (1 if where - 1 >= own else 0)]
                if seconds[other] + tail[other] <= readers_rest:
                    break
                before = max(before, head[other] + seconds[other])
            if before + duration + rest > best:
                break
            if where < n_others:
                other = sequence[first + where + (1 if where >= own else 0)]
                after = max(after, seconds[other] + tail[other])
            if where != own and before + duration + after <= best:
                best, chosen = before + duration + after, where
        if chosen >= 0:
            best_task, best_device, best_where = task, device, chosen
            limit = best
    return best_task, best_device, best_where
