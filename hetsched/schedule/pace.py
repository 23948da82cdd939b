"""The pace of a search with a budget of time: rounds that are short enough to stop in time, and to tell how it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Progress = Callable[[float, float], None]
"""Is told the seconds spent and the best makespan, or score, so far, after every round of a search."""

ROUND_SECONDS = 0.03
"""About what passes between two looks at the clock, once it is known how long a step takes."""


def rounds(take: Callable[[int, float], None], spent: Callable[[], float], until: float) -> Iterator[None]:
    """Take steps until a time has come; control comes back after each round.

    Args:
        take: is given a number of steps to take, and about how many seconds that will last; 0 if nobody knows yet.
        spent: the clock.
        until: its time to stop.
    """
    n_steps, per_step = 10, 0.0
    while spent() < until:
        begun = spent()
        take(n_steps, n_steps * per_step)
        per_step = max(spent() - begun, 1e-7) / n_steps
        yield
        n_steps = max(1, min(10 * n_steps, int(min(ROUND_SECONDS, max(0.0, until - spent())) / per_step)))
