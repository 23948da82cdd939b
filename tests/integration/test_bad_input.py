"""Bad input: one clear error of the right class that names the place and the cure, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch

import hetsched
from hetsched.platform.platform import Device, Host, Link, Memory, Process, Rates, Route


def _graph(*nodes: tuple[Any, dict[str, Any]], edges: tuple[Any, ...] = ()) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    return graph


def _product(left: tuple[int, ...], right: tuple[int, ...], **options: Any) -> hetsched.TaskGraph:
    g = hetsched.TaskGraph()
    g.constant(torch.zeros(left), name="a")
    g.constant(torch.zeros(right), name="b")
    g.add("matmul", "a", "b", name="c", **options)
    return g


def _cuda_only() -> hetsched.TaskGraph:
    g = hetsched.TaskGraph()
    g.add(hetsched.op(kinds=("cuda",))(lambda: 1), name="only-cuda")
    return g


def _tiny_memory(capacity_bytes: float) -> hetsched.Platform:
    return hetsched.Platform(
        "tiny",
        (Host("h"),),
        (Process("p", "h"),),
        (Memory("ram", "p", capacity_bytes),),
        (Device("cpu:0", "cpu", "ram", rates=Rates({"float32": 1e9}, 1e9, 1e-6)),),
    )


def _platform(**parts: Any) -> Callable[[], object]:
    given: dict[str, Any] = {
        "hosts": (Host("h"),),
        "processes": (Process("p", "h"),),
        "memories": (Memory("ram", "p"), Memory("vram", "p")),
        "devices": (Device("cpu:0", "cpu", "ram"),),
    }
    return lambda: hetsched.Platform("bad", **(given | parts))


ONE = ("x", {"value": torch.ones(2)})
CASES: dict[str, tuple[Callable[[], object], type[Exception], tuple[str, ...]]] = {
    "cycle": (
        lambda: hetsched.run(_graph(("a", {"op": "relu"}), ("b", {"op": "relu"}), edges=(("a", "b"), ("b", "a")))),
        hetsched.GraphError,
        ("cycle", "a -> b -> a", "remove"),
    ),
    "unknown op": (
        lambda: hetsched.run(_graph(ONE, ("y", {"op": "matmull"}), edges=(("x", "y"),))),
        hetsched.GraphError,
        ("'y'", "matmull", "did you mean 'matmul'"),
    ),
    "operand missing": (
        lambda: hetsched.run(_graph(ONE, ("y", {"op": "matmul"}), edges=(("x", "y"),))),
        hetsched.GraphError,
        ("'y'", "matmul", "2 operands", "1"),
    ),
    "operand extra": (
        lambda: hetsched.run(
            _graph(ONE, ("w", {"value": torch.ones(2)}), ("y", {"op": "relu"}), edges=(("x", "y"), ("w", "y")))
        ),
        hetsched.GraphError,
        ("'y'", "relu", "1 operand", "2"),
    ),
    "operand of wrong shape": (
        lambda: hetsched.run(_product((2, 3), (2, 3))),
        hetsched.GraphError,
        ("'c'", "matmul", "float32[2, 3]"),
    ),
    "two keys with one name": (
        lambda: hetsched.run(_graph((1, {"value": 1}), ("1", {"value": 2}))),
        hetsched.GraphError,
        ("'1'", "1", "rename"),
    ),
    "neither op nor value": (
        lambda: hetsched.run(_graph(ONE, ("y", {}), edges=(("x", "y"),))),
        hetsched.GraphError,
        ("'y'", "op"),
    ),
    "input not given": (
        lambda: hetsched.run(_graph(("x", {}), ("y", {"op": torch.relu}), edges=(("x", "y"),))),
        hetsched.GraphError,
        ("'x'", "inputs="),
    ),
    "input that does not exist": (
        lambda: hetsched.run(_graph(ONE), {"z": 1}),
        hetsched.GraphError,
        ("'z'",),
    ),
    "kernel for no available device": (
        lambda: hetsched.run(_cuda_only(), platform=_tiny_memory(math.inf)),
        hetsched.GraphError,
        ("'only-cuda'", "cuda", "cpu"),
    ),
    "pinned to no device": (
        lambda: hetsched.run(_product((2, 2), (2, 2), device="gpu:7"), platform=_tiny_memory(math.inf)),
        hetsched.GraphError,
        ("'c'", "gpu:7", "cpu:0"),
    ),
    "capacity smaller than a task needs": (
        lambda: hetsched.run(_product((64, 64), (64, 64)), platform=_tiny_memory(40_000)),
        hetsched.ScheduleError,
        ("'c'", "in ram", "capacity of 49152 bytes would do"),
    ),
    "NaN cost": (
        lambda: hetsched.run(_product((2, 2), (2, 2), seconds=math.nan)),
        hetsched.CostError,
        ("'c'", "nan"),
    ),
    "negative cost": (
        lambda: hetsched.run(_product((2, 2), (2, 2), seconds={"cpu": -1.0})),
        hetsched.CostError,
        ("'c'", "-1.0"),
    ),
    "infinite cost": (
        lambda: hetsched.run(_product((2, 2), (2, 2), seconds=math.inf)),
        hetsched.CostError,
        ("'c'", "inf"),
    ),
    "platform without a device": (_platform(devices=()), hetsched.PlatformError, ("no device", "devices")),
    "link to nowhere": (
        _platform(links=(Link("l", 0, 1e9),), routes=(Route("ram", "moon", ("l",)),)),
        hetsched.PlatformError,
        ("'moon'", "vram"),
    ),
    "route over no link": (
        _platform(routes=(Route("ram", "vram", ("wire",)),)),
        hetsched.PlatformError,
        ("'wire'",),
    ),
    "platform of a wrong type": (
        lambda: hetsched.run(_graph(ONE), platform=5),
        hetsched.PlatformError,
        ("int", "path"),
    ),
    "unknown scheduler": (
        lambda: hetsched.run(_product((2, 2), (2, 2)), scheduler="hefty"),
        hetsched.ScheduleError,
        ("'hefty'", "heft", "single_device"),
    ),
    "unknown executor": (
        lambda: hetsched.run(_product((2, 2), (2, 2)), executor="locale"),
        hetsched.ExecutionError,
        ("'locale'", "local"),
    ),
    "unknown objective": (
        lambda: hetsched.run(_product((2, 2), (2, 2)), objective="speed"),
        hetsched.ScheduleError,
        ("'speed'", "makespan"),
    ),
    "output that does not exist": (
        lambda: hetsched.run(_product((2, 2), (2, 2)), outputs=["d"]),
        hetsched.GraphError,
        ("'d'", "a, b, c"),
    ),
    "not a graph": (lambda: hetsched.run([1, 2]), hetsched.GraphError, ("list", "networkx.DiGraph")),
    "not a graph, with inputs": (lambda: hetsched.run([1, 2], {"x": 1}), hetsched.GraphError, ("networkx.DiGraph",)),
    "platform file that is not there": (
        lambda: hetsched.run(_graph(ONE), platform=Path("nowhere.yaml")),
        hetsched.PlatformError,
        ("nowhere.yaml",),
    ),
    "instance file that is not there": (
        lambda: hetsched.Problem.load("nowhere.json"),
        hetsched.ScheduleError,
        ("nowhere.json",),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_error(name: str) -> None:
    call, expected, said = CASES[name]
    with pytest.raises(hetsched.HetschedError) as caught:
        call()
    assert type(caught.value) is expected, caught.value
    for part in said:
        assert part in str(caught.value), f"{part!r} is not in: {caught.value}"


def test_a_key_that_is_no_output_says_how_to_get_it() -> None:
    result = hetsched.run(_product((2, 2), (2, 2)))
    with pytest.raises(KeyError, match=r"'a' is not an output.*outputs=\[\.\.\., 'a'\]"):
        result["a"]


def test_an_empty_graph_runs_and_gives_nothing() -> None:
    result = hetsched.run(nx.DiGraph())
    assert result.outputs == {}
    assert "makespan" in str(result)


def test_an_input_of_another_shape_than_planned() -> None:
    g = hetsched.TaskGraph()
    g.input("x", shape=(2, 2))
    g.add("relu", "x", name="y")
    with hetsched.compile(g) as program, pytest.raises(hetsched.GraphError, match="planned for") as caught:
        program.run({"x": torch.ones(3, 2)})
    assert "float32[3, 2]" in str(caught.value)
