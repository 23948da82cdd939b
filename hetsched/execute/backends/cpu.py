"""The CPU: kernels run in the calling thread, values live in host memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

import torch

from hetsched.execute.backends.backend import Lane, Ready, SpanTimes, Work, compact, map_tensors
from hetsched.graph.ops import Kernel, Op
from hetsched.platform.platform import Device, Link, Memory, Platform


class HostLane:
    """Calls in the driving thread; a step has ended when its call returns."""

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._times: list[SpanTimes] = []
        self._started_at = 0.0
        self._timed = False

    @property
    def calls_directly(self) -> bool:
        return not self._timed

    @contextmanager
    def scope(self) -> Iterator[None]:
        if torch.get_num_threads() != self._n_threads:
            torch.set_num_threads(self._n_threads)
        yield

    def begin(self, started_at: float, run: int, timed: bool) -> None:
        self._started_at, self._timed, self._times = started_at, timed, []

    def execute(
        self, call: Kernel, args: Sequence[object], kwargs: Mapping[str, object], work: Work, waits: Sequence[Ready]
    ) -> tuple[object, Ready]:
        for ready in waits:
            ready.synchronize()
        if not self._timed:
            return call(*args, **kwargs), None
        start = perf_counter()
        result = call(*args, **kwargs)
        self._times.append((start - self._started_at, perf_counter() - self._started_at, False))
        return result, None

    def settle(self, ready: Ready) -> None:
        if ready is not None:
            ready.synchronize()

    def end(self) -> Sequence[SpanTimes]:
        return self._times


class CpuBackend:
    """One CPU worker: ``device.n_threads`` intra-op threads over host memory."""

    def __init__(self, device: Device, platform: Platform, time_scale: float) -> None:
        self._device = device

    def kernel(self, op: Op) -> Kernel:
        return op.kernel_for(self._device.kind)

    def generator(self, seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    def compute_lane(self) -> Lane:
        return HostLane(self._device.n_threads)

    def copy_lane(self, source: Memory, target: Memory, links: Sequence[Link]) -> Lane:
        return HostLane(1)

    def put(self, value: object) -> object:
        return map_tensors(value, compact)

    def get(self, value: object) -> object:
        return map_tensors(value, compact)

    def close(self) -> None:
        """Host memory belongs to Python; nothing to give back."""
