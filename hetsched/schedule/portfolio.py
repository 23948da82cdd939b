"""A portfolio: what several algorithms make of a problem, and a short search from the best of that.

The amount of work is counted in passes and steps, not measured in seconds, so that equal problems get equal schedules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from hetsched.schedule.anneal import Annealing, can_anneal
from hetsched.schedule.cpop import cpop_draft
from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.fill import fill_draft, packed_draft
from hetsched.schedule.finished import no_schedule
from hetsched.schedule.forward_backward import ForwardBackward
from hetsched.schedule.heft import heft_draft
from hetsched.schedule.loops.compiled import room_for
from hetsched.schedule.optimistic import optimistic_draft
from hetsched.schedule.peft import affordable, peft_draft
from hetsched.schedule.priced_affinity import TOLERANCES, affinity_draft, priced
from hetsched.schedule.ranks import optimistic_costs, upward_ranks
from hetsched.schedule.simplest import TIE
from hetsched.schedule.single_device import device_draft, distinct_devices

LARGE = 10_000
"""Problems of more tasks get the fewest passes, and are not annealed."""

N_STARTS = 3
"""Annealing starts from so many different schedules, and goes on from the best of them."""

SHARE_OF_STARTS = 0.4
"""Of all annealing steps."""

HOT, WARM, COLD = 2e-2, 5e-3, 5e-4
"""Temperatures over the makespan: at the start, when the best start is chosen, and at the end."""

COOL = 1e-3
"""The highest temperature where memories are short of static bytes: what fills them one by one is easily upset."""

N_TRIES = 12
"""Moves that are compared for one annealing step."""


def portfolio(drafting: Drafting) -> list[Draft]:
    """Drafts of all members, the simplest first, then what search made of the best of them.

    Raises:
        ScheduleError: no member finds a schedule.
    """
    drafts = [draft for draft in members(drafting) if draft.makespan < math.inf]
    if not drafts:
        raise no_schedule(drafting, "auto")
    best = distinct(drafts)
    if best[0].makespan > drafting.problem.lower_bound_seconds * (1 + TIE):
        drafts += _searched(drafting, best[:N_STARTS])
    return drafts


def members(drafting: Drafting) -> Iterator[Draft]:
    """What each algorithm makes of the problem; fewer of them where it is large."""
    n_tasks = drafting.flat.n_tasks
    for device in distinct_devices(drafting):
        yield device_draft(drafting, device)
    ranks = upward_ranks(drafting)
    order = drafting.by_rank(ranks)
    yield drafting.place(order, "heft")
    yield heft_draft(drafting, "least")
    if len(drafting.flat.capacity):
        yield fill_draft(drafting, order)
        yield fill_draft(drafting, drafting.room.of(np.arange(n_tasks, dtype=np.int32)))
        yield packed_draft(drafting, order)
    yield cpop_draft(drafting)
    costs = None
    if affordable(drafting) and n_tasks <= LARGE:
        costs = optimistic_costs(drafting)
        yield peft_draft(drafting, costs)
        yield drafting.place(order, "optimistic", ahead=costs)
        yield optimistic_draft(drafting, costs, "least")
        yield heft_draft(drafting, "harmonic")
    if drafting.flat.n_columns > 1:
        prices = priced(drafting)
        for tolerance in TOLERANCES if n_tasks <= LARGE else TOLERANCES[:2]:
            yield affinity_draft(drafting, order, prices, tolerance)
            if costs is not None and drafting.room.compiled:
                yield affinity_draft(drafting, order, prices, tolerance, costs)


def distinct(drafts: list[Draft]) -> list[Draft]:
    """The drafts by makespan, one of each."""
    found: dict[float, Draft] = {}
    for draft in sorted(drafts, key=lambda draft: draft.makespan):
        found.setdefault(draft.makespan, draft)
    return list(found.values())


def _searched(drafting: Drafting, starts: list[Draft]) -> Iterator[Draft]:
    """What forward-backward improvement and annealing make of some drafts.

    Where copies wait for links, or tasks for an interpreter, both search as if they did not.
    """
    free = drafting.relaxed()
    if free is not drafting:
        starts = [free.place(drafting.by_start(draft), draft.name, wanted=draft.device) for draft in starts]
    both_ways = ForwardBackward(free)
    found = distinct([both_ways.improved(draft) for draft in starts])
    if can_anneal(free) and drafting.flat.n_tasks <= LARGE:
        found += _annealed(free, found, n_steps(drafting))
    for draft in found:
        yield (
            drafting.place(drafting.by_start(draft), draft.name, wanted=draft.device) if free is not drafting else draft
        )


def _annealed(drafting: Drafting, starts: list[Draft], n_all: int) -> list[Draft]:
    share = max(1, int(n_all * SHARE_OF_STARTS / len(starts)))
    scale = COOL / HOT if len(drafting.flat.capacity) else 1.0
    hot, warm, cold = (scale * temperature for temperature in (HOT, WARM, COLD))
    ended = []
    for draft in starts:
        annealing = Annealing(drafting, draft)
        annealing.run(share, hot * draft.makespan, warm * draft.makespan, N_TRIES)
        ended.append(annealing.best(draft.name + "+annealing"))
    best = min(ended, key=lambda draft: draft.makespan)
    annealing = Annealing(drafting, best)
    annealing.run(max(1, n_all - share * len(starts)), warm * best.makespan, cold * best.makespan, N_TRIES)
    return [*ended, annealing.best(best.name)]


def n_steps(drafting: Drafting) -> int:
    """Annealing steps that take about 12 ms, and 9 ms more for every thousand tasks; uncompiled ones 40 ms in all."""
    n_tasks = drafting.flat.n_tasks
    if not room_for(n_tasks).compiled:
        return min(300, 12_000 // n_tasks, 120_000 // (n_tasks + len(drafting.flat.read_task)))
    return min(3000, int((12e-3 + 9e-6 * n_tasks) / (35e-9 * n_tasks * (1 + n_tasks / LARGE))))
