"""Flat: a Problem as the arrays that inner loops run over, with what is fixed folded in.

Devices stand in the order of their names, so that "the first" breaks ties by name. Sources are folded into a row of
earliest starts by memory, the way home of requested values into a row of delivery times; ways over several hops into
one latency and one time per byte. What only matters where copies wait for links is in `FlatLinks`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetsched.schedule.loops.compiled import Numbers, Room, room_for
from hetsched.schedule.problem import Problem
from hetsched.schedule.ways import cheapest_next

Numeric = NDArray[Any]
"""Arrays of indices, times, sizes or truths."""


class Flat(NamedTuple):
    """What it takes to place tasks when copies never wait.

    Attributes:
        n_tasks: tasks are in topological order.
        n_columns: devices of one column take equally long for every task.
        read_ptr: CSR row pointers of ``read_task``, ``read_bytes`` and ``read_way``, by task.
        read_task: the task that makes what is read.
        read_way: where its ways start in ``latency`` and ``seconds_per_byte``.
        next_ptr: CSR row pointers of ``next_task`` and ``next_read``: who reads, and by which entry of ``read_*``.
        seconds: by task and column, inf where it may not run.
        column: of each device.
        memory: of each device.
        place: of each device; devices of one place share column and memory: only their other tasks set them apart.
        place_ptr: CSR row pointers of ``place_device``, by place; places of one memory stand together.
        latency: of the whole way by (source memory, target memory), inf without one.
        start_row: of each task in ``start``: when its sources can be in each memory.
        finish_row: of each task in ``finish``: how long its requested values take from each memory to their places.
        static_bytes: by task; empty where memories have no limit.
        capacity: by memory, of static bytes; likewise.
        dispatcher: of each device: the process whose one interpreter starts its tasks, -1 for none.
        dispatch: seconds for which each task keeps the interpreter; empty where there is none.
    """

    n_tasks: int
    n_devices: int
    n_memories: int
    n_columns: int
    read_ptr: Numbers
    read_task: Numbers
    read_bytes: Numbers
    read_way: Numbers
    next_ptr: Numbers
    next_task: Numbers
    next_read: Numbers
    seconds: Numbers
    column: Numbers
    memory: Numbers
    place: Numbers
    n_places: int
    place_column: Numbers
    place_memory: Numbers
    place_ptr: Numbers
    place_device: Numbers
    latency: Numbers
    seconds_per_byte: Numbers
    start_row: Numbers
    start: Numbers
    finish_row: Numbers
    finish: Numbers
    static_bytes: Numbers
    capacity: Numbers
    dispatcher: Numbers
    dispatch: Numbers


class FlatLinks(NamedTuple):
    """What it takes besides to have copies wait for links; empty where they never do.

    Attributes:
        max_hops: of any way.
        read_ptr: CSR row pointers of ``read_value``: what each task reads that is copied in the run.
        write_ptr: CSR row pointers of ``write_value``, by task.
        producer: of each value, -1 for sources.
        way: where the ways of each value start in ``next_memory``.
        next_memory: first stop by (source memory, target memory), -1 without a way.
        latency: of direct copies by (source memory, target memory).
        route_ptr: CSR row pointers of ``route_link``, by (source memory, target memory).
        held_ptr: CSR row pointers of ``held_memory``: where sources are from the start, by value.
        wanted_value: what is to be brought to ``wanted_memory`` in the end.
    """

    n_values: int
    n_links: int
    max_hops: int
    read_ptr: Numbers
    read_value: Numbers
    write_ptr: Numbers
    write_value: Numbers
    way: Numbers
    value_bytes: Numbers
    held_ptr: Numbers
    held_memory: Numbers
    latency: Numbers
    seconds_per_byte: Numbers
    next_memory: Numbers
    route_ptr: Numbers
    route_link: Numbers
    wanted_value: Numbers
    wanted_memory: Numbers
    producer: Numbers


class FlatWays:
    """The cheapest ways between memories, for every set of memories that some value may be in.

    Attributes:
        offset: where the ways of each value start in the tables, shape (n_values,).
        next_memory: first stop, shape (n_sets, n_memories, n_memories).
        latency: of the whole way, inf without one, same shape.
        seconds_per_byte: of the whole way, 0 without one, same shape.
    """

    def __init__(self, problem: Problem) -> None:
        kinds, of_value = _distinct_rows(problem.may_hold)
        self.offset = (of_value * problem.n_memories**2).astype(np.int32)
        self.next_memory = np.stack([self._following(problem, held) for held in kinds])
        made = [_summed(problem, following) for following in self.next_memory]
        self.latency = np.stack([latency for latency, _, _ in made])
        self.seconds_per_byte = np.stack([per_byte for _, per_byte, _ in made])
        self.max_hops = max(n_hops for _, _, n_hops in made)

    @staticmethod
    def _following(problem: Problem, held: Numeric) -> Numeric:
        if held.all():
            return problem.next_memory
        latency = np.where(held[:, None] & held[None, :], problem.latency, np.inf)
        return cheapest_next(latency, problem.seconds_per_byte)

    def seconds(self, problem: Problem, value: int) -> Numeric:
        """Time of moving one value between all pairs of memories, shape (n_memories, n_memories)."""
        kind = int(self.offset[value]) // problem.n_memories**2
        moving: Numeric = self.latency[kind] + problem.value_bytes[value] * self.seconds_per_byte[kind]
        return moving


class FlatProblem(NamedTuple):
    """A Problem's flat form, and what made it.

    Attributes:
        devices: the Problem's index of each device here.
    """

    room: Room
    devices: tuple[int, ...]
    flat: Flat
    links: FlatLinks
    ways: FlatWays

    def origin(self, problem: Problem, value: int, memory: int) -> int:
        """The memory from which a source is in another one first."""
        held = np.flatnonzero(problem.resident[value])
        return int(held[self.ways.seconds(problem, value)[held, memory].argmin()])


def flatten(problem: Problem, room: Room | None = None) -> FlatProblem:
    """The flat form of a Problem, for the given kind of loops or those that its size asks for."""
    room = room or room_for(problem.n_tasks)
    order = sorted(range(problem.n_devices), key=lambda device: problem.device_names[device])
    ways = FlatWays(problem)
    seconds, column = _columns(problem, np.array(order, dtype=np.int64))
    memory = problem.device_memory[order].astype(np.int32)
    places, first, of_device = np.unique(
        np.stack([memory, column], axis=1), axis=0, return_index=True, return_inverse=True
    )
    of_device = of_device.reshape(-1)
    edges = _Edges(problem)
    folded = _folded_sources(problem)
    start_row, start = _start_rows(problem, ways, folded)
    finish_row, finish = _finish_rows(problem, ways)
    static = np.isfinite(problem.capacity).any() and problem.static_bytes.any()
    dispatched = problem.dispatch_seconds.any()
    flat = Flat(
        n_tasks=problem.n_tasks,
        n_devices=problem.n_devices,
        n_memories=problem.n_memories,
        n_columns=seconds.shape[1],
        read_ptr=room.of(edges.read_ptr),
        read_task=room.of(edges.task),
        read_bytes=room.of(problem.value_bytes[edges.value]),
        read_way=room.of(ways.offset[edges.value]),
        next_ptr=room.of(edges.next_ptr),
        next_task=room.of(edges.next_task),
        next_read=room.of(edges.next_read),
        seconds=room.of(seconds),
        column=room.of(column),
        memory=room.of(memory),
        place=room.of(of_device.astype(np.int32)),
        n_places=len(places),
        place_column=room.of(column[first]),
        place_memory=room.of(memory[first]),
        place_ptr=room.of(pointers(of_device, len(places))),
        place_device=room.of(np.argsort(of_device, kind="stable").astype(np.int32)),
        latency=room.of(ways.latency),
        seconds_per_byte=room.of(ways.seconds_per_byte),
        start_row=room.of(start_row),
        start=room.of(start),
        finish_row=room.of(finish_row),
        finish=room.of(finish),
        static_bytes=room.of(problem.static_bytes if static else np.zeros(0)),
        capacity=room.of(problem.capacity if static else np.zeros(0)),
        dispatcher=room.of(problem.dispatcher[order].astype(np.int32)),
        dispatch=room.of(problem.dispatch_seconds if dispatched else np.zeros(0)),
    )
    links = _flat_links(problem, room, ways, folded)
    return FlatProblem(room, tuple(order), flat, links, ways)


def _columns(problem: Problem, order: Numeric) -> tuple[Numeric, Numeric]:
    """Seconds by task and column, and the column of each device; devices that cost the same share one."""
    found: dict[tuple[int, bytes], int] = {}
    columns: list[Numeric] = []
    column = []
    for device in order.tolist():
        allowed = np.ascontiguousarray(problem.allowed[:, device])
        kind = int(problem.device_class[device])
        number = found.setdefault((kind, allowed.tobytes()), len(columns))
        if number == len(columns):
            columns.append(np.where(allowed, problem.seconds[:, kind], np.inf))
        column.append(number)
    return np.stack(columns, axis=1), np.array(column, dtype=np.int32)


class _Edges:
    """Who reads what tasks make, by reader and by maker."""

    def __init__(self, problem: Problem) -> None:
        reader = np.repeat(np.arange(problem.n_tasks, dtype=np.int32), np.diff(problem.read_ptr))
        maker = problem.producer[problem.read_values]
        made = maker >= 0
        reader = reader[made]
        self.value = problem.read_values[made]
        self.task = maker[made].astype(np.int32)
        self.read_ptr = pointers(reader, problem.n_tasks)
        by_maker = np.argsort(self.task, kind="stable").astype(np.int32)
        self.next_read = by_maker
        self.next_task = reader[by_maker]
        self.next_ptr = pointers(self.task, problem.n_tasks)


def pointers(rows: Numeric, n_rows: int) -> Numeric:
    """CSR row pointers from the row of each entry."""
    return np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=n_rows)))).astype(np.int32)


def _distinct_rows(table: Numeric) -> tuple[Numeric, Numeric]:
    """The distinct rows of a table of truths, and which of them each row is."""
    if not len(table) or (table == table[0]).all() or table.strides[0] == 0:
        return (table[:1] if len(table) else np.ones((1, table.shape[1]), bool)), np.zeros(len(table), np.int64)
    rows, of_row = np.unique(table, axis=0, return_inverse=True)
    return rows, of_row.reshape(-1)


def _summed(problem: Problem, following: Numeric) -> tuple[Numeric, Numeric, int]:
    """Latency and seconds per byte of whole ways, step by step until all have arrived; and how many steps it took."""
    n_memories = problem.n_memories
    here = np.repeat(np.arange(n_memories), n_memories).reshape(n_memories, n_memories)
    target = here.T.copy()
    latency, per_byte = np.zeros((n_memories, n_memories)), np.zeros((n_memories, n_memories))
    under_way = (here != target) & (following >= 0)
    latency[(here != target) & (following < 0)] = np.inf
    n_hops = 0
    while under_way.any():
        n_hops += 1
        a, b = np.nonzero(under_way)
        stop = following[here[a, b], b]
        latency[a, b] += problem.latency[here[a, b], stop]
        per_byte[a, b] += problem.seconds_per_byte[here[a, b], stop]
        here[a, b] = stop
        under_way = (here != target) & np.isfinite(latency)
    return latency, per_byte, n_hops


def _folded_sources(problem: Problem) -> Numeric:
    """Which sources are folded into earliest starts: all, or where copies wait for links, those that move in setup."""
    sources = problem.producer < 0
    return sources & problem.persistent if problem.contention and problem.link_names else sources


def _start_rows(problem: Problem, ways: FlatWays, folded: Numeric) -> tuple[Numeric, Numeric]:
    """Row 0 is for tasks without sources, the others for the tasks that read some."""
    n_tasks, n_memories = problem.n_tasks, problem.n_memories
    rows = np.zeros(n_tasks, dtype=np.int32)
    read = folded[problem.read_values]
    if not read.any():
        return rows, np.zeros((1, n_memories))
    reader = np.repeat(np.arange(n_tasks), np.diff(problem.read_ptr))[read]
    values = problem.read_values[read]
    known: dict[int, int] = {}
    arrivals: list[Numeric] = []
    for value in np.unique(values).tolist():
        known[value] = len(arrivals)
        arrivals.append(_arrival(problem, ways, value))
    table, of_read = np.array(arrivals), np.array([known[value] for value in values.tolist()])
    first = np.flatnonzero(np.concatenate(([True], reader[1:] != reader[:-1])))
    rows[reader[first]] = np.arange(1, len(first) + 1)
    return rows, np.concatenate((np.zeros((1, n_memories)), np.maximum.reduceat(table[of_read], first, axis=0)))


def _arrival(problem: Problem, ways: FlatWays, value: int) -> Numeric:
    """When a source can be in each memory at the earliest, inf where it cannot be."""
    held = np.flatnonzero(problem.resident[value])
    if not len(held):
        return np.full(problem.n_memories, np.inf)
    moving = ways.seconds(problem, value)[held].min(axis=0)
    return np.where(np.isfinite(moving), 0.0, np.inf) if problem.persistent[value] else moving


def _finish_rows(problem: Problem, ways: FlatWays) -> tuple[Numeric, Numeric]:
    """Row 0 is for tasks that write nothing that is required."""
    rows = np.zeros(problem.n_tasks, dtype=np.int32)
    found: dict[int, Numeric] = {}
    for value, memory in problem.required:
        task = int(problem.producer[value])
        if task >= 0:
            delivery = ways.seconds(problem, value)[:, memory]
            found[task] = np.maximum(found[task], delivery) if task in found else delivery
    rows[list(found)] = np.arange(1, len(found) + 1)
    return rows, np.stack([np.zeros(problem.n_memories), *found.values()])


def no_links(room: Room) -> FlatLinks:
    """What stands for links where copies never wait."""
    arrays: list[Any] = [room.ints(0)] * (len(FlatLinks._fields) - 3)
    floats = room.floats(0)
    return FlatLinks(0, 0, 0, *arrays)._replace(value_bytes=floats, latency=floats, seconds_per_byte=floats)


def _flat_links(problem: Problem, room: Room, ways: FlatWays, folded: Numeric) -> FlatLinks:
    if not (problem.contention and problem.link_names):
        return no_links(room)
    reader = np.repeat(np.arange(problem.n_tasks, dtype=np.int32), np.diff(problem.read_ptr))
    copied = ~folded[problem.read_values]
    made = np.flatnonzero(problem.producer >= 0)
    made = made[np.argsort(problem.producer[made], kind="stable")]
    n_memories = problem.n_memories
    routes = sorted((a * n_memories + b, links) for (a, b), links in problem.route_links.items())
    route_of = np.repeat([pair for pair, _ in routes], [len(links) for _, links in routes]).astype(np.int64)
    held_value, held_memory = np.nonzero(problem.resident & (problem.producer < 0)[:, None])
    wanted = [
        (value, memory)
        for value, memory in problem.required
        if not (problem.producer[value] < 0 and (problem.resident[value, memory] or problem.persistent[value]))
    ]
    return FlatLinks(
        n_values=problem.n_values,
        n_links=len(problem.link_names),
        max_hops=ways.max_hops,
        read_ptr=room.of(pointers(reader[copied], problem.n_tasks)),
        read_value=room.of(problem.read_values[copied].astype(np.int32)),
        write_ptr=room.of(pointers(problem.producer[made], problem.n_tasks)),
        write_value=room.of(made.astype(np.int32)),
        way=room.of(ways.offset),
        value_bytes=room.of(problem.value_bytes),
        held_ptr=room.of(pointers(held_value, problem.n_values)),
        held_memory=room.of(held_memory.astype(np.int32)),
        latency=room.of(problem.latency),
        seconds_per_byte=room.of(np.where(np.isfinite(problem.latency), problem.seconds_per_byte, 0.0)),
        next_memory=room.of(ways.next_memory.astype(np.int32)),
        route_ptr=room.of(pointers(route_of, n_memories**2)),
        route_link=room.of(np.array([link for _, links in routes for link in links], dtype=np.int32)),
        wanted_value=room.of(np.array([value for value, _ in wanted], dtype=np.int32)),
        wanted_memory=room.of(np.array([memory for _, memory in wanted], dtype=np.int32)),
        producer=room.of(problem.producer.astype(np.int32)),
    )
