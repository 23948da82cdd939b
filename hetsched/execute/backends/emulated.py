"""Emulated devices: true results computed on this machine's cores, in times that come from the platform's ``truth``.

A lane keeps its own emulated clock. A step starts when its operands are there and the lane is free, in emulated
seconds, and ends after its true time; the driving thread sleeps until that moment on the wall, which is ``time_scale``
times slower. A real computation that outlasts its slot makes the step end late, and the span says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter, sleep

import torch

from hetsched.execute.backends.backend import Lane, Ready, SpanTimes, Work, compact, map_tensors
from hetsched.graph.ops import ANY_KIND, Kernel, Op
from hetsched.graph.values import Spec, TensorSpec, TupleSpec, torch_dtype
from hetsched.platform.platform import HOST_KIND, Device, Link, Memory, Platform
from hetsched.platform.truth import true_link_seconds, true_seconds

_LATE_SECONDS = 1e-3
"""Wall time by which a slot may end late (a sleep that overslept) before it counts as overrun."""

TrueSeconds = Callable[[Work, str], float | None]
"""``true(work, draw)``: emulated seconds of a step; None when nobody knows, then the real time is taken."""


class EmulatedLane:
    """Steps on an emulated clock."""

    def __init__(self, true: TrueSeconds, time_scale: float, *, skips: bool) -> None:
        self._true, self._scale, self._skips = true, time_scale, skips
        self._times: list[SpanTimes] = []
        self._started_at = self._free_at = 0.0
        self._run = 0

    @property
    def calls_directly(self) -> bool:
        return False

    @contextmanager
    def scope(self) -> Iterator[None]:
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)
        yield

    def begin(self, started_at: float, run: int, timed: bool) -> None:
        self._started_at, self._run, self._free_at, self._times = started_at, run, 0.0, []

    def execute(
        self, call: Kernel, args: Sequence[object], kwargs: Mapping[str, object], work: Work, waits: Sequence[Ready]
    ) -> tuple[object, Ready]:
        start = max((ready for ready in waits if ready is not None), default=0.0)
        start = max(start, self._free_at)
        began = perf_counter()
        skips = self._skips and work.out_spec is not None
        result = empty(work.out_spec) if skips else call(*args, **kwargs)
        true = self._true(work, f"{self._run}/{work.name}")
        end = start + (perf_counter() - began if true is None else true)
        late = perf_counter() - (self._started_at + end * self._scale)
        overrun = late > _LATE_SECONDS
        if overrun:
            end += late / self._scale
        elif late < 0:
            sleep(-late)
        self._free_at = end
        self._times.append((start, end, overrun))
        return result, end

    def settle(self, ready: Ready) -> None:
        """The driving thread slept until the value was there."""

    def end(self) -> Sequence[SpanTimes]:
        return self._times


class EmulatedBackend:
    """A device of an emulated platform; its values live in this machine's RAM and are copied for real."""

    def __init__(self, device: Device, platform: Platform, time_scale: float) -> None:
        self._device, self._platform, self._scale = device, platform, time_scale
        self._skips = platform.compute == "skip"

    def kernel(self, op: Op) -> Kernel:
        """The kernel that this machine can run: the CPU's, or else the device kind's own."""
        return op.kernels.get(HOST_KIND) or op.kernels.get(ANY_KIND) or op.kernel_for(self._device.kind)

    def generator(self, seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    def compute_lane(self) -> Lane:
        def true(work: Work, draw: str) -> float | None:
            if work.nominal_seconds is None:
                return None
            return true_seconds(
                self._platform, self._device, family=work.family, nominal_seconds=work.nominal_seconds, key=draw
            )

        return EmulatedLane(true, self._scale, skips=self._skips)

    def copy_lane(self, source: Memory, target: Memory, links: Sequence[Link]) -> Lane:
        return emulated_copy_lane(self._platform, links, self._scale)

    def put(self, value: object) -> object:
        return map_tensors(value, compact)

    def get(self, value: object) -> object:
        return map_tensors(value, compact)

    def close(self) -> None:
        """Emulated memory belongs to Python; nothing to give back."""


def emulated_copy_lane(platform: Platform, links: Sequence[Link], time_scale: float) -> Lane:
    """A lane that copies over links of an emulated platform."""

    def true(work: Work, draw: str) -> float | None:
        return true_link_seconds(platform, links, nominal_seconds=work.nominal_seconds or 0.0, key=draw)

    return EmulatedLane(true, time_scale, skips=False)


def empty(spec: Spec | None) -> object:
    """An uninitialised value of that spec; objects that are no tensors become None."""
    if isinstance(spec, TensorSpec):
        return torch.empty(spec.shape, dtype=torch_dtype(spec.dtype))
    if isinstance(spec, TupleSpec):
        return tuple(None if item is None else empty(item) for item in spec.items)
    return None
