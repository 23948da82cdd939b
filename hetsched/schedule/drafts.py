"""Drafts: devices and times of tasks, before a Schedule is made of the best one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hetsched.schedule.flat import FlatProblem, flatten
from hetsched.schedule.loops.compiled import Numbers, Room
from hetsched.schedule.loops.place import GAPS, place
from hetsched.schedule.loops.room import Aim, Chosen, Gaps, Order, Stays
from hetsched.schedule.loops.score import score
from hetsched.schedule.objective import AIMS, Objective
from hetsched.schedule.problem import Floats, Ints, Problem


@dataclass(frozen=True, eq=False, slots=True)
class Draft:
    """Device, start and end of every task; devices are those of the flat form.

    Attributes:
        makespan: inf if no such schedule exists.
        name: of the algorithm that made it.
        order: in which it was placed, empty where no list made it.
    """

    device: Numbers
    start: Numbers
    end: Numbers
    makespan: float
    name: str = ""
    order: Numbers = ()


class Drafting:
    """A Problem in flat form, with the room that drafts of it are made in."""

    def __init__(self, problem: Problem, form: FlatProblem | None = None) -> None:
        self.problem = problem
        self.form = form or problem.flat_form
        self.room: Room = self.form.room
        self.flat = self.form.flat
        self.links = self.form.links
        self.nobody = self.room.ints(self.flat.n_tasks, -1)
        self.no_ban = self.room.ints(0)
        self.nothing_ahead = self.room.floats(0)

    @property
    def _n_resources(self) -> int:
        """Devices, links and interpreters."""
        return self.flat.n_devices + self.links.n_links + int(self.problem.dispatcher.max(initial=-1)) + 1

    @cached_property
    def _scratch(self) -> tuple[Gaps, Stays, Chosen]:
        room, flat, links = self.room, self.flat, self.links
        n_resources, n_stays = self._n_resources, 0
        if links.n_links:
            moves = len(links.read_value) + len(links.wanted_value)
            n_stays = (
                links.n_values + len(links.held_memory) + min(links.max_hops * moves, links.n_values * flat.n_memories)
            )
        gaps = Gaps(room.floats(n_resources * GAPS), room.floats(n_resources * GAPS), room.ints(n_resources))
        stays = Stays(
            count=room.ints(2),
            first=room.ints(links.n_values),
            following=room.ints(n_stays),
            value=room.ints(n_stays),
            source=room.ints(n_stays),
            memory=room.ints(n_stays),
            start=room.floats(n_stays),
            at=room.floats(n_stays),
            asked=room.ints(links.n_links),
            until=room.floats(links.n_links),
        )
        n_tasks = flat.n_tasks
        chosen = Chosen(room.ints(n_tasks), room.floats(n_tasks), room.floats(n_tasks), room.floats(flat.n_memories))
        return gaps, stays, chosen

    def place(
        self,
        order: Numbers,
        name: str = "",
        *,
        wanted: Numbers | None = None,
        banned: Numbers | None = None,
        ahead: Numbers | None = None,
    ) -> Draft:
        """Place tasks in an order, each where it is wanted or ends first; see `hetsched.schedule.loops.place`."""
        gaps, stays, chosen = self._scratch
        makespan = self.room.call(
            place,
            self.flat,
            self.links,
            order,
            self.nobody if wanted is None else wanted,
            self.no_ban if banned is None else banned,
            self.nothing_ahead if ahead is None else ahead,
            gaps,
            stays,
            chosen,
        )
        return Draft(chosen.device.copy(), chosen.start.copy(), chosen.end.copy(), makespan, name, order)

    def relaxed(self) -> Drafting:
        """The problem without what only placing can take care of: links that are busy, and interpreters."""
        if not self.links.n_links and not len(self.flat.dispatch):
            return self
        problem = replace(self.problem, contention=False, dispatch_seconds=np.zeros(self.flat.n_tasks))
        return Drafting(problem, flatten(problem, self.room))

    def aim_for(self, objective: Objective) -> Aim:
        """An objective in numbers, without ties."""
        problem, room = self.problem, self.room
        devices = list(self.form.devices)
        idle, busy = problem.idle_watts[devices], problem.busy_watts[devices]
        return Aim(
            kind=AIMS.index(objective.aim),
            deadline_seconds=objective.deadline_seconds,
            budget_money=objective.budget_money,
            idle_watts=float(idle.sum()),
            extra_watts=room.of(busy - idle),
            price_per_second=room.of(problem.price_per_hour[devices] / 3600),
            tie=0.0,
            load=room.floats(self._n_resources),
        )

    def score(self, draft: Draft, aim: Aim) -> float:
        """Of the draft that was placed last, by an aim."""
        _, stays, chosen = self._scratch
        return float(self.room.call(score, self.flat, self.links, draft.makespan, aim, stays, chosen))

    def search(self, loop: Callable[..., None], n_steps: int, state: Order, aim: Aim) -> None:
        """Run a loop that places again and again."""
        nothing = (self.no_ban, self.nothing_ahead)
        self.room.call(loop, self.flat, self.links, n_steps, state, aim, nothing, *self._scratch)

    def booked_copies(self) -> tuple[Ints, Ints, Ints, Floats, Floats]:
        """Value, source, target, start and end of each copy that the last `place` booked on links."""
        stays = self._scratch[1]
        n_stays = int(stays.count[0])
        columns = (stays.value, stays.source, stays.memory, stays.start, stays.at)
        value, source, target, start, end = (np.asarray(column[:n_stays]) for column in columns)
        copied = source >= 0
        return value[copied], source[copied], target[copied], start[copied], end[copied]

    def by_rank(self, rank: Floats | Numbers) -> Numbers:
        """Tasks from the highest rank down; ties, which no edge may have, in topological order."""
        order = np.argsort(-np.asarray(rank, dtype=np.float64), kind="stable")
        return self.room.of(order.astype(np.int32))

    def order_of(self, draft: Draft) -> Numbers:
        """The order that places a draft as it is, copies on links included; by start where no list made it."""
        return draft.order if len(draft.order) else self.by_start(draft)

    def by_start(self, draft: Draft) -> Numbers:
        """Tasks as they start, those that take no time before what starts with them, ties in topological order."""
        order = np.lexsort((np.arange(self.flat.n_tasks), np.asarray(draft.end), np.asarray(draft.start)))
        return self.room.of(order.astype(np.int32))
