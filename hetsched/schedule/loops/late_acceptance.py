"""Late acceptance over an order of the tasks and a device for each, for everything that `place` takes care of."""

from __future__ import annotations

from hetsched.schedule.flat import Flat, FlatLinks
from hetsched.schedule.loops.compiled import Numbers, helper
from hetsched.schedule.loops.lehmer import draw
from hetsched.schedule.loops.place import place
from hetsched.schedule.loops.room import Aim, Chosen, Gaps, Order, Stays
from hetsched.schedule.loops.score import score


def late_acceptance(
    flat: Flat,
    links: FlatLinks,
    n_steps: int,
    state: Order,
    aim: Aim,
    nothing: tuple[Numbers, Numbers],
    gaps: Gaps,
    stays: Stays,
    chosen: Chosen,
) -> None:
    """Take some steps: move a task in the order or to another device, and keep that unless it is worse than before.

    "Before" is the score some steps ago (Burke and Bykov 2017, doi:10.1016/j.ejor.2016.07.012).

    Args:
        flat: the problem.
        links: of the problem.
        n_steps: schedules to be made.
        state: as its maker or an earlier call left it; ``order`` extends the graph.
        aim: what makes a score.
        nothing: no ban and nothing ahead, as `place` takes them.
        gaps: room for `place`.
        stays: likewise.
        chosen: likewise.
    """
    n_tasks, n_devices = flat.n_tasks, flat.n_devices
    random, order, index, wanted, history = state.random, state.order, state.index, state.wanted, state.history
    best, best_order, best_device = state.best, state.best_order, state.best_device
    for _ in range(n_steps):
        task = draw(random) % n_tasks
        device, place_before = wanted[task], index[task]
        moves = draw(random) % 2 == 0
        if moves:
            other = draw(random) % n_devices
            if other == device or not flat.seconds[task * flat.n_columns + flat.column[other]] < 1e300:
                continue
            wanted[task] = other
        else:
            first, last = _window(flat, index, task)
            if first == last:
                continue
            _shift(order, index, task, first + draw(random) % (last - first + 1))
        makespan = place(flat, links, order, wanted, nothing[0], nothing[1], gaps, stays, chosen)
        found = score(flat, links, makespan, aim, stays, chosen)
        spot = int(best[2]) % len(history)
        best[2] += 1
        if found <= best[1] or found <= history[spot]:
            best[1] = found
            if found < best[0]:
                best[0] = found
                for position in range(n_tasks):
                    best_order[position] = order[position]
                    best_device[position] = chosen.device[position]
        elif moves:
            wanted[task] = device
        else:
            _shift(order, index, task, place_before)
        if best[1] < history[spot]:
            history[spot] = best[1]


@helper
def _window(flat: Flat, index: Numbers, task: int) -> tuple[int, int]:
    """The first and last position that a task can have in the order, all others staying."""
    first, last = 0, flat.n_tasks - 1
    for entry in range(flat.read_ptr[task], flat.read_ptr[task + 1]):
        first = max(first, index[flat.read_task[entry]] + 1)
    for entry in range(flat.next_ptr[task], flat.next_ptr[task + 1]):
        last = min(last, index[flat.next_task[entry]] - 1)
    return first, last


@helper
def _shift(order: Numbers, index: Numbers, task: int, target: int) -> None:
    """Move a task to a position of the order."""
    position = index[task]
    step = 1 if target > position else -1
    while position != target:
        other = order[position + step]
        order[position] = other
        index[other] = position
        position += step
    order[target] = task
    index[task] = target
