"""Bounds on problems whose best makespan is known, and prices on work whose best division is known."""

import math

import numpy as np
import pytest
from strategies import Shape, make_problem, random_problem

from hetsched.schedule.bounds import MAX_SITES, balance, lower_bound, path_bound
from hetsched.schedule.flat import flatten
from hetsched.schedule.loops.compiled import Room
from hetsched.schedule.problem import Problem

GPU = {
    "devices": {"cpu:0": "ram", "cuda:0": "vram:0"},
    "links": {"up": (0.5, 4.0), "down": (0.5, 4.0)},
    "routes": {("ram", "vram:0"): ("up",), ("vram:0", "ram"): ("down",)},
}


def work_bound(problem: Problem) -> float:
    return balance(problem.device_seconds, np.ones(problem.n_devices)).seconds


def test_a_chain_takes_its_tasks_and_the_copies_between_them() -> None:
    problem = make_problem(
        {"a": (("x",), {"cuda": 2.0}), "b": (("a",), {"cpu": 3.0}), "c": (("b",), {"cpu": 1.0, "cuda": 1.0})},
        sources={"x": ("ram",)},
        n_bytes={"x": 4.0, "a": 2.0, "b": 100.0},
        **GPU,
    )
    assert path_bound(problem) == pytest.approx(1.5 + 2.0 + 1.0 + 3.0 + 1.0)
    assert lower_bound(problem) == pytest.approx(8.5)


def test_delivery_is_part_of_the_path() -> None:
    problem = make_problem({"a": ((), {"cuda": 2.0})}, n_bytes=6.0, required=[("a", "ram")], **GPU)
    assert path_bound(problem) == pytest.approx(4.0)


def test_the_slowest_of_all_deliveries_is_what_a_task_waits_for() -> None:
    problem = make_problem(
        {"a": ((), {"cuda": 2.0})},
        writes={"a": ("small", "large", "tiny")},
        n_bytes={"small": 2.0, "large": 6.0, "tiny": 1.0},
        required=[("small", "ram"), ("large", "ram"), ("tiny", "vram:0")],
        **GPU,
    )
    assert path_bound(problem) == pytest.approx(4.0)


def test_sources_that_are_required_elsewhere_are_brought_there() -> None:
    problem = make_problem(
        {"a": ((), 1.0)}, sources={"x": ("ram",)}, n_bytes={"x": 18.0}, required=[("x", "vram:0")], **GPU
    )
    assert path_bound(problem) == pytest.approx(5.0)


def test_persistent_sources_are_there_already() -> None:
    problem = make_problem(
        {"a": (("w",), {"cuda": 2.0})}, sources={"w": ("ram",)}, n_bytes=6.0, persistent=["w"], **GPU
    )
    assert path_bound(problem) == pytest.approx(2.0)


def cluster(n_gpus: int, network: float) -> Problem:
    """A chain from a CPU over any GPU and back: copies from and to GPUs take one second and the way over a network."""
    gpus = [f"vram:{i}" for i in range(n_gpus)]
    return make_problem(
        {"a": ((), {"cpu": 1.0}), "b": (("a",), {"cuda": 1.0}), "c": (("b",), {"cpu": 1.0})},
        devices={"cpu:0": "ram", **{f"cuda:{i}": gpu for i, gpu in enumerate(gpus)}},
        links={"pcie": (1.0, math.inf), "network": (network, math.inf)},
        routes={("ram", "switch"): ("network",), ("switch", "ram"): ("network",)}
        | {pair: ("pcie",) for gpu in gpus for pair in (("switch", gpu), (gpu, "switch"))},
    )


@pytest.mark.parametrize("n_gpus", [2, MAX_SITES - 2, MAX_SITES + 10])
def test_memories_with_like_devices_are_as_good_as_one(n_gpus: int) -> None:
    assert path_bound(cluster(n_gpus, network=2.0)) == pytest.approx(3.0 + 2 * (1.0 + 2.0))


def test_where_there_are_too_many_kinds_of_memories_copies_cost_nothing() -> None:
    kinds = [f"kind{i}" for i in range(MAX_SITES + 1)]
    memories = [f"of {kind}" for kind in kinds]
    problem = make_problem(
        {kind: (kinds[max(i - 1, 0) : i], {kind: 1.0}) for i, kind in enumerate(kinds)},
        devices={f"{kind}:0": memory for kind, memory in zip(kinds, memories, strict=True)},
        links={"bus": (5.0, 1.0)},
        routes={(a, b): ("bus",) for a in memories for b in memories if a != b},
    )
    assert path_bound(problem) == pytest.approx(len(kinds))


def test_equal_devices_share_the_work() -> None:
    problem = make_problem(dict.fromkeys("abc", ((), 1.0)), devices={"cpu:0": "ram", "cpu:1": "ram"})
    assert work_bound(problem) == pytest.approx(1.5)
    assert lower_bound(problem) == pytest.approx(1.5)


def test_tasks_of_one_kind_only_wait_for_that_kind() -> None:
    problem = make_problem({name: ((), {"cuda": 1.0}) for name in "abcd"}, **GPU)
    assert lower_bound(problem) == pytest.approx(4.0)


def test_unlike_devices_are_used_for_what_they_are_good_at() -> None:
    tasks = {f"dense{i}": ((), {"cpu": 8.0, "cuda": 1.0}) for i in range(4)}
    tasks |= {f"branchy{i}": ((), {"cpu": 1.0, "cuda": 2.0}) for i in range(4)}
    assert work_bound(make_problem(tasks, **GPU)) == pytest.approx(4.0)


def test_work_between_what_comes_before_and_after_it_takes_its_own_time() -> None:
    fork = {f"f{i}": (("first",), 1.0) for i in range(8)}
    problem = make_problem(
        {"first": ((), 5.0)} | fork | {"last": (tuple(fork), 3.0)}, devices={"cpu:0": "ram", "cpu:1": "ram"}
    )
    assert path_bound(problem) == pytest.approx(9.0)
    assert work_bound(problem) == pytest.approx(8.0)
    assert lower_bound(problem) == pytest.approx(5.0 + 4.0 + 3.0)


def test_devices_that_are_reached_late_have_less_time() -> None:
    problem = make_problem(
        {f"t{i}": (("x",), 1.0) for i in range(6)}, sources={"x": ("ram",)}, n_bytes=6.0, contention=False, **GPU
    )
    assert work_bound(problem) == pytest.approx(3.0)
    assert lower_bound(problem) == pytest.approx(4.0)  # cpu from 0, cuda from 2


def test_a_chain_and_other_work_that_want_the_same_device() -> None:
    chain = {f"c{i}": ((f"c{i - 1}",) if i else (), {"cpu": 2.0, "cuda": 1.0}) for i in range(4)}
    others = {f"o{i}": ((), {"cpu": 4.0, "cuda": 1.0}) for i in range(4)}
    problem = make_problem(chain | others, devices={"cpu:0": "ram", "cuda:0": "ram"})
    assert path_bound(problem) == pytest.approx(4.0)
    assert work_bound(problem) == pytest.approx(16 / 3)
    assert 0.99 * 40 / 7 < lower_bound(problem) <= 40 / 7 < shortest(problem, n_runs=1) == 6.0


def test_nothing_takes_no_time() -> None:
    assert lower_bound(make_problem({})) == path_bound(make_problem({})) == 0.0
    assert lower_bound(make_problem({"a": ((), 0.0), "b": (("a",), 0.0)}, **GPU)) == 0.0


def shortest(problem: Problem, n_runs: int) -> float:
    """The shortest makespan when tasks may run several times, copies never wait and memories never fill."""
    per_byte = np.where(np.isfinite(problem.latency), problem.seconds_per_byte, 0.0)
    cost = problem.latency[None] + problem.value_bytes[:, None, None] * per_byte[None]
    cost[problem.persistent] = np.where(np.isfinite(cost[problem.persistent]), 0.0, np.inf)
    for middle in range(problem.n_memories):
        cost = np.minimum(cost, cost[:, :, middle, None] + cost[:, None, middle, :])
    moving, memory_of, seconds = cost.tolist(), problem.device_memory.tolist(), problem.device_seconds.tolist()
    at: list[list[tuple[float, int]]] = [[(0.0, int(m)) for m in np.flatnonzero(row)] for row in problem.resident]
    free, runs = [0.0] * problem.n_devices, [0] * problem.n_tasks
    best = math.inf

    def arrival(value: int, memory: int) -> float:
        return min((since + moving[value][source][memory] for since, source in at[value]), default=math.inf)

    def explore(now: float, last: float) -> None:
        """Add runs in the order that they start in."""
        nonlocal best
        if all(runs):
            delivered = [arrival(value, memory) for value, memory in problem.required if not problem.persistent[value]]
            best = min(best, max([last, *delivered]))
        for task, row in enumerate(seconds):
            for device, takes in enumerate(row):
                memory, before = memory_of[device], free[device]
                start = max([now, before, *(arrival(value, memory) for value in problem.reads[task])])
                if runs[task] < n_runs and start + takes < best:
                    free[device] = start + takes
                    runs[task] += 1
                    for value in problem.writes[task]:
                        at[value].append((start + takes, memory))
                    explore(start, max(last, start + takes))
                    for value in problem.writes[task]:
                        at[value].pop()
                    runs[task] -= 1
                    free[device] = before

    explore(0.0, 0.0)
    return best


@pytest.mark.parametrize("seed", range(40))
def test_no_bound_beats_the_best_schedule_even_if_tasks_run_twice(seed: int) -> None:
    problem = random_problem(seed, Shape(n_tasks=4, n_workers=2, n_gpus=1, capacities=False))
    assert lower_bound(problem) <= shortest(problem, n_runs=2)


@pytest.mark.parametrize("n_tasks", [12, 60])
def test_compiled_and_uncompiled_loops_find_the_same(n_tasks: int) -> None:
    pytest.importorskip("numba")
    for seed in range(25):
        problem = random_problem(seed, Shape(n_tasks=n_tasks))
        assert lower_bound(problem, flatten(problem, Room(True))) == lower_bound(problem, flatten(problem, Room(False)))


def random_work(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    n_tasks, n_columns = int(rng.integers(1, 200)), int(rng.integers(1, 9))
    seconds = rng.lognormal(0, rng.choice([0.3, 1.0, 2.0]), (n_tasks, n_columns))
    seconds[rng.random(seconds.shape) < rng.choice([0.0, 0.3, 0.8])] = np.inf
    seconds[np.arange(n_tasks), rng.integers(0, n_columns, n_tasks)] = rng.lognormal(0, 1, n_tasks)
    if rng.random() < 0.3:
        seconds = seconds[rng.integers(0, min(n_tasks, 4), n_tasks)]  # few kinds of tasks
    return seconds, rng.integers(1, 9, n_columns)


def least_end(seconds: np.ndarray, n_devices: np.ndarray) -> float:
    """The optimum of the linear program."""
    optimize = pytest.importorskip("scipy.optimize")
    task, column = np.nonzero(np.isfinite(seconds))
    n_shares, n_columns = len(task), len(n_devices)
    loads = np.zeros((n_columns, n_shares + 1))
    loads[column, np.arange(n_shares)] = seconds[task, column]
    loads[:, -1] = -n_devices
    whole = np.zeros((len(seconds), n_shares + 1))
    whole[task, np.arange(n_shares)] = 1.0
    aim = np.zeros(n_shares + 1)
    aim[-1] = 1.0
    return float(optimize.linprog(aim, loads, np.zeros(n_columns), whole, np.ones(len(seconds))).fun)


@pytest.mark.parametrize("seed", range(30))
def test_balanced_prices_give_the_optimum_of_the_linear_program(seed: int) -> None:
    seconds, n_devices = random_work(np.random.default_rng(seed))
    found, least = balance(seconds, n_devices), least_end(seconds, n_devices)
    assert found.prices @ n_devices == pytest.approx(1.0)
    assert (found.prices >= 0).all()
    assert least * (0.999 if len(n_devices) > 2 else 1 - 1e-9) <= found.seconds <= least * (1 + 1e-6)


def test_any_number_of_tasks_is_balanced_by_a_sample() -> None:
    rng = np.random.default_rng(1)
    few = rng.lognormal(0, 1, (500, 4))
    n_devices = np.array([8, 4, 2, 1])
    many = few[rng.permutation(np.repeat(np.arange(500), 100))]
    assert balance(many, n_devices).seconds == pytest.approx(100 * balance(few, n_devices).seconds, rel=1e-3)


def test_a_column_that_is_short_of_time_whatever_goes_to_the_other_costs_all() -> None:
    only_first = np.array([[4.0, np.inf], [1.0, 1.0]])
    assert balance(only_first, np.array([1, 2])).prices.tolist() == [1.0, 0.0]
    assert balance(only_first[:, ::-1], np.array([2, 1])).prices.tolist() == [0.0, 1.0]
