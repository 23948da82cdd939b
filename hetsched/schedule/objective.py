"""Objective: what a schedule is to be good at, within which limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hetsched.errors import ScheduleError

AIMS = ("makespan", "throughput", "energy", "money")
"""What can be minimised: the time of one run; the time between results when runs follow each other without a pause;
joules of one run, those of idle devices counted; the price of the devices that are used, for the whole run."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One aim, and limits that come first.

    Raises:
        ScheduleError: there is no such aim, or a limit is not more than zero.
    """

    aim: str = "makespan"
    deadline_seconds: float = math.inf
    budget_money: float = math.inf

    def __post_init__(self) -> None:
        if self.aim not in AIMS:
            raise ScheduleError(f"objective is {self.aim!r}; it can be {', '.join(AIMS)}")
        for name in ("deadline_seconds", "budget_money"):
            limit = getattr(self, name)
            if not limit > 0:
                raise ScheduleError(f"{name} is {limit}; it must be more than zero")


MAKESPAN = Objective()
