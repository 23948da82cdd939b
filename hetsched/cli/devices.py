"""``hetsched devices``: what there is to run on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hetsched.cli import options
from hetsched.cli.show import print_json, print_table

if TYPE_CHECKING:
    from hetsched.platform.platform import Device, Platform


def devices(
    platform: options.PlatformFile = None, as_json: options.AsJson = False, verbose: options.Verbose = False
) -> None:
    """List devices, memories and links of this machine, or of a platform file."""
    from hetsched.cost.calibrate import with_rates
    from hetsched.platform.platform import Platform

    described = with_rates(Platform.discover() if platform is None else Platform.load(platform))
    if as_json:
        print_json(_summary(described))
    else:
        _print(described)


def _print(platform: Platform) -> None:
    from hetsched.platform.units import show_bytes

    print(f"{platform.name}{' (emulated)' if platform.emulated else ''}")
    print_table(
        ("device", "kind", "model", "threads", "memory", "float32 GFLOP/s", "GB/s"),
        [
            (d.name, d.kind, d.model, d.n_threads, d.memory, *(_billions(rate) for rate in _rates(d)))
            for d in platform.devices
        ],
        right=("threads", "float32 GFLOP/s", "GB/s"),
    )
    print_table(
        ("memory", "process", "capacity"),
        [(memory.name, memory.process, show_bytes(memory.capacity_bytes)) for memory in platform.memories],
        right=("capacity",),
    )
    if platform.links:
        print_table(
            ("link", "latency µs", "GB/s"),
            [(k.name, f"{k.latency_seconds * 1e6:.1f}", _billions(k.bytes_per_second)) for k in platform.links],
            right=("latency µs", "GB/s"),
        )


def _rates(device: Device) -> tuple[float | None, float | None]:
    if device.rates is None:
        return None, None
    return device.rates.flops_per_second["float32"], device.rates.bytes_per_second


def _billions(number: float | None) -> str:
    return "not measured" if number is None else f"{number / 1e9:.1f}"


def _summary(platform: Platform) -> dict[str, Any]:
    return {
        "platform": platform.name,
        "emulated": platform.emulated,
        "devices": [
            {
                "name": device.name,
                "kind": device.kind,
                "model": device.model,
                "n_threads": device.n_threads,
                "memory": device.memory,
                "flops_per_second": dict(device.rates.flops_per_second) if device.rates else None,
                "bytes_per_second": device.rates.bytes_per_second if device.rates else None,
            }
            for device in platform.devices
        ],
        "memories": [
            {
                "name": memory.name,
                "process": memory.process,
                "capacity_bytes": None if math.isinf(memory.capacity_bytes) else memory.capacity_bytes,
            }
            for memory in platform.memories
        ],
        "links": [
            {"name": k.name, "latency_seconds": k.latency_seconds, "bytes_per_second": k.bytes_per_second}
            for k in platform.links
        ],
    }
