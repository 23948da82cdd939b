"""The scratch room of `place`, which its caller makes once and uses often."""

from __future__ import annotations

from typing import NamedTuple

from hetsched.schedule.loops.compiled import Numbers


class Gaps(NamedTuple):
    """Free time of every serial resource; all but ``count`` hold a fixed number of entries a resource."""

    start: Numbers
    end: Numbers
    count: Numbers


class Stays(NamedTuple):
    """Where values are and since when, where copies wait for links.

    Attributes:
        count: number of stays so far, and of questions asked.
        first: of each value, its latest stay; -1 for none.
        following: of each stay, the one before it of the same value.
        source: memory that it was copied from, -1 for none.
        start: when its copy, or the task that made it, started.
        at: when it was complete.
        asked: of each link, the question that used it last.
        until: of each link, when that use would end.
    """

    count: Numbers
    first: Numbers
    following: Numbers
    value: Numbers
    source: Numbers
    memory: Numbers
    start: Numbers
    at: Numbers
    asked: Numbers
    until: Numbers


class Chosen(NamedTuple):
    """Where and when each task runs, and the static bytes used in each memory."""

    device: Numbers
    start: Numbers
    end: Numbers
    used: Numbers


class Aim(NamedTuple):
    """An objective in numbers, by device in the order of the flat form.

    Attributes:
        kind: 0 makespan, 1 throughput, 2 energy, 3 money.
        deadline_seconds: inf for none.
        budget_money: inf for none.
        idle_watts: of all devices together.
        extra_watts: of each device while it computes, besides its idle ones.
        price_per_second: of each device that is used at all.
        tie: what a second of makespan weighs beside the aim, to break ties.
        load: room for the busy seconds of devices, then links, then interpreters.
    """

    kind: int
    deadline_seconds: float
    budget_money: float
    idle_watts: float
    extra_watts: Numbers
    price_per_second: Numbers
    tie: float
    load: Numbers


class Order(NamedTuple):
    """A schedule as an order of tasks and their devices; see `late_acceptance`.

    Attributes:
        random: the state of the random numbers, one integer.
        order: tasks, in an order that extends the graph.
        index: of each task in ``order``.
        wanted: device of each task.
        history: scores; as many as steps that "before" lies back.
        best: score of the best so far, score now, number of steps so far.
        best_order: of the best so far.
        best_device: likewise.
    """

    random: Numbers
    order: Numbers
    index: Numbers
    wanted: Numbers
    history: Numbers
    best: Numbers
    best_order: Numbers
    best_device: Numbers
