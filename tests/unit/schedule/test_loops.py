"""Inner loops: the same numbers compiled and uncompiled, and those that a `Timeline` gives."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import Shape, make_problem, random_problem

from hetsched.schedule.anneal import Annealing, can_anneal
from hetsched.schedule.cpop import cpop_draft
from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.flat import flatten
from hetsched.schedule.heft import heft_draft
from hetsched.schedule.heteroprio import heteroprio_draft
from hetsched.schedule.late_acceptance import LateAcceptance
from hetsched.schedule.loops.compiled import UNCOMPILED_TASKS, Room, room_for
from hetsched.schedule.min_min import max_min_draft, min_min_draft
from hetsched.schedule.problem import Problem
from hetsched.schedule.ranks import Mean, downward_ranks, optimistic_costs, ready_order, upward_ranks
from hetsched.schedule.timeline import Timeline

LARGE = Shape(n_tasks=40, n_sources=6, n_workers=5)
SEEDS = range(10)


def plain(seed: int) -> Problem:
    return replace(random_problem(seed, LARGE), contention=False)


def contended(seed: int) -> Problem:
    return replace(random_problem(seed, LARGE), contention=True)


def full(seed: int) -> Problem:
    """Memories have room for the static bytes of a part of the tasks only."""
    problem = contended(seed) if seed % 2 else plain(seed)
    random = np.random.default_rng(seed)
    static_bytes = random.integers(0, 5, problem.n_tasks).astype(float)
    capacity = np.full(problem.n_memories, max(static_bytes.sum() / 2, 4.0))
    capacity[0] = np.inf
    return replace(problem, static_bytes=static_bytes, capacity=capacity, values_take_room=False)


def dispatched(seed: int) -> Problem:
    """The devices of one interpreter start their tasks one after another."""
    problem = contended(seed) if seed % 2 else plain(seed)
    random = np.random.default_rng(seed)
    return replace(
        problem,
        dispatcher=random.integers(-1, 2, problem.n_devices).astype(np.int32),
        dispatch_seconds=random.integers(0, 3, problem.n_tasks) / 8,
    )


Kind = Callable[[int], Problem]
every_kind = pytest.mark.parametrize("kind", [plain, contended, full, dispatched])


def both(kind: Kind) -> Iterator[tuple[Drafting, Drafting]]:
    """Random problems, compiled and uncompiled."""
    for seed in SEEDS:
        problem = kind(seed)
        compiled, uncompiled = (Drafting(problem, flatten(problem, Room(fast))) for fast in (True, False))
        yield compiled, uncompiled


def same(one: Any, other: Any) -> bool:
    """Whether two rows of numbers are equal to the last bit."""
    return np.array_equal(np.asarray(one), np.asarray(other))


def same_draft(one: Draft, other: Draft) -> bool:
    rows = [(getattr(one, name), getattr(other, name)) for name in ("device", "start", "end")]
    return one.makespan == other.makespan and all(same(*pair) for pair in rows)


def bans(drafting: Drafting) -> np.ndarray:
    """A random third of all columns, but none that a task cannot do without."""
    flat = drafting.flat
    banned = np.random.default_rng(flat.n_tasks).random((flat.n_tasks, flat.n_columns)) < 1 / 3
    seconds = np.asarray(flat.seconds).reshape(banned.shape)
    banned[np.arange(flat.n_tasks), seconds.argmin(axis=1)] = False
    return banned.astype(np.int32)


@every_kind
def test_compiled_placing_is_uncompiled_placing(kind: Kind) -> None:
    n_placed = 0
    for compiled, uncompiled in both(kind):
        made = []
        for drafting in (compiled, uncompiled):
            ranks = upward_ranks(drafting)
            costs = optimistic_costs(drafting)
            order = drafting.by_rank(ranks)
            wanted = drafting.room.of(np.arange(drafting.flat.n_tasks, dtype=np.int32) % drafting.flat.n_devices)
            banned = drafting.room.of(bans(drafting))
            choices: list[dict[str, Any]] = [{}, {"wanted": wanted}, {"banned": banned}, {"ahead": costs}]
            made.append([(drafting.place(order, **choice), drafting.booked_copies()) for choice in choices])
        for (one, copied), (other, copied_too) in zip(*made, strict=True):
            assert one.makespan == other.makespan
            if one.makespan < np.inf:
                n_placed += 1
                assert same_draft(one, other)
                assert all(same(*pair) for pair in zip(copied, copied_too, strict=True))
    assert n_placed > 20


@every_kind
def test_a_choice_that_is_made_again_gives_the_same_times(kind: Kind) -> None:
    for _, drafting in both(kind):
        order = drafting.by_rank(upward_ranks(drafting))
        draft = drafting.place(order)
        if draft.makespan < np.inf:
            assert same_draft(drafting.place(order, wanted=draft.device), draft)


@every_kind
@pytest.mark.parametrize("mean", ["arithmetic", "harmonic", "least"])
def test_compiled_ranks_are_uncompiled_ranks(kind: Kind, mean: Mean) -> None:
    for compiled, uncompiled in both(kind):
        one, other = upward_ranks(compiled, mean), upward_ranks(uncompiled, mean)
        assert same(one, other)
        assert same(downward_ranks(compiled, mean), downward_ranks(uncompiled, mean))
        assert same(ready_order(compiled, one), ready_order(uncompiled, other))


@every_kind
def test_compiled_optimistic_costs_are_uncompiled_ones(kind: Kind) -> None:
    for compiled, uncompiled in both(kind):
        assert same(optimistic_costs(compiled), optimistic_costs(uncompiled))


@every_kind
@pytest.mark.parametrize("make", [cpop_draft, min_min_draft, max_min_draft, heteroprio_draft])
def test_compiled_list_schedulers_are_uncompiled_ones(kind: Kind, make: Callable[[Drafting], Draft]) -> None:
    for compiled, uncompiled in both(kind):
        one, other = make(compiled), make(uncompiled)
        assert one.makespan == other.makespan
        assert one.makespan == np.inf or same_draft(one, other)


def test_compiled_annealing_is_uncompiled_annealing() -> None:
    n_annealed = 0
    for pair in both(plain):
        if not all(can_anneal(drafting) for drafting in pair):
            continue
        ended = []
        for drafting in pair:
            start = heft_draft(drafting)
            annealing = Annealing(drafting, start, seed=3)
            annealing.run(300, 0.02 * start.makespan, 0.001 * start.makespan, 4)
            assert annealing.best_makespan <= start.makespan
            ended.append(annealing)
        n_annealed += 1
        assert ended[0].makespan == ended[1].makespan
        assert same_draft(ended[0].best("annealed"), ended[1].best("annealed"))
    assert n_annealed >= 5


@every_kind
def test_compiled_late_acceptance_is_uncompiled_late_acceptance(kind: Kind) -> None:
    for pair in both(kind):
        ended = []
        for drafting in pair:
            start = heft_draft(drafting)
            if start.makespan == np.inf:
                continue
            search = LateAcceptance(drafting, start, seed=3)
            search.run(100)
            best = search.best()
            assert best.makespan == search.best_score
            ended.append(best)
        assert not ended or same_draft(*ended)


def test_annealed_times_are_those_of_placing() -> None:
    """Placing what was annealed anew never takes longer, as it may use gaps."""
    for _, drafting in both(plain):
        start = heft_draft(drafting)
        if not can_anneal(drafting):
            continue
        annealing = Annealing(drafting, start)
        annealing.run(300, 0.02 * start.makespan, 0.001 * start.makespan)
        best = annealing.best("annealed")
        assert drafting.place(drafting.by_start(best), wanted=best.device).makespan <= best.makespan * (1 + 1e-12)


@pytest.mark.parametrize("compiled", [True, False])
def test_placing_is_what_a_timeline_does(compiled: bool) -> None:
    for seed in range(40):
        problem = random_problem(seed, Shape(n_tasks=40, capacities=False, contention=False, resident=False))
        problem = replace(problem, seconds=problem.seconds + 0.25)  # what takes no time may end a gap in loops only
        drafting = Drafting(problem, flatten(problem, Room(compiled)))
        order = drafting.by_rank(upward_ranks(drafting))
        draft, timeline = drafting.place(order), Timeline(problem)
        for task in map(int, order):
            placement = timeline.place(task, timeline.best(task))
            assert drafting.form.devices[draft.device[task]] == placement.device
            assert (draft.start[task], draft.end[task]) == (placement.start, placement.end)
        assert draft.makespan == pytest.approx(timeline.finish("heft").makespan_seconds, rel=1e-12)


def test_small_problems_run_uncompiled() -> None:
    assert [room_for(n).compiled for n in (0, UNCOMPILED_TASKS, UNCOMPILED_TASKS + 1)] == [False, False, True]
    drafting = Drafting(make_problem({"a": ((), 1.0)}))
    assert isinstance(heft_draft(drafting).start, list)


def test_a_small_problem_is_solved_without_numba() -> None:
    code = """
import sys
from strategies import make_problem
from hetsched.schedule import SCHEDULERS
tasks = {f"t{i}": ((f"t{i // 2}",) if i > 2 else (), {"cpu": 1.0 + i % 7, "cuda": 1.0}) for i in range(100)}
problem = make_problem(tasks, devices={"cpu:0": "ram", "cpu:1": "ram", "cuda:0": "ram"}, n_bytes=1.0)
for name in ("auto", "heft"):
    assert len(SCHEDULERS[name](problem).placements) == 100
print(sorted({"numba", "torch", "ray", "networkx"} & sys.modules.keys()))
"""
    path = [str(Path(__file__).parents[2]), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
