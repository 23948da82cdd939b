"""What schedulers.py measures on: the folder of instances with its independent checker, and large made problems.

As a script, a process of its own for one made problem: ``instances.py scale LAYERED_TASKS|cluster`` solves it stage by
stage, ``instances.py cold TASKS`` solves it first thing. Without arguments it does nothing.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import hetsched
from hetsched.schedule.problem import Ints, Problem

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "instances"
GROUPS = {
    "CPU+GPU": ("starpu_chol", "starpu_lu", "v100_chol", "stg_accel", "dnn_placement"),
    "others": ("stg_homog", "wfcommons", "dagbench", "pisa"),
}
MAX_BYTES = 20 << 30
"""Address space of a process that solves a large problem; this machine is shared."""


@dataclass(frozen=True)
class Instance:
    """A file of the folder, as its checker reads it."""

    path: Path
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.stem

    @property
    def family(self) -> str:
        """What kind of problem it is."""
        return self.content.get("family", "other")

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.content["tasks"])

    @property
    def proven(self) -> float | None:
        """The optimal makespan where somebody proved it."""
        return self.content.get("optimal_makespan")

    @property
    def best(self) -> float:
        """What a makespan is compared with: the optimum, else the best that is known."""
        return self.proven or self.content["best_known_makespan"]


def load_folder(folder: Path) -> list[Instance]:
    """All instances with a known makespan, by name."""
    found = [Instance(path, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]
    return [instance for instance in found if "best_known_makespan" in instance.content or instance.proven]


def scopes(families: Iterable[str]) -> dict[str, list[str]]:
    """What means are taken over: every family by itself, then each group of them."""
    known = [family for group in GROUPS.values() for family in group]
    there = sorted(set(families), key=lambda family: (known.index(family) if family in known else len(known), family))
    found = {family: [family] for family in there}
    for group, members in GROUPS.items():
        found[group] = [f for f in there if f in members or (group == "others" and f not in known)]
    return {scope: members for scope, members in found.items() if members}


def load_checker(folder: Path) -> ModuleType:
    """The folder's check.py, which shares no code with us."""
    spec = importlib.util.spec_from_file_location("instance_check", folder / "check.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(folder / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def layered_reads(rng: np.random.Generator, n_tasks: int, width: int) -> tuple[Ints, Ints]:
    """CSR of the values that tasks read: one to four of the two layers before, none in the first layer.

    Task i makes value i.
    """
    layer_start = np.arange(n_tasks) // width * width
    n_reads = np.where(layer_start > 0, rng.integers(1, 5, n_tasks), 0)
    reader = np.repeat(np.arange(n_tasks), n_reads)
    last = layer_start[reader]
    value = last - 1 - (rng.random(len(reader)) * np.minimum(last, 2 * width)).astype(np.int64)
    distinct = np.unique(reader * n_tasks + value)
    counts = np.bincount(distinct // n_tasks, minlength=n_tasks)
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int32), (distinct % n_tasks).astype(np.int32)


def layered(n_tasks: int) -> Problem:
    """Random layers on six CPU workers that share a memory and two GPUs, GPUs 1 to 30 times as fast."""
    rng = np.random.default_rng(n_tasks)
    on_cpu = rng.lognormal(np.log(0.01), 0.6, n_tasks)
    seconds = np.column_stack([on_cpu, on_cpu / np.exp(rng.uniform(0, np.log(30), n_tasks))])
    latency = np.where(np.eye(3, dtype=bool), 0.0, 1e-5)
    return _problem(
        rng,
        seconds=seconds,
        width=max(32, int(n_tasks**0.5)),
        device_names=(*(f"cpu:{i}" for i in range(6)), "gpu:0", "gpu:1"),
        device_class=np.repeat([0, 1], [6, 2]),
        memory_names=("ram", "gpu:0", "gpu:1"),
        device_memory=np.array([0] * 6 + [1, 2]),
        latency=latency,
        seconds_per_byte=np.where(np.eye(3, dtype=bool), 0.0, 1 / 12e9),
        next_memory=np.tile(np.arange(3), (3, 1)),
        links={(a, b): (f"{a}->{b}",) for a in range(3) for b in range(3) if a != b},
        name=f"layered-{n_tasks}",
    )


def cluster(n_tasks: int = 100_000, n_nodes: int = 128, n_gpus: int = 8) -> Problem:
    """Random layers on a cluster: GPUs reach their host over PCIe, hosts reach each other over a network."""
    rng = np.random.default_rng(n_nodes)
    n_devices = n_nodes * n_gpus
    n_memories = n_nodes + n_devices  # hosts first
    host = np.concatenate((np.arange(n_nodes), np.repeat(np.arange(n_nodes), n_gpus)))
    is_host = np.arange(n_memories) < n_nodes
    pcie = (host[:, None] == host) & (is_host[:, None] != is_host)
    network = is_host[:, None] & is_host
    np.fill_diagonal(network, val=False)
    latency, seconds_per_byte = np.full((2, n_memories, n_memories), np.inf)
    for direct, seconds, bytes_per_second in ((pcie, 1e-5, 50e9), (network, 5e-6, 25e9)):
        latency[direct], seconds_per_byte[direct] = seconds, 1 / bytes_per_second
    np.fill_diagonal(latency, 0.0)
    np.fill_diagonal(seconds_per_byte, 0.0)
    same = host[:, None] == host
    away = np.where(is_host[:, None], np.broadcast_to(host, same.shape), host[:, None])  # a GPU goes by its own host
    next_memory = np.where(same & (is_host[:, None] | is_host), np.arange(n_memories), away)
    np.fill_diagonal(next_memory, np.arange(n_memories))
    links = {(int(a), int(b)): (f"pcie:{a}->{b}",) for a, b in np.argwhere(pcie)}
    links |= {(int(a), int(b)): (f"out:{a}", f"in:{b}") for a, b in np.argwhere(network)}
    gpus = tuple(f"node{n}/gpu:{g}" for n in range(n_nodes) for g in range(n_gpus))
    return _problem(
        rng,
        seconds=rng.lognormal(np.log(0.01), 0.6, (n_tasks, 1)),
        width=2 * n_devices,
        device_names=gpus,
        device_class=np.zeros(n_devices),
        memory_names=tuple(f"node{n}" for n in range(n_nodes)) + gpus,
        device_memory=np.arange(n_nodes, n_memories),
        latency=latency,
        seconds_per_byte=seconds_per_byte,
        next_memory=next_memory,
        links=links,
        name=f"cluster-{n_devices}",
    )


def _problem(
    rng: np.random.Generator,
    *,
    seconds: np.ndarray,
    width: int,
    device_class: np.ndarray,
    device_memory: np.ndarray,
    next_memory: np.ndarray,
    links: dict[tuple[int, int], tuple[str, ...]],
    **given: Any,
) -> Problem:
    """Values of about 1 MB, neither capacity nor contention."""
    n_tasks, n_devices, n_memories = len(seconds), len(device_class), len(next_memory)
    read_ptr, read_values = layered_reads(rng, n_tasks, width)
    link_index = {name: index for index, name in enumerate(dict.fromkeys(n for names in links.values() for n in names))}
    names = tuple(f"t{i}" for i in range(n_tasks))
    return Problem(
        task_names=names,
        value_names=names,
        link_names=tuple(link_index),
        read_ptr=read_ptr,
        read_values=read_values,
        producer=np.arange(n_tasks, dtype=np.int32),
        value_bytes=rng.lognormal(np.log(1e6), 0.5, n_tasks),
        alias=np.full(n_tasks, -1, dtype=np.int32),
        device_class=device_class.astype(np.int32),
        seconds=seconds,
        deviation=np.zeros_like(seconds),
        allowed=np.broadcast_to(np.True_, (n_tasks, n_devices)),
        device_memory=device_memory.astype(np.int32),
        next_memory=next_memory.astype(np.int32),
        route_links={pair: tuple(link_index[name] for name in names) for pair, names in links.items()},
        capacity=np.full(n_memories, np.inf),
        static_bytes=np.zeros(n_tasks),
        may_hold=np.broadcast_to(np.True_, (n_tasks, n_memories)),
        resident=np.broadcast_to(np.False_, (n_tasks, n_memories)),
        persistent=np.zeros(n_tasks, dtype=bool),
        contention=False,
        values_take_room=False,
        **given,
    )


def in_own_process(*arguments: str, timeout_seconds: float = 600.0) -> list[dict[str, Any]]:
    """The JSON lines that this file prints as a script, up to where it ends, fails or is stopped."""
    try:
        done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, timeout=timeout_seconds)
        output = done.stdout
        said = done.stderr.decode().strip().rpartition("\n")[2] or f"it ended with {done.returncode}"
        ending = [{"stage": "failed", "error": said}] if done.returncode else []
    except subprocess.TimeoutExpired as expired:
        output, ending = expired.stdout or b"", [{"stage": "stopped", "error": f"over {timeout_seconds:g} s"}]
    return [*map(json.loads, output.decode().splitlines()), *ending]


def peak_megabytes() -> float:
    """Largest resident size of this process so far; getrusage would count that of the process that started it too."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def solve_by_stages(make: Callable[[], Problem], warm_up: Problem) -> None:
    """Print a JSON line a stage: seconds, peak megabytes and, for a solver, its makespan."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))

    def stage(name: str, call: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        made = call()
        row = {"stage": name, "seconds": time.perf_counter() - started, "peak_megabytes": peak_megabytes()}
        if isinstance(made, hetsched.Schedule):
            row |= {"makespan": made.makespan_seconds, "bound": made.lower_bound_seconds}
        elif isinstance(made, float):
            row["bound"] = made
        print(json.dumps(row), flush=True)
        return made

    for scheduler in ("heft", "auto"):
        hetsched.solve(warm_up, scheduler)
    stage("warm", lambda: None)
    problem = stage("build", make)
    for scheduler in ("heft", "auto"):
        fresh = replace(problem)  # without what an earlier stage worked out and kept
        stage(scheduler, lambda fresh=fresh, scheduler=scheduler: hetsched.solve(fresh, scheduler))
    stage("bound", lambda: problem.lower_bound_seconds)


def solve_cold(n_tasks: int) -> None:
    """Print seconds of the very first solve of this process, and whether it needed numba."""
    problem = layered(n_tasks)
    started = time.perf_counter()
    hetsched.solve(problem, "auto")
    row = {"seconds": time.perf_counter() - started, "numba": "numba" in sys.modules}
    print(json.dumps(row))


def main() -> None:
    match sys.argv[1:]:
        case ["scale", "cluster"]:
            solve_by_stages(cluster, cluster(2000, 4))
        case ["scale", n_tasks]:
            solve_by_stages(lambda: layered(int(n_tasks)), layered(2000))
        case ["cold", n_tasks]:
            solve_cold(int(n_tasks))
        case _:
            print("instances.py: a part of schedulers.py")


if __name__ == "__main__":
    main()
