"""Ranks: how far each task is from the end of the graph, or from its beginning."""

from __future__ import annotations

import heapq
import math

from hetsched.schedule.flat import Flat
from hetsched.schedule.loops.compiled import Numbers


def upward(flat: Flat, computing: Numbers, moving: Numbers, finishing: Numbers, rank: Numbers) -> None:
    """Fill ``rank`` with the time from each task's start to the end of all that follows.

    Args:
        flat: the problem.
        computing: seconds of each task.
        moving: seconds of each entry of ``read_*``.
        finishing: seconds from each task's end until what is requested of it is in its place.
        rank: by task.
    """
    for task in range(flat.n_tasks - 1, -1, -1):
        after = finishing[task]
        for position in range(flat.next_ptr[task], flat.next_ptr[task + 1]):
            following = moving[flat.next_read[position]] + rank[flat.next_task[position]]
            if following > after:
                after = following
        rank[task] = computing[task] + after


def downward(flat: Flat, computing: Numbers, moving: Numbers, rank: Numbers) -> None:
    """Fill ``rank`` with the time from the beginning to each task's start; arguments as in `upward`."""
    for task in range(flat.n_tasks):
        before = 0.0
        for entry in range(flat.read_ptr[task], flat.read_ptr[task + 1]):
            maker = flat.read_task[entry]
            preceding = rank[maker] + computing[maker] + moving[entry]
            if preceding > before:
                before = preceding
        rank[task] = before


def optimistic(flat: Flat, table: Numbers) -> None:
    """Fill ``table`` with the optimistic cost of PEFT: the time from a task's end in each place to the end of all.

    Every task that follows is taken to run where that path of its own is shortest; (task, place) pairs that may not be
    are infinite. Shape (n_tasks, n_places).
    """
    n_places = flat.n_places
    for task in range(flat.n_tasks - 1, -1, -1):
        for place in range(n_places):
            source = flat.place_memory[place]
            after = flat.finish[flat.finish_row[task] * flat.n_memories + source]
            for position in range(flat.next_ptr[task], flat.next_ptr[task + 1]):
                following = flat.next_task[position]
                entry = flat.next_read[position]
                least = math.inf
                for other in range(n_places):
                    seconds = flat.seconds[following * flat.n_columns + flat.place_column[other]]
                    seconds += table[following * n_places + other]
                    target = flat.place_memory[other]
                    if target != source and seconds < least:
                        way = flat.read_way[entry] + source * flat.n_memories + target
                        seconds += flat.latency[way] + flat.read_bytes[entry] * flat.seconds_per_byte[way]
                    if seconds < least:
                        least = seconds
                if least > after:
                    after = least
            table[task * n_places + place] = after


def ready_order(flat: Flat, rank: Numbers, missing: Numbers, order: Numbers) -> None:
    """Fill ``order`` with the tasks, of those that are ready always the one of the highest rank.

    ``missing`` is room for the number of operands that each task waits for.
    """
    heap = [(0.0, 0)]
    heap.pop()
    for task in range(flat.n_tasks):
        missing[task] = flat.read_ptr[task + 1] - flat.read_ptr[task]
        if missing[task] == 0:
            heapq.heappush(heap, (-rank[task], task))
    n_ordered = 0
    while len(heap) > 0:
        task = heapq.heappop(heap)[1]
        order[n_ordered] = task
        n_ordered += 1
        for position in range(flat.next_ptr[task], flat.next_ptr[task + 1]):
            following = 0 + flat.next_task[position]  # compiled, this makes it as wide as the other tasks in the heap
            missing[following] -= 1
            if missing[following] == 0:
                heapq.heappush(heap, (-rank[following], following))
