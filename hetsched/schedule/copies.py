"""Copies: where values are and when, and how they come to where they are not."""

from __future__ import annotations

import math

from hetsched.schedule.gaps import Gaps
from hetsched.schedule.journal import Journal
from hetsched.schedule.memory import Holds, used_until
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Eviction, Transfer
from hetsched.schedule.ways import Hop, Way, Ways


class Copies:
    """What is copied so far; a value crosses once to a memory, when links are free and the memory has room.

    Attributes:
        arrival: by value, the memories that have it, and since when.
        full: the memory that had no room for what was asked last; None when something else was in the way.
        wait: whether copies ever wait, for a link or for room.
    """

    def __init__(self, problem: Problem, holds: Holds, journal: Journal) -> None:
        self._problem = problem
        self._holds = holds
        self._journal = journal
        self._ways = Ways(problem, holds.levels).of_value
        self._links = [Gaps() for _ in problem.link_names]
        self._bytes: list[float] = problem.value_bytes.tolist()
        self._persistent: list[bool] = problem.persistent.tolist()
        self.arrival: list[dict[int, float]] = [
            {memory: 0.0 for memory, there in enumerate(row) if there} for row in problem.resident.tolist()
        ]
        self._origins: list[list[int]] = [sorted(held) for held in self.arrival]
        self.full: int | None = None
        self.wait = problem.contention or bool(holds.levels)
        self.transfers: list[Transfer] = []
        self.evictions: list[Eviction] = []

    def computed(self, value: int, memory: int, start: float, end: float) -> None:
        """A task writes the value there; this is final."""
        self.arrival[value][memory] = end
        self._origins[value].append(memory)
        self._holds.open(value, memory, start, used_until(start, end), copied=False)

    def seconds(self, value: int, source: int, target: int) -> float:
        """Time from one memory to another when nothing is in the way; inf without a way."""
        ways = self._ways[value][source][target]
        return sum(hop.seconds(self._bytes[value]) for hop in ways[0]) if ways else math.inf

    def since(self, value: int) -> float:
        """When the value is first anywhere; inf when it is nowhere yet."""
        return min(self.arrival[value].values(), default=math.inf)

    def quickest(self, value: int, memory: int) -> tuple[float, Way]:
        """When a value could arrive in a memory, and what is left of its way from where it was made.

        Ways begin where it was made or was from the start: other copies are stops on such ways, or no sooner. When it
        is no longer there, they begin at any memory that has it.
        """
        found: tuple[float, int, int] = (math.inf, 0, 0)
        chosen: Way = ()
        held = self.arrival[value]
        for source in [origin for origin in self._origins[value] if origin in held] or sorted(held):
            for way in self._ways[value][source][memory]:
                n_done = max((stop for stop, hop in enumerate(way, start=1) if hop.target in held), default=0)
                left = way[n_done:]
                at = held[left[0].source]
                for hop in left:
                    at = self._times(value, hop, at)[1] if at < math.inf else at
                if (at, len(left), source) < found:
                    found, chosen = (at, len(left), source), left
        return found[0], chosen

    def bring(self, value: int, memory: int) -> float:
        """Book the copies that bring a value to a memory soonest; returns when it arrives, inf when it cannot."""
        self.full = None
        at, way = self.quickest(value, memory)
        if at == math.inf:
            return at
        at = self.arrival[value][way[0].source]
        for hop in way:
            start, at = self._times(value, hop, at)
            if self._problem.contention and not self._persistent[value]:
                self._journal.add(*[self._links[link].book(start, at) for link in hop.links])
            self._book(Transfer(value, hop.source, hop.target, start, at))
        return at

    def _times(self, value: int, hop: Hop, ready: float) -> tuple[float, float]:
        """When a copy would start and end: its links free together, and room for it; inf when there never is."""
        start = max(ready, self._holds.copy_since(value, hop.target)) if self._holds.levels else ready
        if start == math.inf:
            self.full = hop.target
            return start, start
        if self._persistent[value]:
            return (0.0, 0.0) if start <= 0 else (math.inf, math.inf)
        seconds = hop.seconds(self._bytes[value])
        if self._problem.contention:
            before = -1.0
            while start != before:
                before = start
                for link in hop.links:
                    start = self._links[link].earliest(start, seconds)
        return start, start + seconds

    def _book(self, transfer: Transfer) -> None:
        arrival = self.arrival[transfer.value]
        arrival[transfer.target] = transfer.end
        self.transfers.append(transfer)
        self._journal.add(lambda: arrival.pop(transfer.target), self.transfers.pop)
        until = used_until(transfer.start, transfer.end)
        self._holds.use(transfer.value, transfer.source, until)
        self._holds.open(transfer.value, transfer.target, transfer.start, until, copied=True)

    def evict(self, value: int, memory: int) -> None:
        """Give a value up in one memory after its last use there so far; another memory has it."""
        arrival = self.arrival[value]
        at = arrival.pop(memory)
        time = self._holds.evict(value, memory, at)
        self.evictions.append(Eviction(value, memory, time))
        self._journal.add(lambda: arrival.update({memory: at}), self.evictions.pop)
