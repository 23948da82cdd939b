"""Evening out: tasks move between devices until no move makes the busiest devices and links less busy."""

from __future__ import annotations

from hetsched.schedule.flat import Flat, FlatLinks
from hetsched.schedule.loops.compiled import Numbers, helper

LEAST_GAIN, LEAST_PASS = 1e-9, 1e-3
"""What a move, and a pass, has to gain in the sum of powers: more than rounding could, and some of the largest."""

NO_WAY = 1e30


def even_out(flat: Flat, links: FlatLinks, n_passes: int, device: Numbers, load: Numbers, reading: Numbers) -> None:
    """Change ``device``; what is made small is the sum of the eighth powers of loads, in parts of the first largest.

    Nothing waits for anything here. A copy takes the way from where the value is made, whatever else has it by then.

    Args:
        flat: the problem.
        links: of the problem.
        n_passes: over all tasks, at most.
        device: of each task, one that it can run on.
        load: room for the busy seconds of each device, then of each link, then of each interpreter.
        reading: room for how many tasks read each value in each memory, shape (n_values, n_memories).
    """
    n_columns, place_ptr, place_device = flat.n_columns, flat.place_ptr, flat.place_device
    _count(flat, links, device, load, reading)
    scale = _largest(load)
    for _ in range(n_passes if scale > 0 else 0):
        gained, largest = 0.0, _largest(load)
        for task in range(flat.n_tasks):
            for place in range(flat.n_places):
                seconds = flat.seconds[task * n_columns + flat.place_column[place]]
                old, other = device[task], -1
                for position in range(place_ptr[place], place_ptr[place + 1]):
                    candidate = place_device[position]
                    if candidate != old and (other < 0 or load[candidate] < load[other]):
                        other = candidate
                if other < 0 or not load[other] + seconds <= largest:
                    continue
                change = _move(flat, links, device, load, reading, scale, task, other)
                if change < -LEAST_GAIN:
                    gained -= change
                else:
                    _move(flat, links, device, load, reading, scale, task, old)
        if gained <= LEAST_PASS * (largest / scale) ** 8:
            break


@helper
def _largest(load: Numbers) -> float:
    largest = 0.0
    for resource in range(len(load)):
        largest = max(largest, load[resource])
    return largest


@helper
def _count(flat: Flat, links: FlatLinks, device: Numbers, load: Numbers, reading: Numbers) -> None:
    n_memories = flat.n_memories
    for resource in range(len(load)):
        load[resource] = 0.0
    for cell in range(len(reading)):
        reading[cell] = 0
    for task in range(flat.n_tasks):
        _run(flat, links, load, 1.0, task, device[task], 1.0)
    if links.n_links:
        for position in range(len(links.wanted_value)):
            cell = links.wanted_value[position] * n_memories + links.wanted_memory[position]
            reading[cell] += 1
        for task in range(flat.n_tasks):
            for position in range(links.read_ptr[task], links.read_ptr[task + 1]):
                reading[links.read_value[position] * n_memories + flat.memory[device[task]]] += 1
        for value in range(links.n_values):
            for memory in range(n_memories):
                if reading[value * n_memories + memory]:
                    source = _origin(flat, links, device, value, memory)
                    _copy(flat, links, load, 1.0, value, source, memory, 1.0)


@helper
def _move(
    flat: Flat,
    links: FlatLinks,
    device: Numbers,
    load: Numbers,
    reading: Numbers,
    scale: float,
    task: int,
    other: int,
) -> float:
    """Move a task to another device; what that adds to the sum of powers."""
    old, n_memories = device[task], flat.n_memories
    source, target = flat.memory[old], flat.memory[other]
    change = _run(flat, links, load, scale, task, old, -1.0) + _run(flat, links, load, scale, task, other, 1.0)
    device[task] = other
    if not links.n_links or source == target:
        return change
    for position in range(links.read_ptr[task], links.read_ptr[task + 1]):
        value = links.read_value[position]
        cell = value * n_memories + source
        reading[cell] -= 1
        if reading[cell] == 0:
            origin = _origin(flat, links, device, value, source)
            change += _copy(flat, links, load, scale, value, origin, source, -1.0)
        cell = value * n_memories + target
        reading[cell] += 1
        if reading[cell] == 1:
            origin = _origin(flat, links, device, value, target)
            change += _copy(flat, links, load, scale, value, origin, target, 1.0)
    for position in range(links.write_ptr[task], links.write_ptr[task + 1]):
        value = links.write_value[position]
        for memory in range(n_memories):
            if reading[value * n_memories + memory]:
                change += _copy(flat, links, load, scale, value, source, memory, -1.0)
                change += _copy(flat, links, load, scale, value, target, memory, 1.0)
    return change


@helper
def _origin(flat: Flat, links: FlatLinks, device: Numbers, value: int, memory: int) -> int:
    """Where a value that is read in some memory is first: there, if it is held there from the start."""
    if links.producer[value] >= 0:
        return int(flat.memory[device[links.producer[value]]])
    for position in range(links.held_ptr[value], links.held_ptr[value + 1]):
        if links.held_memory[position] == memory:
            return memory
    return int(links.held_memory[links.held_ptr[value]])


@helper
def _run(flat: Flat, links: FlatLinks, load: Numbers, scale: float, task: int, device: int, sign: float) -> float:
    seconds = flat.seconds[task * flat.n_columns + flat.column[device]]
    change = _add(load, scale, device, sign * seconds)
    if len(flat.dispatch) and flat.dispatcher[device] >= 0:
        interpreter = flat.n_devices + links.n_links + flat.dispatcher[device]
        change += _add(load, scale, interpreter, sign * min(flat.dispatch[task], seconds))
    return change


@helper
def _copy(
    flat: Flat, links: FlatLinks, load: Numbers, scale: float, value: int, source: int, memory: int, sign: float
) -> float:
    """Use the links from one memory to another, or use them no more."""
    change, here, n_memories = 0.0, source, flat.n_memories
    while here != memory:
        stop = links.next_memory[links.way[value] + here * n_memories + memory]
        if stop < 0:
            return sign * NO_WAY
        pair = here * n_memories + stop
        seconds = sign * (links.latency[pair] + links.value_bytes[value] * links.seconds_per_byte[pair])
        for position in range(links.route_ptr[pair], links.route_ptr[pair + 1]):
            change += _add(load, scale, flat.n_devices + links.route_link[position], seconds)
        here = stop
    return change


@helper
def _add(load: Numbers, scale: float, resource: int, seconds: float) -> float:
    before = load[resource] / scale
    load[resource] += seconds
    after = load[resource] / scale
    return float(after**8 - before**8)
