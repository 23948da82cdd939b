"""Short measurements of this machine: matmul peaks, memory bandwidth, dispatch overhead, copies to and from RAM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import torch

from hetsched.platform.platform import HOST_KIND, Rates

BUDGET_SECONDS = 0.025
"""Time spent on each figure, besides warming up."""

CPU_DTYPES = ("float32", "float64", "bfloat16")
ACCELERATOR_DTYPES = (*CPU_DTYPES, "float16")

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class LinkRates:
    """Latency and bandwidth of one direction between RAM and an accelerator's memory, from or to pinned memory."""

    latency_seconds: float
    bytes_per_second: float


@torch.no_grad()
def measure_cpu(n_threads: int) -> Rates:
    """Rates of a CPU worker with so many threads; torch's thread setting is as before afterwards."""
    with _threads(n_threads):
        size = 512 if n_threads <= 4 else 1024
        sizes = {dtype: size // 2 if dtype == "bfloat16" else size for dtype in CPU_DTYPES}  # slow where emulated
        return _measure(torch.device(HOST_KIND), sizes, 64 * MIB, lambda: None)


@torch.no_grad()
def measure_accelerator(device: torch.device) -> tuple[Rates, LinkRates, LinkRates]:
    """Rates of an accelerator, and of the ways down to it and up from it."""
    sizes = {dtype: 4096 if dtype.endswith("float16") else 2048 for dtype in ACCELERATOR_DTYPES}

    def settle() -> None:
        torch.accelerator.synchronize(device)

    rates = _measure(device, sizes, 256 * MIB, settle)
    large, small = 32 * MIB, 4
    down, up = (
        LinkRates(
            latency_seconds=(latency := _copy_seconds(device, small, settle, down=way)),
            bytes_per_second=large / max(_copy_seconds(device, large, settle, down=way) - latency, 1e-9),
        )
        for way in (True, False)
    )
    return rates, down, up


def _measure(device: torch.device, sizes: dict[str, int], n_bytes: int, settle: Callable[[], None]) -> Rates:
    flops = {dtype: _matmul_flops_per_second(device, dtype, size, settle) for dtype, size in sizes.items()}
    left, right = (torch.ones(n_bytes // 4, device=device) for _ in range(2))
    add_seconds = _best_seconds(lambda: torch.add(left, right, out=left), settle)
    one, two = (torch.ones(1, device=device) for _ in range(2))
    return Rates(
        flops_per_second=flops,
        bytes_per_second=3 * n_bytes / add_seconds,
        overhead_seconds=_best_seconds(lambda: torch.add(one, two), settle),
    )


def _matmul_flops_per_second(device: torch.device, dtype: str, size: int, settle: Callable[[], None]) -> float:
    left, right = (torch.ones(size, size, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    return 2 * size**3 / _best_seconds(lambda: left @ right, settle)


def _copy_seconds(device: torch.device, n_bytes: int, settle: Callable[[], None], *, down: bool) -> float:
    here = torch.ones(n_bytes, dtype=torch.uint8, pin_memory=True)
    there = torch.ones(n_bytes, dtype=torch.uint8, device=device)
    source, target = (here, there) if down else (there, here)
    return _best_seconds(lambda: target.copy_(source, non_blocking=True), settle)


def _best_seconds(call: Callable[[], object], settle: Callable[[], None]) -> float:
    """Least time of one call, warmed up, over batches that are long enough for the clock and for ``settle``."""
    call()
    settle()
    best, n_calls, deadline = float("inf"), 1, perf_counter() + BUDGET_SECONDS
    while True:
        start = perf_counter()
        for _ in range(n_calls):
            call()
        settle()
        end = perf_counter()
        best = min(best, (end - start) / n_calls)
        if end >= deadline:
            return best
        if end - start < BUDGET_SECONDS / 10:
            n_calls *= 4


@contextmanager
def _threads(n_threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
