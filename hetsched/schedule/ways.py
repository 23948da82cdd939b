"""Ways: the hops that bring a value from one memory to another, through memories that may hold it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hetsched.schedule.problem import Bools, Floats, Ints, Problem

TYPICAL_BYTES = 2.0**20
"""Size of the value that the cheapest ways are chosen for."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One direct copy of a way; ``links`` are busy meanwhile."""

    source: int
    target: int
    latency: float
    seconds_per_byte: float
    links: tuple[int, ...]

    def seconds(self, n_bytes: float) -> float:
        """Time of the copy, exactly as the Problem says."""
        return self.latency + n_bytes * self.seconds_per_byte


Way = tuple[Hop, ...]


def cheapest_next(latency: Floats, seconds_per_byte: Floats, n_bytes: float = TYPICAL_BYTES) -> Ints:
    """First stop on the cheapest way between all pairs of memories, -1 without one (Floyd and Warshall).

    Args:
        latency: of direct copies, inf where there is none, shape (n_memories, n_memories).
        seconds_per_byte: likewise.
        n_bytes: size of the value to move.
    """
    cost = np.where(
        np.isfinite(latency), latency + n_bytes * np.where(np.isfinite(latency), seconds_per_byte, 0), np.inf
    )
    following = np.where(np.isfinite(cost), np.arange(len(cost))[None, :], -1)
    for middle in range(len(cost)):
        through = cost[:, middle, None] + cost[None, middle, :]
        better = through < cost
        following = np.where(better, following[:, middle, None], following)
        cost = np.minimum(cost, through)
    return following.astype(np.int32)


class Ways:
    """The way of every value between every two memories; None where there is none."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        tables: dict[bytes, list[list[Way | None]]] = {}
        self.of_value: list[list[list[Way | None]]] = []
        for held in problem.may_hold:
            key = held.tobytes()
            if key not in tables:
                tables[key] = self._table(held)
            self.of_value.append(tables[key])

    def _table(self, held: Bools) -> list[list[Way | None]]:
        problem = self._problem
        following = problem.next_memory
        if not held.all():
            kept = held[:, None] & held[None, :]
            following = cheapest_next(np.where(kept, problem.latency, np.inf), problem.seconds_per_byte)
        memories = range(problem.n_memories)
        return [[self._way(following, a, b) if held[a] and held[b] else None for b in memories] for a in memories]

    def _way(self, following: Ints, source: int, target: int) -> Way | None:
        problem = self._problem
        hops: list[Hop] = []
        while source != target:
            stop = int(following[source, target])
            if stop < 0:
                return None
            links = tuple(problem.route_links.get((source, stop), ()))
            latency, per_byte = problem.latency[source, stop], problem.seconds_per_byte[source, stop]
            hops.append(Hop(source, stop, float(latency), float(per_byte), links))
            source = stop
        return tuple(hops)
