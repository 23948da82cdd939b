"""Longest paths through the graph, each task on them where that makes the path shortest.

Tables have a row for each task and an entry for each site: a memory, or several that are taken for one.
"""

from __future__ import annotations

import math

from hetsched.schedule.flat import Flat
from hetsched.schedule.loops.compiled import Numbers


def heads(flat: Flat, n_sites: int, latency: Numbers, per_byte: Numbers, start: Numbers, end: Numbers) -> None:
    """Fill ``start`` and ``end`` with the earliest start and end of each task at each site.

    Args:
        flat: the problem.
        n_sites: where tasks may run.
        latency: of moving a value from a site to another, none at the same site.
        per_byte: likewise.
        start: at first, when the sources that a task reads can be there.
        end: at first, how long a task takes there, inf where it cannot run.
    """
    read_ptr, read_task, read_bytes = flat.read_ptr, flat.read_task, flat.read_bytes
    for task in range(flat.n_tasks):
        here = task * n_sites
        for entry in range(read_ptr[task], read_ptr[task + 1]):
            there = read_task[entry] * n_sites
            n_bytes = read_bytes[entry]
            for site in range(n_sites):
                at = end[there + site]
                if at <= start[here + site] or end[here + site] == math.inf:
                    continue
                for other in range(n_sites):
                    if end[there + other] < at:
                        way = other * n_sites + site
                        arrival = end[there + other] + latency[way] + n_bytes * per_byte[way]
                        if arrival < at:
                            at = arrival
                if at > start[here + site]:
                    start[here + site] = at
        for site in range(n_sites):
            end[here + site] += start[here + site]


def tails(
    flat: Flat, n_sites: int, latency: Numbers, per_byte: Numbers, seconds: Numbers, tail: Numbers, through: Numbers
) -> None:
    """Fill ``tail`` with the time that passes after each task's end at each site, along one path from it.

    That is a path that takes as long as any, or nearly, from the site where it takes least. Times of several paths are
    not mixed, as a task that runs twice may serve one of its readers from one site and another from another.

    Args:
        flat: the problem.
        n_sites: where tasks may run.
        latency: of moving a value from a site to another, none at the same site.
        per_byte: likewise.
        seconds: how long each task takes at each site, inf where it cannot run.
        tail: at first, how long one of its values takes to where it is required.
        through: room for a number for each site.
    """
    next_ptr, next_task, next_read, read_bytes = flat.next_ptr, flat.next_task, flat.next_read, flat.read_bytes
    for task in range(flat.n_tasks - 1, -1, -1):
        here = task * n_sites
        longest = math.inf
        for site in range(n_sites):
            if seconds[here + site] < math.inf and tail[here + site] < longest:
                longest = tail[here + site]
        for position in range(next_ptr[task], next_ptr[task + 1]):
            there = next_task[position] * n_sites
            least = math.inf
            for site in range(n_sites):
                after = seconds[there + site] + tail[there + site]
                if after < least and seconds[here + site] < math.inf:
                    least = after
            if least <= longest:
                continue
            n_bytes = read_bytes[next_read[position]]
            least = math.inf
            for site in range(n_sites):
                if seconds[here + site] == math.inf:
                    continue
                shortest = seconds[there + site] + tail[there + site]
                for other in range(n_sites):
                    after = seconds[there + other] + tail[there + other]
                    if after < shortest:
                        way = site * n_sites + other
                        after += latency[way] + n_bytes * per_byte[way]
                        if after < shortest:
                            shortest = after
                through[site] = shortest
                if shortest < least:
                    least = shortest
            if longest < least < math.inf:
                longest = least
                for site in range(n_sites):
                    if seconds[here + site] < math.inf:
                        tail[here + site] = through[site]


def price_paths(
    flat: Flat,
    n_devices: Numbers,
    n_rounds: int,
    prices: Numbers,
    load: Numbers,
    mean: Numbers,
    before: Numbers,
    flow: Numbers,
    length: Numbers,
    cost: Numbers,
    best_prices: Numbers,
    best_cost: Numbers,
) -> None:
    """Search prices of devices' time and of time on paths under which all tasks, each at its cheapest, cost much.

    Prices rise round by round: those of devices by the work they get if every task runs where it is cheapest, that of
    paths by what their tasks then take. Paths that were longest, by the mean of the rounds before, share the latter.

    Args:
        flat: the problem.
        n_devices: by column.
        n_rounds: how often prices are set.
        prices: at first, of a second of one device by column, then of a second on paths, all more than zero; all
            devices and the paths together cost one.
        load: room for a number for each of ``prices``.
        mean: at first, the least time of each task; then the mean of what it took, later rounds counting more.
        before: room for the task before each on the longest path to it.
        flow: at first, zero; then the number of paths that lead through each task.
        length: room for the longest path to the end of each task.
        cost: room for what each task costs in a round.
        best_prices: to be filled with the prices of the round in which the tasks cost most.
        best_cost: to be filled with what each task costs in that round.
    """
    n_tasks, n_columns, seconds = flat.n_tasks, flat.n_columns, flat.seconds
    read_ptr, read_task = flat.read_ptr, flat.read_task
    best = -1.0
    for number in range(n_rounds):
        longest, last = -1.0, -1
        for task in range(n_tasks):
            at, maker = 0.0, -1
            for entry in range(read_ptr[task], read_ptr[task + 1]):
                if length[read_task[entry]] > at:
                    maker = read_task[entry]
                    at = length[maker]
            at += mean[task]
            length[task] = at
            before[task] = maker
            if at > longest:
                longest, last = at, task
        while last >= 0:
            flow[last] += 1.0
            last = before[last]
        for column in range(n_columns + 1):
            load[column] = 0.0
        total, share, cell = 0.0, prices[n_columns] / (number + 1.0), 0
        weight = 4.0 / (number + 4.0)
        for task in range(n_tasks):
            least, took, where = math.inf, 0.0, 0
            on_paths = share * flow[task]
            for column in range(n_columns):
                takes = seconds[cell]
                cell += 1
                pays = takes * (prices[column] + on_paths)
                if pays < least:
                    least, took, where = pays, takes, column
            cost[task] = least
            total += least
            load[where] += took
            load[n_columns] += took * flow[task]
            mean[task] += (took - mean[task]) * weight
        load[n_columns] /= number + 1.0
        if total > best:
            best = total
            for task in range(n_tasks):
                best_cost[task] = cost[task]
            for column in range(n_columns + 1):
                best_prices[column] = prices[column]
        most = load[n_columns]
        for column in range(n_columns):
            load[column] /= n_devices[column]
            if load[column] > most:
                most = load[column]
        if most <= 0.0:
            break
        total = 0.0
        for column in range(n_columns + 1):
            prices[column] *= math.exp(3.0 / (number + 2.0) * load[column] / most)
            total += prices[column] * (n_devices[column] if column < n_columns else 1.0)
        for column in range(n_columns + 1):
            prices[column] /= total


def windows(
    flat: Flat, n_sites: int, spot_site: Numbers, spot_column: Numbers, start: Numbers, group: Numbers, first: Numbers
) -> None:
    """Fill ``first`` with the earliest start, by group and spot, of tasks of that group.

    Args:
        flat: the problem.
        n_sites: where tasks may run.
        spot_site: of each spot: devices of one column at one site.
        spot_column: likewise.
        start: earliest start by task and site.
        group: of each task.
        first: at first, inf.
    """
    n_spots, n_columns, seconds = len(spot_site), flat.n_columns, flat.seconds
    for task in range(flat.n_tasks):
        for spot in range(n_spots):
            if seconds[task * n_columns + spot_column[spot]] < math.inf:
                at = start[task * n_sites + spot_site[spot]]
                if at < first[group[task] * n_spots + spot]:
                    first[group[task] * n_spots + spot] = at
