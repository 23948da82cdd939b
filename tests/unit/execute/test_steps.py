"""Compiled plans: which waits remain, and when a value is given up."""

from __future__ import annotations

import gc
import itertools
import random
import weakref
from dataclasses import replace

import networkx as nx
import npu_backend
import pytest
import torch

import hetsched
from hetsched.execute.backends import BACKENDS
from hetsched.execute.steps import Steps, compile_plan
from hetsched.plan.dependencies import dependencies


def _compile(graph: nx.DiGraph) -> tuple[hetsched.Program, Steps]:
    program = hetsched.compile(graph, platform=npu_backend.PLATFORM, scheduler="round_robin")
    platform = program.platform
    backends = {device.name: BACKENDS[device.kind](device, platform, 1.0) for device in platform.devices}
    return program, compile_plan(program.plan, program._decision.graph, platform, backends, {"ram", "npu-ram"})


def _random_graph(n_tasks: int) -> nx.DiGraph:
    rng = random.Random(0)
    graph = nx.DiGraph()
    graph.add_node(0, value=torch.ones(2))
    for i in range(1, n_tasks):
        graph.add_node(i, op=torch.add)
        graph.add_edge(rng.randrange(i), i, arg=(0, 1))
    return graph


def test_a_lane_waits_only_for_what_it_does_not_know() -> None:
    program, steps = _compile(_random_graph(500))
    with program:
        crossing = sum(len(before) for before in dependencies(program.plan))
        assert 0 < steps.n_latches < crossing / 2
        waited = [latch for lane in steps.lanes.values() for step in lane for latch in step.waits]
        signalled = [latch for lane in steps.lanes.values() for step in lane for latch in step.signals]
        freed = [latch for cell in steps.cells for latch in cell.freed_signals]
        assert sorted(waited) == sorted(signalled + freed) == list(range(steps.n_latches))


def test_every_dependency_is_implied_by_lanes_and_latches() -> None:
    """The order that remains is the order that was asked for: its transitive closure holds every dependency."""
    program, steps = _compile(_random_graph(120))
    with program:
        order = nx.DiGraph()
        source = {latch: step.position for lane in steps.lanes.values() for step in lane for latch in step.signals}
        for lane in steps.lanes.values():
            for before, after in itertools.pairwise(lane):
                order.add_edge(before.position, after.position)
            for step in lane:
                order.add_edges_from((source[latch], step.position) for latch in step.waits if latch in source)
        closure = nx.transitive_closure(order)
        positions = set(order)
        for position, before in enumerate(dependencies(program.plan)):
            for needed in before:
                if needed in positions and position in positions:
                    assert closure.has_edge(needed, position)


def test_values_are_given_up_at_their_last_use() -> None:
    alive: dict[str, weakref.ref[torch.Tensor]] = {}
    seen: list[list[str]] = []

    def make(x: torch.Tensor, name: str) -> torch.Tensor:
        gc.collect()
        seen.append([other for other, ref in alive.items() if ref() is not None])
        y = x + 1
        alive[name] = weakref.ref(y)
        return y

    graph = nx.DiGraph()
    graph.add_node("x", value=torch.ones(3))
    before = "x"
    for name in ("a", "b", "c", "d"):
        graph.add_node(name, op=make, params={"name": name}, device="cpu:0")
        graph.add_edge(before, name)
        before = name
    result = hetsched.run(graph)
    assert result["d"].tolist() == [5.0] * 3
    assert seen == [[], ["a"], ["b"], ["c"]]


def test_an_unknown_device_kind_is_named() -> None:
    platform = npu_backend.PLATFORM
    tpu = platform.with_devices((*platform.devices[:2], replace(platform.devices[2], kind="tpu")))
    graph = nx.DiGraph()
    graph.add_node("x", value=torch.ones(2))
    with pytest.raises(hetsched.ExecutionError, match=r"'npu:0': no backend drives kind 'tpu'.*cpu"):
        hetsched.run(graph, platform=tpu)


def test_room_is_waited_for_until_everything_freed_before_is_gone() -> None:
    """A chain in a memory for two values, while another lane is slow to let go of the first."""
    platform = npu_backend.PLATFORM
    memories = (platform.memories[0], replace(platform.memories[1], capacity_bytes=2.5 * 4000))
    tight = replace(platform, memories=memories)
    rng = random.Random(1)
    graph = nx.DiGraph()
    graph.add_node("x", shape=(1000,))
    for i in range(60):
        graph.add_node(i, op=torch.relu, device="npu:0" if i % 3 else rng.choice(("npu:0", "cpu:0", "cpu:1")))
        graph.add_edge("x" if i == 0 else i - 1, i)
    with hetsched.compile(graph, platform=tight) as program:
        assert program.plan.after, "the memory is tight"
        for _ in range(5):
            assert torch.equal(program.run({"x": torch.ones(1000)})[59], torch.ones(1000))


def test_constants_that_cannot_stay_are_moved_in_every_run() -> None:
    platform = npu_backend.PLATFORM
    small = replace(platform, memories=(platform.memories[0], replace(platform.memories[1], capacity_bytes=9000)))
    graph = nx.DiGraph()
    graph.add_node("x", shape=(500,))
    before = "x"
    for i in range(6):
        graph.add_node(f"w{i}", value=torch.full((500,), float(i)))
        graph.add_node(f"y{i}", op=torch.add, device="npu:0")
        graph.add_edges_from([(before, f"y{i}"), (f"w{i}", f"y{i}")])
        before = f"y{i}"
    with hetsched.compile(graph, platform=small) as program:
        assert not program.plan.setup
        for _ in range(2):
            assert torch.equal(program.run({"x": torch.ones(500)})["y5"], torch.full((500,), 16.0))
