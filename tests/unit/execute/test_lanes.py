"""Lanes: CPU workers run at once; emulated lanes keep emulated time."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest
import torch

import hetsched
from hetsched.platform.platform import Device, Host, Link, Memory, Platform, Process, Rates, Route, Truth

CONFIGS = Path(__file__).parents[3] / "configs" / "platforms"
RATES = Rates({"float32": 1e9}, 1e9, 1e-6)
EMULATED = Platform(
    "bench",
    (Host("h"),),
    (Process("p", "h"),),
    (Memory("ram", "p", 1e9), Memory("vram:0", "p", 4e6)),
    (Device("cpu:0", "cpu", "ram", rates=RATES), Device("gpu:0", "cuda", "vram:0", rates=RATES)),
    (Link("down", 1e-3, 1e9), Link("up", 1e-3, 1e9)),
    (Route("ram", "vram:0", ("down",)), Route("vram:0", "ram", ("up",))),
    emulated=True,
    truth=Truth(factors={"cuda": {"default": 3.0}}, link_factors={"down": 2.0}),
    time_scale=2.0,
)


def test_cpu_workers_run_at_once() -> None:
    if len(hetsched.Platform.discover().devices) < 2:
        pytest.skip("needs two CPU workers")
    barrier = threading.Barrier(2)
    graph = nx.DiGraph()
    for device in ("cpu:0", "cpu:1"):
        graph.add_node(device, op=lambda: barrier.wait(timeout=10), device=device)
    assert sorted(hetsched.run(graph).outputs.values()) == [0, 1]


def _on_gpu(op: object = "relu", **options: object) -> hetsched.TaskGraph:
    g = hetsched.TaskGraph()
    g.input("x")
    g.add(op, "x", name="y", device="gpu:0", **options)
    return g


def test_emulated_times_are_the_truth_and_not_the_prediction() -> None:
    result = hetsched.run(_on_gpu(seconds=0.01), (torch.ones(10),), platform=EMULATED)
    spans = {(span.kind, span.lane): span for span in result.trace if span.kind != "wait"}
    compute, copy = spans["compute", "gpu:0"], spans["copy", "ram->vram:0"]
    assert compute.seconds == pytest.approx(0.03, rel=0.01)
    assert copy.seconds == pytest.approx(2 * (1e-3 + 40e-9), rel=0.01)
    assert result.predicted_makespan_seconds == pytest.approx(0.012, rel=0.01)
    assert result.makespan_seconds == pytest.approx(0.033, rel=0.01)
    assert result.trace.emulated
    assert result.trace.time_scale == 2.0
    assert "emulated" in str(result)


def test_a_computation_that_outlasts_its_slot_is_flagged() -> None:
    def slow(x: torch.Tensor) -> torch.Tensor:
        threading.Event().wait(0.05)
        return x

    g = _on_gpu(hetsched.op(kinds=("any",))(slow), seconds=0.001)
    result = hetsched.run(g, (torch.ones(10),), platform=EMULATED)
    (span,) = result.trace.of_kind("compute")
    assert span.overrun
    assert span.seconds >= 0.05 / EMULATED.time_scale


def test_skip_emulates_time_only() -> None:
    ran = []

    @hetsched.op(kinds=("any",), pure=True)
    def doubled(x: torch.Tensor) -> torch.Tensor:
        ran.append(x.device.type != "meta")
        return x * 2

    platform = replace(EMULATED, compute="skip")
    result = hetsched.run(_on_gpu(doubled, seconds=0.01), (torch.ones(10),), platform=platform)
    assert True not in ran
    assert result["y"].shape == (10,)
    assert result.makespan_seconds == pytest.approx(0.033, rel=0.01)


def test_emulated_memory_holds_to_its_capacity() -> None:
    @hetsched.op(kinds=("any",))
    def grow(x: torch.Tensor) -> torch.Tensor:
        return x.repeat(1000)

    g = _on_gpu(grow)
    g.add("sum", "y", name="z")
    assert hetsched.run(g, (torch.ones(10),), platform=EMULATED)["z"].item() == 10_000
    small = replace(EMULATED, memories=(EMULATED.memories[0], Memory("vram:0", "p", 3 * 2**20)))
    assert hetsched.run(g, (torch.ones(10),), platform=small)["z"].item() == 10_000
    with pytest.raises(hetsched.OutOfMemoryError, match="'vram:0' is full: 'y' needs 4000000 bytes"):
        hetsched.run(g, (torch.ones(1000),), platform=small, outputs=["z"])


def test_measured_peak_bytes_are_those_predicted() -> None:
    g = hetsched.TaskGraph()
    g.input("x", shape=(100,))
    before = "x"
    for i in range(5):
        before = g.add("relu", before, name=f"y{i}", device="gpu:0")
    result = hetsched.run(g, (torch.ones(100),), platform=EMULATED)
    assert result.trace.peak_bytes["vram:0"] == result.predicted_trace.peak_bytes["vram:0"] == 800
