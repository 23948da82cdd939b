"""Everything on one device: what a schedule for several devices has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.finished import finished, values_are_tight
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.timeline import Timeline

ONE_DEVICE = "single_device"
"""The name of these schedules."""

MAX_PLACES = 16
"""Of more places than that, only the first of each kind of device is tried."""


def best_device(problem: Problem) -> Schedule:
    """Everything on the one device that ends first.

    A task that cannot run there, or finds no room, goes where it ends first, and is noted.
    """
    drafting = Drafting(problem)
    devices = distinct_devices(drafting)
    if values_are_tight(problem):
        schedules = [everything_on(problem, drafting.form.devices[device]) for device in devices]
        return min(schedules, key=lambda schedule: (schedule.makespan_seconds, len(schedule.notes)))
    drafts = [(device_draft(drafting, device), device) for device in devices]
    draft, device = min(drafts, key=lambda pair: (pair[0].makespan, len(_elsewhere(*pair))))
    return finished(drafting, draft, _notes(problem, drafting.form.devices[device], _elsewhere(draft, device)))


def device_draft(drafting: Drafting, device: int) -> Draft:
    """All tasks on one device of the flat form, in topological order."""
    n_tasks = drafting.flat.n_tasks
    order = drafting.room.of(np.arange(n_tasks, dtype=np.int32))
    return drafting.place(order, ONE_DEVICE, wanted=drafting.room.ints(n_tasks, device))


def everything_on(problem: Problem, device: int) -> Schedule:
    """The same where values can overflow memories."""
    timeline = Timeline(problem)
    elsewhere = []
    for task in range(problem.n_tasks):
        chosen = timeline.best(task, prefer=(device,))
        timeline.place(task, chosen)
        if chosen != device:
            elsewhere.append(task)
    return timeline.finish(ONE_DEVICE, _notes(problem, device, elsewhere))


def distinct_devices(drafting: Drafting) -> list[int]:
    """One device of each place, by name: the others there are the same to every task."""
    flat = drafting.flat
    first: dict[int, int] = {}
    for device in range(flat.n_devices):
        first.setdefault(flat.place[device] if flat.n_places <= MAX_PLACES else flat.column[device], device)
    return list(first.values())


def _elsewhere(draft: Draft, device: int) -> list[int]:
    return np.flatnonzero(np.asarray(draft.device) != device).tolist()


def _notes(problem: Problem, device: int, elsewhere: Sequence[int]) -> list[str]:
    name = problem.device_names[device]
    return [f"{problem.task_names[task]} is not on {name}: it cannot run there, or finds no room" for task in elsewhere]
