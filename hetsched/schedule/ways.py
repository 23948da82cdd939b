"""Ways: the hops that bring a value from one memory to another, through memories that may hold it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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


def cheapest_next(
    latency: Floats, seconds_per_byte: Floats, n_bytes: float = TYPICAL_BYTES, stops: Sequence[int] | None = None
) -> Ints:
    """First stop on the cheapest way between all pairs of memories, -1 without one (Floyd and Warshall).

    Args:
        latency: of direct copies, inf where there is none, shape (n_memories, n_memories).
        seconds_per_byte: likewise.
        n_bytes: size of the value to move.
        stops: memories that a way may lead through; all of them when left out.
    """
    joined = np.isfinite(latency)
    cost = np.where(joined, latency + n_bytes * np.where(joined, seconds_per_byte, 0.0), np.inf)
    following = np.where(joined, np.arange(len(cost))[None, :], -1)
    for middle in range(len(cost)) if stops is None else stops:
        through = cost[:, middle, None] + cost[None, middle, :]
        better = through < cost
        following = np.where(better, following[:, middle, None], following)
        cost = np.minimum(cost, through)
    return following.astype(np.int32)


class Ways:
    """The ways of every value between memories: the cheapest, and one that no full memory between them can block."""

    def __init__(self, problem: Problem, tight: Collection[int] = ()) -> None:
        """Find all ways; ``tight`` memories may be full."""
        self._problem = problem
        self._tight = tight
        tables: dict[bytes, list[list[tuple[Way, ...]]]] = {}
        self.of_value: list[list[list[tuple[Way, ...]]]] = []
        for held in problem.may_hold:
            key = held.tobytes()
            if key not in tables:
                tables[key] = self._table(held)
            self.of_value.append(tables[key])

    def _table(self, held: Bools) -> list[list[tuple[Way, ...]]]:
        problem, memories = self._problem, range(self._problem.n_memories)
        latency = np.where(held[:, None] & held[None, :], problem.latency, np.inf)
        everywhere = problem.next_memory if held.all() else cheapest_next(latency, problem.seconds_per_byte)
        choices = [everywhere]
        if self._tight:
            roomy = [memory for memory in memories if memory not in self._tight]
            around = cheapest_next(latency, problem.seconds_per_byte, stops=roomy)
            choices.append(
                np.where(np.isfinite(latency), np.arange(problem.n_memories)[None, :], around).astype(np.int32)
            )
        return [[self._between(choices, a, b) if held[a] and held[b] else () for b in memories] for a in memories]

    def _between(self, choices: list[Ints], source: int, target: int) -> tuple[Way, ...]:
        ways = [self._way(following, source, target) for following in choices]
        return tuple(dict.fromkeys(way for way in ways if way is not None))

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
