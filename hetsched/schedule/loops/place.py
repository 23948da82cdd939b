"""List scheduling: tasks in a given order, each into the earliest gap of its device, copies into gaps of their links.

Serial resources are devices, then links, then interpreters; the free time of each is a list of gaps. At most `GAPS` of
them are kept, the earliest being forgotten first, so that a task is placed in constant time on a device that is as
good as full.
"""

from __future__ import annotations

import math

from hetsched.schedule.flat import Flat, FlatLinks
from hetsched.schedule.loops.compiled import Numbers, helper
from hetsched.schedule.loops.room import Chosen, Gaps, Stays

GAPS = 64


@helper
def place(
    flat: Flat,
    links: FlatLinks,
    order: Numbers,
    wanted: Numbers,
    banned: Numbers,
    ahead: Numbers,
    gaps: Gaps,
    stays: Stays,
    chosen: Chosen,
) -> float:
    """Place all tasks; returns the makespan, inf if some task has no device that can take it.

    Args:
        flat: the problem.
        links: of the problem; without links, copies never wait.
        order: tasks, each after those that it reads from.
        wanted: device of each task; where it cannot run there, or there is -1, it runs where it ends first.
        banned: by task and column, 1 where a task that may choose does not go; empty for no ban.
        ahead: by task and place, seconds added to its end when a device is chosen; empty for none.
        gaps: room for the free times.
        stays: room for where values are; afterwards, all copies.
        chosen: device, start and end of each task, to be filled.
    """
    n_memories, n_columns, n_places = flat.n_memories, flat.n_columns, flat.n_places
    read_ptr, read_task, read_bytes, read_way = flat.read_ptr, flat.read_task, flat.read_bytes, flat.read_way
    all_seconds, column, memory_of, latency = flat.seconds, flat.column, flat.memory, flat.latency
    per_byte, place_of, place_column, place_memory = (
        flat.seconds_per_byte,
        flat.place,
        flat.place_column,
        flat.place_memory,
    )
    place_ptr, place_device, start_row, start_at = flat.place_ptr, flat.place_device, flat.start_row, flat.start
    finish_row, finish, static, capacity = flat.finish_row, flat.finish, flat.static_bytes, flat.capacity
    dispatcher, dispatch = flat.dispatcher, flat.dispatch
    gap_start, gap_end, gap_count = gaps.start, gaps.end, gaps.count
    device_of, starts, ends, used = chosen.device, chosen.start, chosen.end, chosen.used
    contended, n_lanes = links.n_links > 0, flat.n_devices + links.n_links
    _clear(gap_start, gap_end, gap_count, used)
    if contended:
        _settle(links, stays)
    makespan = 0.0
    for position in range(flat.n_tasks):
        task = order[position]
        only = wanted[task]
        while True:
            best, best_start, device, known, ready = math.inf, math.inf, -1, -1, 0.0
            for spot in range(n_places) if only < 0 else range(place_of[only], place_of[only] + 1):
                memory = place_memory[spot]
                cell = task * n_columns + place_column[spot]
                seconds = all_seconds[cell]
                if seconds == math.inf or (only < 0 and len(banned) and banned[cell]):
                    continue
                if len(capacity) and used[memory] + static[task] > capacity[memory]:
                    continue
                if memory != known:
                    known = memory
                    ready = start_at[start_row[task] * n_memories + memory]
                    if contended:
                        ready = max(
                            ready,
                            _bring(
                                flat,
                                links,
                                links.read_value,
                                links.read_ptr[task],
                                links.read_ptr[task + 1],
                                memory,
                                gaps,
                                stays,
                                only >= 0,
                            ),
                        )
                    else:
                        for entry in range(read_ptr[task], read_ptr[task + 1]):
                            maker = read_task[entry]
                            at = ends[maker]
                            source = memory_of[device_of[maker]]
                            if source != memory:
                                way = read_way[entry] + source * n_memories + memory
                                at += latency[way] + read_bytes[entry] * per_byte[way]
                            if at > ready:
                                ready = at
                later = finish[finish_row[task] * n_memories + memory]
                if len(ahead):
                    later += ahead[task * n_places + spot]
                if ready == math.inf or ready + seconds + later > best:
                    continue
                for member in range(place_ptr[spot], place_ptr[spot + 1]):
                    candidate = place_device[member]
                    if only >= 0 and candidate != only:
                        continue
                    start = _earliest(gap_start, gap_end, gap_count, candidate, ready, seconds)
                    if len(dispatch) and dispatcher[candidate] >= 0:
                        interpreter, brief = n_lanes + dispatcher[candidate], min(dispatch[task], seconds)
                        before = -1.0
                        while start != before:
                            before = start
                            start = _earliest(gap_start, gap_end, gap_count, interpreter, start, brief)
                            start = _earliest(gap_start, gap_end, gap_count, candidate, start, seconds)
                    end = start + seconds + later
                    if end < best or (end == best and candidate < device):
                        best, best_start, device = end, start, candidate
            if device < 0:
                if only < 0:
                    return math.inf
                only = -1
                continue
            if only >= 0 or not contended:
                break
            only = device
        memory = memory_of[device]
        seconds = all_seconds[task * n_columns + column[device]]
        end = best_start + seconds
        _book(gap_start, gap_end, gap_count, device, best_start, end)
        if len(dispatch) and dispatcher[device] >= 0:
            brief = min(dispatch[task], seconds)
            _book(gap_start, gap_end, gap_count, n_lanes + dispatcher[device], best_start, best_start + brief)
        if len(capacity):
            used[memory] += static[task]
        device_of[task] = device
        starts[task] = best_start
        ends[task] = end
        if contended:
            _written(links, task, memory, best_start, end, stays)
        else:
            end += finish[finish_row[task] * n_memories + memory]
        if end > makespan:
            makespan = end
    if contended:
        makespan = max(makespan, _deliver(flat, links, gaps, stays))
    return makespan


@helper
def _clear(gap_start: Numbers, gap_end: Numbers, gap_count: Numbers, used: Numbers) -> None:
    for resource in range(len(gap_count)):
        gap_count[resource] = 1
        gap_start[resource * GAPS] = 0.0
        gap_end[resource * GAPS] = math.inf
    for memory in range(len(used)):
        used[memory] = 0.0


@helper
def _settle(links: FlatLinks, stays: Stays) -> None:
    """Sources are where they are from the start."""
    stays.count[0] = 0
    stays.count[1] = 0
    for link in range(links.n_links):
        stays.asked[link] = 0
    for value in range(links.n_values):
        stays.first[value] = -1
        for held in range(links.held_ptr[value], links.held_ptr[value + 1]):
            _arrive(stays, value, -1, links.held_memory[held], 0.0, 0.0)


@helper
def _written(links: FlatLinks, task: int, memory: int, start: float, end: float, stays: Stays) -> None:
    for written in range(links.write_ptr[task], links.write_ptr[task + 1]):
        _arrive(stays, links.write_value[written], -1, memory, start, end)


@helper
def _deliver(flat: Flat, links: FlatLinks, gaps: Gaps, stays: Stays) -> float:
    """Bring what is required to where it is; returns when the last of it arrives."""
    last = 0.0
    for position in range(len(links.wanted_value)):
        target = links.wanted_memory[position]
        last = max(last, _bring(flat, links, links.wanted_value, position, position + 1, target, gaps, stays, True))
    return last


@helper
def _bring(
    flat: Flat,
    links: FlatLinks,
    values: Numbers,
    begin: int,
    end: int,
    memory: int,
    gaps: Gaps,
    stays: Stays,
    book: bool,
) -> float:
    """When some values are in a memory, each from where it was made or was at first; booked, or only asked for.

    A value that was at several memories first sets out from the one whence it arrives first. Stops on its way that
    have it already are taken as they are.
    """
    n_devices, n_memories, value_bytes = flat.n_devices, flat.n_memories, links.value_bytes
    way_of, next_memory, held_ptr = links.way, links.next_memory, links.held_ptr
    latency, per_byte, route_ptr, route_link = (
        links.latency,
        links.seconds_per_byte,
        links.route_ptr,
        links.route_link,
    )
    gap_start, gap_end, gap_count = gaps.start, gaps.end, gaps.count
    first, following, source_of, memory_of = stays.first, stays.following, stays.source, stays.memory
    complete, asked, until = stays.at, stays.asked, stays.until
    stays.count[1] += 1
    question = stays.count[1]
    ready = 0.0
    for position in range(begin, end):
        value = values[position]
        held = _held(first, memory_of, following, value, memory)
        if held >= 0:
            ready = max(ready, complete[held])
            continue
        arrival, origin = math.inf, -1
        for booking in range(2 if book else 1):
            stay = origin if booking else first[value]
            while stay >= 0:
                if source_of[stay] < 0:
                    here, at = memory_of[stay], complete[stay]
                    if book and booking == 0 and held_ptr[value + 1] - held_ptr[value] < 2:
                        here = memory  # from its only origin: nothing to choose
                    while here != memory:
                        stop = next_memory[way_of[value] + here * n_memories + memory]
                        if stop < 0:
                            at = math.inf
                            break
                        held = _held(first, memory_of, following, value, stop)
                        if held >= 0:
                            at = complete[held]
                            here = stop
                            continue
                        pair = here * n_memories + stop
                        seconds = latency[pair] + value_bytes[value] * per_byte[pair]
                        start, before = at, -1.0
                        while start != before:
                            before = start
                            for step in range(route_ptr[pair], route_ptr[pair + 1]):
                                link = route_link[step]
                                if booking == 0 and asked[link] == question and until[link] > start:
                                    start = until[link]
                                start = _earliest(gap_start, gap_end, gap_count, n_devices + link, start, seconds)
                        at = start + seconds
                        for step in range(route_ptr[pair], route_ptr[pair + 1]):
                            link = route_link[step]
                            if booking:
                                _book(gap_start, gap_end, gap_count, n_devices + link, start, at)
                            elif not book:
                                asked[link] = question
                                until[link] = at
                        if booking:
                            _arrive(stays, value, here, stop, start, at)
                        here = stop
                    if booking or at < arrival:
                        arrival = at
                        origin = stay
                if booking:
                    break
                stay = following[stay]
        ready = max(ready, arrival)
    return ready


@helper
def _held(first: Numbers, memory_of: Numbers, following: Numbers, value: int, memory: int) -> int:
    """The stay of a value in a memory, -1 if it is not there."""
    stay = first[value]
    while stay >= 0 and memory_of[stay] != memory:
        stay = following[stay]
    return int(stay)


@helper
def _arrive(stays: Stays, value: int, source: int, memory: int, start: float, at: float) -> None:
    stay = stays.count[0]
    stays.count[0] = stay + 1
    stays.value[stay] = value
    stays.source[stay] = source
    stays.memory[stay] = memory
    stays.start[stay] = start
    stays.at[stay] = at
    stays.following[stay] = stays.first[value]
    stays.first[value] = stay


@helper
def _earliest(
    gap_start: Numbers, gap_end: Numbers, gap_count: Numbers, resource: int, ready: float, seconds: float
) -> float:
    """The earliest start, not before ``ready``, of a free interval."""
    low = resource * GAPS
    high = low + gap_count[resource] - 1
    needed = ready + seconds
    while low < high:
        middle = (low + high) // 2
        if gap_end[middle] >= needed:
            high = middle
        else:
            low = middle + 1
    while True:
        start = gap_start[low]
        if start < ready:
            start = ready
        if start + seconds <= gap_end[low]:
            return start
        low += 1


@helper
def _book(gap_start: Numbers, gap_end: Numbers, gap_count: Numbers, resource: int, start: float, end: float) -> None:
    """Take an interval that is free; one of no length parts its gap as well, as nothing may run across it."""
    first = resource * GAPS
    count = gap_count[resource]
    low = first
    high = first + count - 1
    while low < high:
        middle = (low + high + 1) // 2
        if gap_start[middle] <= start:
            low = middle
        else:
            high = middle - 1
    after = gap_end[low]
    left = gap_start[low] < start
    if left and end < after:
        if count == GAPS:
            for gap in range(first, low):
                gap_start[gap] = gap_start[gap + 1]
                gap_end[gap] = gap_end[gap + 1]
            low -= 1
        else:
            for gap in range(first + count, low + 1, -1):
                gap_start[gap] = gap_start[gap - 1]
                gap_end[gap] = gap_end[gap - 1]
            gap_count[resource] = count + 1
        if low >= first:
            gap_end[low] = start
        gap_start[low + 1] = end
        gap_end[low + 1] = after
    elif left:
        gap_end[low] = start
    elif end < after:
        gap_start[low] = end
    else:
        for gap in range(low, first + count - 1):
            gap_start[gap] = gap_start[gap + 1]
            gap_end[gap] = gap_end[gap + 1]
        gap_count[resource] = count - 1
