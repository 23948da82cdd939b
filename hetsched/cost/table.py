"""CostTable: a cost model's frozen answers for one graph on one platform, as arrays."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hetsched.cost.history import work_key
from hetsched.cost.model import SOURCES, CostModel
from hetsched.graph.frozen import FrozenGraph, Task
from hetsched.platform.platform import Device, Platform

NO_KERNEL = -1
"""Source index of a task on a class of devices that its op has no kernel for."""

_SOURCE_INDEX = {source: index for index, source in enumerate(SOURCES)}


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
    group_of, examples = _groups(graph)
    answers = [_answer(model, task, graph, device) for task in examples for device in representatives]
    seconds, deviation, source = zip(*answers, strict=True) if answers else ((), (), ())
    shape = (len(examples), len(representatives))
    return CostTable(
        np.array(seconds, dtype=np.float64).reshape(shape)[group_of],
        np.array(deviation, dtype=np.float64).reshape(shape)[group_of],
        np.array(source, dtype=np.int8).reshape(shape)[group_of],
        device_class,
    )


def _answer(model: CostModel, task: Task, graph: FrozenGraph, device: Device) -> tuple[float, float, int]:
    """Seconds, deviation and source of one task on one device."""
    if not task.op.runs_on(device.kind):
        return np.inf, 0.0, NO_KERNEL
    estimate = model.estimate(task, graph, device)
    return estimate.seconds, estimate.deviation_seconds, _SOURCE_INDEX[estimate.source]


def _classes(graph: FrozenGraph, platform: Platform) -> tuple[NDArray[np.int32], list[Device]]:
    """Class of each device, and the first device of each class; one that a node names in its ``seconds`` is alone."""
    given = [task.options.seconds for task in graph.tasks]
    named = {name for seconds in given if seconds is not None and isinstance(seconds, Mapping) for name in seconds}
    representatives: list[Device] = []
    sorts: list[Device | None] = []
    classes = []
    for device in platform.devices:
        sort = None if device.name in named else device.device_class
        if sort is None or sort not in sorts:
            classes.append(len(representatives))
            representatives.append(device)
            sorts.append(sort)
        else:
            classes.append(sorts.index(sort))
    return np.array(classes, dtype=np.int32), representatives


def _groups(graph: FrozenGraph) -> tuple[NDArray[np.int64], list[Task]]:
    """Group of each task, and the first task of each group; a cost model cannot tell the tasks of a group apart."""
    specs = [id(value.spec) for value in graph.values]
    work_of: dict[Hashable, int] = {}
    works: dict[Hashable, int] = {}
    groups: dict[Hashable, int] = {}
    group_of = []
    examples: list[Task] = []
    for task in graph.tasks:
        quick = _quick_key(task, specs)
        work = work_of.get(quick)
        if work is None:
            work = work_of[quick] = works.setdefault(_work_key(task, graph), len(works))
        given: Hashable = task.options.seconds
        if given is not None and isinstance(given, Mapping):
            given = tuple(sorted(given.items()))
        group = groups.setdefault((work, given), len(examples))
        if group == len(examples):
            examples.append(task)
        group_of.append(group)
    return np.array(group_of, dtype=np.int64), examples


def _quick_key(task: Task, specs: Sequence[int]) -> Hashable:
    """Equal only for tasks whose `_work_key` is equal too, and made in a fraction of the time.

    Args:
        task: of which.
        specs: by value, the identity of its spec.
    """
    key: list[Hashable] = [task.op, task.flops, task.n_bytes, task.dtype]
    for operand in task.operands:
        key += operand.arg, specs[operand.value]
    if task.params:
        key.append(_params_key(task))
    return tuple(key)


def _params_key(task: Task) -> Hashable:
    params = tuple(task.params.items())
    try:
        hash(params)
    except TypeError:
        return task.name
    return params


def _work_key(task: Task, graph: FrozenGraph) -> Hashable:
    """Equal for tasks that do the same, whatever times are given; a task with unhashable parameters is its own."""
    work = work_key(task, graph)
    return (task.name if work is None else work, tuple(task.op.kernels), task.flops, task.n_bytes)
