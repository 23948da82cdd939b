"""What `exact` tells CP-SAT: a Problem in whole units of time, as optional intervals on groups of like devices.

Everything is rounded down, and what the model leaves out only makes schedules longer. So its optimum is a lower bound:
on every schedule that runs each task once, and copies values along their ways.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from ortools.sat.python import cp_model

from hetsched.schedule.exact_facts import Facts, Scale, gaps
from hetsched.schedule.memory import TOLERANCE
from hetsched.schedule.schedule import Schedule

MAX_BETWEEN = 100
"""Of more tasks, not all pairs are looked at."""

MAX_HOPS = 20_000
"""Of more copies that may be, links are left out."""

STATIC_UNITS = 1 << 40
"""In which a memory's capacity is counted."""

Literal: TypeAlias = cp_model.IntVar


class Model:
    """The model of a problem, between a bound and a horizon.

    Attributes:
        model: what CP-SAT solves: the least makespan, in units.
        start: of each task.
        units: for each task, by group that it can run on, how long it takes there.
        on: likewise, whether it runs there.
    """

    def __init__(self, facts: Facts, scale: Scale, bound: float, horizon: float) -> None:
        self._facts, self._problem, self._scale = facts, facts.problem, scale
        self._seconds_left = horizon
        self._horizon = scale.units(horizon) if scale.is_exact else math.ceil(horizon * scale.per_second)
        self.model = cp_model.CpModel()
        tasks = range(self._problem.n_tasks)
        self.start = [self._time() for _ in tasks]
        self._end = [self._time() for _ in tasks]
        self._makespan = self.model.new_int_var(min(scale.units(bound), self._horizon), self._horizon, "")
        self.units: list[dict[int, int]] = []
        self.on: list[dict[int, Literal]] = []
        self._at: list[dict[int, Literal]] = []
        for task in tasks:
            self._choose(task)
        self._share_devices()
        self._share_columns()
        self._share_interpreters()
        for task in tasks:
            self._read(task)
        self._deliver()
        self._take_static_bytes()
        if self._problem.n_tasks <= MAX_BETWEEN:
            self._keep_between()
        self._classes = self._interchangeable()
        self._break_symmetry()
        if self._problem.contention:
            self._share_links()
        self.model.minimize(self._makespan)

    def hint(self, schedule: Schedule) -> None:
        """Have the search begin at a schedule."""
        group_of = {device: group for group, g in enumerate(self._facts.groups) for device in g.devices}
        placed = {p.task: p for p in reversed(schedule.placements)}
        chosen = [group_of[placed[task].device] for task in range(self._problem.n_tasks)]
        renamed = list(range(len(self._facts.groups)))
        for like in self._classes:
            in_order = dict.fromkeys([*(group for group in chosen if group in like), *like])
            for group, name in zip(in_order, like, strict=True):
                renamed[group] = name
        for task, options in enumerate(self.on):
            for group, literal in options.items():
                self.model.add_hint(literal, int(group == renamed[chosen[task]]))
            self.model.add_hint(self.start[task], min(self._horizon, self._scale.units(placed[task].start)))

    def _time(self) -> cp_model.IntVar:
        return self.model.new_int_var(0, self._horizon, "")

    def _literal(self) -> Literal:
        return self.model.new_bool_var("")

    def _choose(self, task: int) -> None:
        """One group for a task, which is not too slow, and where its sources can be."""
        groups = self._facts.groups
        seconds = {group: g.seconds[task] for group, g in enumerate(groups) if g.seconds[task] <= self._seconds_left}
        self.units.append({group: self._scale.units(taken) for group, taken in seconds.items()})
        on = {group: self._literal() for group in seconds}
        self.model.add_exactly_one(on.values())
        self.on.append(on)
        self.model.add(self._end[task] == self.start[task] + sum(self.units[task][group] * on[group] for group in on))
        self.model.add(self._makespan >= self._end[task])
        by_memory: dict[int, list[Literal]] = {}
        for group, literal in on.items():
            by_memory.setdefault(groups[group].memory, []).append(literal)
        self._at.append({memory: self._any(literals) for memory, literals in by_memory.items()})
        sources = [value for value in self._problem.reads[task] if self._problem.producer[value] < 0]
        for memory, literal in self._at[task].items():
            arrival = max((float(self._facts.arrival[value, memory]) for value in sources), default=0.0)
            if arrival > self._seconds_left:
                self.model.add(literal == 0)
            elif arrival > 0:
                self.model.add(self.start[task] >= self._scale.units(arrival)).only_enforce_if(literal)

    def _any(self, literals: list[Literal]) -> Literal:
        """Whether one of several, of which at most one holds, does."""
        if len(literals) == 1:
            return literals[0]
        found = self._literal()
        self.model.add(sum(literals) == found)
        return found

    def _interval(self, task: int, units: int, literal: Literal) -> cp_model.IntervalVar:
        return self.model.new_optional_fixed_size_interval_var(self.start[task], units, literal, "")

    def _share_devices(self) -> None:
        """A group runs as many tasks at once as it has devices, and no more work than they have time for."""
        for group, g in enumerate(self._facts.groups):
            tasks = [task for task in range(self._problem.n_tasks) if group in self.on[task]]
            loads = [(self.units[task][group], self.on[task][group]) for task in tasks]
            if len(tasks) > len(g.devices):
                intervals = [self._interval(task, *load) for task, load in zip(tasks, loads, strict=True)]
                self._share(intervals, len(g.devices))
            self.model.add(sum(units * literal for units, literal in loads) <= len(g.devices) * self._makespan)

    def _share(self, intervals: list[cp_model.IntervalVar], n_at_once: int) -> None:
        if n_at_once == 1:
            self.model.add_no_overlap(intervals)
        else:
            self.model.add_cumulative(intervals, [1] * len(intervals), n_at_once)

    def _share_columns(self) -> None:
        """Groups of equally fast devices, taken together: implied, and stronger where memories tell them apart."""
        like: dict[tuple[float, ...], list[int]] = {}
        for group, g in enumerate(self._facts.groups):
            like.setdefault(g.seconds, []).append(group)
        for together in like.values():
            tasks = [task for task in range(self._problem.n_tasks) if together[0] in self.on[task]]
            n_devices = sum(len(self._facts.groups[group].devices) for group in together)
            if len(together) > 1 and len(tasks) > n_devices:
                one_of = [self._any([self.on[task][group] for group in together]) for task in tasks]
                intervals = [
                    self._interval(task, self.units[task][together[0]], literal)
                    for task, literal in zip(tasks, one_of, strict=True)
                ]
                self._share(intervals, n_devices)

    def _share_interpreters(self) -> None:
        """The interpreter of a process starts one task at a time."""
        starting: dict[int, list[cp_model.IntervalVar]] = {}
        for task, options in enumerate(self.on):
            for group, literal in options.items():
                g = self._facts.groups[group]
                units = self._scale.units(self._problem.dispatch_of(task, g.devices[0]))
                if units:
                    starting.setdefault(g.dispatcher, []).append(self._interval(task, units, literal))
        for intervals in starting.values():
            self.model.add_no_overlap(intervals)

    def _read(self, task: int) -> None:
        """What a task reads is there before it starts."""
        values: dict[int, list[int]] = {}
        for value in self._problem.reads[task]:
            values.setdefault(int(self._problem.producer[value]), []).append(value)
        values.pop(-1, None)
        for maker, read in values.items():
            cost = self._facts.moving[read].max(axis=0)
            ways = {(a, b): float(cost[a, b]) for a in self._at[maker] for b in self._at[task]}
            far = {seconds for seconds in ways.values() if seconds > 0}
            self.model.add(self.start[task] >= self._end[maker])
            near = sum(a in self._at[task] for a in self._at[maker])
            if len(far) == 1 and max(far) <= self._seconds_left and sum(map(bool, ways.values())) == len(ways) - near:
                after = self._end[maker] + self._scale.units(max(far)) * self._apart(maker, task)
                self.model.add(self.start[task] >= after)
                continue
            for (a, b), seconds in ways.items():
                self._wait(maker, a, task, b, seconds)

    def _wait(self, maker: int, a: int, task: int, b: int, seconds: float) -> None:
        here, there = self._at[maker][a], self._at[task][b]
        if seconds > self._seconds_left:
            self.model.add_bool_or(~here, ~there)
        elif seconds > 0:
            after = self._end[maker] + self._scale.units(seconds)
            self.model.add(self.start[task] >= after).only_enforce_if(here, there)

    def _apart(self, one: int, other: int) -> Literal:
        """Whether two tasks are in different memories."""
        apart = self._literal()
        for memory in {*self._at[one], *self._at[other]}:
            here, there = self._at[one].get(memory), self._at[other].get(memory)
            if here is not None and there is not None:
                self.model.add_bool_or(~here, there, apart)
                self.model.add_bool_or(here, ~there, apart)
            else:
                only = here if here is not None else there
                assert only is not None
                self.model.add_implication(only, apart)
        return apart

    def _deliver(self) -> None:
        """Required values are brought to their places before the makespan ends."""
        for value, home in self._problem.required:
            maker = int(self._problem.producer[value])
            if maker < 0:
                if self._facts.arrival[value, home] <= self._seconds_left:
                    self.model.add(self._makespan >= self._scale.units(float(self._facts.arrival[value, home])))
                continue
            for memory, literal in self._at[maker].items():
                seconds = float(self._facts.moving[value, memory, home])
                if seconds > self._seconds_left:
                    self.model.add(literal == 0)
                elif seconds > 0:
                    after = self._end[maker] + self._scale.units(seconds)
                    self.model.add(self._makespan >= after).only_enforce_if(literal)

    def _take_static_bytes(self) -> None:
        problem = self._problem
        for memory, capacity in enumerate(problem.capacity.tolist()):
            there = [(float(problem.static_bytes[t]), at[memory]) for t, at in enumerate(self._at) if memory in at]
            if sum(n_bytes for n_bytes, _ in there) > capacity * (1 + TOLERANCE):
                per_byte = min(1.0, STATIC_UNITS / max(capacity, 1.0))
                taken = sum(math.floor(n_bytes * per_byte) * literal for n_bytes, literal in there)
                self.model.add(taken <= math.floor(capacity * (1 + TOLERANCE) * per_byte))

    def _keep_between(self) -> None:
        """Implied: between two tasks there is time for all that has to run between them."""
        n_tasks = self._problem.n_tasks
        least = [min(units.values()) for units in self.units]
        n_devices = sum(len(g.devices) for g in self._facts.groups)
        for before, after, units in gaps(self._problem.predecessors, least, n_devices):
            left = 0 if before == n_tasks else self._end[before]
            right = self._makespan if after == n_tasks + 1 else self.start[after]
            self.model.add(right >= left + units)

    def _interchangeable(self) -> list[list[int]]:
        """Classes of groups that can be exchanged in every schedule."""
        classes: list[list[int]] = []
        for group in range(len(self._facts.groups)):
            for like in classes:
                if self._can_exchange(like[0], group):
                    like.append(group)
                    break
            else:
                classes.append([group])
        return classes

    def _can_exchange(self, one: int, other: int) -> bool:
        problem, facts = self._problem, self._facts
        g, h = facts.groups[one], facts.groups[other]
        if g.memory == h.memory or g.dispatcher != h.dispatcher or len(g.devices) != len(h.devices):
            return False
        if g.seconds != h.seconds or sum(other.memory in (g.memory, h.memory) for other in facts.groups) > 2:
            return False
        exchanged = list(range(problem.n_memories))
        exchanged[g.memory], exchanged[h.memory] = h.memory, g.memory
        return (
            problem.capacity[g.memory] == problem.capacity[h.memory]
            and not any(home in (g.memory, h.memory) for _, home in problem.required)
            and np.array_equal(facts.arrival, facts.arrival[:, exchanged])
            and np.array_equal(facts.moving, facts.moving[:, exchanged][:, :, exchanged])
            and (not problem.contention or self._has_like_links(g.memory, h.memory, exchanged))
        )

    def _has_like_links(self, one: int, other: int, exchanged: list[int]) -> bool:
        """Whether each route from and to two memories has one link, its own, and both have equally fast ones."""
        problem = self._problem
        own, others = [], set[int]()
        for pair, links in problem.route_links.items():
            if one in pair or other in pair:
                own.append(links)
            else:
                others.update(links)
        used = [link for links in own for link in links]
        costs = problem.latency, problem.seconds_per_byte
        return (
            {len(links) for links in own} == {1}
            and len(set(used)) == len(used)
            and others.isdisjoint(used)
            and all(np.array_equal(cost, cost[np.ix_(exchanged, exchanged)]) for cost in costs)
        )

    def _break_symmetry(self) -> None:
        """Of groups that can be exchanged, the first is the first that a task runs on, and so on."""
        for like in self._classes:
            for earlier, group in pairwise(like):
                used: list[Literal] = []
                for options in self.on:
                    if group in options:
                        self.model.add_bool_or(~options[group], *used)
                    if earlier in options:
                        used.append(options[earlier])

    def _share_links(self) -> None:
        """Links carry one copy at a time."""
        problem = self._problem
        joined = np.isfinite(problem.latency) & ~np.eye(problem.n_memories, dtype=bool)
        if int(joined.sum()) * problem.n_values > MAX_HOPS:
            return
        busy: list[list[cp_model.IntervalVar]] = [[] for _ in problem.link_names]
        for value in range(problem.n_values):
            if not problem.persistent[value]:
                self._copy(value, np.argwhere(joined).tolist(), busy)
        for intervals in busy:
            self.model.add_no_overlap(intervals)

    def _copy(self, value: int, hops: list[list[int]], busy: list[list[cp_model.IntervalVar]]) -> None:
        """A value comes to a memory at most once, over one hop from another that has it, and is used only then."""
        problem, maker = self._problem, int(self._problem.producer[value])
        since = [self._time() for _ in range(problem.n_memories)]
        there = [self.model.new_constant(int(held)) for held in problem.resident[value]]
        made = self._at[maker] if maker >= 0 else {}
        coming: list[list[Literal]] = [[made[m]] if m in made else [] for m in range(problem.n_memories)]
        copies = []
        for a, b in hops:
            seconds = problem.hop_seconds(value, a, b)
            possible = problem.may_hold[value, [a, b]].all() and not problem.resident[value, b]
            if possible and seconds <= self._seconds_left:
                copied, start, units = self._literal(), self._time(), self._scale.units(seconds)
                interval = self.model.new_optional_fixed_size_interval_var(start, units, copied, "")
                for link in problem.route_links.get((a, b), ()) if units else ():
                    busy[link].append(interval)
                coming[b].append(copied)
                copies.append((a, b, copied, start, units))
        for memory, ways in enumerate(coming):
            if ways and not problem.resident[value, memory]:
                there[memory] = self._literal()
                self.model.add(sum(ways) == there[memory])
            if memory in made:
                self.model.add(since[memory] >= self._end[maker]).only_enforce_if(made[memory])
        for a, b, copied, start, units in copies:
            self.model.add_implication(copied, there[a])
            self.model.add(start >= since[a]).only_enforce_if(copied)
            self.model.add(since[b] >= start + units).only_enforce_if(copied)
        self._use(value, since, there)

    def _use(self, value: int, since: list[cp_model.IntVar], there: list[Literal]) -> None:
        for reader in self._problem.readers[value]:
            for memory, literal in self._at[reader].items():
                self.model.add_implication(literal, there[memory])
                self.model.add(self.start[reader] >= since[memory]).only_enforce_if(literal)
        for required, home in self._problem.required:
            if required == value:
                self.model.add(there[home] == 1)
                self.model.add(self._makespan >= since[home])
