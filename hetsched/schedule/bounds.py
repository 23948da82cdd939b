"""Lower bounds that no schedule can beat."""

from __future__ import annotations

from hetsched.schedule.problem import Problem


def lower_bound(problem: Problem) -> float:
    """Seconds."""
    return 0.0
