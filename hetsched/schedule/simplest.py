"""The simplest of the schedules that the predictions cannot tell from the best."""

from __future__ import annotations

import math

import numpy as np

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.single_device import ONE_DEVICE

TIE = 1e-11
"""Relative; makespans that differ by less are equal."""

MOST_GIVEN_UP = 0.05
"""Relative; errors of tasks that both schedules run cancel out, so that a larger predicted gain is believed."""


def simplest(drafting: Drafting, drafts: list[Draft]) -> tuple[Draft, list[str]]:
    """The draft with the fewest devices, then copies, whose lead is within the error of the best; and why.

    Never one that is longer than the best of those on a single device. The error of a makespan is that of its longest
    chain of tasks, their deviations taken as independent. Without deviations this is the best draft, or the simplest
    of equally good ones.
    """
    best = min(drafts, key=lambda draft: draft.makespan)
    error = min(makespan_deviation(drafting, best), MOST_GIVEN_UP * best.makespan)
    alone = min((draft.makespan for draft in drafts if draft.name == ONE_DEVICE), default=math.inf)
    limit = min(best.makespan * (1 + TIE) + error, alone)
    near = [draft for draft in drafts if draft.makespan <= limit]
    chosen = min(near, key=lambda draft: (*simplicity(drafting, draft), draft.makespan))
    if chosen.makespan <= best.makespan * (1 + TIE):
        return chosen, []
    gain = 1 - best.makespan / chosen.makespan
    return chosen, [
        f"{best.name} on {simplicity(drafting, best)[0]} devices would gain {gain:.1%} by prediction, which is within "
        f"its error of {error / best.makespan:.1%}; {chosen.name} on {simplicity(drafting, chosen)[0]} is simpler"
    ]


def simplicity(drafting: Drafting, draft: Draft) -> tuple[int, int]:
    """Number of devices, and of values that are read in another memory than they are made in."""
    flat = drafting.flat
    device = np.asarray(draft.device, dtype=np.int64)
    memory = np.asarray(flat.memory, dtype=np.int64)[device]
    reader = np.repeat(np.arange(flat.n_tasks), np.diff(np.asarray(flat.read_ptr)))
    maker = np.asarray(flat.read_task, dtype=np.int64)
    away = memory[reader] != memory[maker]
    return len(np.unique(device)), len(np.unique(maker[away] * flat.n_memories + memory[reader[away]]))


def makespan_deviation(drafting: Drafting, draft: Draft) -> float:
    """Standard deviation of a draft's makespan: of the tasks on the chain that ends last."""
    problem = drafting.problem
    if not problem.deviation.any() or not drafting.flat.n_tasks:
        return 0.0
    device = np.array(drafting.form.devices)[np.asarray(draft.device, dtype=np.int64)]
    deviation = problem.deviation[np.arange(problem.n_tasks), problem.device_class[device]]
    return math.sqrt(sum(float(deviation[task]) ** 2 for task in _last_chain(drafting, draft)))


def _last_chain(drafting: Drafting, draft: Draft) -> list[int]:
    """Tasks, last first, each of which waits for the next: its maker or the one before it on its device."""
    flat = drafting.flat
    end = np.asarray(draft.end)
    before: dict[int, int] = {}
    last: dict[int, int] = {}
    for task in map(int, drafting.by_start(draft)):
        device = int(draft.device[task])
        if device in last:
            before[task] = last[device]
        last[device] = task
    chain = [int(end.argmax())]
    while True:
        task = chain[-1]
        waits = [int(flat.read_task[entry]) for entry in range(flat.read_ptr[task], flat.read_ptr[task + 1])]
        if task in before:
            waits.append(before[task])
        if not waits or draft.start[task] <= 0:
            return chain
        chain.append(max(waits, key=lambda other: (end[other], other)))
