"""How the integration suite runs a graph, and what plain torch gives for the same graph."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import npu_backend

import hetsched

PLATFORMS = Path(__file__).parents[1] / "configs" / "platforms"


@functools.cache
def platform_named(name: str) -> hetsched.Platform:
    if name == "cpu":
        return hetsched.Platform.discover()
    if name == "npu":
        return npu_backend.PLATFORM
    return hetsched.Platform.load(PLATFORMS / f"{name}.yaml")


@dataclass(frozen=True)
class Setting:
    """One way of running a graph."""

    executor: str
    platform: hetsched.Platform
    scheduler: str

    def run(self, graph: Any, inputs: Any = None, **settings: Any) -> hetsched.Result:
        chosen = {"executor": self.executor, "platform": self.platform, "scheduler": self.scheduler}
        return hetsched.run(graph, inputs, **(chosen | settings))

    def compile(self, graph: Any, inputs: Any = None, **settings: Any) -> hetsched.Program:
        chosen = {"executor": self.executor, "platform": self.platform, "scheduler": self.scheduler}
        return hetsched.compile(graph, inputs, **(chosen | settings))

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(device.name for device in self.platform.devices)

    def device(self, index: int) -> str:
        return self.devices[index % len(self.devices)]


def sequential(graph: Any, inputs: dict[Hashable, Any] | None = None) -> dict[Hashable, Any]:
    """What plain torch gives: every node of a graph of callables, in topological order, one after the other."""
    values: dict[Hashable, Any] = dict(inputs or {})
    for node in nx.topological_sort(graph):
        attributes = graph.nodes[node]
        if node in values:
            continue
        if "value" in attributes:
            values[node] = attributes["value"]
            continue
        operands = [values[before] for before in graph.predecessors(node)]
        values[node] = attributes["op"](*operands, **attributes.get("params", {}))
    return values
