"""Other aims than the makespan, and limits, against what trying all assignments gives."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from strategies import Shape, make_problem, random_problem

from hetsched.errors import ScheduleError
from hetsched.schedule import solve
from hetsched.schedule.bounds import balance
from hetsched.schedule.drafts import Drafting
from hetsched.schedule.objective import MAKESPAN, Figures, Objective, figures_of
from hetsched.schedule.problem import Problem
from hetsched.schedule.tradeoff import pareto, tradeoff
from hetsched.schedule.validate import validate

N_TASKS = 8
GPU = {
    "devices": {"cpu:0": "ram", "cuda:0": "vram:0"},
    "links": {"up": (0.0, 1e12), "down": (0.0, 1e12)},
    "routes": {("ram", "vram:0"): ("up",), ("vram:0", "ram"): ("down",)},
}


def frugal_cpu(objective: Objective) -> Problem:
    """The GPU is 4 times faster, 10 times hungrier and 6 times dearer; tasks are alike and independent."""
    problem = make_problem({f"t{index}": ((), {"cpu": 4.0, "cuda": 1.0}) for index in range(N_TASKS)}, **GPU)
    return replace(
        problem,
        idle_watts=np.array([0.1, 0.1]),
        busy_watts=np.array([1.0, 10.0]),
        price_per_hour=np.array([1.0, 6.0]),
        objective=objective,
    )


def assignments() -> list[Figures]:
    """Figures by the number of tasks on the GPU, which is all that tells assignments apart."""
    found = []
    for on_gpu in range(N_TASKS + 1):
        makespan = max(on_gpu * 1.0, (N_TASKS - on_gpu) * 4.0)
        joules = 0.2 * makespan + (N_TASKS - on_gpu) * 4.0 * 0.9 + on_gpu * 9.9
        per_hour = (1.0 if on_gpu < N_TASKS else 0.0) + (6.0 if on_gpu else 0.0)
        found.append(Figures(makespan, makespan, joules, per_hour * makespan / 3600))
    return found


AIMS: dict[str, tuple[Objective, Callable[[Figures], bool], Callable[[Figures], float]]] = {
    "makespan": (Objective(), lambda f: True, lambda f: f.makespan_seconds),
    "energy": (Objective("energy"), lambda f: True, lambda f: f.energy_joules),
    "energy by a deadline": (
        Objective("energy", deadline_seconds=12.0),
        lambda f: f.makespan_seconds <= 12.0,
        lambda f: f.energy_joules,
    ),
    "makespan within a budget": (
        Objective(budget_money=48.5 / 3600),
        lambda f: f.money <= 48.5 / 3600,
        lambda f: f.makespan_seconds,
    ),
}


@pytest.mark.parametrize("aim", AIMS)
def test_each_aim_gets_the_best_of_all_assignments(aim: str) -> None:
    objective, is_kept, value = AIMS[aim]
    problem = frugal_cpu(objective)
    schedule = solve(problem)
    figures = figures_of(schedule)
    assert validate(problem, schedule) == []
    assert is_kept(figures)
    assert value(figures) == pytest.approx(min(value(f) for f in assignments() if is_kept(f)))
    assert solve(replace(problem)).placements == schedule.placements


def test_the_four_plans_differ() -> None:
    on_gpu = {sum(p.device == 1 for p in solve(frugal_cpu(objective)).placements) for objective, _, _ in AIMS.values()}
    assert len(on_gpu) == len(AIMS)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (Objective("energy", deadline_seconds=0.5), r"within deadline_seconds=0.5: the shortest takes 7 s"),
        (Objective(budget_money=1e-9), r"at most budget_money=1e-09: the cheapest costs 0.00888"),
        (
            Objective(deadline_seconds=7.5, budget_money=48.5 / 3600),
            "within the budget the shortest takes 8 s, and within the deadline the cheapest costs 0.0136111",
        ),
    ],
)
def test_a_limit_that_cannot_be_kept_is_answered_with_what_can(objective: Objective, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        solve(frugal_cpu(objective))


def test_a_chain_of_three_stages_gives_a_result_every_stage() -> None:
    chain = make_problem(
        {"a": ((), 10e-3), "b": (("a",), 10e-3), "c": (("b",), 10e-3)},
        devices={"cpu:0": "ram", "cpu:1": "ram", "cpu:2": "ram"},
    )
    schedule = solve(replace(chain, objective=Objective("throughput")))
    assert figures_of(schedule).period_seconds <= 10.5e-3


def test_a_fork_join_in_steady_state_beats_its_shortest_schedule_repeated() -> None:
    work = {f"w{index}": (("s",), {"cpu": 4.0, "cuda": 1.0}) for index in range(7)}
    ends = {"s": ((), {"cpu": 1.0, "cuda": 1.0})}
    problem = make_problem({**ends, **work, "j": (list(work), {"cpu": 1.0, "cuda": 1.0})}, **GPU)
    repeated = solve(problem).makespan_seconds
    steady = figures_of(solve(replace(problem, objective=Objective("throughput")))).period_seconds
    assert steady <= 0.8 * repeated


@pytest.mark.parametrize("aim", ["throughput", "energy", "money"])
def test_schedules_for_other_aims_are_valid_whatever_the_problem(aim: str) -> None:
    for seed in range(12):
        problem = random_problem(seed, Shape())
        n_devices = problem.n_devices
        asked = replace(
            problem,
            idle_watts=np.full(n_devices, 1.0),
            busy_watts=1.0 + np.arange(1, n_devices + 1),
            price_per_hour=np.arange(1.0, n_devices + 1),
            objective=Objective(aim),
        )
        assert validate(asked, solve(asked)) == []


def powered(problem: Problem, objective: Objective = MAKESPAN) -> Problem:
    """GPUs are hungry and dear, and no two devices are quite alike."""
    number = np.arange(problem.n_devices) / 10
    on_gpu = np.array([name.startswith("cuda") for name in problem.device_names])
    return replace(
        problem,
        idle_watts=np.where(on_gpu, 2.0, 0.1) + number,
        busy_watts=np.where(on_gpu, 12.0, 1.0) + 2 * number,
        price_per_hour=np.where(on_gpu, 6.0, 1.0) + number,
        objective=objective,
    )


def orders(problem: Problem, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """All orders of the tasks that extend the graph."""
    if len(done) == problem.n_tasks:
        yield done
    for task in set(range(problem.n_tasks)).difference(done):
        if set(problem.predecessors[task]) <= set(done):
            yield from orders(problem, (*done, task))


def best_of_all(problem: Problem, objectives: list[Objective]) -> list[float]:
    """The best scores over all assignments and orders."""
    drafting = Drafting(problem)
    aims = [drafting.aim_for(objective) for objective in objectives]
    devices = [np.flatnonzero(np.isfinite(row[list(drafting.form.devices)])).tolist() for row in problem.device_seconds]
    best = [np.inf] * len(aims)
    for order in orders(problem):
        for wanted in product(*devices):
            draft = drafting.place(list(order), wanted=list(wanted))
            best = [min(known, drafting.score(draft, aim)) for known, aim in zip(best, aims, strict=True)]
    return best


@pytest.mark.parametrize("seed", range(8))
def test_small_problems_get_the_best_of_all_assignments_and_orders(seed: int) -> None:
    problem = powered(random_problem(seed, Shape(n_tasks=4, n_workers=2, second_host=False, capacities=False)))
    plain = [Objective(aim) for aim in ("makespan", "throughput", "energy", "money")]
    shortest, _, _, cheapest = best_of_all(problem, plain)
    limited = [
        Objective("energy", deadline_seconds=1.2 * shortest + 1e-6),
        Objective(budget_money=1.5 * cheapest + 1e-6),
        Objective("throughput", budget_money=1.5 * cheapest + 1e-6),
    ]
    for objective, best in zip([*plain, *limited], best_of_all(problem, [*plain, *limited]), strict=True):
        schedule = tradeoff(replace(problem, objective=objective))
        assert validate(problem, schedule) == []
        assert objective.score(schedule.figures) <= best * (1 + 1e-9) + 1e-12


def layered(n_layers: int, width: int, contention: bool = True) -> Problem:
    """Layers of tasks, each of which reads from two of the layer before; GPUs speed them up by different factors."""
    names = [[f"l{layer:02d}/{index:02d}" for index in range(width)] for layer in range(n_layers)]
    tasks = {}
    for layer, row in enumerate(names):
        for index, name in enumerate(row):
            reads = [names[layer - 1][(index * step + layer) % width] for step in (1, 3)] if layer else []
            seconds = 1.0 + (7 * index + 3 * layer) % 5
            tasks[name] = (
                tuple(dict.fromkeys(reads)),
                {"cpu": seconds, "cuda": seconds / (1 + (5 * index + layer) % 7)},
            )
    devices = {"cpu:0": "ram", "cpu:1": "ram", "cuda:0": "vram:0"}
    return powered(
        make_problem(tasks, **GPU | {"devices": devices}, n_bytes=2e10 if contention else 0.0, contention=contention)
    )


@pytest.mark.parametrize(("n_layers", "width"), [(6, 6), (30, 8)])
def test_steady_state_comes_close_to_what_all_devices_can_do(n_layers: int, width: int) -> None:
    problem = replace(layered(n_layers, width), objective=Objective("throughput"))
    schedule = solve(problem)
    assert validate(problem, schedule) == []
    columns = problem.seconds, np.bincount(problem.device_class)
    assert schedule.period_seconds <= 1.08 * balance(*columns).seconds
    assert solve(replace(problem)).placements == schedule.placements


def test_links_that_would_be_busiest_are_spared() -> None:
    chain = {f"t{i}": ((f"t{i - 1}",) if i else (), {"cpu": 1.0, "cuda": 1.0}) for i in range(12)}
    problem = make_problem(chain, **GPU, n_bytes=3e12)
    schedule = solve(replace(problem, objective=Objective("throughput")))
    assert schedule.period_seconds == 6.0
    assert len(schedule.transfers) <= 2


def test_a_deadline_spends_no_more_than_it_has_to() -> None:
    problem = layered(12, 6, contention=False)
    shortest = solve(problem)
    joules = [shortest.energy_joules]
    for factor in (1.1, 1.3, 1.8, 3.0):
        objective = Objective("energy", deadline_seconds=factor * shortest.makespan_seconds)
        schedule = solve(replace(problem, objective=objective))
        assert schedule.makespan_seconds <= objective.deadline_seconds * (1 + 1e-9)
        joules.append(schedule.energy_joules)
    assert joules == sorted(joules, reverse=True)
    assert joules[1] < 0.9 * joules[0]


def test_money_rents_as_many_devices_as_pay() -> None:
    tasks = {f"t{i}": ((), 1.0) for i in range(6)}
    problem = make_problem(tasks, devices={f"cpu:{i}": "ram" for i in range(8)})
    problem = replace(problem, price_per_hour=np.full(8, 3600.0))
    for budget, n_devices in ((6.0, 6), (5.99, 0)):
        asked = replace(problem, objective=Objective(budget_money=budget))
        if n_devices:
            assert len({p.device for p in solve(asked).placements}) == n_devices
        else:
            with pytest.raises(ScheduleError, match="the cheapest costs 6"):
                solve(asked)


def test_of_devices_of_one_class_the_frugal_one_works() -> None:
    problem = make_problem({f"t{i}": ((), 1.0) for i in range(9)}, devices={"cpu:0": "ram", "cpu:1": "ram"})
    problem = replace(problem, busy_watts=np.array([9.0, 1.0]), objective=Objective("energy"))
    assert {p.device for p in solve(problem).placements} == {1}


def test_memories_that_values_overflow_are_taken_care_of() -> None:
    tight = [random_problem(seed, Shape(contention=False)) for seed in range(40)]
    tight = [problem for problem in tight if np.isfinite(problem.capacity).any()][:6]
    for problem in tight:
        deadline = 1.5 * solve(problem).makespan_seconds + 1e-6
        asked = powered(problem, Objective("energy", deadline_seconds=deadline))
        schedule = solve(asked)
        assert validate(asked, schedule) == []
        assert schedule.makespan_seconds <= deadline


def test_no_schedule_of_a_front_is_better_than_another_in_everything() -> None:
    problem = layered(6, 6)
    front = pareto(problem)
    figures = [schedule.figures for schedule in front]
    rows = [(f.makespan_seconds, f.energy_joules, f.money) for f in figures]
    assert all(validate(problem, schedule) == [] for schedule in front)
    assert rows == sorted(rows)
    assert len(rows) >= 4
    assert not any(all(a <= b for a, b in zip(x, y, strict=True)) for x in rows for y in rows if x is not y)
    for aim, field in (("makespan", 0), ("energy", 1), ("money", 2)):
        alone = tradeoff(replace(problem, objective=Objective(aim))).figures
        best = (alone.makespan_seconds, alone.energy_joules, alone.money)[field]
        assert min(row[field] for row in rows) <= best * (1 + 1e-9)


def test_a_front_without_watts_and_prices_is_one_schedule() -> None:
    assert len(pareto(make_problem({"a": ((), 1.0), "b": ((), 1.0)}, devices={"cpu:0": "ram", "cpu:1": "ram"}))) == 1


@pytest.mark.parametrize("aim", ["throughput", "energy", "money"])
def test_nothing_to_do_is_no_problem(aim: str) -> None:
    empty = powered(make_problem({}, sources={"x": ("ram",)}), Objective(aim))
    assert solve(empty).makespan_seconds == 0.0


def test_more_time_makes_nothing_worse_and_progress_is_told() -> None:
    problem = replace(layered(10, 6), objective=Objective("energy"))
    told: list[tuple[float, float]] = []
    longer = tradeoff(problem, 0.5, lambda seconds, best: told.append((seconds, best)))
    assert longer.energy_joules <= 1.001 * tradeoff(problem).energy_joules
    assert [seconds for seconds, _ in told] == sorted(seconds for seconds, _ in told)
    assert told[-1][1] == pytest.approx(longer.energy_joules, rel=1e-6)
