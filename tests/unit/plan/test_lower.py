from __future__ import annotations

import plans
import pytest
from strategies import make_problem

from hetsched.errors import PlanError
from hetsched.plan.lower import lower
from hetsched.plan.plan import Compute, Copy, Free
from hetsched.plan.simulate import simulate

GPU = {"devices": plans.DEVICES, "links": plans.PCIE, "routes": plans.ROUTES}


def test_sources_are_inputs_unless_they_are_named_as_constants() -> None:
    schedule = plans.diamond()
    assert lower(schedule.problem, schedule).inputs == (("x", "ram"), ("w", "ram"))
    plan = lower(schedule.problem, schedule, constants={"w"}, platform="box")
    assert (plan.platform, plan.inputs, plan.constants) == ("box", (("x", "ram"),), (("w", "ram"),))


def test_outputs_are_the_required_values_that_tasks_make() -> None:
    schedule = plans.diamond()
    assert lower(schedule.problem, schedule).outputs == (("report", "ram"),)


def test_persistent_values_move_in_setup_hop_after_hop_and_are_never_freed() -> None:
    memories = ("ram", "vram:0", "vram:1")
    problem = make_problem(
        {"a": (["w"], 1)},
        devices={"cpu:0": "ram", "cuda:0": "vram:0", "cuda:1": "vram:1"},
        sources={"w": ["ram"]},
        links={"bus": (0, 1)},
        routes={(a, b): ["bus"] for a in memories for b in memories if a != b},
        persistent=["w"],
    )
    hops = [("w", "vram:0", "vram:1", 0, 0), ("w", "ram", "vram:0", 0, 0)]
    plan = lower(problem, plans.schedule_of(problem, [("a", "cuda:1", 0, 1)], hops))
    assert plan.setup == (Copy("w", "ram", "vram:0", ("bus",)), Copy("w", "vram:0", "vram:1", ("bus",)))
    assert plan.body == (Compute("a", "cuda:1", "vram:1", ("w",), ("a",)), Free("a", "vram:1"))


def test_what_takes_no_time_at_one_moment_is_ordered_by_the_data() -> None:
    problem = make_problem(
        {"z": ([], 0), "y": (["z"], 0), "x": (["y"], 0)},
        devices={"cpu:0": "ram", "cuda:0": "vram:0", "cuda:1": "vram:1"},
        links={"bus": (0, 1)},
        routes={(s, t): ["bus"] for g in "01" for s, t in (("ram", f"vram:{g}"), (f"vram:{g}", "ram"))},
    )
    schedule = plans.schedule_of(
        problem,
        [("x", "cpu:0", 0, 0), ("y", "cuda:1", 0, 0), ("z", "cuda:0", 0, 0)],
        [("y", "vram:1", "ram", 0, 0), ("z", "ram", "vram:1", 0, 0), ("z", "vram:0", "ram", 0, 0)],
    )
    body = lower(problem, schedule).body
    assert [step.task if isinstance(step, Compute) else step.value for step in body if not isinstance(step, Free)] == [
        "z",
        "z",
        "z",
        "y",
        "y",
        "x",
    ]


def test_value_that_nothing_reads_is_freed_where_it_was_made() -> None:
    problem = make_problem({"a": ([], 1)})
    plan = lower(problem, plans.schedule_of(problem, [("a", "cpu:0", 0, 1)]))
    assert plan.body == (Compute("a", "cpu:0", "ram", (), ("a",)), Free("a", "ram"))


def test_free_comes_after_the_use_that_ends_last_not_the_one_that_starts_last() -> None:
    problem = make_problem(
        {"a": ([], 1), "long": (["a"], 9), "short": (["a"], 1), "next": ([], 3)},
        devices={"cpu:0": "ram", "cpu:1": "ram"},
    )
    schedule = plans.schedule_of(
        problem,
        [("a", "cpu:0", 0, 1), ("long", "cpu:0", 1, 10), ("short", "cpu:1", 2, 3), ("next", "cpu:1", 4, 7)],
    )
    body = lower(problem, schedule).body
    assert body.index(Free("a", "ram")) > body.index(Compute("next", "cpu:1", "ram", (), ("next",)))


def test_eviction_at_the_moment_of_a_task_that_takes_no_time_makes_room_for_it() -> None:
    problem = make_problem(
        {"a": ([], 1), "b": ([], 0), "c": (["a"], 1)},
        n_bytes=8,
        allowed={"a": ["cuda:0"], "b": ["cuda:0"], "c": ["cpu:0"]},
        capacity={"vram:0": 8},
        **GPU,
    )
    schedule = plans.schedule_of(
        problem,
        [("a", "cuda:0", 0, 1), ("b", "cuda:0", 2, 2), ("c", "cpu:0", 2, 3)],
        [("a", "vram:0", "ram", 1, 2)],
        [("a", "vram:0", 2)],
    )
    assert simulate(lower(problem, schedule), problem).peak_bytes["vram:0"] == 8


def test_task_whose_operand_is_elsewhere_is_an_error_that_names_both() -> None:
    problem = make_problem({"a": ([], 1), "b": (["a"], 1)}, **GPU)
    schedule = plans.schedule_of(problem, [("a", "cpu:0", 0, 1), ("b", "cuda:0", 1, 2)])
    with pytest.raises(PlanError, match=r"task 'b' at 1 s: 'a' is not in vram:0"):
        lower(problem, schedule)


def test_transfer_and_eviction_of_what_is_elsewhere_are_errors() -> None:
    problem = make_problem({"a": ([], 1)}, **GPU)
    made = [("a", "cpu:0", 0.0, 1.0)]
    with pytest.raises(PlanError, match=r"transfer of 'a' to ram at 1.0 s: 'a' is not in vram:0"):
        lower(problem, plans.schedule_of(problem, made, [("a", "vram:0", "ram", 1.0, 2.0)]))
    with pytest.raises(PlanError, match=r"eviction at 1.0 s: 'a' is not in vram:0"):
        lower(problem, plans.schedule_of(problem, made, [], [("a", "vram:0", 1.0)]))


def test_recomputed_task_is_lowered_twice() -> None:
    problem = make_problem({"a": ([], 1), "b": (["a"], 1)}, **GPU)
    schedule = plans.schedule_of(problem, [("a", "cpu:0", 0, 1), ("a", "cuda:0", 0, 1), ("b", "cuda:0", 1, 2)])
    computed = [(step.task, step.device) for step in lower(problem, schedule).body if isinstance(step, Compute)]
    assert computed == [("a", "cpu:0"), ("a", "cuda:0"), ("b", "cuda:0")]
