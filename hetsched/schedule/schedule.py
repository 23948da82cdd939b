"""Schedule: which task runs where and when, and which values move, as predicted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hetsched.schedule.objective import Figures, figures_of
from hetsched.schedule.problem import Problem
from hetsched.schedule.rows import Rows


@dataclass(frozen=True, slots=True)
class Placement:
    """One execution of a task on a device; indices into the Problem."""

    task: int
    device: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """One direct copy of a value between two memories; copies of persistent values happen in setup, at time zero."""

    value: int
    source: int
    target: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Eviction:
    """A memory gives a value up before its last use; it comes back by a later Transfer."""

    value: int
    memory: int
    time: float


@dataclass(frozen=True, eq=False, slots=True)
class Schedule:
    """Placements, Transfers and Evictions with predicted times, and a bound that no schedule can beat.

    Attributes:
        problem: what was scheduled.
        scheduler: name of the algorithm that made it.
        lower_bound_seconds: of the problem; 0 when nobody computed it.
        notes: what the scheduler could not do as its name says.
    """

    problem: Problem
    scheduler: str
    placements: Sequence[Placement]
    transfers: Sequence[Transfer] = ()
    evictions: Sequence[Eviction] = ()
    lower_bound_seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def makespan_seconds(self) -> float:
        """When the last task, and the last copy of a requested output, ends."""
        return max(_latest(self.placements), _latest(self.transfers))

    @property
    def gap(self) -> float:
        """Makespan over lower bound, less one."""
        return self.makespan_seconds / self.lower_bound_seconds - 1 if self.lower_bound_seconds > 0 else 0.0

    @property
    def figures(self) -> Figures:
        """Makespan, period, joules and money, defined there."""
        return figures_of(self)

    @property
    def period_seconds(self) -> float:
        """From one result to the next, when runs follow one another without a pause."""
        return self.figures.period_seconds

    @property
    def energy_joules(self) -> float:
        """Of one run, those of idle devices counted."""
        return self.figures.energy_joules

    @property
    def money(self) -> float:
        """Of one run: what the devices that are used cost until its end."""
        return self.figures.money

    def device_of(self, task: str) -> str:
        """Name of the device that runs a task first."""
        index = self.problem.task_names.index(task)
        return self.problem.device_names[next(p.device for p in self.placements if p.task == index)]

    def save(self, path: str | Path) -> None:
        """Write ``{"schedule": [{"task", "device", "start", "finish"}, ...]}`` as JSON."""
        names, devices = self.problem.task_names, self.problem.device_names
        rows = [
            {"task": names[p.task], "device": devices[p.device], "start": p.start, "finish": p.end}
            for p in sorted(self.placements, key=lambda placement: (placement.start, placement.task))
        ]
        Path(path).write_text(json.dumps({"schedule": rows}, indent=1) + "\n", encoding="utf-8")


def _latest(rows: Sequence[Placement] | Sequence[Transfer]) -> float:
    return rows.latest if isinstance(rows, Rows) else max((row.end for row in rows), default=0.0)


Scheduler = Callable[[Problem], Schedule]
"""Every scheduling algorithm: deterministic, ties broken by name."""
