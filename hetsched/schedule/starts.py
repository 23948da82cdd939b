"""Drafts that suit an aim other than the makespan: where `hetsched.schedule.tradeoff` starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations, product

import numpy as np

from hetsched.schedule.bounds import balance
from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.flat import no_links
from hetsched.schedule.loops.compiled import Numbers
from hetsched.schedule.loops.even import even_out
from hetsched.schedule.problem import Bools, Floats, Ints
from hetsched.schedule.ranks import downward_ranks, upward_ranks

TOLERANCES = (1.0, 1.5)
"""How many times the least cost a device may cost a task that may choose among devices."""

WEIGHTS = (0.0, 0.1, 0.3, 0.6, 1.0)
"""What time weighs beside what it costs, at first."""

URGENCY = 8
"""The time of a task matters the less the shorter the chains through it are, by this power."""

N_PARTS = 8
"""Of the tasks that could cost less elsewhere, so many parts are moved one after another, at first."""

N_REFINEMENTS = 3
"""So many times weights are tried between the best and those next to it."""

N_PERMUTED = 3
"""Chains are cut for all sequences of so many devices; of more devices, only for some of them."""

MAX_CELLS = 2_000_000
"""Of more tasks times devices, nothing is cut."""

N_BISECTIONS = 50

N_PASSES = 6
"""Over the tasks, to even loads out."""

Judge = Callable[[Draft], tuple[float, float]]
"""Scores a draft: less is better."""


def rates_by_column(drafting: Drafting, by_device: Floats) -> Floats:
    """Of each column, the least rate of its devices; rates are given in the problem's order."""
    flat = drafting.flat
    rates = np.full(flat.n_columns, np.inf)
    np.minimum.at(rates, np.asarray(flat.column, dtype=np.int64), by_device[list(drafting.form.devices)])
    return rates


def seconds_by_column(drafting: Drafting) -> Floats:
    """Seconds by task and column, inf where a task cannot run, shape (n_tasks, n_columns)."""
    flat = drafting.flat
    return np.asarray(flat.seconds, dtype=np.float64).reshape(flat.n_tasks, flat.n_columns)


def prices(drafting: Drafting) -> Floats:
    """Of a second of each column, such that work is balanced over all devices."""
    flat = drafting.flat
    n_devices = np.bincount(np.asarray(flat.column, dtype=np.int64), minlength=flat.n_columns)
    return balance(seconds_by_column(drafting), n_devices).prices


def cheap(drafting: Drafting, rates: Floats, judge: Judge) -> None:
    """Tasks where a mix of time and what it costs is least, several weights tried, the best of them more closely.

    Args:
        drafting: the problem.
        rates: what one second of each column costs.
        judge: is given all drafts.
    """
    seconds = seconds_by_column(drafting)
    order = drafting.by_rank(upward_ranks(drafting))
    possible = np.isfinite(seconds)
    times, costs = (_scaled(table, possible) for table in (seconds, _times(seconds, rates)))
    urgent = times * (_urgency(drafting) ** URGENCY)[:, None]
    for urgency, tolerance in product((times, urgent), TOLERANCES):
        found: dict[float, tuple[float, float]] = {}
        weights: Sequence[float] = WEIGHTS
        for _ in range(1 + N_REFINEMENTS):
            for weight in weights:
                mixed = np.where(possible, weight * urgency + (1 - weight) * costs, np.inf)
                found[weight] = judge(_where_cheap(drafting, order, mixed, tolerance))
            weights = _beside_best(found)


def frugal(drafting: Drafting, draft: Draft, rates: Floats, judge: Judge, n_tries: int) -> None:
    """Move tasks to where they cost least, many at once where that makes the draft better, and fewer where not.

    Args:
        drafting: the problem.
        draft: what to begin with.
        rates: what one second of each column costs.
        judge: is given all drafts.
        n_tries: drafts to be made, at most.
    """
    order, best, device = drafting.order_of(draft), judge(draft), np.asarray(draft.device, dtype=np.int32)
    cheaper, there = _cheaper(drafting, device, rates)
    waiting = [part for part in np.array_split(cheaper, N_PARTS)[::-1] if len(part)]
    while waiting and n_tries:
        part, n_tries = waiting.pop(), n_tries - 1
        moved = _moved(drafting, device, part, there)
        found = judge(drafting.place(order, "frugal", wanted=drafting.room.of(moved)))
        if found < best:
            best, device = found, moved
        elif len(part) > 1:
            waiting += np.array_split(part, 2)[::-1]


def _cheaper(drafting: Drafting, device: Ints, rates: Floats) -> tuple[Ints, Ints]:
    """Tasks that cost less elsewhere, first those that lose little urgent time for it; and where each costs least."""
    seconds, tasks = seconds_by_column(drafting), np.arange(len(device))
    here = np.asarray(drafting.flat.column, dtype=np.int64)[device]
    costs = _times(seconds, rates)
    there = costs.argmin(axis=1).astype(np.int32)
    saved = costs[tasks, here] - costs[tasks, there]
    lost = (seconds[tasks, there] - seconds[tasks, here]) * _urgency(drafting) ** URGENCY
    cheaper = np.flatnonzero(saved > 0).astype(np.int32)
    return cheaper[np.argsort(lost[cheaper] / saved[cheaper], kind="stable")], there


def _moved(drafting: Drafting, device: Ints, part: Ints, there: Ints) -> Ints:
    """Devices of the tasks when some move, each to the least busy device of a column."""
    seconds, column = seconds_by_column(drafting), np.asarray(drafting.flat.column, dtype=np.int64)
    moved = device.copy()
    busy = np.bincount(device, weights=seconds[np.arange(len(device)), column[device]], minlength=len(column))
    busy -= np.bincount(device[part], weights=seconds[part, column[device[part]]], minlength=len(column))
    choices = [np.flatnonzero(column == number) for number in range(seconds.shape[1])]
    for task in part.tolist():
        devices = choices[there[task]]
        target = devices[busy[devices].argmin()]
        busy[target] += seconds[task, there[task]]
        moved[task] = target
    return moved


def _urgency(drafting: Drafting) -> Floats:
    """How long the longest chain through each task is, in parts of the longest of all."""
    after, before = upward_ranks(drafting), downward_ranks(drafting)
    chain = np.asarray(before, dtype=np.float64) + np.asarray(after, dtype=np.float64)
    return chain / (chain.max(initial=0.0) or 1.0)


def _scaled(costs: Floats, possible: Bools) -> Floats:
    """Relative to what all tasks cost at least; 0 where it is not possible."""
    return np.where(possible, costs, 0.0) / (costs.min(axis=1, initial=np.inf).sum() or 1.0)


def _times(seconds: Floats, rates: Floats) -> Floats:
    """What each task costs in each column, inf where it cannot run."""
    possible = np.isfinite(seconds)
    return np.where(possible, np.where(possible, seconds, 0.0) * rates, np.inf)


def _beside_best(found: dict[float, tuple[float, float]]) -> list[float]:
    """Half way between the best weight and those next to it."""
    weights = sorted(found)
    best = weights.index(min(weights, key=lambda weight: (found[weight], weight)))
    return [(weights[best] + weights[other]) / 2 for other in (best - 1, best + 1) if 0 <= other < len(weights)]


def _where_cheap(drafting: Drafting, order: Numbers, costs: Floats, tolerance: float) -> Draft:
    """Each task where it ends first, of where it costs about the least."""
    banned = costs > costs.min(axis=1, initial=np.inf, keepdims=True) * tolerance * (1 + 1e-9)
    return drafting.place(order, "cheapest", banned=drafting.room.of(banned.astype(np.int32)))


def everywhere(drafting: Drafting, n_most: int) -> Iterator[Draft]:
    """All ways to give the tasks to devices, if there are not too many; tasks in one order."""
    possible = np.isfinite(seconds_by_column(drafting)).tolist()
    alike = _alike(drafting, apart=True)
    column = drafting.flat.column
    ways: list[tuple[int, ...]] = [()]
    for row in possible:
        kinds = [kind for kind in alike if row[column[kind[0]]]]
        ways = [(*way, device) for way in ways for kind in kinds for device in _used_or_next(kind, way)]
        if len(ways) > n_most:
            return
    order = drafting.by_rank(upward_ranks(drafting))
    for way in ways:
        yield drafting.place(order, "exhaustive", wanted=drafting.room.of(np.array(way, dtype=np.int32)))


def _used_or_next(kind: list[int], way: tuple[int, ...]) -> list[int]:
    """Devices of one kind up to the first that does nothing yet: the others that do nothing are no different."""
    n_used = sum(device in way for device in kind)
    return kind[: n_used + 1]


def even(drafting: Drafting) -> Iterator[Draft]:
    """Loads that are even, whatever waits for what: for runs that follow one another."""
    order = drafting.by_rank(upward_ranks(drafting))
    topological = drafting.room.of(np.arange(drafting.flat.n_tasks, dtype=np.int32))
    for wanted in (*_apart(drafting), *_cut(drafting, topological), *_cut(drafting, order)):
        yield drafting.place(order, "even", wanted=wanted)


def evened(drafting: Drafting, draft: Draft) -> Draft:
    """A draft on other devices such that loads are even, those of links too."""
    flat, links, room = drafting.flat, drafting.links, drafting.room
    n_interpreters = int(drafting.problem.dispatcher.max(initial=-1)) + 1
    device = draft.device.copy()
    load = room.floats(flat.n_devices + links.n_links + n_interpreters)
    reading = room.ints(links.n_values * flat.n_memories)
    room.call(even_out, flat, links, N_PASSES, device, load, reading)
    return drafting.place(drafting.by_start(draft), "even", wanted=device)


def _apart(drafting: Drafting) -> Iterator[Numbers]:
    """Devices of the tasks as if none waited for another, the longest first."""
    flat, room = drafting.flat, drafting.room
    alone = flat._replace(
        read_ptr=room.ints(flat.n_tasks + 1),
        next_ptr=room.ints(flat.n_tasks + 1),
        start_row=room.ints(flat.n_tasks),
        start=room.floats(flat.n_memories),
        finish_row=room.ints(flat.n_tasks),
        finish=room.floats(flat.n_memories),
    )
    apart = Drafting(drafting.problem, drafting.form._replace(flat=alone, links=no_links(room)))
    seconds = seconds_by_column(drafting)
    order = drafting.by_rank(seconds.min(axis=1, initial=np.inf))
    costs = _times(seconds, prices(drafting))
    for tolerance in TOLERANCES:
        yield _where_cheap(apart, order, costs, tolerance).device
    yield apart.place(order).device


def _cut(drafting: Drafting, order: Numbers) -> Iterator[Numbers]:
    """Devices of the tasks when an order is cut into one piece for each device, as even as can be."""
    flat, room = drafting.flat, drafting.room
    if not 0 < flat.n_tasks * flat.n_devices <= MAX_CELLS:
        return
    tasks = np.asarray(order, dtype=np.int64)
    seconds = seconds_by_column(drafting)[tasks][:, np.asarray(flat.column, dtype=np.int64)]
    sums = np.concatenate((np.zeros((1, flat.n_devices)), np.where(np.isfinite(seconds), seconds, 0.0).cumsum(axis=0)))
    for sequence in _sequences(np.asarray(flat.place_device, dtype=np.int64), sums[-1]):
        ends = _even_pieces(sums[:, sequence])
        wanted = np.empty(flat.n_tasks, dtype=np.int32)
        wanted[tasks] = np.repeat(sequence, np.diff(ends, prepend=0))
        yield room.of(wanted)


def _sequences(devices: Ints, totals: Floats) -> list[Ints]:
    devices = np.sort(devices)
    if len(devices) <= N_PERMUTED:
        return [np.array(sequence, dtype=np.int64) for sequence in permutations(devices.tolist())]
    by_speed = devices[np.argsort(totals[devices], kind="stable")]
    return [devices, devices[::-1], by_speed, by_speed[::-1]]


def _even_pieces(sums: Floats) -> Ints:
    """Where the pieces end that an order is cut into, such that the longest takes the least time.

    Args:
        sums: seconds of the first so many tasks by device, shape (n_tasks + 1, n_devices).
    """
    n_tasks, columns = len(sums) - 1, list(sums.T)

    def cut(period: float) -> list[int]:
        ends, at = [], 0
        for column in columns:
            at = int(np.searchsorted(column, column[at] + period * (1 + 1e-12), "right")) - 1
            ends.append(at)
        return ends

    low, high = 0.0, float(sums[-1].max())
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        if cut(middle)[-1] < n_tasks:
            low = middle
        else:
            high = middle
    return np.array(cut(high), dtype=np.int64)


class Fewer:
    """Drafts on some of the devices, the number of each kind changed as long as that makes them better.

    A draft that may use all devices often uses all of them, and pays for all.
    """

    def __init__(self, drafting: Drafting, judge: Judge, n_most: int) -> None:
        """``judge`` is given all drafts; about ``n_most`` sets of devices are tried."""
        self._drafting = drafting
        self._judge = judge
        self._n_most = n_most
        self._kinds = _alike(drafting)
        self._tried: dict[tuple[int, ...], tuple[float, float]] = {}

    def climb(self) -> None:
        """Start from one device of each kind, and from all devices."""
        sizes = tuple(map(len, self._kinds))
        ones = np.eye(len(sizes), dtype=np.int64).tolist()
        for start in dict.fromkeys([*map(tuple, ones), sizes]):
            counts = start
            while len(self._tried) < self._n_most:
                best = min([counts, *self._beside(counts)], key=self._score)
                if best == counts:
                    break
                counts = best

    def _beside(self, counts: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """One more, or one less, or all of one kind."""
        for kind, devices in enumerate(self._kinds):
            for count in dict.fromkeys((counts[kind] + 1, counts[kind] - 1, len(devices))):
                other = (*counts[:kind], count, *counts[kind + 1 :])
                if 0 <= count <= len(devices) and count != counts[kind] and any(other):
                    yield other

    def _score(self, counts: tuple[int, ...]) -> tuple[float, float]:
        if counts not in self._tried:
            chosen = [device for kind, count in zip(self._kinds, counts, strict=True) for device in kind[:count]]
            self._tried[counts] = min(map(self._judge, _as_usual(only(self._drafting, chosen))))
        return self._tried[counts]


def _as_usual(drafting: Drafting) -> Iterator[Draft]:
    order = drafting.by_rank(upward_ranks(drafting))
    yield drafting.place(order, "few_devices")
    if drafting.flat.n_columns > 1:
        yield _where_cheap(drafting, order, _times(seconds_by_column(drafting), prices(drafting)), TOLERANCES[-1])


def _alike(drafting: Drafting, apart: bool = False) -> list[list[int]]:
    """Devices of the flat form that take the same time and cost the same, by kind.

    Args:
        drafting: of the problem.
        apart: those of different memories, or with different interpreters, are of different kinds.
    """
    flat, problem = drafting.flat, drafting.problem
    found: dict[tuple[float, ...], list[int]] = {}
    for device, index in enumerate(drafting.form.devices):
        rates = (problem.idle_watts[index], problem.busy_watts[index], problem.price_per_hour[index])
        where = (flat.memory[device], flat.dispatcher[device]) if apart else ()
        found.setdefault((flat.column[device], *where, *map(float, rates)), []).append(device)
    return list(found.values())


def only(drafting: Drafting, devices: Sequence[int]) -> Drafting:
    """The problem on some of its devices, those of the flat form."""
    flat, room = drafting.flat, drafting.room
    chosen = set(devices)
    kept = np.array([device for device in flat.place_device if device in chosen], dtype=np.int32)
    counts = np.bincount(np.asarray(flat.place)[kept], minlength=flat.n_places)
    pointers = np.concatenate(([0], counts.cumsum())).astype(np.int32)
    few = flat._replace(place_ptr=room.of(pointers), place_device=room.of(kept))
    return Drafting(drafting.problem, drafting.form._replace(flat=few))
