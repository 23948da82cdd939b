"""What a placed problem is worth by an objective; less is better."""

from __future__ import annotations

import math

from hetsched.schedule.flat import Flat, FlatLinks
from hetsched.schedule.loops.compiled import helper
from hetsched.schedule.loops.room import Aim, Chosen, Stays

FORBIDDEN = 1e30
"""Scores beyond this break a limit, by the more the larger they are."""


@helper
def score(flat: Flat, links: FlatLinks, makespan: float, aim: Aim, stays: Stays, chosen: Chosen) -> float:
    """Seconds, joules or money of what `place` left in ``chosen`` and ``stays``; inf if it placed nothing."""
    if makespan == math.inf:
        return math.inf
    if not len(aim.load):
        return makespan
    load, device_of, seconds = aim.load, chosen.device, flat.seconds
    for resource in range(len(load)):
        load[resource] = 0.0
    for task in range(flat.n_tasks):
        device = device_of[task]
        load[device] += seconds[task * flat.n_columns + flat.column[device]]
    if links.n_links:
        for stay in range(stays.count[0]):
            if stays.source[stay] >= 0:
                pair = stays.source[stay] * flat.n_memories + stays.memory[stay]
                for position in range(links.route_ptr[pair], links.route_ptr[pair + 1]):
                    load[flat.n_devices + links.route_link[position]] += stays.at[stay] - stays.start[stay]
    joules = aim.idle_watts * makespan
    price = 0.0
    period = 0.0
    for resource in range(len(load)):
        period = max(period, load[resource])
    for device in range(flat.n_devices):
        joules += aim.extra_watts[device] * load[device]
        if load[device] > 0:
            price += aim.price_per_second[device]
    money = price * makespan
    over = max(makespan / aim.deadline_seconds - 1, 0.0) + max(money / aim.budget_money - 1, 0.0)
    if over > 1e-12:
        return FORBIDDEN * (1 + over)
    value = makespan
    if aim.kind == 1:
        value = period
    elif aim.kind == 2:
        value = joules
    elif aim.kind == 3:
        value = money
    return value + aim.tie * makespan
