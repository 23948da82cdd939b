"""A GPU behind torch's stream API: tasks are queued on streams, ordered by events, and never wait for the host.

Written against ``torch.accelerator``, ``torch.Stream`` and ``torch.Event``, so that another vendor's accelerator is one
more row in the table of backends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

import torch

from hetsched.execute.backends.backend import Lane, Ready, SpanTimes, Work, compact, map_tensors
from hetsched.execute.ledger import sparse_parts
from hetsched.graph.ops import Kernel, Op
from hetsched.platform.platform import Device, Link, Memory, Platform


class StreamLane:
    """Queues calls on one stream; a step's Ready is the event recorded behind it."""

    def __init__(self, device: torch.device, stream: torch.Stream) -> None:
        self._device, self._stream = device, stream
        self._events: list[tuple[torch.Event, torch.Event]] = []
        self._origin: torch.Event | None = None
        self._origin_seconds = 0.0
        self._timed = False

    @property
    def calls_directly(self) -> bool:
        return False

    @contextmanager
    def scope(self) -> Iterator[None]:
        with torch.get_device_module(self._device).device(self._device):  # the thread's own device is back afterwards
            before = torch.accelerator.current_stream(self._device)
            torch.accelerator.set_stream(self._stream)
            try:
                yield
            finally:
                torch.accelerator.set_stream(before)

    def begin(self, started_at: float, run: int, timed: bool) -> None:
        self._events, self._timed, self._origin = [], timed, None
        if timed:
            self._origin = torch.Event(self._device, enable_timing=True)
            self._origin.record(self._stream)
            self._origin.synchronize()
            self._origin_seconds = perf_counter() - started_at

    def execute(
        self, call: Kernel, args: Sequence[object], kwargs: Mapping[str, object], work: Work, waits: Sequence[Ready]
    ) -> tuple[object, Ready]:
        for ready in waits:
            self._stream.wait_event(ready)
        before = self._record() if self._timed else None
        result = call(*args, **kwargs)
        after = self._record()
        if before is not None:
            self._events.append((before, after))
        return result, after

    def _record(self) -> torch.Event:
        event = torch.Event(self._device, enable_timing=self._timed)
        event.record(self._stream)
        return event

    def settle(self, ready: Ready) -> None:
        if ready is not None:
            ready.synchronize()

    def end(self) -> Sequence[SpanTimes]:
        self._stream.synchronize()
        if self._origin is None:
            return []
        return [(self._at(before), self._at(after), False) for before, after in self._events]

    def _at(self, event: torch.Event) -> float:
        assert self._origin is not None
        return self._origin_seconds + self._origin.elapsed_time(event) / 1e3


class StreamBackend:
    """One accelerator with a compute stream and two copy streams, staged through pinned host memory."""

    def __init__(self, device: Device, platform: Platform, time_scale: float) -> None:
        self._kind = device.kind
        self._torch_device = torch.device(device.kind, _index_of(device, platform))
        self._memory = device.memory
        self._streams = {role: torch.Stream(self._torch_device) for role in ("compute", "put", "get")}

    def kernel(self, op: Op) -> Kernel:
        return op.kernel_for(self._kind)

    def generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self._torch_device).manual_seed(seed)

    def compute_lane(self) -> Lane:
        return StreamLane(self._torch_device, self._streams["compute"])

    def copy_lane(self, source: Memory, target: Memory, links: Sequence[Link]) -> Lane:
        return StreamLane(self._torch_device, self._streams["put" if target.name == self._memory else "get"])

    def put(self, value: object) -> object:
        return map_tensors(value, self._put_tensor)

    def _put_tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        put, compute = self._streams["put"], self._streams["compute"]
        if tensor.layout is not torch.strided:
            moved = tensor.to(self._torch_device)
            for part in sparse_parts(moved):
                part.record_stream(compute)
            return moved
        if tensor.device.type == "cpu":
            # What is pinned may still be on its way here from a GPU: only the stream, which has waited, may read it.
            staged = tensor if tensor.is_pinned() else pinned_like(tensor).copy_(tensor)
            moved = staged.to(self._torch_device, non_blocking=True)
        else:
            torch.accelerator.current_stream(tensor.device).wait_stream(put)  # temporaries are made on that device
            tensor.record_stream(put)
            moved = tensor.contiguous().to(self._torch_device, non_blocking=True)
        moved.record_stream(compute)  # allocated on the copy stream, used there
        return moved

    def get(self, value: object) -> object:
        return map_tensors(value, self._get_tensor)

    def _get_tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device.type == "cpu":  # an op may well leave its result on the host
            return compact(tensor)
        if tensor.layout is not torch.strided:
            return tensor.to("cpu")
        tensor.record_stream(self._streams["get"])
        plain = tensor.resolve_conj().resolve_neg()  # torch would resolve them on the host, before the data is there
        return pinned_like(plain).copy_(plain, non_blocking=True)

    def close(self) -> None:
        for stream in self._streams.values():
            stream.synchronize()
        torch.get_device_module(self._torch_device).empty_cache()


def pinned_like(tensor: torch.Tensor) -> torch.Tensor:
    """Host memory of a tensor's shape that a device can read and write by itself."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)


def _index_of(device: Device, platform: Platform) -> int:
    """The number that torch knows a device by: a process that is given some of the GPUs counts them from 0."""
    process = {memory.name: memory.process for memory in platform.memories}
    mine = [d.name for d in platform.devices if d.kind == device.kind and process[d.memory] == process[device.memory]]
    number = device.name.rpartition(":")[2]
    if number.isdigit() and torch.get_device_module(device.kind).device_count() != len(mine):
        return int(number)
    return mine.index(device.name)
