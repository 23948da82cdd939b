from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hetsched.cost.model import SOURCES, Estimate
from hetsched.cost.roofline import Roofline
from hetsched.cost.table import NO_KERNEL, tabulate
from hetsched.errors import CostError
from hetsched.graph.frozen import FrozenGraph, NodeOptions, Operand, Task, Value
from hetsched.graph.ops import Op
from hetsched.graph.values import TensorSpec
from hetsched.platform.platform import Platform

SERVER = Platform.load(Path(__file__).parents[3] / "configs" / "platforms" / "four-gpu-server.yaml")
ANY = Op("anywhere", {"any": abs})
CPU_ONLY = Op("cpu_only", {"cpu": abs})


class Counting(Roofline):
    """The default model, with every question written down."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        Roofline.__init__(self)
        object.__setattr__(self, "asked", [])

    def estimate(self, task, graph, device) -> Estimate:
        self.asked.append((task.name, device.name))
        return Roofline.estimate(self, task, graph, device)


def graph(*tasks: Task) -> FrozenGraph:
    source = Value("s", "s", None, spec=TensorSpec((2,), "float32"), is_input=True)
    return FrozenGraph(tasks, (source,), {})


def task(name: str, op: Op = ANY, seconds: object = None, **more: object) -> Task:
    options = NodeOptions(seconds=seconds)
    return Task(name, name, op, (Operand(0, 0),), (), options=options, **({"flops": 1e6, "n_bytes": 8.0} | more))


def test_classes_and_missing_kernels():
    table = tabulate(Roofline(), graph(task("a"), task("b", CPU_ONLY)), SERVER)
    assert table.device_class.tolist() == [0] * 8 + [1] * 4
    assert table.device_class.dtype == np.int32
    assert table.source.dtype == np.int8
    assert table.n_classes == 2
    assert np.isfinite(table.seconds).tolist() == [[True, True], [True, False]]
    assert table.deviation[1, 1] == 0
    assert table.source.tolist() == [[SOURCES.index("roofline")] * 2, [SOURCES.index("roofline"), NO_KERNEL]]


def test_equal_tasks_are_asked_about_once():
    model = Counting()
    tasks = [task(f"t{n}") for n in range(100)] + [task("slow", flops=1e12)]
    table = tabulate(model, graph(*tasks), SERVER)
    assert model.asked == [("t0", "cpu:0"), ("t0", "gpu:0"), ("slow", "cpu:0"), ("slow", "gpu:0")]
    assert len(table.seconds) == 101
    assert (table.seconds[:100] == table.seconds[0]).all()
    assert (table.seconds[100] > table.seconds[0]).all()


def test_given_times_tell_tasks_and_devices_apart():
    named = task("n", seconds={"gpu:2": 9.0, "cuda": 4.0, "cpu": 1.0})
    table = tabulate(Roofline(), graph(named, task("f", seconds=5.0)), SERVER)
    assert table.device_class.tolist() == [0] * 8 + [1, 1, 2, 1]
    assert table.seconds.tolist() == [[1.0, 4.0, 9.0], [5.0, 5.0, 5.0]]
    assert (table.deviation == 0).all()


def test_unhashable_params_are_no_obstacle():
    model = Counting()
    tabulate(model, graph(task("a", params={"x": [1]}), task("b", params={"x": [2]})), SERVER)
    assert len(model.asked) == 4


def test_tasks_that_differ_in_anything_are_asked_about_each():
    model = Counting()
    sources = (
        Value("s", "s", None, spec=TensorSpec((2,), "float32")),
        Value("w", "w", None, spec=TensorSpec((3,), "float32")),
    )
    first = task("first", params={"a": 1, "b": 2})
    others = [
        replace(first, name="same"),
        replace(first, name="same otherwise", params={"b": 2, "a": 1}),
        replace(first, name="params", params={"a": 1, "b": 3}),
        replace(first, name="keyword", operands=(Operand("x", 0),)),
        replace(first, name="operand", operands=(Operand(0, 1),)),
        replace(first, name="op", op=Op("other", {"any": abs})),
        replace(first, name="op of one name", op=Op("anywhere", {"any": abs})),
        replace(first, name="kernels", op=Op("anywhere", {"cpu": abs})),
        replace(first, name="dtype", dtype="float64"),
        replace(first, name="bytes", n_bytes=9.0),
        replace(first, name="seconds", options=NodeOptions(seconds={"cpu": 1.0, "cuda": 2.0})),
        replace(first, name="seconds otherwise", options=NodeOptions(seconds={"cuda": 2.0, "cpu": 1.0})),
    ]
    table = tabulate(model, FrozenGraph((first, *others), sources, {}), SERVER)
    asked = list(dict.fromkeys(name for name, _ in model.asked))
    assert asked == ["first", "params", "keyword", "operand", "op", "kernels", "dtype", "bytes", "seconds"]
    assert table.seconds[-1].tolist() == [1.0, 2.0]
    assert np.isinf(table.seconds[8, 1])


def test_equal_specs_may_be_several_objects():
    model = Counting()
    sources = tuple(Value(name, name, None, spec=TensorSpec((2,), "float32")) for name in "ab")
    tasks = (task("first"), replace(task("second"), operands=(Operand(0, 1),)))
    tabulate(model, FrozenGraph(tasks, sources, {}), SERVER)
    assert {name for name, _ in model.asked} == {"first"}


def test_unequal_devices_are_unequal_classes():
    faster = replace(SERVER.devices[0], n_threads=8)
    table = tabulate(Roofline(), graph(task("a")), SERVER.with_devices((faster, *SERVER.devices[1:])))
    assert table.device_class.tolist() == [0] + [1] * 7 + [2] * 4


def test_empty_graph():
    assert tabulate(Roofline(), graph(), SERVER).seconds.shape == (0, 2)


def test_a_wrong_given_time_names_its_node():
    with pytest.raises(CostError, match="node 'bad'"):
        tabulate(Roofline(), graph(task("good"), task("bad", seconds=float("nan"))), SERVER)
