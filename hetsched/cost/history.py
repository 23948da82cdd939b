"""Measured times in memory, by what was computed and on what sort of device."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median, stdev
from types import MappingProxyType

from hetsched.cost.model import Estimate
from hetsched.graph.frozen import FrozenGraph, Task
from hetsched.platform.platform import Device

MAX_SAMPLES = 64
"""Samples kept of each key; older ones are forgotten, so that times that drift are followed."""

FEW_SAMPLES = 3
"""Below so many samples their spread says little, and the deviation is at least `FEW_SAMPLES_DEVIATION` of the time."""

FEW_SAMPLES_DEVIATION = 0.25

Key = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class History:
    """Immutable: learning gives another History. A key's first sample, which pays for warming up, is dropped."""

    samples: Mapping[Key, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def with_samples(self, measured: Iterable[tuple[Key, float]]) -> History:
        """This history and new samples, in the order they were measured."""
        samples = dict(self.samples)
        for key, seconds in measured:
            known = samples.get(key)
            samples[key] = () if known is None else (*known, seconds)[-MAX_SAMPLES:]
        return History(MappingProxyType(samples))

    def estimate(self, key: Key | None) -> Estimate | None:
        """Median and spread of a key's samples; None without any."""
        samples = self.samples.get(key) if key is not None else None
        if not samples:
            return None
        middle = median(samples)
        deviation = stdev(samples) if len(samples) > 1 else 0.0
        if len(samples) < FEW_SAMPLES:
            deviation = max(deviation, FEW_SAMPLES_DEVIATION * middle)
        return Estimate(middle, deviation, "measured", len(samples))


def history_key(work: Hashable, device: Device) -> Key | None:
    """The key of one sort of work on one sort of device; None for work that cannot be recognised again."""
    return None if work is None else (work, device.kind, device.model, device.n_threads)


def work_key(task: Task, graph: FrozenGraph) -> Hashable:
    """What a task computes: op, operand specs and parameters; None when a parameter is not hashable."""
    op = task.op
    named = op.name if "<" not in op.name else (op.name, *op.kernels.values())  # <lambda>, <locals>: a name for many
    operands = tuple((operand.arg, graph.values[operand.value].spec) for operand in task.operands)
    key = (named, operands, tuple(sorted(task.params.items(), key=_by_name)), task.dtype)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _by_name(item: tuple[str, object]) -> str:
    return item[0]
