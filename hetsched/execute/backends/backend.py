"""What a backend is: how the devices of one kind compute, store and copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from hetsched.graph.ops import Kernel, Op
from hetsched.graph.values import Spec
from hetsched.platform.platform import Device, Link, Memory, Platform

Ready = Any
"""When a value is there: None for now, otherwise a token that only the backend which made it and its neighbours read.

Host backends take None or something with ``synchronize()``; stream backends take a device event; emulated lanes take
the emulated second.
"""

SpanTimes = tuple[float, float, bool]
"""Start and end in seconds since the run began, and whether an emulated slot was overrun."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a lane is told of one step besides what to call: enough to emulate it.

    Attributes:
        name: of the task or of the copied value.
        family: of the op; ``copy`` for copies.
        nominal_seconds: roofline or given time on this device; None when nobody knows.
        out_spec: of what the call gives, where known.
    """

    name: str
    family: str
    nominal_seconds: float | None = None
    out_spec: Spec | None = None


class Lane(Protocol):
    """One ordered stream of steps on a device, or on the way into a memory; driven by one thread at a time.

    Attributes:
        calls_directly: in this run, to `execute` is to call and nothing else, so that the driver may do it itself.
    """

    @property
    def calls_directly(self) -> bool: ...

    def scope(self) -> AbstractContextManager[object]:
        """Entered by the driving thread around each run (current stream, intra-op threads).

        torch's number of intra-op threads is left changed: who drives a run sets it back, once all lanes have ended.
        """

    def begin(self, started_at: float, run: int, timed: bool) -> None:
        """A run begins; ``started_at`` is its `time.perf_counter`, ``run`` its number."""

    def execute(
        self, call: Kernel, args: Sequence[object], kwargs: Mapping[str, object], work: Work, waits: Sequence[Ready]
    ) -> tuple[object, Ready]:
        """Call, once everything in ``waits`` is there; may return before the result is."""

    def settle(self, ready: Ready) -> None:
        """Block the host until a value of this lane is there."""

    def end(self) -> Sequence[SpanTimes]:
        """The run is over: times of each executed step in order, empty when untimed."""


class Backend(Protocol):
    """How one device computes, stores values in its memory, and moves them in and out."""

    def kernel(self, op: Op) -> Kernel:
        """The op's implementation for this device."""

    def generator(self, seed: int) -> torch.Generator:
        """A random generator on this device."""

    def compute_lane(self) -> Lane:
        """A lane that runs tasks."""

    def copy_lane(self, source: Memory, target: Memory, links: Sequence[Link]) -> Lane:
        """A lane that copies values between two memories, one of them this device's."""

    def put(self, value: object) -> object:
        """Copy a value into this device's memory; views become compact."""

    def get(self, value: object) -> object:
        """Copy a value from this device's memory to host memory; views become compact."""

    def close(self) -> None:
        """Give back streams, buffers and memory."""


BackendFactory = Callable[[Device, Platform, float], Backend]
"""``factory(device, platform, time_scale)``."""


def map_leaves(value: object, kind: type | tuple[type, ...], function: Callable[[Any], object]) -> object:
    """Apply a function to everything of a kind inside tuples, lists and dicts; all else is shared."""
    if isinstance(value, kind):
        return function(value)
    if isinstance(value, tuple):
        items = (map_leaves(item, kind, function) for item in value)
        return value._make(items) if hasattr(value, "_make") else tuple(items)
    if type(value) is list:
        return [map_leaves(item, kind, function) for item in value]
    if type(value) is dict:
        return {key: map_leaves(item, kind, function) for key, item in value.items()}
    return value


def map_tensors(value: object, function: Callable[[torch.Tensor], torch.Tensor]) -> object:
    """Apply a function to every tensor inside a value; arrays are copied, other objects are shared."""
    return map_leaves(
        value,
        (torch.Tensor, np.ndarray),
        lambda leaf: function(leaf) if isinstance(leaf, torch.Tensor) else leaf.copy(),
    )


def compact(tensor: torch.Tensor) -> torch.Tensor:
    """A copy that holds the tensor's elements and nothing else of its storage."""
    if tensor.layout is not torch.strided:
        return tensor.detach().clone()
    return tensor.detach().clone(memory_format=torch.contiguous_format)
