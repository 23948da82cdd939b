"""Forward-backward improvement: push all tasks as late as they may be, then as early, and again while that helps.

Li and Willis 1992, doi:10.1016/0377-2217(92)90366-6; here each pass is list scheduling of the graph, or of the graph
turned around, in the order that the pass before it ended with.
"""

from __future__ import annotations

import numpy as np

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.flat import Flat
from hetsched.schedule.loops.compiled import Numbers, Room


class ForwardBackward:
    """A problem in both directions; only where copies never wait."""

    def __init__(self, drafting: Drafting) -> None:
        self._forward = drafting
        turned = drafting.form._replace(flat=turned_around(drafting.flat, drafting.room))
        self._backward = Drafting(drafting.problem, turned)

    def improved(self, draft: Draft, n_rounds: int = 2) -> Draft:
        """The draft, or a shorter one on the same devices."""
        best, order_of = draft, self._forward.room.of
        topological = np.arange(self._forward.flat.n_tasks, dtype=np.int32)
        for _ in range(n_rounds):
            last_first = np.lexsort((-topological, -np.asarray(best.end)))
            latest = self._backward.place(order_of(topological[last_first]), wanted=best.device)
            first_first = np.lexsort((topological, -np.asarray(latest.end)))
            made = self._forward.place(order_of(topological[first_first]), best.name, wanted=best.device)
            if not made.makespan < best.makespan:
                break
            best = made
        return best


def turned_around(flat: Flat, room: Room) -> Flat:
    """The flat problem with time running backwards: readers become makers, ways lead back."""
    n_memories = flat.n_memories
    read = np.asarray(flat.next_read, dtype=np.int64)
    entry_of_read = np.empty(len(read), dtype=np.int32)
    entry_of_read[read] = np.arange(len(read))

    def back(table: Numbers) -> Numbers:
        return room.of(np.asarray(table, dtype=np.float64).reshape(-1, n_memories, n_memories).transpose(0, 2, 1))

    return flat._replace(
        read_ptr=flat.next_ptr,
        read_task=flat.next_task,
        read_bytes=room.of(np.asarray(flat.read_bytes, dtype=np.float64)[read]),
        read_way=room.of(np.asarray(flat.read_way, dtype=np.int32)[read]),
        next_ptr=flat.read_ptr,
        next_task=flat.read_task,
        next_read=room.of(entry_of_read),
        latency=back(flat.latency),
        seconds_per_byte=back(flat.seconds_per_byte),
        start_row=flat.finish_row,
        start=flat.finish,
        finish_row=flat.start_row,
        finish=flat.start,
    )
