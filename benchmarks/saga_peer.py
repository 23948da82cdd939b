"""SAGA (the package anrg-saga) as a peer of our schedulers: instances in, its schedules out, for schedulers.py.

Run by ``schedulers.py --saga-python PYTHON`` in a process of its own, under any Python that has SAGA; without arguments
it does nothing. SAGA's licence file forbids commercial use: a peer to measure against where somebody has installed it,
never a dependency.

SAGA knows related machines only: a task takes cost / speed of the node, an edge size / speed of an undirected link. Its
schedulers ask for times by writing just these quotients, so costs and sizes here are numbers whose quotient with the
speed of a node, or of a link, is the time that the instance says: unrelated times, latencies and directions included.
What else a scheduler does with them sees nominal values, which equal SAGA's own where times are related. CPOP's
downward rank (cost / mean speed) and the means over links (of both directions) are such places, and only priorities.
FCP, FLB and FastestNode choose by nominal speeds, GDL and DPS add bytes to seconds: they run only when asked for.
"""

from __future__ import annotations

import json
import logging
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FAITHFUL = ("heft", "cpop", "peft", "minmin", "maxmin", "mct", "sufferage")
"""Quick ones that see an instance's times as they are."""


class Cost(float):
    """A task's nominal cost, which knows its seconds on each node."""

    __slots__ = ("seconds",)
    seconds: dict[str, float]

    def __truediv__(self, other: float) -> float:
        return self.seconds[other.node] if isinstance(other, NodeSpeed) else float(self) / float(other)


class NodeSpeed(float):
    """A node's nominal speed, which knows whose it is."""

    __slots__ = ("node",)
    node: str


class Size(float):
    """Bytes of an edge, which cost a link's latency too."""

    __slots__ = ()

    def __truediv__(self, other: float) -> float:
        return float(self) / float(other) + (other.latency if isinstance(other, LinkSpeed) else 0.0)


class LinkSpeed(float):
    """Bytes per second of a link, which knows its latency."""

    __slots__ = ("latency",)
    latency: float


def node_speed(node: str, relative: float) -> NodeSpeed:
    speed = NodeSpeed(relative)
    speed.node = node
    return speed


def link_speed(seconds_per_byte: float, latency: float) -> LinkSpeed:
    speed = LinkSpeed(1 / seconds_per_byte if seconds_per_byte > 0 else math.inf)
    speed.latency = latency
    return speed


def task_graph(instance: dict[str, Any]) -> Any:
    """SAGA's task graph; where it adds a source or sink of its own, that costs nothing."""
    import saga

    tasks = []
    for task in instance["tasks"]:
        seconds = [task["times"][device] for device in instance["devices"]]
        cost = Cost(sum(seconds) / len(seconds))
        cost.seconds = task["times"]
        tasks.append(saga.TaskGraphNode(name=task["id"], cost=0.0))
        tasks[-1].cost = cost  # not through the constructor, which makes plain floats
    sizes: dict[tuple[str, str], float] = {}
    for source, target, n_bytes in instance["edges"]:
        sizes[source, target] = max(n_bytes, sizes.get((source, target), 0.0))
    edges = []
    for (source, target), n_bytes in sizes.items():
        edges.append(saga.TaskGraphEdge(source=source, target=target, size=0.0))
        edges[-1].size = Size(n_bytes)
    return saga.TaskGraph.create(tasks, edges)


def network(instance: dict[str, Any]) -> Any:
    """SAGA's network; a look-up of a link finds the one in that direction."""
    import saga

    devices, tasks = instance["devices"], instance["tasks"]
    total = {device: sum(task["times"][device] for task in tasks) for device in devices}
    mean = sum(total.values()) / len(devices)
    nodes = []
    for device in devices:
        nodes.append(saga.NetworkNode(name=device, speed=1.0))
        nodes[-1].speed = node_speed(device, mean / total[device] if mean > 0 and total[device] > 0 else 1.0)

    def edge(a: str, b: str, speed: LinkSpeed) -> Any:
        made = saga.NetworkEdge(source=a, target=b, speed=1.0)
        made.speed = speed
        return made

    def costs(a: str, b: str) -> tuple[float, float]:
        link = instance["links"].get(f"{a}->{b}")
        return (0.0, math.inf) if link is None else (1 / link["bytes_per_s"], link["latency_s"])

    directed = {(a, a): edge(a, a, link_speed(0.0, 0.0)) for a in devices}
    undirected = list(directed.values())
    for a in devices:
        for b in devices:
            if a != b:
                directed[a, b] = edge(a, b, link_speed(*costs(a, b)))
            if a < b:
                there, back = costs(a, b), costs(b, a)
                undirected.append(edge(a, b, link_speed((there[0] + back[0]) / 2, (there[1] + back[1]) / 2)))
    made = saga.Network(nodes=frozenset(nodes), edges=frozenset(undirected))
    made.__dict__["_edge_by_pair"] = directed  # the cached property that get_edge reads
    return made


def schedulers() -> dict[str, type]:
    """SAGA's schedulers by name in lower case, such as heft."""
    import saga.schedulers as module

    return {name.removesuffix("Scheduler").lower(): getattr(module, name) for name in module.__all__}


class _TimeOutError(Exception):
    pass


def _ring(*_: object) -> None:
    raise _TimeOutError


def solved(paths: list[str], names: list[str], timeout_seconds: float) -> Iterator[dict[str, Any]]:
    """For each instance and scheduler seconds and schedule, or why there is none."""
    known = schedulers()
    signal.signal(signal.SIGALRM, _ring)
    for path in paths:
        instance = json.loads(Path(path).read_text(encoding="utf-8"))
        possible = all(
            task["times"].get(device) is not None for task in instance["tasks"] for device in instance["devices"]
        )
        nodes, graph = (network(instance), task_graph(instance)) if possible else (None, None)
        ids = {task["id"] for task in instance["tasks"]}
        for name in names:
            row: dict[str, Any] = {"path": path, "scheduler": name}
            if not possible:
                yield row | {"error": "a task cannot run everywhere, which is not put to SAGA"}
                continue
            signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
            started = time.perf_counter()
            try:
                made = known[name]().schedule(nodes, graph)
                seconds = time.perf_counter() - started
            except _TimeOutError:
                yield row | {"error": f"over {timeout_seconds:g} s"}
                continue
            except Exception as error:  # noqa: BLE001, whatever a peer raises is its result
                yield row | {"error": f"{type(error).__name__}: {error}"}
                continue
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            placed = [task for _, tasks in made.items() for task in tasks if task.name in ids]
            rows = [{"task": t.name, "device": t.node, "start": t.start, "finish": t.end} for t in placed]
            yield row | {"seconds": seconds, "schedule": rows}


def main() -> None:
    if len(sys.argv) < 4:
        print("saga_peer.py: a part of schedulers.py; usage: saga_peer.py TIMEOUT_SECONDS NAME,NAME,... INSTANCE...")
        return
    logging.disable(logging.WARNING)
    for row in solved(sys.argv[3:], sys.argv[2].split(","), float(sys.argv[1])):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
