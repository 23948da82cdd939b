"""Platform files: YAML -> Platform; ``configs/platforms`` has one of every sort.

A memory ``node0/ram`` is on host ``node0``. A link with ``from`` and ``to`` is a route by itself; ways over several
links stand under ``routes``. An entry with ``count: 4`` stands for four, each ``*`` in it being 0 to 3.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from hetsched.errors import PlatformError
from hetsched.platform.fields import Fields
from hetsched.platform.platform import (
    Device,
    Host,
    Layout,
    Link,
    Memory,
    Platform,
    Process,
    Rates,
    Route,
    Truth,
)
from hetsched.yaml_source import YamlDocument, did_you_mean, parse_yaml, read_yaml

_PARTS = ("hosts", "processes", "memories", "devices", "links", "routes", "layouts")
_TOP = ("name", *_PARTS, "home", "emulated", "truth", "time_scale", "compute")
_DEVICE = ("kind", "memory", "model", "threads", "rates", "idle_watts", "busy_watts", "price_per_hour", "on_demand")
_ONLY_HOST = "local"


def load_platform(path: str | Path) -> Platform:
    """Read a platform file.

    Raises:
        PlatformError: the file cannot be read, or a field is wrong; names file, line, field and cure.
    """
    return _platform(read_yaml(path, PlatformError))


def parse_platform(text: str, path: str = "<text>") -> Platform:
    """`load_platform` of text at hand; ``path`` is what messages call it."""
    return _platform(parse_yaml(text, path, PlatformError))


def _platform(document: YamlDocument) -> Platform:
    top = Fields(document, (), document.data, _TOP)
    hosts = _hosts(top)
    processes = _processes(top, hosts)
    memories = _memories(top, hosts, processes)
    memory_names = [memory.name for memory in memories]
    links, routes = _links(top, memory_names)
    emulated = top.take("emulated", bool, False)
    if not emulated and "truth" in top:
        raise top.error("truth", "only emulated platforms have one; set `emulated: true` or remove it")
    devices = _devices(top, memory_names, emulated)
    try:
        return Platform(
            name=top.take("name", str, Path(document.path).stem),
            hosts=hosts,
            processes=processes,
            memories=memories,
            devices=devices,
            links=links,
            routes=routes,
            layouts=_layouts(top, hosts),
            home=top.one_of("home", memory_names, "memory") if "home" in top else "",
            emulated=emulated,
            truth=_truth(top, devices, links) if emulated else None,
            time_scale=top.number("time_scale", None, positive=True) if "time_scale" in top else None,
            compute=top.one_of("compute", ("true", "skip"), "way to compute", "true"),
        )
    except PlatformError as problem:
        if str(problem).startswith(document.path):
            raise
        raise PlatformError(f"{document.path}: {problem}") from problem


def _hosts(top: Fields) -> tuple[Host, ...]:
    hosts = []
    for name, fields in top.entries("hosts", ("cores", "labels"), short="cores"):
        labels = fields.section("labels")
        hosts.append(
            Host(name, _at_least_one(fields, "cores"), {label: labels.take(label, str) for label in labels.data})
        )
    return tuple(hosts) or (Host(_ONLY_HOST),)


def _processes(top: Fields, hosts: tuple[Host, ...]) -> tuple[Process, ...]:
    names = [host.name for host in hosts]
    given = [
        Process(name, fields.one_of("host", names, "host"))
        for name, fields in top.entries("processes", ("host",), short="host")
    ]
    return (*(Process(name, name) for name in names if name not in {process.name for process in given}), *given)


def _memories(top: Fields, hosts: tuple[Host, ...], processes: tuple[Process, ...]) -> tuple[Memory, ...]:
    memories = []
    host_names, process_names = [host.name for host in hosts], [process.name for process in processes]
    for name, fields in top.entries("memories", ("capacity", "host", "process"), short="capacity"):
        prefix = name.partition("/")[0]
        default = prefix if prefix in host_names else host_names[0] if len(hosts) == 1 else None
        if "process" in fields:
            process = fields.one_of("process", process_names, "process")
        elif "host" in fields or default is not None:
            process = fields.one_of("host", host_names, "host", default)
        else:
            raise fields.error("host", f"is missing; give it, or call the memory {host_names[0]}/{name}")
        memories.append(Memory(name, process, fields.number("capacity", "B", float("inf"))))
    return tuple(memories)


def _devices(top: Fields, memories: Collection[str], emulated: bool) -> tuple[Device, ...]:
    devices = []
    for name, fields in top.entries("devices", _DEVICE):
        if emulated and "rates" not in fields:
            raise fields.error("rates", "is missing; an emulated device needs `flops`, `bandwidth` and `overhead`")
        devices.append(
            Device(
                name=name,
                kind=fields.take("kind", str),
                memory=fields.one_of("memory", memories, "memory"),
                model=fields.take("model", str, "unknown"),
                n_threads=_at_least_one(fields, "threads"),
                rates=_rates(fields) if "rates" in fields else None,
                idle_watts=fields.number("idle_watts", None, 0.0),
                busy_watts=fields.number("busy_watts", None, 0.0),
                price_per_hour=fields.number("price_per_hour", None, 0.0),
                on_demand=fields.take("on_demand", bool, False),
            )
        )
    if not devices:
        raise top.error("devices", "the platform has no device; add one")
    return tuple(devices)


def _rates(device: Fields) -> Rates:
    rates = device.section("rates", ("flops", "bandwidth", "overhead"))
    flops = rates.section("flops")
    if "float32" not in flops:
        raise rates.error("flops", "has no float32; give it, dtypes that are left out fall back to it")
    return Rates(
        flops_per_second={dtype: flops.number(dtype, "FLOP/s", positive=True) for dtype in flops.data},
        bytes_per_second=rates.number("bandwidth", "B/s", positive=True),
        overhead_seconds=rates.number("overhead", "s"),
    )


def _links(top: Fields, memories: Collection[str]) -> tuple[tuple[Link, ...], tuple[Route, ...]]:
    links, routes = [], []
    for name, fields in top.entries("links", ("latency", "bandwidth", "from", "to")):
        links.append(Link(name, fields.number("latency", "s", 0.0), fields.number("bandwidth", "B/s", positive=True)))
        if "from" in fields or "to" in fields:
            source, target = (fields.one_of(end, memories, "memory") for end in ("from", "to"))
            routes.append(Route(source, target, (name,)))
    names = [link.name for link in links]
    for fields in top.mappings("routes", ("from", "to", "over")):
        over = fields.texts("over")
        for place, name in over:
            if name not in names:
                raise fields.document.error(place, f"no link is called {name!r}; {did_you_mean(name, names)}")
        source, target = (fields.one_of(end, memories, "memory") for end in ("from", "to"))
        routes.append(Route(source, target, tuple(name for _, name in over)))
    return tuple(links), tuple(routes)


def _layouts(top: Fields, hosts: tuple[Host, ...]) -> tuple[Layout, ...]:
    by_name = {host.name: host for host in hosts}
    layouts = []
    for place, text in top.texts("layouts"):
        match = re.fullmatch(r"(?:(.+):)?([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
        name = (match[1] or hosts[0].name) if match else ""
        if match is None or name not in by_name:
            problem = f"is {text!r}; write workers x threads, such as {hosts[0].name}:{hosts[0].n_cores}x1"
            raise top.document.error(place, problem)
        layout = Layout(name, int(match[2]), int(match[3]))
        if layout.n_workers * layout.n_threads > by_name[name].n_cores:
            raise top.document.error(place, f"{text} needs more than the {by_name[name].n_cores} cores of {name!r}")
        layouts.append(layout)
    return tuple(layouts)


def _truth(top: Fields, devices: tuple[Device, ...], links: tuple[Link, ...]) -> Truth:
    truth = top.section("truth", ("factors", "links", "noise", "seed"))
    factors = truth.section("factors", {device.name for device in devices} | {device.kind for device in devices})
    return Truth(
        factors={name: _factors(factors.section(name)) for name in factors.data},
        link_factors=_factors(truth.section("links", {link.name for link in links} | {"default"})),
        noise=truth.number("noise", None, 0.0),
        seed=truth.take("seed", int, 0),
    )


def _factors(fields: Fields) -> Mapping[str, float]:
    return {name: fields.number(name, None, positive=True) for name in fields.data}


def _at_least_one(fields: Fields, name: str) -> int:
    number = fields.take(name, int, 1)
    if number < 1:
        raise fields.error(name, f"is {number}; it must be 1 or more")
    return number
