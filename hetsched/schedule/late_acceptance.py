"""Late acceptance from a draft, for any objective and all constraints; see the loop of the same name."""

from __future__ import annotations

import numpy as np

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.loops.late_acceptance import late_acceptance
from hetsched.schedule.loops.room import Aim, Order
from hetsched.schedule.objective import MAKESPAN

N_BACK = 50
"""So many steps ago is "before"."""


class LateAcceptance:
    """One schedule that is being changed, some steps at a time; the best so far is kept."""

    def __init__(self, drafting: Drafting, draft: Draft, aim: Aim | None = None, seed: int = 1) -> None:
        self._drafting = drafting
        self._name = draft.name
        self._aim = aim or drafting.aim_for(MAKESPAN)
        room, n_tasks = drafting.room, drafting.flat.n_tasks
        order = drafting.order_of(draft).copy()
        index = room.ints(n_tasks)
        for position in range(n_tasks):
            index[order[position]] = position
        start = drafting.score(drafting.place(order, draft.name, wanted=draft.device), self._aim)
        self._state = Order(
            random=room.of(np.array([1 + seed * 7919 % 2147483646])),
            order=order,
            index=index,
            wanted=draft.device.copy(),
            history=room.floats(N_BACK, start),
            best=room.of(np.array([start, start, 0.0])),
            best_order=order.copy(),
            best_device=draft.device.copy(),
        )

    def run(self, n_steps: int) -> None:
        """Make so many schedules."""
        self._drafting.search(late_acceptance, n_steps, self._state, self._aim)

    @property
    def best_score(self) -> float:
        """Of the best schedule so far."""
        return float(self._state.best[0])

    def best(self, name: str = "") -> Draft:
        """The best schedule so far."""
        return self._drafting.place(self._state.best_order, name or self._name, wanted=self._state.best_device)
