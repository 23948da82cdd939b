import os
from dataclasses import replace
from pathlib import Path

import pytest

from hetsched.cost.time_scale import SLOT_OVERHEAD_SECONDS, choose_time_scale
from hetsched.graph.frozen import FrozenGraph, NodeOptions, Operand, Task, Value
from hetsched.graph.ops import Op
from hetsched.platform.platform import Platform, Rates

PLATFORM = Platform.load(Path(__file__).parents[3] / "configs" / "platforms" / "one-gpu-workstation.yaml")
HOST = Rates({"float32": 1e11}, 1e10, 1e-6)
OP = Op("work", {"any": abs})
N_CORES = 2


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(N_CORES)), raising=False)


def chain(*tasks: dict) -> FrozenGraph:
    values = [Value("s", "s", None, is_input=True)]
    values += [Value(f"v{n}", f"v{n}", n) for n in range(len(tasks))]
    made = [
        Task(f"t{n}", f"t{n}", OP, (Operand(0, n),), (n + 1,), **({"flops": 1e12, "n_bytes": 1e6} | more))
        for n, more in enumerate(tasks)
    ]
    return FrozenGraph(tuple(made), tuple(values), {})


def slot(seconds: float) -> dict:
    return {"flops": None, "options": NodeOptions(seconds=seconds)}


def test_a_fast_device_makes_the_wall_slow():
    real = SLOT_OVERHEAD_SECONDS + HOST.seconds(1e12, 1e6, "float32")
    slot = PLATFORM.device("gpu:0").rates.seconds(1e12, 1e6, "float32")
    assert choose_time_scale(chain({}), PLATFORM, HOST) == pytest.approx(real / slot)


def test_never_below_one():
    assert choose_time_scale(chain(slot(10.0)), PLATFORM, HOST) == 1.0
    assert choose_time_scale(chain(), PLATFORM, HOST) == 1.0
    assert choose_time_scale(chain({"flops": None}), PLATFORM, HOST) == 1.0


def test_the_last_few_per_cent_of_the_time_do_not_count():
    rare = choose_time_scale(chain(slot(1.0), slot(1e-6)), PLATFORM, HOST)
    common = choose_time_scale(chain(*[slot(1e-6)] * 10), PLATFORM, HOST)
    assert rare == 1.0
    assert common == pytest.approx(SLOT_OVERHEAD_SECONDS / 1e-6)


def test_more_busy_devices_than_cores_take_turns():
    one = chain({})
    together = FrozenGraph(tuple(replace(one.tasks[0], name=f"t{n}") for n in range(100)), one.values, {})
    alone = choose_time_scale(one, PLATFORM, HOST)
    assert choose_time_scale(together, PLATFORM, HOST) == pytest.approx(alone * len(PLATFORM.devices) / N_CORES)


def test_skipping_computation_needs_only_the_overhead():
    skips = replace(PLATFORM, compute="skip")
    assert choose_time_scale(chain({}), skips, HOST) == 1.0
