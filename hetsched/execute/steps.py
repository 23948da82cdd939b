"""A Plan compiled to flat lists of steps, one list a lane: indices instead of names, and no wait that is not needed.

A *cell* is one stay of a value in a memory, from its arrival to its Free. A *latch* tells one lane that one step of
another lane has been done; a lane that learns of a step this way has learnt of all that came before it, so it needs no
further waits for those.

A plan over several processes is compiled once in each: a Copy between two of them becomes a step that posts the value
in the one, and a step that takes it in the other.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from hetsched.errors import PlanError
from hetsched.execute.backends.backend import Backend, Work
from hetsched.graph.frozen import FrozenGraph, Task
from hetsched.graph.ops import Kernel
from hetsched.graph.values import Spec, TupleSpec
from hetsched.plan.dependencies import dependencies
from hetsched.plan.plan import Compute, Copy, Free, Plan, lane_of
from hetsched.platform.platform import HOST_KIND, Device, Link, Platform


@dataclass(slots=True)
class Step:
    """One Compute or Copy as its lane executes it.

    Attributes:
        call: the kernel with its parameters bound, or the copy.
        args: cells of the positional operands.
        kwargs: cells of the keyword operands.
        reads: distinct cells that must be there.
        awaits: those of them that another lane brings; their Ready is waited for.
        writes: (cell, slot) pairs; slot None takes the whole result.
        waits: latches to take before.
        signals: latches to release after.
        releases: cells that this lane uses for the last time here.
        drops: those of them that are given up then and there, as nobody else uses or waits for them.
        is_plain: positional operands in, one value out, and nothing to be said to anybody: the short way will do.
        generator: makes the random generator from the run's seed; None for ops that draw nothing.
        task: None for copies.
        copy: None for tasks.
        half: ``post`` and ``take`` are the two ends of a copy between processes.
    """

    position: int
    lane: str
    work: Work
    call: Kernel
    args: tuple[int, ...]
    kwargs: Mapping[str, int]
    reads: tuple[int, ...]
    awaits: tuple[int, ...]
    writes: tuple[tuple[int, int | None], ...]
    n_bytes: float = 0.0
    waits: tuple[int, ...] = ()
    signals: tuple[int, ...] = ()
    releases: tuple[int, ...] = ()
    drops: tuple[int, ...] = ()
    is_plain: bool = False
    generator: Callable[[int], torch.Generator] | None = None
    task: Task | None = None
    copy: Copy | None = None
    half: Literal["", "post", "take"] = ""


@dataclass(slots=True)
class Cell:
    """One stay of a value in a memory.

    Attributes:
        lane: that brings it; empty for what is there from the start.
        n_users: lanes that must be done with it before it is given up; 0 keeps it to the end of the run.
        n_before: cells that must have been given up before its own giving up is announced.
        followers: cells for which this one is such a cell.
        freed_signals: latches to release when its giving up is announced.
    """

    value: str
    memory: str
    lane: str = ""
    n_users: int = 0
    n_before: int = 0
    followers: list[int] = field(default_factory=list)
    freed_signals: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Steps:
    """A compiled Plan.

    Attributes:
        lanes: steps by lane name, the device lanes first, in order of first use.
        cells: all stays.
        setup: copies to do once, as steps.
        n_latches: how many latches there are.
        sources: cell of each input and constant at home, by (value, memory).
        outputs: cell of each output by value name.
    """

    lanes: Mapping[str, tuple[Step, ...]]
    cells: tuple[Cell, ...]
    setup: tuple[Step, ...]
    n_latches: int
    sources: Mapping[tuple[str, str], int]
    outputs: Mapping[str, int]


def compile_plan(
    plan: Plan, graph: FrozenGraph, platform: Platform, backends: Mapping[str, Backend], memories: Collection[str]
) -> Steps:
    """Compile the part of a plan that happens in some memories.

    Args:
        plan: of the whole job.
        graph: what the plan is about; constants' data is not looked at.
        platform: likewise.
        backends: by device name, for the devices attached to ``memories``.
        memories: names of those that this process owns.

    Raises:
        PlanError: the plan reads what is not there, or names what the graph or platform lacks.
    """
    return _Compiler(plan, graph, platform, backends, memories).compile()


class _Compiler:
    def __init__(
        self,
        plan: Plan,
        graph: FrozenGraph,
        platform: Platform,
        backends: Mapping[str, Backend],
        memories: Collection[str],
    ) -> None:
        self._plan, self._platform, self._backends, self._memories = plan, platform, backends, memories
        self._tasks = {task.name: task for task in graph.tasks}
        self._value_names = tuple(value.name for value in graph.values)
        self._values = {value.name: value for value in graph.values}
        self._links = {link.name: link for link in platform.links}
        self._cells: list[Cell] = []
        self._here: dict[tuple[str, str], int] = {}
        self._steps: dict[int, Step] = {}
        self._cell_freed_at: dict[int, int] = {}

    def compile(self) -> Steps:
        sources = {
            (value, memory): self._arrive(value, memory, "")
            for value, memory in (*self._plan.inputs, *self._plan.constants)
            if memory in self._memories
        }
        setup = tuple(
            self._copy(position - len(self._plan.setup), copy)
            for position, copy in enumerate(self._plan.setup)
            if copy.source in self._memories or copy.target in self._memories
        )
        for position, instruction in enumerate(self._plan.body):
            match instruction:
                case Compute() if instruction.memory in self._memories:
                    self._steps[position] = self._compute(position, instruction)
                case Copy() if instruction.source in self._memories or instruction.target in self._memories:
                    self._steps[position] = self._copy(position, instruction)
                case Free(value, memory) if memory in self._memories:
                    self._cell_freed_at[position] = self._cell(value, memory, position)
        self._give_up_cells()
        n_latches = self._link()
        for step in self._steps.values():
            self._find_short_way(step)
        lanes: dict[str, list[Step]] = {}
        for step in sorted(self._steps.values(), key=lambda step: (step.task is None, step.position)):
            lanes.setdefault(step.lane, []).append(step)
        return Steps(
            lanes={name: tuple(sorted(steps, key=lambda step: step.position)) for name, steps in lanes.items()},
            cells=tuple(self._cells),
            setup=setup,
            n_latches=n_latches,
            sources=sources,
            outputs={
                value: self._cell(value, memory, len(self._plan.body))
                for value, memory in self._plan.outputs
                if memory in self._memories
            },
        )

    def _arrive(self, value: str, memory: str, lane: str) -> int:
        self._cells.append(Cell(value, memory, lane))
        self._here[value, memory] = len(self._cells) - 1
        return len(self._cells) - 1

    def _cell(self, value: str, memory: str, position: int) -> int:
        cell = self._here.get((value, memory))
        if cell is None:
            raise PlanError(f"instruction {position}: value {value!r} is not in memory {memory!r} at this point")
        return cell

    def _compute(self, position: int, compute: Compute) -> Step:
        task = self._tasks.get(compute.task)
        backend = self._backends.get(compute.device)
        if task is None or backend is None:
            raise PlanError(f"instruction {position}: no task {compute.task!r} or no device {compute.device!r}")
        names = self._value_names
        args = [o for o in task.operands if isinstance(o.arg, int)]
        args.sort(key=lambda operand: operand.arg)
        reads = {o.value: self._cell(names[o.value], compute.memory, position) for o in task.operands}
        slots = {names[value]: self._values[names[value]].slot for value in task.outputs}
        kernel = backend.kernel(task.op)
        device = self._platform.device(compute.device)
        return Step(
            position=position,
            lane=lane_of(compute),
            work=Work(task.name, task.op.family, nominal_seconds(task, device), self._out_spec(task)),
            call=functools.partial(kernel, **task.params) if task.params else kernel,
            args=tuple(reads[operand.value] for operand in args),
            kwargs={o.arg: reads[o.value] for o in task.operands if isinstance(o.arg, str)},
            reads=tuple(dict.fromkeys(reads.values())),
            awaits=self._from_other_lanes(reads.values(), lane_of(compute)),
            writes=tuple(
                (self._arrive(name, compute.memory, lane_of(compute)), slots[name]) for name in compute.writes
            ),
            generator=self._generator(task, backend),
            task=task,
        )

    def _from_other_lanes(self, cells: Iterable[int], lane: str) -> tuple[int, ...]:
        return tuple(cell for cell in dict.fromkeys(cells) if self._cells[cell].lane not in ("", lane))

    def _out_spec(self, task: Task) -> Spec | None:
        outputs = [self._values[self._value_names[value]] for value in task.outputs]
        whole = [value.spec for value in outputs if value.slot is None]
        if whole:
            return whole[0]
        items: list[Spec | None] = [None] * (1 + max((value.slot or 0 for value in outputs), default=-1))
        for value in outputs:
            items[value.slot or 0] = value.spec
        return TupleSpec(tuple(items)) if None not in items else None

    @staticmethod
    def _generator(task: Task, backend: Backend) -> Callable[[int], torch.Generator] | None:
        if not task.op.random:
            return None
        salt = zlib.crc32(task.name.encode())
        return lambda seed: backend.generator((seed * 0x9E3779B97F4A7C15 + salt) % 2**63)

    def _copy(self, position: int, copy: Copy) -> Step:
        value = self._values[copy.value]
        n_bytes = value.n_bytes or 0
        links = [self._links[name] for name in copy.links]
        reads: tuple[int, ...] = ()
        writes: tuple[tuple[int, int | None], ...] = ()
        if copy.source in self._memories:
            reads = (self._cell(copy.value, copy.source, position),)
        if copy.target in self._memories:
            writes = ((self._arrive(copy.value, copy.target, lane_of(copy)), None),)
        half: Literal["", "post", "take"] = "" if reads and writes else "post" if reads else "take"
        return Step(
            position=position,
            lane=lane_of(copy),
            work=Work(copy.value, "copy", nominal_copy_seconds(links, n_bytes), value.spec),
            call=self._mover(copy) if not half else _as_it_is,
            args=reads,
            kwargs={},
            reads=reads,
            awaits=self._from_other_lanes(reads, lane_of(copy)),
            writes=writes,
            n_bytes=n_bytes,
            copy=copy,
            half=half,
        )

    def _mover(self, copy: Copy) -> Kernel:
        device = copying_device(self._platform, copy.source, copy.target)
        backend = self._backends[device.name]
        return backend.put if device.memory == copy.target else backend.get

    def _give_up_cells(self) -> None:
        """A freed cell is given up by the last of its users; each user lane counts down once, at its last use."""
        last_use: dict[int, dict[str, int]] = {}
        for position, step in self._steps.items():
            for cell in step.reads:
                last_use.setdefault(cell, {})[step.lane] = position
        producers = {cell: position for position, step in self._steps.items() for cell, _ in step.writes}
        for cell in self._cell_freed_at.values():
            users = last_use.get(cell)
            if not users:
                producer = producers[cell]
                users = {self._steps[producer].lane: producer}
            self._cells[cell].n_users = len(users)
            for position in users.values():
                self._steps[position].releases += (cell,)

    def _find_short_way(self, step: Step) -> None:
        cells = [(index, self._cells[index]) for index in step.releases]
        step.drops = tuple(
            index
            for index, cell in cells
            if cell.n_users == 1 and not (cell.n_before or cell.followers or cell.freed_signals)
        )
        step.is_plain = (
            step.task is not None
            and step.generator is None
            and not step.kwargs
            and [slot for _, slot in step.writes] == [None]
            and step.drops == step.releases
        )

    def _link(self) -> int:
        """Turn dependencies into latches, leaving out what a lane knows already."""
        before = dependencies(self._plan)
        for position, cell in self._cell_freed_at.items():
            earlier = [self._cell_freed_at[needed] for needed in before[position] if needed in self._cell_freed_at]
            self._cells[cell].n_before = len(earlier)
            for other in earlier:
                self._cells[other].followers.append(cell)
        lane_ids = {lane: i for i, lane in enumerate(dict.fromkeys(step.lane for step in self._steps.values()))}
        place: dict[int, tuple[int, int]] = {}
        reached = [0] * len(lane_ids)
        lane_knows = [[0] * len(lane_ids) for _ in lane_ids]
        known_after: dict[int, list[int]] = {}
        n_latches = 0
        for position, step in sorted(self._steps.items()):
            lane = lane_ids[step.lane]
            knows = lane_knows[lane].copy()
            for needed in sorted(before[position], reverse=True):
                if needed in self._cell_freed_at:
                    self._cells[self._cell_freed_at[needed]].freed_signals.append(n_latches)
                    step.waits += (n_latches,)
                    n_latches += 1
                    continue
                if needed not in self._steps:  # another process's; what it brings here is taken by a step of its own
                    continue
                other, nth = place[needed]
                if other == lane or knows[other] > nth:
                    continue
                self._steps[needed].signals += (n_latches,)
                step.waits += (n_latches,)
                n_latches += 1
                knows = list(map(max, knows, known_after[needed]))
            place[position] = (lane, reached[lane])
            reached[lane] += 1
            knows[lane] = reached[lane]
            lane_knows[lane] = known_after[position] = knows
        return n_latches


def _as_it_is(value: object) -> object:
    return value


def copying_device(platform: Platform, source: str, target: str) -> Device:
    """The device whose backend copies between two memories: one attached to the target, or else the source.

    Host memory is read and written by anyone, so a memory of its own kind comes first.
    """
    devices = sorted(platform.devices, key=lambda device: device.kind == HOST_KIND)
    for memory in (target, source):
        for device in devices:
            if device.memory == memory and device.kind != HOST_KIND:
                return device
    return next((d for d in devices if d.memory in (target, source)), devices[0])


def nominal_seconds(task: Task, device: Device) -> float | None:
    """Given or roofline time of a task on a device; None when neither is known."""
    given = task.options.seconds
    if isinstance(given, Mapping):
        given = given.get(device.name, given.get(device.kind))
    if given is not None:
        return float(given)
    if device.rates is None or task.flops is None or task.n_bytes is None:
        return None
    return device.rates.seconds(task.flops, task.n_bytes, task.dtype)


def nominal_copy_seconds(links: Sequence[Link], n_bytes: float) -> float:
    """Latencies add up; the slowest link sets the pace."""
    if not links:
        return 0.0
    return sum(link.latency_seconds for link in links) + n_bytes / min(link.bytes_per_second for link in links)
