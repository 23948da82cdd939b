from __future__ import annotations

from typing import Any

import plans
import pytest

from hetsched.errors import PlanError
from hetsched.plan.dependencies import dependencies, lanes, owners
from hetsched.plan.lower import lower
from hetsched.plan.plan import Compute, Copy, Free, Plan

MAKE = Compute("make", "cpu:0", "ram", (), ("v",))
USE = Compute("use", "cuda:0", "vram", ("v",), ("w",))
DOWN = Copy("v", "ram", "vram", ("down",))


def body(*instructions: Compute | Copy | Free, **fields: Any) -> Plan:
    return Plan("box", (), instructions, **fields)


def test_read_waits_for_the_copy_into_its_memory_not_for_the_producer_elsewhere() -> None:
    assert dependencies(body(MAKE, DOWN, USE)) == ((), (0,), (1,))


def test_read_of_what_is_there_from_the_start_waits_for_nothing() -> None:
    assert dependencies(body(USE, inputs=(("v", "vram"),))) == ((),)


def test_free_waits_for_the_arrival_and_every_use_since() -> None:
    free = Free("v", "vram")
    again = Compute("again", "cuda:0", "vram", ("v",), ())
    assert dependencies(body(MAKE, DOWN, USE, again, free))[4] == (1, 2, 3)


def test_free_after_a_copy_out_waits_for_the_copy() -> None:
    assert dependencies(body(MAKE, DOWN, Free("v", "ram")))[2] == (0, 1)


def test_value_that_comes_back_waits_for_the_free_and_its_reader_for_the_new_arrival() -> None:
    found = dependencies(body(MAKE, DOWN, Free("v", "vram"), DOWN, USE, Free("v", "vram")))
    assert found[2:] == ((1,), (0, 2), (3,), (3, 4))


def test_second_copy_from_a_memory_waits_for_its_arrival_there() -> None:
    onward = Copy("v", "vram", "far", ())
    assert dependencies(body(MAKE, DOWN, onward))[2] == (1,)


def test_after_is_added_to_what_the_data_says() -> None:
    assert dependencies(body(MAKE, DOWN, USE, after={2: (0,)}))[2] == (0, 1)


def test_lanes_keep_the_global_order_and_free_belongs_to_the_last_that_touched() -> None:
    schedule = plans.diamond()
    plan = lower(schedule.problem, schedule)
    assert lanes(plan) == {
        "cpu:0": (0, 2, 4, 8, 9, 10),
        "ram->vram:0": (1,),
        "cuda:0": (3, 5),
        "vram:0->ram": (6, 7),
    }


def test_free_of_what_nothing_touched_has_no_lane() -> None:
    plan = body(MAKE, Free("x", "ram"), inputs=(("x", "ram"),))
    assert owners(plan) == (0, None)
    with pytest.raises(PlanError, match=r"body\[1\] free 'x' in ram"):
        lanes(plan)
