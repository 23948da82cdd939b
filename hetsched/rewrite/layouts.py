"""Other divisions of a host's cores into CPU workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hetsched.cost.calibrate import with_rates
from hetsched.graph.frozen import FrozenGraph
from hetsched.platform.layout import cpu_devices, layout_of, with_layout
from hetsched.platform.platform import Platform


def other_layouts(graph: FrozenGraph, platform: Platform) -> Iterator[Platform]:
    """A single host's platform in each of its layouts but the present one, with rates.

    None for a graph that speaks of a CPU device by its name, as that would mean another device.
    """
    if len(platform.hosts) != 1:
        return
    host = platform.hosts[0].name
    if {device.name for device in cpu_devices(platform, host)} & _names_used(graph):
        return
    present = layout_of(platform, host)
    for layout in platform.layouts:
        if present is not None and layout != present:
            yield with_rates(with_layout(platform, layout))


def _names_used(graph: FrozenGraph) -> set[str]:
    """Every name by which the graph's tasks speak of devices."""
    names: set[str] = set()
    for task in graph.tasks:
        names.update(task.options.allowed)
        if isinstance(task.options.seconds, Mapping):
            names.update(task.options.seconds)
    return names
