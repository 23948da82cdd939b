"""Measures this host's devices in about a second, once; the figures are kept in the user's cache directory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from hetsched.cost.measure import LinkRates, measure_accelerator, measure_cpu
from hetsched.cost.store import cache_dir, read_entries, set_aside, write_entries
from hetsched.platform.platform import HOST_KIND, Device, Link, Platform, Rates

logger = logging.getLogger(__name__)

FILE_NAME = "rates.json"

_MEASURED: dict[str, dict[str, Any]] = {}
"""What this process knows already, for caches that cannot be written."""


def with_rates(platform: Platform) -> Platform:
    """The platform with measured rates for this host's devices that have none, and with their links measured.

    Emulated platforms and those of several hosts are returned as they are. The first time this measures for about 0.3 s
    for each number of CPU threads; afterwards the figures come from the user's cache.
    """
    if platform.emulated or len(platform.hosts) > 1:
        return platform
    devices = []
    links = {link.name: link for link in platform.links}
    for device in platform.devices:
        figures = None if device.rates is not None else _figures(device)
        if figures is None:
            devices.append(device)
            continue
        devices.append(replace(device, rates=_rates(figures)))
        for way in ("down", "up"):
            if way in figures:
                links |= {link.name: _measured(link, figures[way]) for link in _links(platform, device, way)}
    return replace(platform, devices=tuple(devices), links=tuple(links.values()))


def device_rates(device: Device) -> Rates | None:
    """Rates of a device of this host, from the cache or measured now; None where they cannot be measured."""
    figures = _figures(device)
    return None if figures is None else _rates(figures)


def host_rates() -> Rates:
    """Rates of one core of this host."""
    from hetsched.platform.discover import cpu_model

    return _rates(_figures(Device("cpu:0", HOST_KIND, "ram", cpu_model())) or {})


def _figures(device: Device) -> dict[str, Any] | None:
    """Measured or remembered figures of a device of this host; None where they cannot be measured."""
    key = f"{device.kind}|{device.model}|{device.n_threads}|torch {torch.__version__}"
    if key in _MEASURED:
        return _MEASURED[key]
    path = cache_dir() / FILE_NAME
    figures = read_entries(path).get(key)
    if figures is not None and not _is_sound(figures):
        set_aside(path, f"entry {key!r} is malformed")
        figures = None
    if figures is None:
        figures = _measure(device)
        if figures is None:
            return None
        write_entries(path, {key: figures})
    _MEASURED[key] = figures
    return figures


def _measure(device: Device) -> dict[str, Any] | None:
    logger.info("measuring %s (%s, %d threads) for the first time", device.name, device.model, device.n_threads)
    if device.kind == HOST_KIND:
        return _as_figures(measure_cpu(device.n_threads))
    index = device.name.rpartition(":")[2]
    try:
        rates, down, up = measure_accelerator(torch.device(device.kind, int(index)))
    except (RuntimeError, ValueError) as reason:  # not there, full, or a kind that torch cannot compute on
        logger.warning("cannot measure %s (%s); its times are guesses until it has run something", device.name, reason)
        return None
    return _as_figures(rates) | {"down": _as_list(down), "up": _as_list(up)}


def _as_figures(rates: Rates) -> dict[str, Any]:
    return {
        "flops_per_second": dict(rates.flops_per_second),
        "bytes_per_second": rates.bytes_per_second,
        "overhead_seconds": rates.overhead_seconds,
    }


def _as_list(link: LinkRates) -> list[float]:
    return [link.latency_seconds, link.bytes_per_second]


def _is_sound(figures: object) -> bool:
    if not isinstance(figures, dict) or not isinstance(figures.get("flops_per_second"), dict):
        return False
    flops = figures["flops_per_second"]
    numbers = [*flops.values(), figures.get("bytes_per_second"), figures.get("overhead_seconds")]
    for way in ("down", "up"):
        pair = figures.get(way, [1.0, 1.0])
        if not isinstance(pair, list) or len(pair) != 2:
            return False
        numbers += pair
    return "float32" in flops and all(isinstance(n, float) and 0 < n < float("inf") for n in numbers)


def _rates(figures: dict[str, Any]) -> Rates:
    return Rates(figures["flops_per_second"], figures["bytes_per_second"], figures["overhead_seconds"])


def _links(platform: Platform, device: Device, way: str) -> Iterator[Link]:
    ends = (platform.home, device.memory) if way == "down" else (device.memory, platform.home)
    for route in platform.routes:
        if (route.source, route.target) == ends and len(route.links) == 1:
            yield next(link for link in platform.links if link.name == route.links[0])


def _measured(link: Link, figures: list[float]) -> Link:
    return replace(link, latency_seconds=figures[0], bytes_per_second=figures[1])
