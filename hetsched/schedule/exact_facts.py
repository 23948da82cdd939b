"""The numbers of a problem that `exact_model` is made of, and the whole units that it counts time in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from hetsched.schedule.memory import require_room, tight_memories
from hetsched.schedule.problem import Floats, Problem
from hetsched.schedule.ways import Ways

MOST_UNITS = 1 << 28
"""That a makespan may have to be certain: CP-SAT multiplies such numbers, and the products of larger ones overflow."""

MAX_TERMS = 300_000
"""Problems with more terms are not modelled."""


class Group(NamedTuple):
    """Devices that are the same to every task."""

    memory: int
    dispatcher: int
    devices: tuple[int, ...]
    seconds: tuple[float, ...]


class Facts:
    """The numbers of a problem that its model is made of.

    Attributes:
        groups: of devices.
        is_large: there is too much to model; the rest is left out.
        moving: seconds of each value along its ways, inf without one, shape (n_values, n_memories, n_memories).
        arrival: when sources can be in each memory, shape (n_values, n_memories).

    Raises:
        ScheduleError: a task needs more bytes than any memory has that it may run in.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        seconds = problem.device_seconds.tolist()
        require_room(problem, seconds)
        found: dict[tuple[int, int, tuple[float, ...]], list[int]] = {}
        for device in range(problem.n_devices):
            column = tuple(row[device] for row in seconds)
            key = int(problem.device_memory[device]), int(problem.dispatcher[device]), column
            found.setdefault(key, []).append(device)
        self.groups = [Group(memory, process, tuple(ds), column) for (memory, process, column), ds in found.items()]
        n_reads = len(problem.read_values)
        n_terms = problem.n_tasks * len(self.groups) + (n_reads + problem.n_values) * problem.n_memories**2
        self.is_large = n_terms > MAX_TERMS
        if self.is_large:
            return
        self.moving = _moving(problem)
        origins = np.where(problem.resident, 0.0, np.inf)
        self.arrival = (origins[:, :, None] + self.moving).min(axis=1)

    def horizon(self) -> float:
        """A makespan that some schedule keeps, if there is one."""
        seconds = np.array([g.seconds for g in self.groups])
        longest = np.where(np.isfinite(seconds), seconds, 0.0).max(axis=0).sum()
        return float(longest + np.where(np.isfinite(self.moving), self.moving, 0.0).max(axis=(1, 2)).sum())

    def numbers(self, horizon: float) -> Floats:
        """All seconds up to a horizon that the model speaks of."""
        problem = self.problem
        seconds = [np.array([g.seconds for g in self.groups]).ravel(), self.moving.ravel(), problem.dispatch_seconds]
        numbers = np.unique(np.concatenate([*seconds, [horizon]]))
        return numbers[numbers <= horizon]


def _moving(problem: Problem) -> Floats:
    moving = np.full((problem.n_values, problem.n_memories, problem.n_memories), np.inf)
    moving[:, range(problem.n_memories), range(problem.n_memories)] = 0.0
    ways = Ways(problem, tight_memories(problem)).of_value
    like: dict[int, list[int]] = {}
    for value, table in enumerate(ways):
        like.setdefault(id(table), []).append(value)
    for values in like.values():
        for source, row in enumerate(ways[values[0]]):
            for way in chain.from_iterable(row):
                seconds = np.zeros(len(values))
                for hop in way:
                    seconds = seconds + hop.latency + problem.value_bytes[values] * hop.seconds_per_byte
                    moving[values, source, hop.target] = np.minimum(moving[values, source, hop.target], seconds)
    moving[problem.persistent] = np.where(np.isfinite(moving[problem.persistent]), 0.0, np.inf)
    return moving


@dataclass(frozen=True, slots=True)
class Scale:
    """Seconds in whole units: the same where they are exact, else rounded down."""

    per_second: float
    is_exact: bool = False

    def units(self, seconds: float) -> int:
        """Of a finite time."""
        return round(seconds * self.per_second) if self.is_exact else math.floor(seconds * self.per_second)


def exact_scale(facts: Facts, horizon: float) -> Scale | None:
    """Units of which all times are multiples, as decimals are; None if there is none that is not too small."""
    numbers = facts.numbers(horizon)
    for power in range(-9, 16):
        per_second = 10.0**power
        if horizon * per_second > MOST_UNITS * 1000:
            break
        scaled = numbers * per_second
        whole = np.rint(scaled)
        if np.abs(scaled - whole).max() <= 1e-12 * horizon * per_second:
            divisor = int(np.gcd.reduce(whole.astype(np.int64))) or 1
            fits = horizon * per_second / divisor <= MOST_UNITS
            return Scale(per_second / divisor, is_exact=True) if fits else None
    return None


def gaps(predecessors: Sequence[Sequence[int]], least: Sequence[int], n_devices: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of tasks, and the time between them that all which has to run between them takes, where no path says so.

    Devices are taken for equally fast: the task's best. Of the m longest tasks, where m is h times the number of
    devices and one more, h + 1 run on one device; and devices do their work after the shortest of the times before
    tasks, and before the shortest of those behind them (Fernandez and Bussell 1973, doi:10.1109/TC.1973.5009153).

    Yields:
        The earlier task, or n_tasks for the start of the schedule; the later one, or n_tasks + 1 for its end; the time.
    """
    n_tasks = len(least)
    everything, first, last = (1 << n_tasks) - 1, n_tasks, n_tasks + 1
    above, below = [0] * n_tasks, [0] * n_tasks
    for task, before in enumerate(predecessors):
        for predecessor in before:
            above[task] |= above[predecessor] | 1 << predecessor
    for task in reversed(range(n_tasks)):
        for predecessor in predecessors[task]:
            below[predecessor] |= below[task] | 1 << task
    above += [0, everything]
    below += [everything, 0]
    span: dict[tuple[int, int], int] = {}
    for a in (*reversed(range(n_tasks)), first):
        for b in (*_members(below[a]), last):
            between = _members(below[a] & above[b])
            heads, tails = [span[a, task] for task in between], [span[task, b] for task in between]
            taken = [least[task] for task in between]
            path = max(map(sum, zip(heads, taken, tails, strict=True)), default=0)
            span[a, b] = path
            if len(between) > n_devices:
                span[a, b] = max(path, _at_least(heads, taken, tails, n_devices))
            if span[a, b] > path:
                yield a, b, span[a, b]


def _members(mask: int) -> list[int]:
    return [task for task in range(mask.bit_length()) if mask >> task & 1]


def _at_least(heads: list[int], taken: list[int], tails: list[int], n_devices: int) -> int:
    """Time that more tasks than devices take, with what is before and behind them."""
    ends = sum(sorted(heads)[:n_devices]) + sum(sorted(tails)[:n_devices])
    longest = sorted(taken, reverse=True)
    stacked = [sum(longest[i - i // n_devices : i + 1]) for i in range(n_devices, len(longest), n_devices)]
    return max(-(-(sum(taken) + ends) // n_devices), *stacked)
