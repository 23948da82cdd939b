"""Min-min and max-min: of the ready tasks, the one that could end first, or last, goes where it ends first.

Sources: Ibarra and Kim 1977, doi:10.1145/322003.322011; Braun et al. 2001, doi:10.1006/jpdc.2000.1714. A task is ready
here when all that it reads from has been given out.

Every ready task's best end is kept, and computed anew only when the place it is in got a task: ends elsewhere can only
become later meanwhile. Finding the extreme is then one pass over numbers side by side, so that ten thousand ready tasks
take a fraction of a second; a heap would not help, as one task given out can make all the others' ends stale, and
max-min needs the true ones. Of more ready tasks than `MAX_READY`, those that became ready first are compared.
"""

from __future__ import annotations

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished
from hetsched.schedule.loops.ready import extreme_ends
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule

MAX_READY = 10_000
"""So many ready tasks are compared at most."""


def min_min(problem: Problem) -> Schedule:
    """The task that can end first, first: short tasks fill the gaps early, long ones may come too late."""
    drafting = Drafting(problem)
    return finished(drafting, min_min_draft(drafting))


def max_min(problem: Problem) -> Schedule:
    """The task that ends last, first: long tasks start early, short ones fill what remains."""
    drafting = Drafting(problem)
    return finished(drafting, max_min_draft(drafting))


def min_min_draft(drafting: Drafting) -> Draft:
    """The draft of min-min."""
    return _draft(drafting, "min_min", largest=False)


def max_min_draft(drafting: Drafting) -> Draft:
    """The draft of max-min."""
    return _draft(drafting, "max_min", largest=True)


def _draft(drafting: Drafting, name: str, largest: bool) -> Draft:
    """The order is made as if copies never waited; placing it finds again where each task ends first, gaps included."""
    free = drafting.relaxed()
    room, flat = free.room, free.flat
    n_tasks, n_ready = flat.n_tasks, min(flat.n_tasks, MAX_READY)
    order = room.ints(n_tasks)
    room.call(
        extreme_ends,
        flat,
        largest,
        order,
        room.ints(n_tasks),
        room.floats(n_tasks),
        room.floats(n_tasks * flat.n_memories),
        room.ints(n_tasks),
        room.ints(n_tasks),
        room.ints(n_ready),
        room.floats(n_ready),
        room.ints(n_ready),
        room.floats(flat.n_devices),
        room.ints(flat.n_places),
    )
    return drafting.place(order, name)
