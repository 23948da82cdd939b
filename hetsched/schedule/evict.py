"""Eviction: which value leaves a full memory, and where to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hetsched.schedule.memory import Storage
    from hetsched.schedule.timeline import Timeline


def evict_one(timeline: Timeline, memory: int, last: set[int], gone: set[tuple[int, int]]) -> bool:
    """Free one piece of a full memory: first what is held elsewhere too, then what is read last, which is copied out.

    Args:
        timeline: what is placed so far.
        memory: the full one.
        last: values to evict only when nothing else can be; they come back without what they are views of.
        gone: (value, memory) pairs that were evicted for the same purpose; they are not evicted again, and added to.

    Returns:
        Whether anything could be evicted.
    """
    holds = timeline.holds
    pieces = dict.fromkeys(piece for (_, where), piece in sorted(holds.storage.items(), key=_by_key) if where == memory)
    movable = [
        piece
        for piece in pieces
        if piece.n_bytes and not any(holds.stays(v, memory) or (v, memory) in gone for v in piece.values)
    ]
    movable.sort(
        key=lambda p: (not last.isdisjoint(p.values), _must_be_copied(timeline, p), -_next_reader(timeline, p))
    )
    for piece in movable:
        mark, values = timeline.journal.mark(), tuple(piece.values)
        if all(_evict(timeline, value, memory) for value in values):
            gone.update((value, memory) for value in values)
            return True
        timeline.journal.undo_to(mark)
    return False


def _by_key(item: tuple[tuple[int, int], Storage]) -> tuple[int, int]:
    return item[0]


def _must_be_copied(timeline: Timeline, piece: Storage) -> bool:
    return any(len(timeline.copies.arrival[value]) == 1 for value in piece.values)


def _next_reader(timeline: Timeline, piece: Storage) -> int:
    """Position in topological order of the first task that has yet to read from the piece."""
    never = timeline.problem.n_tasks
    return min(min(timeline.unread[value], default=never) for value in piece.values)


def _evict(timeline: Timeline, value: int, memory: int) -> bool:
    if len(timeline.copies.arrival[value]) == 1 and not _copy_out(timeline, value, memory):
        return False
    timeline.copies.evict(value, memory)
    return True


def _copy_out(timeline: Timeline, value: int, memory: int) -> bool:
    """Copy a value to where it is required, else to where there is most room, else to any other memory."""
    capacity = timeline.problem.capacity
    others = [m for m in range(timeline.problem.n_memories) if m != memory]
    others.sort(key=lambda m: (m not in timeline.required[value], m in timeline.holds.levels, -capacity[m], m))
    return any(timeline.copies.bring(value, other) < math.inf for other in others)
