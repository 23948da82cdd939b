"""Lists of ready tasks that change as tasks are given out: min-min, max-min and HeteroPrio.

Both loops decide as if copies never waited, no task came before one that was given out earlier, and memories had room;
`place` then makes a schedule of their order.
"""

from __future__ import annotations

import heapq
import math

from hetsched.schedule.flat import Flat
from hetsched.schedule.loops.compiled import Numbers, helper


def extreme_ends(
    flat: Flat,
    largest: bool,
    order: Numbers,
    device_of: Numbers,
    ends: Numbers,
    arrival: Numbers,
    missing: Numbers,
    queue: Numbers,
    pool: Numbers,
    pool_end: Numbers,
    pool_spot: Numbers,
    free: Numbers,
    soonest: Numbers,
) -> None:
    """Give out, of the ready tasks, always the one that would end first, or last, where it would end first.

    The best end of each task in the pool is kept until the place it is in gets a task: ends elsewhere only get later.

    Args:
        flat: the problem.
        largest: give out the task that ends last.
        order: tasks as they are given out, to be filled.
        device_of: room for the device of each task, -1 where it cannot be brought to any.
        ends: room for when it ends.
        arrival: room for when what each ready task reads is in each memory, shape (n_tasks, n_memories).
        missing: room for the number of operands that each task waits for.
        queue: room for tasks as they become ready.
        pool: room for the ready tasks that are compared; when it is full, others wait.
        pool_end: room for when each of them ends at the earliest, its requested outputs brought home; or less that.
        pool_spot: room for the place of that.
        free: room for when each device is free.
        soonest: room for the device of each place that is free first.
    """
    n_tasks, n_memories, n_places = flat.n_tasks, flat.n_memories, flat.n_places
    next_ptr, next_task, place_ptr, place_device = flat.next_ptr, flat.next_task, flat.place_ptr, flat.place_device
    place_memory, place_column, all_seconds = flat.place_memory, flat.place_column, flat.seconds
    finish_row, finish, n_columns = flat.finish_row, flat.finish, flat.n_columns
    for spot in range(n_places):
        soonest[spot] = place_device[place_ptr[spot]]
    first, last = 0, 0
    for task in range(n_tasks):
        missing[task] = flat.read_ptr[task + 1] - flat.read_ptr[task]
        if missing[task] == 0:
            queue[last] = task
            last += 1
    n_pool, full, renewed = 0, len(pool), -2
    sign = -1.0 if largest else 1.0
    for position in range(n_tasks):
        n_old = n_pool
        while n_pool < full and first < last:
            pool[n_pool] = queue[first]
            _arrivals(flat, queue[first], device_of, ends, arrival)
            n_pool += 1
            first += 1
        for index in range(n_pool):
            if index < n_old and pool_spot[index] != renewed:
                continue
            task = pool[index]
            end, best = math.inf, -1
            for spot in range(n_places):
                memory = place_memory[spot]
                at = max(arrival[task * n_memories + memory], free[soonest[spot]])
                at += all_seconds[task * n_columns + place_column[spot]]
                at += finish[finish_row[task] * n_memories + memory]
                if at < end or (at == end and best >= 0 and soonest[spot] < soonest[best]):
                    end, best = at, spot
            pool_end[index], pool_spot[index] = sign * end, best
        chosen, least = 0, pool_end[0]
        for index in range(1, n_pool):
            if pool_end[index] < least or (pool_end[index] == least and pool[index] < pool[chosen]):
                chosen, least = index, pool_end[index]
        task, spot = pool[chosen], pool_spot[chosen]
        n_pool -= 1
        pool[chosen], pool_end[chosen], pool_spot[chosen] = pool[n_pool], pool_end[n_pool], pool_spot[n_pool]
        order[position] = task
        device_of[task], ends[task], renewed = -1, math.inf, -2
        if spot >= 0:
            device = soonest[spot]
            start = max(arrival[task * n_memories + place_memory[spot]], free[device])
            ends[task] = start + all_seconds[task * n_columns + place_column[spot]]
            device_of[task] = device
            before = free[device]
            free[device] = ends[task]
            for member in range(place_ptr[spot], place_ptr[spot + 1]):
                if free[place_device[member]] < free[device]:
                    device = place_device[member]
            soonest[spot] = device
            renewed = spot if free[device] != before else -2
        for entry in range(next_ptr[task], next_ptr[task + 1]):
            following = next_task[entry]
            missing[following] -= 1
            if missing[following] == 0:
                queue[last] = following
                last += 1


def by_affinity(
    flat: Flat,
    rank: Numbers,
    turn: Numbers,
    liking: Numbers,
    liked: Numbers,
    device_of: Numbers,
    starts: Numbers,
    ends: Numbers,
    arrival: Numbers,
    missing: Numbers,
    running: Numbers,
) -> None:
    """HeteroPrio: idle devices take ready tasks, each the one that its column likes best, or else run one anew.

    Tasks that are never given out, as what they read cannot be brought to any device, start nowhere and never.

    Args:
        flat: the problem.
        rank: by task; of those that could be run anew to end earlier, the one of the highest rank is.
        turn: devices in the order in which they are asked when several are idle.
        liking: how many tasks each column likes better than a task, shape (n_columns, n_tasks).
        liked: tasks from the one that a column likes best, same shape.
        device_of: of each task, to be filled; -1 at first.
        starts: of each task, to be filled; inf at first.
        ends: of each task, likewise.
        arrival: room for when what each ready task reads is in each memory, shape (n_tasks, n_memories).
        missing: room for the number of operands that each task waits for.
        running: room for the task on each device; -1 at first.
    """
    n_tasks, n_memories, n_places, n_columns = flat.n_tasks, flat.n_memories, flat.n_places, flat.n_columns
    next_ptr, next_task, all_seconds = flat.next_ptr, flat.next_task, flat.seconds
    place_of, place_memory, place_column = flat.place, flat.place_memory, flat.place_column
    queues = [[0] for _ in range(n_places)]
    for queue in queues:
        queue.pop()
    events = [(0.0, 0, 0)]
    events.pop()
    now = 0.0
    for task in range(n_tasks):
        missing[task] = flat.read_ptr[task + 1] - flat.read_ptr[task]
        if missing[task] == 0:
            _arrivals(flat, task, device_of, ends, arrival)
            for spot in range(n_places):
                column = place_column[spot]
                if all_seconds[task * n_columns + column] + arrival[task * n_memories + place_memory[spot]] < math.inf:
                    heapq.heappush(queues[spot], 0 + liking[column * n_tasks + task])
    while True:
        restless = True
        while restless:
            restless = False
            hopeless = -1  # place where nothing was found for another device
            for device in turn:
                spot = place_of[device]
                if running[device] >= 0 or spot == hopeless:
                    continue
                column, memory, queue = place_column[spot], place_memory[spot], queues[spot]
                while len(queue) > 0 and device_of[liked[column * n_tasks + queue[0]]] >= 0:
                    heapq.heappop(queue)
                task = -1
                if len(queue) > 0:
                    task = 0 + liked[column * n_tasks + heapq.heappop(queue)]
                else:
                    highest = -math.inf
                    for other in turn:
                        running_there = running[other]
                        if running_there >= 0 and rank[running_there] > highest:
                            at = max(now, arrival[running_there * n_memories + memory])
                            at += all_seconds[running_there * n_columns + column]
                            if at < ends[running_there]:
                                task, highest = 0 + running_there, rank[running_there]
                if task < 0:
                    hopeless = spot
                    continue
                if device_of[task] >= 0:
                    running[device_of[task]] = -1
                    restless = True
                device_of[task] = device
                running[device] = task
                starts[task] = max(now, arrival[task * n_memories + memory])
                ends[task] = starts[task] + all_seconds[task * n_columns + column]
                heapq.heappush(events, (ends[task], task, 0 + device))
        if len(events) == 0:
            return
        now = events[0][0]
        while len(events) > 0 and events[0][0] == now:
            end, task, device = heapq.heappop(events)
            if running[device] != task or ends[task] != end:
                continue  # it was run anew elsewhere
            running[device] = -1
            for entry in range(next_ptr[task], next_ptr[task + 1]):
                following = next_task[entry]
                missing[following] -= 1
                if missing[following] > 0:
                    continue
                _arrivals(flat, following, device_of, ends, arrival)
                for spot in range(n_places):
                    column = place_column[spot]
                    at = arrival[following * n_memories + place_memory[spot]]
                    if all_seconds[following * n_columns + column] + at < math.inf:
                        heapq.heappush(queues[spot], 0 + liking[column * n_tasks + following])


@helper
def _arrivals(flat: Flat, task: int, device_of: Numbers, ends: Numbers, arrival: Numbers) -> None:
    """When what a task reads is in each memory, if every copy starts at once."""
    n_memories, read_bytes = flat.n_memories, flat.read_bytes
    latency, per_byte = flat.latency, flat.seconds_per_byte
    for memory in range(n_memories):
        arrival[task * n_memories + memory] = flat.start[flat.start_row[task] * n_memories + memory]
    for entry in range(flat.read_ptr[task], flat.read_ptr[task + 1]):
        maker = flat.read_task[entry]
        device = device_of[maker]
        source = flat.memory[device] if device >= 0 else -1
        for memory in range(n_memories):
            at = ends[maker] if device >= 0 else math.inf
            if memory != source and device >= 0:
                way = flat.read_way[entry] + source * n_memories + memory
                at += latency[way] + read_bytes[entry] * per_byte[way]
            if at > arrival[task * n_memories + memory]:
                arrival[task * n_memories + memory] = at
