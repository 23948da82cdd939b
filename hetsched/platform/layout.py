"""Layouts: the same cores as many one-thread workers, as one worker with many threads, or between."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from hetsched.errors import PlatformError
from hetsched.platform.platform import HOST_KIND, Device, Layout, Platform, Rates

LARGE_HOST_CORES = 4
"""Hosts with more cores have a layout worth trying between the two extremes."""


def layouts_of(host: str, n_cores: int) -> tuple[Layout, ...]:
    """Layouts worth trying for so many cores, one thread for each worker first."""
    threads = {1: None, n_cores: None}
    if n_cores > LARGE_HOST_CORES:
        middle = [n for n in range(2, n_cores) if n_cores % n == 0]
        threads |= {n: None for n in middle if n == min(middle, key=lambda n: abs(n - math.sqrt(n_cores)))}
    return tuple(Layout(host, n_cores // n, n) for n in sorted(threads))


def with_layout(platform: Platform, layout: Layout) -> Platform:
    """The same platform with a host's cores divided otherwise.

    Watts and price follow the number of threads. So do an emulated device's FLOP rate and its share of the memory's
    bandwidth, which is nominal behaviour; real devices lose their rates, as only a measurement can tell.

    Raises:
        PlatformError: the host has no CPU device.
    """
    cpus = cpu_devices(platform, layout.host)
    if not cpus:
        raise PlatformError(f"layout {layout}: host {layout.host!r} has no device of kind {HOST_KIND!r}")
    first = cpus[0]
    stem = first.name.rpartition(":")[0] or first.name
    scale = layout.n_threads / first.n_threads
    made = replace(
        first,
        n_threads=layout.n_threads,
        rates=_scaled(first.rates, scale) if first.rates is not None and platform.emulated else None,
        idle_watts=first.idle_watts * scale,
        busy_watts=first.busy_watts * scale,
        price_per_hour=first.price_per_hour * scale,
    )
    workers = [replace(made, name=f"{stem}:{index}") for index in range(layout.n_workers)]
    return platform.with_devices(tuple(_replaced(platform, cpus, workers)))


def layout_of(platform: Platform, host: str) -> Layout | None:
    """The layout that a host's CPU devices have now; None where there are none, or their threads differ in number."""
    threads = [device.n_threads for device in cpu_devices(platform, host)]
    return Layout(host, len(threads), threads[0]) if threads and len(set(threads)) == 1 else None


def cpu_devices(platform: Platform, host: str) -> tuple[Device, ...]:
    """The CPU devices of one host."""
    return tuple(
        device
        for device in platform.devices
        if device.kind == HOST_KIND and platform.host_of(device.memory).name == host
    )


def _scaled(rates: Rates, scale: float) -> Rates:
    flops = {dtype: flops * scale for dtype, flops in rates.flops_per_second.items()}
    return replace(rates, flops_per_second=flops, bytes_per_second=rates.bytes_per_second * scale)


def _replaced(platform: Platform, old: tuple[Device, ...], new: list[Device]) -> Iterator[Device]:
    for device in platform.devices:
        if device is old[0]:
            yield from new
        elif device not in old:
            yield device
