"""Annealing a draft: see `hetsched.schedule.loops.anneal`."""

from __future__ import annotations

import numpy as np

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.loops.anneal import anneal
from hetsched.schedule.loops.compiled import Numbers
from hetsched.schedule.loops.sequences import Sequences, fill

MAX_CELLS = 40_000_000
"""Sequences have room for all tasks on each device; where that would be more, nothing is annealed."""


MAX_TOGETHER = 4
"""Tasks that one step may move at most."""


class Annealing:
    """One schedule that is being annealed, some steps at a time; the best so far is kept."""

    def __init__(self, drafting: Drafting, draft: Draft, seed: int = 1) -> None:
        self._drafting = drafting
        room, flat = drafting.room, drafting.flat
        n_tasks, n_devices = flat.n_tasks, flat.n_devices
        floats, ints = room.floats, room.ints
        self._state = Sequences(
            random=room.of(np.array([1 + seed * 7919 % 2147483646])),
            device=draft.device.copy(),
            seconds=floats(n_tasks),
            sequence=ints(n_tasks * n_devices),
            length=ints(n_devices),
            position=ints(n_tasks),
            head=floats(n_tasks),
            tail=floats(n_tasks),
            new_head=floats(n_tasks),
            topological=ints(n_tasks),
            missing=ints(n_tasks),
            critical=ints(n_tasks),
            used=floats(flat.n_memories),
            moved=ints(MAX_TOGETHER),
            whence=ints(MAX_TOGETHER),
            source=ints(MAX_TOGETHER),
            best_device=ints(n_tasks),
            best_start=floats(n_tasks),
            best=floats(1),
        )
        self.makespan = float(room.call(fill, flat, drafting.by_start(draft), self._state))

    def run(self, n_steps: int, hot: float, cold: float, n_tries: int = 1) -> None:
        """Take some steps, cooling from one temperature (seconds) to another."""
        self.makespan = float(
            self._drafting.room.call(
                anneal, self._drafting.flat, self._state, n_steps, n_tries, self.makespan, hot, cold
            )
        )

    @property
    def best_makespan(self) -> float:
        """Of the best schedule so far."""
        return float(self._state.best[0])

    def best(self, name: str) -> Draft:
        """The best schedule so far."""
        state, flat = self._state, self._drafting.flat
        device, start = state.best_device.copy(), state.best_start.copy()
        end: Numbers = start.copy()
        for task in range(flat.n_tasks):
            end[task] += flat.seconds[task * flat.n_columns + flat.column[device[task]]]
        return Draft(device, start, end, self.best_makespan, name)


def can_anneal(drafting: Drafting) -> bool:
    """Whether the sequences of the problem have room, and it is one that sequences describe."""
    flat = drafting.flat
    free = not drafting.links.n_links and not len(flat.dispatch)
    return free and flat.n_tasks > 1 and flat.n_devices > 1 and flat.n_tasks * flat.n_devices <= MAX_CELLS
