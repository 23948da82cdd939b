"""Instance files: scheduling problems of the literature as JSON.

    {"name", "tasks": [{"id", "times": {device: seconds}, "mem": bytes}], "edges": [[from, to, bytes]],
     "devices": [...], "links": {"a->b": {"latency_s", "bytes_per_s"}}, "memory_bytes": {device: bytes}}

A task whose ``times`` lacks a device cannot run there; a link of at least 1e17 bytes/s without latency is shared
memory. Values are copied directly, never by way of a third device, and take no room: only ``mem`` does, for ever.
"""

from __future__ import annotations

import json
import math
import reprlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hetsched.errors import ScheduleError
from hetsched.schedule.problem import Problem

SHARED_BYTES_PER_SECOND = 1e17
"""A link at least this fast, without latency, joins devices that share a memory."""


def load_instance(path: Path, memory: bool = False, contention: bool = False) -> Problem:
    """Read an instance file.

    Args:
        path: of the file.
        memory: hold memories to ``memory_bytes``, the tasks' static ``mem`` counted.
        contention: let each directed link carry one copy at a time.

    Raises:
        ScheduleError: the file cannot be read or is malformed; names file and field.
    """
    try:
        instance = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ScheduleError(f"instance {path}: cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        raise ScheduleError(f"instance {path}: line {error.lineno}: not JSON: {error.msg}") from error
    except RecursionError:
        raise ScheduleError(f"instance {path}: is nested too deep; no instance needs to be") from None
    return _Reader(path, instance).problem(memory, contention)


def _is_shared(link: tuple[float, float]) -> bool:
    latency, bandwidth = link
    return latency == 0 and bandwidth >= SHARED_BYTES_PER_SECOND


class _Reader:
    def __init__(self, path: Path, instance: Any) -> None:
        self._path = path
        if not isinstance(instance, Mapping):
            raise self._error("top level", "it must be an object with tasks, edges, devices and links")
        self._instance = instance
        self._devices = [str(device) for device in self._list("devices")]
        self._require_distinct("devices", self._devices)
        if not self._devices:
            raise self._error("devices", "there is none; name one at least")
        self._tasks: dict[str, Mapping[str, Any]] = {}
        for index, task in enumerate(self._list("tasks")):
            if not isinstance(task, Mapping) or "id" not in task or not isinstance(task.get("times"), Mapping):
                raise self._error(f"tasks[{index}]", "it must be an object with id and times")
            if str(task["id"]) in self._tasks:
                raise self._error(f"tasks[{index}].id", f"{task['id']!r} is there twice")
            self._tasks[str(task["id"])] = task
        self._links = self._read_links()
        self._edges = [self._edge(index, edge) for index, edge in enumerate(self._list("edges"))]

    def problem(self, memory: bool, contention: bool) -> Problem:
        order = self._topological_order()
        index = {task: position for position, task in enumerate(order)}
        value_names, producer, value_bytes, reads = self._values(order, index)
        class_of, seconds = self._classes(order)
        limits = self._memory_bytes() if memory else {}
        memory_of, memory_names = self._memories(limits, apart=contention)
        latency, seconds_per_byte, link_names, route_links = self._routes(memory_of, memory_names)
        n_tasks, n_values, n_memories = len(order), len(value_names), len(memory_names)
        allowed = np.isfinite(seconds)[:, class_of] if n_tasks else np.zeros((0, len(self._devices)), bool)
        return Problem(
            task_names=tuple(order),
            value_names=tuple(value_names),
            device_names=tuple(self._devices),
            memory_names=tuple(memory_names),
            link_names=tuple(link_names),
            read_ptr=np.cumsum([0, *map(len, reads)]).astype(np.int32),
            read_values=np.array([value for row in reads for value in row], dtype=np.int32),
            producer=np.array(producer, dtype=np.int32),
            value_bytes=np.array(value_bytes, dtype=np.float64),
            alias=np.full(n_values, -1, dtype=np.int32),
            device_class=np.array(class_of, dtype=np.int32),
            seconds=seconds,
            deviation=np.zeros_like(seconds),
            allowed=allowed,
            device_memory=np.array(memory_of, dtype=np.int32),
            latency=latency,
            seconds_per_byte=seconds_per_byte,
            next_memory=np.where(np.isfinite(latency), np.arange(n_memories), -1).astype(np.int32),
            route_links=route_links,
            capacity=np.array([limits.get(name, math.inf) for name in memory_names]),
            static_bytes=np.array([self._static_bytes(task) if memory else 0.0 for task in order]),
            may_hold=np.ones((n_values, n_memories), bool),
            resident=np.zeros((n_values, n_memories), bool),
            persistent=np.zeros(n_values, bool),
            contention=contention,
            values_take_room=False,
            name=str(self._instance.get("name", self._path.stem)),
        )

    def _error(self, field: str, what: str) -> ScheduleError:
        return ScheduleError(f"instance {self._path}: {field}: {what}")

    def _list(self, field: str) -> list[Any]:
        found = self._instance.get(field)
        if not isinstance(found, list):
            raise self._error(field, "it must be a list" if field in self._instance else "it is missing")
        return found

    def _require_distinct(self, field: str, names: Iterable[str]) -> None:
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise self._error(field, f"{name!r} is there twice")
            seen.add(name)

    def _number(self, number: Any, field: str, may_be_zero: bool = True) -> float:
        if isinstance(number, int | float) and not isinstance(number, bool):
            fits = 0 < number <= sys.float_info.max or (number == 0 and may_be_zero)
            if fits:
                return float(number)
        least = "zero or more" if may_be_zero else "more than zero"
        raise self._error(field, f"it is {reprlib.repr(number)}; it must be a finite number, {least}")

    def _read_links(self) -> dict[tuple[str, str], tuple[float, float]]:
        given = self._instance.get("links", {})
        if not isinstance(given, Mapping):
            raise self._error("links", "it must be an object")
        links: dict[tuple[str, str], tuple[float, float]] = {}
        for name, link in given.items():
            source, arrow, target = name.partition("->")
            if not arrow or source not in self._devices or target not in self._devices:
                raise self._error(f"links[{name!r}]", f"it must be 'a->b' with devices of {', '.join(self._devices)}")
            if not isinstance(link, Mapping):
                raise self._error(f"links[{name!r}]", "it must be an object with latency_s and bytes_per_s")
            links[source, target] = (
                self._number(link.get("latency_s"), f"links[{name!r}].latency_s"),
                self._number(link.get("bytes_per_s"), f"links[{name!r}].bytes_per_s", may_be_zero=False),
            )
        return links

    def _edge(self, index: int, edge: Any) -> tuple[str, str, float]:
        if not isinstance(edge, list) or len(edge) != 3:
            raise self._error(f"edges[{index}]", "it must be [from, to, bytes]")
        source, target = str(edge[0]), str(edge[1])
        for task in (source, target):
            if task not in self._tasks:
                raise self._error(f"edges[{index}]", f"there is no task {task!r}")
        return source, target, self._number(edge[2], f"edges[{index}]: bytes")

    def _topological_order(self) -> list[str]:
        """Tasks after all they read from, those that could come first in the file's order."""
        after: dict[str, list[str]] = {task: [] for task in self._tasks}
        n_before = dict.fromkeys(self._tasks, 0)
        for source, target, _ in self._edges:
            after[source].append(target)
            n_before[target] += 1
        order = [task for task, count in n_before.items() if count == 0]
        for task in order:
            for following in after[task]:
                n_before[following] -= 1
                if n_before[following] == 0:
                    order.append(following)
        if len(order) < len(self._tasks):
            waiting = next(task for task, count in n_before.items() if count)
            raise self._error("edges", f"task {waiting!r} is on or behind a cycle; a schedule needs a DAG")
        return order

    def _values(
        self, order: list[str], index: Mapping[str, int]
    ) -> tuple[list[str], list[int], list[float], list[list[int]]]:
        """One value for each task and number of bytes that its readers take."""
        sizes: dict[str, dict[float, int]] = {task: {} for task in order}
        for source, _, n_bytes in self._edges:
            sizes[source].setdefault(n_bytes, -1)
        names: list[str] = []
        producer: list[int] = []
        value_bytes: list[float] = []
        for task in order:
            slots = sizes[task] or {0.0: -1}
            for slot, n_bytes in enumerate(slots):
                slots[n_bytes] = len(names)
                names.append(task if len(slots) == 1 else f"{task}#{slot}")
                producer.append(index[task])
                value_bytes.append(n_bytes)
        reads: list[set[int]] = [set() for _ in order]
        for source, target, n_bytes in self._edges:
            reads[index[target]].add(sizes[source][n_bytes])
        return names, producer, value_bytes, [sorted(row) for row in reads]

    def _classes(self, order: list[str]) -> tuple[list[int], np.ndarray]:
        """Devices on which every task takes equally long are one class."""
        columns: dict[tuple[float, ...], int] = {}
        class_of: list[int] = []
        for task in order:
            for device in self._tasks[task]["times"]:
                if device not in self._devices:
                    raise self._error(f"task {task!r}: times", f"there is no device {device!r}")
        for device in self._devices:
            column = []
            for task in order:
                given = self._tasks[task]["times"].get(device)
                column.append(math.inf if given is None else self._number(given, f"task {task!r}: times[{device!r}]"))
            class_of.append(columns.setdefault(tuple(column), len(columns)))
        return class_of, np.array(list(columns), dtype=np.float64).reshape(len(columns), len(order)).T

    def _memories(self, limits: Mapping[str, float], apart: bool) -> tuple[list[int], list[str]]:
        """Devices joined by shared memory, directly or not, are on one memory, named after its first device.

        One with a limit of its own stays apart, and the link is a very fast one. So do all where links carry one copy
        at a time, as each pair of devices has a link of its own.
        """
        memory_of = {device: device for device in self._devices}
        for (a, b), link in () if apart else self._links.items():
            if _is_shared(link) and limits.keys().isdisjoint((a, b)):
                first, second = sorted((memory_of[a], memory_of[b]), key=self._devices.index)
                memory_of = {device: first if held == second else held for device, held in memory_of.items()}
        names = list(dict.fromkeys(memory_of.values()))
        return [names.index(memory_of[device]) for device in self._devices], names

    def _routes(
        self, memory_of: list[int], memory_names: list[str]
    ) -> tuple[np.ndarray, np.ndarray, list[str], dict[tuple[int, int], tuple[int, ...]]]:
        n_memories = len(memory_names)
        latency = np.full((n_memories, n_memories), np.inf)
        np.fill_diagonal(latency, 0.0)
        per_byte = latency.copy()
        names: list[str] = []
        route_links: dict[tuple[int, int], tuple[int, ...]] = {}
        place = dict(zip(self._devices, memory_of, strict=True))
        for (a, b), (seconds, bandwidth) in self._links.items():
            route = place[a], place[b]
            if route[0] == route[1]:
                continue
            if route not in route_links:
                route_links[route] = () if _is_shared((seconds, bandwidth)) else (len(names),)
                names += [f"{memory_names[route[0]]}->{memory_names[route[1]]}"] * len(route_links[route])
                latency[route], per_byte[route] = seconds, 1 / bandwidth
            elif (latency[route], per_byte[route]) != (seconds, 1 / bandwidth):
                raise self._error(
                    f"links[{f'{a}->{b}'!r}]", "it differs from the link of a device that shares a memory"
                )
        return latency, per_byte, names, route_links

    def _static_bytes(self, task: str) -> float:
        given = self._tasks[task].get("mem")
        return 0.0 if given is None else self._number(given, f"task {task!r}: mem")

    def _memory_bytes(self) -> dict[str, float]:
        given = self._instance.get("memory_bytes", {})
        if not isinstance(given, Mapping):
            raise self._error("memory_bytes", "it must be an object with bytes by device")
        for device in given:
            if device not in self._devices:
                raise self._error("memory_bytes", f"there is no device {device!r}")
        return {
            device: self._number(room, f"memory_bytes[{device!r}]")
            for device, room in given.items()
            if room is not None
        }
