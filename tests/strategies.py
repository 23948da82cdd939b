"""Problems for tests: `make_problem` builds one from names, `random_problem` a random one, `problems` is the strategy.

A `Shape` says which features a random problem may have, so that a test asks for what it is about:
``problems(Shape(n_tasks=7, contention=False, capacities=False))``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from hetsched.schedule.problem import Problem

Pick = Callable[[int], int]
"""``pick(n)`` chooses one of 0 .. n-1; what a random generator and Hypothesis have in common."""


def make_problem(
    tasks: Mapping[str, tuple[Sequence[str], Mapping[str, float] | float]],
    *,
    devices: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    sources: Mapping[str, Sequence[str]] | None = None,
    writes: Mapping[str, Sequence[str]] | None = None,
    n_bytes: Mapping[str, float] | float = 0.0,
    links: Mapping[str, tuple[float, float]] | None = None,
    routes: Mapping[tuple[str, str], Sequence[str]] | None = None,
    required: Sequence[tuple[str, str]] = (),
    persistent: Sequence[str] = (),
    alias: Mapping[str, str] | None = None,
    allowed: Mapping[str, Sequence[str]] | None = None,
    may_hold: Mapping[str, Sequence[str]] | None = None,
    capacity: Mapping[str, float] | None = None,
    static_bytes: Mapping[str, float] | None = None,
    deviation: float = 0.0,
    contention: bool = True,
    expected_runs: int = 1,
) -> Problem:
    """A Problem from names; what is left out is the simplest thing.

    Args:
        tasks: in topological order: the values a task reads, and its seconds (by device kind, or for every kind).
        devices: memory by device; one ``cpu:0`` on ``ram`` when left out.
        kinds: device kind by device; the name up to the colon when left out. Devices of one kind are one class.
        sources: memories that hold each source at time zero; the first memory is home.
        writes: values by task; a task whose values are not given writes one of its own name.
        n_bytes: by value, or of every value.
        links: latency in seconds and bytes per second.
        routes: links of the direct way between two memories.
        required: (value, memory) pairs; sources are required where ``sources`` says they are first.
        allowed: devices by task; every device that has seconds for it when left out.
        may_hold: memories by value; all of them when left out.
        capacity: bytes by memory; without limit when left out.
    """
    devices = devices or {"cpu:0": "ram"}
    kinds = kinds or {device: device.split(":")[0] for device in devices}
    sources, writes, links, routes = sources or {}, writes or {}, links or {}, routes or {}
    alias, allowed, may_hold = alias or {}, allowed or {}, may_hold or {}
    capacity, static_bytes = capacity or {}, static_bytes or {}
    endpoints = [memory for pair in routes for memory in pair]
    memories = tuple(dict.fromkeys([*devices.values(), *endpoints]))
    classes = tuple(dict.fromkeys(kinds[device] for device in devices))
    written = {task: tuple(writes.get(task, (task,))) for task in tasks}
    values = (*sources, *(value for task in tasks for value in written[task]))
    value_of, memory_of = {v: i for i, v in enumerate(values)}, {m: i for i, m in enumerate(memories)}
    producer = {value: index for index, task in enumerate(tasks) for value in written[task]}
    reads = [sorted({value_of[value] for value in operands}) for operands, _ in tasks.values()]
    seconds = np.array(
        [
            [float(given.get(kind, np.inf)) if isinstance(given, Mapping) else float(given) for kind in classes]
            for _, given in tasks.values()
        ]
    ).reshape(len(tasks), len(classes))
    n_memories = len(memories)
    latency = np.full((n_memories, n_memories), np.inf)
    np.fill_diagonal(latency, 0.0)
    seconds_per_byte = latency.copy()
    for (a, b), names in routes.items():
        latency[memory_of[a], memory_of[b]] = sum(links[name][0] for name in names)
        seconds_per_byte[memory_of[a], memory_of[b]] = max(1 / links[name][1] for name in names)
    link_of = {name: index for index, name in enumerate(links)}
    homes = [(value_of[value], memory_of[held[0]]) for value, held in sources.items()]
    wanted = [(value_of[value], memory_of[memory]) for value, memory in required]
    return Problem(
        task_names=tuple(tasks),
        value_names=values,
        device_names=tuple(devices),
        memory_names=memories,
        link_names=tuple(links),
        read_ptr=np.cumsum([0, *map(len, reads)]).astype(np.int32),
        read_values=np.array([value for row in reads for value in row], dtype=np.int32),
        producer=np.array([producer.get(value, -1) for value in values], dtype=np.int32),
        value_bytes=np.array([n_bytes.get(v, 0.0) if isinstance(n_bytes, Mapping) else n_bytes for v in values], float),
        alias=np.array([value_of[alias[v]] if v in alias else -1 for v in values], dtype=np.int32),
        device_class=np.array([classes.index(kinds[device]) for device in devices], dtype=np.int32),
        seconds=seconds,
        deviation=np.where(np.isfinite(seconds), seconds, 0.0) * deviation,
        allowed=np.array(
            [
                [
                    device in allowed.get(task, devices) and bool(np.isfinite(row[classes.index(kinds[device])]))
                    for device in devices
                ]
                for task, row in zip(tasks, seconds, strict=True)
            ],
            dtype=bool,
        ).reshape(len(tasks), len(devices)),
        device_memory=np.array([memory_of[memory] for memory in devices.values()], dtype=np.int32),
        latency=latency,
        seconds_per_byte=seconds_per_byte,
        next_memory=_next_memory(latency, seconds_per_byte),
        route_links={
            (memory_of[a], memory_of[b]): tuple(link_of[n] for n in names) for (a, b), names in routes.items()
        },
        capacity=np.array([capacity.get(memory, np.inf) for memory in memories], float),
        static_bytes=np.array([static_bytes.get(task, 0.0) for task in tasks], float),
        may_hold=np.array([[m in may_hold.get(v, memories) for m in memories] for v in values], bool).reshape(
            len(values), n_memories
        ),
        resident=np.array([[m in sources.get(v, ()) for m in memories] for v in values], bool).reshape(
            len(values), n_memories
        ),
        persistent=np.array([value in persistent for value in values], bool),
        required=tuple(dict.fromkeys([*homes, *wanted])),
        expected_runs=expected_runs,
        contention=contention,
    )


def _next_memory(latency: np.ndarray, seconds_per_byte: np.ndarray, n_bytes: float = 2.0**20) -> np.ndarray:
    n_memories = len(latency)
    cost = latency + n_bytes * seconds_per_byte
    following = np.where(np.isfinite(cost), np.arange(n_memories)[None, :], -1)
    for middle in range(n_memories):
        through = cost[:, middle, None] + cost[None, middle, :]
        better = through < cost
        following = np.where(better, following[:, middle, None], following)
        cost = np.minimum(cost, through)
    return following.astype(np.int32)


@dataclass(frozen=True)
class Shape:
    """What a random problem may have; sizes are upper limits."""

    n_tasks: int = 12
    n_sources: int = 3
    n_workers: int = 3
    n_gpus: int = 2
    second_host: bool = True
    direct_gpu_routes: bool = True
    missing_kernels: bool = True
    pins: bool = True
    keep_on: bool = True
    persistent: bool = True
    resident: bool = True
    required: bool = True
    aliases: bool = True
    capacities: bool = True
    contention: bool = True


@dataclass
class _Machine:
    devices: dict[str, str] = field(default_factory=dict)
    links: dict[str, tuple[float, float]] = field(default_factory=dict)
    routes: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def join(self, a: str, b: str, latency: float, bandwidth: float, *, duplex: bool) -> None:
        """Routes both ways: over one link each, or over one link that both share."""
        there, back = (f"{a}->{b}", f"{b}->{a}") if duplex else (f"{a}<>{b}", f"{a}<>{b}")
        self.links |= {there: (latency, bandwidth), back: (latency, bandwidth)}
        self.routes |= {(a, b): (there,), (b, a): (back,)}


def random_problem(seed: int | None = None, shape: Shape = Shape(), pick: Pick | None = None) -> Problem:
    """A random problem that a schedule exists for: all memories are joined, capacities hold any single task."""
    if pick is None:
        pick = random.Random(seed).randrange
    machine = _random_machine(pick, shape)
    devices = list(machine.devices)
    memories = list(dict.fromkeys(machine.devices.values()))
    n_tasks, n_sources = 1 + pick(shape.n_tasks), pick(shape.n_sources + 1)
    sources = {f"x{i}": ("ram",) for i in range(n_sources)}
    values: list[str] = list(sources)
    tasks: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {}
    writes: dict[str, tuple[str, ...]] = {}
    alias: dict[str, str] = {}
    n_bytes = {value: float(pick(9)) for value in values}
    allowed: dict[str, list[str]] = {}
    for index in range(n_tasks):
        task = f"t{index}"
        reads = tuple(dict.fromkeys(values[pick(len(values))] for _ in range(pick(4)))) if values else ()
        seconds = {kind: pick(13) / 4 for kind in dict.fromkeys(d.split(":")[0] for d in devices)}
        if shape.missing_kernels and pick(4) == 0 and len(seconds) > 1:
            seconds.pop(sorted(seconds)[pick(len(seconds))])
        writes[task] = (f"{task}#0", f"{task}#1") if pick(6) == 0 else (task,)
        for value in writes[task]:
            n_bytes[value] = float(pick(9))
        if shape.aliases and reads and pick(5) == 0:
            alias[writes[task][0]] = reads[0]
            n_bytes[writes[task][0]] = min(n_bytes[writes[task][0]], n_bytes[reads[0]])
        possible = [device for device in devices if device.split(":")[0] in seconds]
        if shape.pins and pick(5) == 0:
            allowed[task] = [possible[pick(len(possible))]]
        values += writes[task]
        tasks[task] = (reads, seconds)
    made = [value for value in values if value not in sources]
    required = [(value, "ram") for value in made if shape.required and pick(4) == 0]
    may_hold: dict[str, tuple[str, ...]] = {}
    if shape.keep_on and n_sources and pick(3) == 0:
        near = ("ram",) if pick(2) else tuple(memory for memory in memories if memory != "far/ram")
        _keep_on(near, values[0], tasks, writes, machine, allowed, may_hold)
    capacity: dict[str, float] = {}
    if shape.capacities and pick(2) == 0:
        capacity = _random_capacities(pick, memories, tasks, writes, n_bytes, alias, required)
    return make_problem(
        tasks,
        devices=machine.devices,
        sources={
            source: ("ram", memories[pick(len(memories))])
            if shape.resident and not capacity and source not in may_hold and pick(4) == 0
            else held
            for source, held in sources.items()
        },
        writes=writes,
        n_bytes=n_bytes,
        links=machine.links,
        routes=machine.routes,
        required=required,
        persistent=[s for s in sources if shape.persistent and not capacity and pick(3) == 0],
        alias=alias,
        allowed=allowed,
        may_hold=may_hold,
        capacity=capacity,
        deviation=0.1,
        contention=shape.contention and pick(2) == 0,
        expected_runs=1 + pick(2),
    )


def _random_machine(pick: Pick, shape: Shape) -> _Machine:
    machine = _Machine()
    for worker in range(1 + pick(shape.n_workers)):
        machine.devices[f"cpu:{worker}"] = "ram"
    n_gpus = pick(shape.n_gpus + 1)
    duplex = pick(2) == 0
    for gpu in range(n_gpus):
        memory = f"vram:{gpu}"
        machine.devices[f"cuda:{gpu}"] = memory
        machine.join("ram", memory, pick(3) / 8, 2.0 ** pick(6), duplex=duplex)
    if n_gpus == 2 and shape.direct_gpu_routes and pick(3) == 0:
        machine.join("vram:0", "vram:1", 0.0, 2.0 ** (3 + pick(5)), duplex=duplex)
    if shape.second_host and pick(4) == 0:
        machine.devices["far:0"] = "far/ram"
        machine.join("ram", "far/ram", pick(5) / 4, 2.0 ** pick(4), duplex=duplex)
    return machine


def _keep_on(
    near: tuple[str, ...],
    value: str,
    tasks: Mapping[str, tuple[Sequence[str], Mapping[str, float]]],
    writes: Mapping[str, Sequence[str]],
    machine: _Machine,
    allowed: dict[str, list[str]],
    may_hold: dict[str, tuple[str, ...]],
) -> None:
    """Keep a value and what derives from it in near memories, where the tasks that read it can all run there."""
    kept, at_home = {value}, [device for device, memory in machine.devices.items() if memory in near]
    pinned: dict[str, list[str]] = {}
    for task, (reads, seconds) in tasks.items():
        if kept.isdisjoint(reads):
            continue
        possible = [d for d in allowed.get(task, at_home) if d in at_home and d.split(":")[0] in seconds]
        if not possible:
            return
        pinned[task] = possible
        kept.update(writes[task])
    allowed.update(pinned)
    may_hold.update(dict.fromkeys(kept, near))


def _random_capacities(
    pick: Pick,
    memories: Sequence[str],
    tasks: Mapping[str, tuple[Sequence[str], Mapping[str, float]]],
    writes: Mapping[str, Sequence[str]],
    n_bytes: Mapping[str, float],
    alias: Mapping[str, str],
    required: Sequence[tuple[str, str]],
) -> dict[str, float]:
    """Room for the biggest task everywhere; at home for everything, so that what is spilled always has a place."""
    n_bytes = dict(n_bytes)
    for view, base in alias.items():
        n_bytes[view] = n_bytes[base]
    biggest = max(sum(n_bytes[v] for v in (*reads, *writes[task])) for task, (reads, _) in tasks.items())
    everything = 2 * sum(n_bytes.values())
    room = {memory: biggest + pick(3) * biggest / 2 for memory in memories if memory != "ram" and pick(4)}
    if pick(2) == 0:
        room["ram"] = everything + sum(n_bytes[value] for value, _ in required)
    return room


@st.composite
def problems(draw: st.DrawFn, shape: Shape = Shape()) -> Problem:
    """Random problems of a `Shape`."""
    return random_problem(shape=shape, pick=lambda n: draw(st.integers(0, n - 1)))
