"""CostTable: a cost model's frozen answers for one graph on one platform, as arrays."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hetsched.cost.history import work_key
from hetsched.cost.model import SOURCES, CostModel
from hetsched.graph.frozen import FrozenGraph, Task
from hetsched.platform.platform import Device, Platform

NO_KERNEL = -1
"""Source index of a task on a class of devices that its op has no kernel for."""


@dataclass(frozen=True, eq=False)
class CostTable:
    """Predicted times by task and device class; devices of one class cost the same.

    Attributes:
        seconds: inf where the op has no kernel for the class, shape (n_tasks, n_classes).
        deviation: standard deviation of ``seconds``, 0 where that is inf, same shape.
        source: index into `SOURCES`, `NO_KERNEL` where ``seconds`` is inf, same shape.
        device_class: class of each device, in the platform's order, shape (n_devices,).
    """

    seconds: NDArray[np.float64]
    deviation: NDArray[np.float64]
    source: NDArray[np.int8]
    device_class: NDArray[np.int32]

    @property
    def n_classes(self) -> int:
        """Number of device classes."""
        return int(self.seconds.shape[1])


def tabulate(model: CostModel, graph: FrozenGraph, platform: Platform) -> CostTable:
    """Ask a cost model about every task on every class of devices; equal tasks are asked about once.

    Raises:
        CostError: a given time is not a finite number that is zero or more; names the node.
    """
    device_class, representatives = _classes(graph, platform)
    groups: dict[Hashable, int] = {}
    examples: list[Task] = []
    group_of = np.empty(len(graph.tasks), dtype=np.int64)
    for index, task in enumerate(graph.tasks):
        group = groups.setdefault(_group_key(task, graph), len(examples))
        if group == len(examples):
            examples.append(task)
        group_of[index] = group
    shape = (len(examples), len(representatives))
    seconds, deviation = np.full(shape, np.inf), np.zeros(shape)
    source = np.full(shape, NO_KERNEL, dtype=np.int8)
    for group, task in enumerate(examples):
        for column, device in enumerate(representatives):
            if task.op.runs_on(device.kind):
                estimate = model.estimate(task, graph, device)
                seconds[group, column], deviation[group, column] = estimate.seconds, estimate.deviation_seconds
                source[group, column] = SOURCES.index(estimate.source)
    return CostTable(seconds[group_of], deviation[group_of], source[group_of], device_class)


def _classes(graph: FrozenGraph, platform: Platform) -> tuple[NDArray[np.int32], list[Device]]:
    """Class of each device, and the first device of each class; one that a node names in its ``seconds`` is alone."""
    given = [task.options.seconds for task in graph.tasks]
    named = {name for seconds in given if isinstance(seconds, Mapping) for name in seconds}
    representatives: list[Device] = []
    classes = []
    for device in platform.devices:
        for index, other in enumerate(representatives):
            alone = device.name in named or other.name in named
            if not alone and device.device_class == other.device_class:
                classes.append(index)
                break
        else:
            classes.append(len(representatives))
            representatives.append(device)
    return np.array(classes, dtype=np.int32), representatives


def _group_key(task: Task, graph: FrozenGraph) -> Hashable:
    """Equal for tasks that a cost model cannot tell apart; a task whose parameters are not hashable is its own."""
    seconds = task.options.seconds
    given = tuple(sorted(seconds.items())) if isinstance(seconds, Mapping) else seconds
    work = work_key(task, graph)
    return (task.name if work is None else work, tuple(task.op.kernels), given, task.flops, task.n_bytes)
