"""Simulated annealing over sequences of tasks by device, for problems whose copies never wait.

A move takes a task that is on a longest path, or nearly, and inserts it elsewhere: on any device, at the best of the
positions that close no cycle (the neighbourhood of Mastrolilli and Gambardella 2000,
doi:10.1002/(SICI)1099-1425(200001/02)3:1<3::AID-JOS32>3.0.CO;2-Y, with transfers). What a path through the task would
become is known without touching anything else; only moves that pass that test are carried out, measured and, if they
turn out too bad, taken back.
"""

from __future__ import annotations

import math

from hetsched.schedule.flat import Flat
from hetsched.schedule.loops.compiled import Numbers, helper
from hetsched.schedule.loops.lehmer import draw
from hetsched.schedule.loops.sequences import Sequences, fits, heads, keep, move, tails

N_TRIES = 64
"""So many moves are looked at before a step is given up."""

EVERY = 8
"""One step in so many moves several tasks together."""

CLOSE = 1e-12
"""Relative; path lengths that differ by less are equal."""


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
        limit = makespan - temperature * math.log(draw(random) / 2147483647.0)
        if draw(random) % EVERY == 0:
            found = _move_together(flat, state, n_critical, limit)
            if found >= 0:
                makespan = found
                n_critical = 0
                if makespan < state.best[0] * (1 - CLOSE):
                    keep(flat, state, makespan)
            continue
        moved, target, where = _find_move(flat, state, n_critical, limit, n_tries, -1, -1, True)
        if moved < 0:
            continue
        source, whence = device_of[moved], position[moved]
        move(flat, state, moved, target, where)
        found = heads(flat, state, state.new_head)
        if found < 0 or found > limit:
            move(flat, state, moved, source, whence)
            continue
        makespan = found
        n_critical = 0
        for task in range(n_tasks):
            head[task] = state.new_head[task]
        tails(flat, state)
        if makespan < state.best[0] * (1 - CLOSE):
            keep(flat, state, makespan)
    return makespan


@helper
def _move_together(flat: Flat, state: Sequences, n_critical: int, limit: float) -> float:
    """Move a critical task, and with it others; returns the makespan, -1 if that was too long and is undone.

    Either neighbours in the graph follow to the same device, as a task alone only adds copies where they are dear. Or
    a task of that device takes its place, as long tasks, or many bytes, find no room where there is none.
    """
    random, position, device_of = state.random, state.position, state.device
    moved, whence, source = state.moved, state.whence, state.source
    swap = draw(random) % 2 == 0
    task, target, where = _find_move(flat, state, n_critical, math.inf, 1, -1, -1, not swap)
    n_moved = 0
    makespan = -1.0
    while task >= 0:
        left = device_of[task]
        moved[n_moved], whence[n_moved], source[n_moved] = task, position[task], left
        n_moved += 1
        move(flat, state, task, target, where)
        makespan = heads(flat, state, state.head)
        if makespan < 0:
            break
        tails(flat, state)
        if (makespan <= limit and fits(flat, state)) or n_moved == len(moved) or (swap and n_moved == 2):
            break
        if swap:
            other = state.sequence[target * flat.n_tasks + draw(random) % state.length[target]]
            target = left
        else:
            other = _neighbour(flat, task, random)
        if other < 0 or other == task or device_of[other] == target:
            break
        task, target, where = _find_move(flat, state, n_critical, math.inf, 1, other, target, True)
    if 0 <= makespan <= limit and fits(flat, state):
        return makespan
    for index in range(n_moved - 1, -1, -1):
        move(flat, state, moved[index], source[index], whence[index])
    if n_moved:
        heads(flat, state, state.head)
        tails(flat, state)
    return -1.0


@helper
def _neighbour(flat: Flat, task: int, random: Numbers) -> int:
    """A task that it reads from or that reads from it, -1 if there is none."""
    n_before = flat.read_ptr[task + 1] - flat.read_ptr[task]
    n_after = flat.next_ptr[task + 1] - flat.next_ptr[task]
    if n_before + n_after == 0:
        return -1
    chosen = draw(random) % (n_before + n_after)
    if chosen < n_before:
        return flat.read_task[flat.read_ptr[task] + chosen]
    return flat.next_task[flat.next_ptr[task] + chosen - n_before]


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
        task = critical[draw(random) % n_critical] if only < 0 else only
        device = draw(random) % n_devices if target < 0 else target
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
