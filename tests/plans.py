"""Schedules and plans for tests: three small hand-made jobs, and random schedules that evict and fetch again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from strategies import Pick, make_problem

from hetsched.errors import ScheduleError
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Eviction, Placement, Schedule, Transfer

PCIE = {"down": (0.0, 8.0), "up": (0.0, 8.0)}
"""One second for a value of 8 bytes, each way."""
ROUTES = {("ram", "vram:0"): ["down"], ("vram:0", "ram"): ["up"]}
DEVICES = {"cpu:0": "ram", "cuda:0": "vram:0"}


def schedule_of(
    problem: Problem,
    placements: list[tuple[str, str, float, float]],
    transfers: list[tuple[str, str, str, float, float]] = [],  # noqa: B006  # never changed
    evictions: list[tuple[str, str, float]] = [],  # noqa: B006  # never changed
) -> Schedule:
    """A Schedule from names."""
    task, device = problem.task_names.index, problem.device_names.index
    value, memory = problem.value_names.index, problem.memory_names.index
    return Schedule(
        problem,
        "by hand",
        tuple(Placement(task(t), device(d), start, end) for t, d, start, end in placements),
        tuple(Transfer(value(v), memory(a), memory(b), start, end) for v, a, b, start, end in transfers),
        tuple(Eviction(value(v), memory(m), time) for v, m, time in evictions),
    )


def diamond() -> Schedule:
    """decode -> (classify on the GPU with weights that stay, thumbnail on the CPU) -> report."""
    problem = make_problem(
        {
            "decode": (["x"], 1),
            "classify": (["decode", "w"], 2),
            "thumbnail": (["decode"], 3),
            "report": (["classify", "thumbnail"], 1),
        },
        devices=DEVICES,
        sources={"x": ["ram"], "w": ["ram"]},
        n_bytes=8,
        links=PCIE,
        routes=ROUTES,
        required=[("report", "ram")],
        persistent=["w"],
        expected_runs=10,
    )
    return schedule_of(
        problem,
        [
            ("decode", "cpu:0", 0, 1),
            ("classify", "cuda:0", 2, 4),
            ("thumbnail", "cpu:0", 1, 4),
            ("report", "cpu:0", 5, 6),
        ],
        [("w", "ram", "vram:0", 0, 0), ("decode", "ram", "vram:0", 1, 2), ("classify", "vram:0", "ram", 4, 5)],
    )


def spill() -> Schedule:
    """A chain on a GPU that is full in the middle, so that its first value waits in RAM for the last task."""
    problem = make_problem(
        {"a": ([], 1), "b": (["a"], 1), "c": (["b"], 1), "d": (["c"], 1), "e": (["a", "d"], 1)},
        devices=DEVICES,
        n_bytes={"a": 8, "b": 8, "c": 16, "d": 8, "e": 8},
        links=PCIE,
        routes=ROUTES,
        required=[("e", "ram")],
        allowed={key: ["cuda:0"] for key in "abcde"},
        capacity={"vram:0": 24},
    )
    return schedule_of(
        problem,
        [
            ("a", "cuda:0", 0, 1),
            ("b", "cuda:0", 1, 2),
            ("c", "cuda:0", 2, 3),
            ("d", "cuda:0", 3, 4),
            ("e", "cuda:0", 5, 6),
        ],
        [("a", "vram:0", "ram", 1, 2), ("a", "ram", "vram:0", 4, 5), ("e", "vram:0", "ram", 6, 7)],
        [("a", "vram:0", 2)],
    )


def two_hops() -> Schedule:
    """A value goes from one GPU to another through RAM."""
    problem = make_problem(
        {"a": (["x"], 1), "b": (["a"], 1)},
        devices={"cpu:0": "ram", "cuda:0": "vram:0", "cuda:1": "vram:1"},
        sources={"x": ["ram"]},
        n_bytes=8,
        links={"bus": (0.0, 8.0)},
        routes={(s, t): ["bus"] for g in "01" for s, t in (("ram", f"vram:{g}"), (f"vram:{g}", "ram"))},
        required=[("b", "vram:1")],
    )
    return schedule_of(
        problem,
        [("a", "cuda:0", 1, 2), ("b", "cuda:1", 4, 5)],
        [("x", "ram", "vram:0", 0, 1), ("a", "vram:0", "ram", 2, 3), ("a", "ram", "vram:1", 3, 4)],
    )


def spilling_schedule(problem: Problem, pick: Pick) -> Schedule:
    """A valid schedule that does one thing at a time on random devices, and evicts whatever stands in the way.

    A memory that is full gives up its values one by one, after a copy to ``ram`` where they are nowhere else. Needs a
    problem whose ``ram`` is large enough for everything.

    Raises:
        ScheduleError: a task reads a view whose base does not fit beside the rest.
    """
    return _Spiller(problem, pick).schedule()


class _Spiller:
    def __init__(self, problem: Problem, pick: Pick) -> None:
        self.problem, self.pick, self.now = problem, pick, 0.0
        self.home = problem.memory_names.index("ram")
        self.transfers: list[Transfer] = []
        self.evictions: list[Eviction] = []
        self.base: dict[tuple[int, int], int] = {}
        """What occupies the storage of each value held in a memory: itself, or the value that it is a view of."""
        for value, memory in zip(*(found.tolist() for found in problem.resident.nonzero()), strict=True):
            self.base[value, memory] = value

    def schedule(self) -> Schedule:
        problem = self.problem
        placements = []
        for task in range(problem.n_tasks):
            possible = [d for d in range(problem.n_devices) if problem.device_seconds[task, d] < float("inf")]
            device = possible[self.pick(len(possible))]
            memory = int(problem.device_memory[device])
            needed = set(problem.reads[task]) | set(problem.writes[task])
            for value in problem.reads[task]:
                self.bring(value, memory, needed)
            self.make_room(problem.writes[task], memory, needed)
            start, self.now = self.now, self.now + float(problem.device_seconds[task, device])
            placements.append(Placement(task, device, start, self.now))
            for value in problem.writes[task]:
                self.base[value, memory] = self.base.get((int(problem.alias[value]), memory), value)
        for value, memory in problem.required:
            self.bring(value, memory, {value})
        return Schedule(problem, "spilling", tuple(placements), tuple(self.transfers), tuple(self.evictions))

    def bring(self, value: int, memory: int, needed: set[int]) -> None:
        if (value, memory) in self.base:
            return
        sources = [m for m in range(self.problem.n_memories) if (value, m) in self.base]
        source = self.home if self.home in sources else sources[0]
        for a, b in pairwise(self.problem.path(source, memory)):
            if (value, b) not in self.base:
                self.make_room([value], b, needed | {value})
                self.copy(value, a, b)

    def copy(self, value: int, source: int, target: int) -> None:
        start, end = self.now, self.now + self.problem.hop_seconds(value, source, target)
        if self.problem.persistent[value]:
            start = end = 0.0
        self.now = max(self.now, end)
        self.transfers.append(Transfer(value, source, target, start, end))
        self.base[value, target] = value

    def make_room(self, values: Sequence[int], memory: int, needed: set[int]) -> None:
        n_bytes = self.problem.value_bytes.tolist()
        coming = sum(n_bytes[value] for value in values)
        while (
            coming + sum(n_bytes[base] for base in {base for (_, m), base in self.base.items() if m == memory})
            > self.problem.capacity[memory]
        ):
            victims = sorted(value for value, m in self.base if m == memory and value not in needed)
            if not victims:
                raise ScheduleError("a view keeps its base alive, which leaves no room")
            value = victims[self.pick(len(victims))]
            if all((value, m) not in self.base for m in range(self.problem.n_memories) if m != memory):
                self.copy(value, memory, self.home)
            del self.base[value, memory]
            self.evictions.append(Eviction(value, memory, self.now))
