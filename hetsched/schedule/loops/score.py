"""What a placed problem is worth by an objective; less is better. See `hetsched.schedule.objective` for definitions."""

from __future__ import annotations

import math

from hetsched.schedule.flat import Flat, FlatLinks
from hetsched.schedule.loops.compiled import Numbers, helper
from hetsched.schedule.loops.room import Aim, Chosen, Stays
from hetsched.schedule.objective import FORBIDDEN, LIMIT_ROUNDING


@helper
def score(flat: Flat, links: FlatLinks, makespan: float, aim: Aim, stays: Stays, chosen: Chosen) -> float:
    """Seconds, joules or money of what `place` left in ``chosen`` and ``stays``; inf if it placed nothing."""
    if makespan == math.inf:
        return math.inf
    load = aim.load
    _busy(flat, links, load, stays, chosen)
    period = 0.0
    for resource in range(len(load)):
        period = max(period, load[resource])
    joules = aim.idle_watts * makespan
    price = 0.0
    for device in range(flat.n_devices):
        if load[device] >= 0:
            joules += aim.extra_watts[device] * load[device]
            price += aim.price_per_second[device]
    money = price * makespan
    excess = max(makespan / aim.deadline_seconds - 1, 0.0) + max(money / aim.budget_money - 1, 0.0)
    if excess > LIMIT_ROUNDING:
        return FORBIDDEN * (1 + excess)
    value = makespan
    if aim.kind == 1:
        value = period
    elif aim.kind == 2:
        value = joules
    elif aim.kind == 3:
        value = money
    return value + aim.tie * makespan


@helper
def _busy(flat: Flat, links: FlatLinks, load: Numbers, stays: Stays, chosen: Chosen) -> None:
    """Busy seconds of each device, -1 where nothing runs, then of each link, then of each interpreter."""
    n_devices, n_columns, n_lanes = flat.n_devices, flat.n_columns, flat.n_devices + links.n_links
    device_of, all_seconds, column, dispatcher = chosen.device, flat.seconds, flat.column, flat.dispatcher
    for resource in range(len(load)):
        load[resource] = -1.0 if resource < n_devices else 0.0
    for task in range(flat.n_tasks):
        device = device_of[task]
        seconds = all_seconds[task * n_columns + column[device]]
        load[device] = max(load[device], 0.0) + seconds
        if len(flat.dispatch) and dispatcher[device] >= 0:
            load[n_lanes + dispatcher[device]] += min(flat.dispatch[task], seconds)
    if links.n_links:
        for stay in range(stays.count[0]):
            if stays.source[stay] >= 0:
                pair = stays.source[stay] * flat.n_memories + stays.memory[stay]
                for position in range(links.route_ptr[pair], links.route_ptr[pair + 1]):
                    load[n_devices + links.route_link[position]] += stays.at[stay] - stays.start[stay]
