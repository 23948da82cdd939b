"""The Ray executor beside Ray tasks: cost of a run, of a task, and of a large tensor from one actor to another.

Run it with ``python benchmarks/ray_cluster.py``; it starts a private Ray here, prints medians and stores them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import networkx as nx
import torch
from machine import described, save

import hetsched
from hetsched.platform.platform import Device, Host, Link, Memory, Platform, Process, Rates, Route

RATES = Rates({"float32": 5e10}, 1e10, 2e-6)


def two_actors() -> Platform:
    """Two processes with a CPU worker each, one object store hop apart."""
    links = tuple(Link(f"{a}{b}", 1e-3, 1.3e9) for a, b in (("a", "b"), ("b", "a")))
    return Platform(
        "two-actors",
        (Host("a"), Host("b")),
        (Process("a", "a"), Process("b", "b")),
        (Memory("a/ram", "a", 8e9), Memory("b/ram", "b", 8e9)),
        (Device("a/cpu:0", "cpu", "a/ram", rates=RATES), Device("b/cpu:0", "cpu", "b/ram", rates=RATES)),
        links,
        (Route("a/ram", "b/ram", ("ab",)), Route("b/ram", "a/ram", ("ba",))),
    )


def random_graph(n_tasks: int, seed: int = 0) -> nx.DiGraph:
    """Each task adds two of the twenty values before it, of four numbers each; the last depends on almost all."""
    rng = random.Random(seed)
    graph = nx.DiGraph()
    graph.add_node(0, shape=(4,))
    for i in range(1, n_tasks + 1):
        before = rng.sample(range(max(0, i - 20), i), min(i, 2))
        graph.add_node(i, op=torch.add)
        if len(before) == 1:
            graph.add_edge(before[0], i, arg=(0, 1))
        else:
            graph.add_edges_from((b, i) for b in before)
    return graph


def seconds_of(call: Callable[[], object], n: int, warm_up: int = 3) -> float:
    """Median of ``n`` calls."""
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(n):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return median(times)


def fixed_cost(platform: Platform) -> float:
    """A run whose two tasks, one in each actor, do next to nothing."""
    g = hetsched.TaskGraph()
    g.input("x", shape=(4,))
    g.add("relu", "x", name="left", device="a/cpu:0")
    g.add("relu", "x", name="right", device="b/cpu:0")
    x = torch.ones(4)
    with hetsched.compile(g, platform=platform) as program:
        return seconds_of(lambda: program.run({"x": x}), 50, warm_up=5)


def one_actor(graph: nx.DiGraph, platform: Platform) -> tuple[float, int]:
    """A run of a whole graph inside one actor, and how many tasks it has."""
    pinned = graph.copy()
    nx.set_node_attributes(pinned, {node: "a/cpu:0" for node in graph if node}, "device")
    with hetsched.compile(pinned, platform=platform, outputs=[max(graph)]) as program:
        return seconds_of(lambda: program.run({0: torch.ones(4)}), 20, warm_up=5), len(program.schedule.placements)


def _add(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return left + right


def plain_ray_tasks(graph: nx.DiGraph) -> float:
    """The same graph, a Ray task for each task."""
    import ray

    add = ray.remote(num_cpus=1)(_add)
    output = max(graph)
    needed = nx.ancestors(graph, output) | {output}
    n_tasks = len(needed) - 1

    def run() -> None:
        refs: dict[int, Any] = {0: torch.ones(4)}
        for node in sorted(needed - {0}):
            before = [refs[b] for b in graph.predecessors(node)]
            refs[node] = add.remote(*(before * 2 if len(before) == 1 else before))
        ray.get(refs[output])

    return seconds_of(run, 3, warm_up=1) / n_tasks


def large_tensor(platform: Platform) -> float:
    """64 MiB from one actor to the other: a run that moves it, less one that doesn't."""

    def program(target: str) -> hetsched.Program:
        g = hetsched.TaskGraph()
        g.input("seed", shape=())
        g.add(hetsched.op(kinds=("cpu",))(_large), "seed", name="large", device="a/cpu:0")
        g.add(hetsched.op(kinds=("cpu",))(_first), "large", name="first", device=target)
        return hetsched.compile(g, platform=platform)

    with program("b/cpu:0") as moving, program("a/cpu:0") as staying:
        pairs = []
        for i in range(13):
            times = []
            for each in (moving, staying):
                started = time.perf_counter()
                each.run({"seed": torch.tensor(float(i))})
                times.append(time.perf_counter() - started)
            pairs.append(times[0] - times[1])
    return median(pairs[3:])


_CACHE = torch.zeros(16 << 20)


def _large(seed: torch.Tensor) -> torch.Tensor:
    return _CACHE


def _first(large: torch.Tensor) -> float:
    return float(large[0])


def main() -> None:
    machine = described()
    platform = two_actors()
    graph = random_graph(2000)
    with hetsched.session(executor="ray"):
        fixed = fixed_cost(platform)
        run, n_tasks = one_actor(graph, platform)
        moved = large_tensor(platform)
    with hetsched.session(executor="ray"):  # whose CPUs no actor holds
        peer = plain_ray_tasks(graph)
    results = {
        "fixed_cost_ms": fixed * 1e3,
        "run_of_2000_tasks_ms": run * 1e3,
        "task_without_fixed_cost_us": (run - fixed) / n_tasks * 1e6,
        "tensor_64_MiB_ms": moved * 1e3,
        "ray_task_us": peer * 1e6,
        "ray_tasks_over_ours": peer * n_tasks / run,
    }
    for name, value in results.items():
        print(f"{name:>22} {value:10.2f}")
    print("stored in", save("ray_cluster", machine, results))


if __name__ == "__main__":
    main()
