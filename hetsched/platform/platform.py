"""What a machine or a cluster consists of: plain data, no handles, loadable from YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from hetsched.errors import PlatformError

HOST_KIND = "cpu"
"""The device kind whose Memory is host RAM and whose kernels every host can run."""


Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Host:
    """One computer; ``labels`` are what ``devices=`` and ``keep_on=`` may name besides names and kinds."""

    name: str
    n_cores: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Process:
    """An address space on one host; it owns Memories and runs one Worker per Device in them."""

    name: str
    host: str


@dataclass(frozen=True, slots=True)
class Memory:
    """A place that holds values."""

    name: str
    process: str
    capacity_bytes: float = math.inf


@dataclass(frozen=True, slots=True)
class Rates:
    """What a device can do at best, in the terms of the roofline model (Williams et al., doi:10.1145/1498765.1498785).

    Attributes:
        flops_per_second: peak by dtype name (``float32``, ``bfloat16`` ...); a missing dtype takes float32's.
        bytes_per_second: bandwidth to its own memory.
        overhead_seconds: dispatch or launch cost of the smallest operation.
    """

    flops_per_second: Mapping[str, float]
    bytes_per_second: float
    overhead_seconds: float

    def seconds(self, flops: float, n_bytes: float, dtype: str) -> float:
        """Roofline time of one operation of ``flops`` operations that moves ``n_bytes`` to and from memory."""
        peak = self.flops_per_second.get(dtype) or self.flops_per_second["float32"]
        return self.overhead_seconds + max(flops / peak, n_bytes / self.bytes_per_second)


@dataclass(frozen=True, slots=True)
class Device:
    """Something that computes, attached to one Memory.

    ``rates`` is None where nothing is known yet; `hetsched.cost.calibrate` measures it for devices of this host. A
    device ``on_demand`` takes only tasks that name it, its memory or its host, or that touch what may be nowhere else.
    """

    name: str
    kind: str
    memory: str
    model: str = "unknown"
    n_threads: int = 1
    rates: Rates | None = None
    idle_watts: float = 0.0
    busy_watts: float = 0.0
    price_per_hour: float = 0.0
    on_demand: bool = False

    @property
    def device_class(self) -> Device:
        """This device without its name and place; devices whose class is equal cost the same."""
        return replace(self, name="", memory="")

    def entry(self, by_name_or_kind: Mapping[str, Entry]) -> Entry | None:
        """What a mapping says about this device: by its name, else by its kind, else None."""
        found = by_name_or_kind.get(self.name)
        return by_name_or_kind.get(self.kind) if found is None else found


@dataclass(frozen=True, slots=True)
class Link:
    """A physical serial resource (PCIe lanes, switch, NIC): one copy at a time."""

    name: str
    latency_seconds: float
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Route:
    """A direct way from one memory to another over one or more links, all busy while a copy crosses."""

    source: str
    target: str
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a host's cores are divided: ``n_workers`` CPU devices of ``n_threads`` threads each."""

    host: str
    n_workers: int
    n_threads: int

    def __str__(self) -> str:
        return f"{self.host}:{self.n_workers}x{self.n_threads}"


@dataclass(frozen=True, slots=True)
class Truth:
    """How an emulated platform really behaves; no cost model reads it.

    Attributes:
        factors: by device kind or name, then op family or ``default``: true seconds / nominal seconds.
        link_factors: by link name or ``default``: true seconds / nominal seconds.
        noise: standard deviation of the logarithm of the random factor on every time; its median is 1.
        seed: of the noise.
    """

    factors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    link_factors: Mapping[str, float] = field(default_factory=dict)
    noise: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Platform:
    """Hosts, processes, memories, devices, links and layouts; the first host memory is *home*.

    Attributes:
        home: the memory where inputs are found and outputs are delivered.
        emulated: all devices are emulated on this machine's cores; times come from ``truth``.
        time_scale: wall seconds per emulated second; None lets hetsched choose.
        compute: ``true`` computes real results, ``skip`` emulates time only.

    Raises:
        PlatformError: no device, a name used twice, or a link, route or memory that leads nowhere.
    """

    name: str
    hosts: tuple[Host, ...]
    processes: tuple[Process, ...]
    memories: tuple[Memory, ...]
    devices: tuple[Device, ...]
    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    layouts: tuple[Layout, ...] = ()
    home: str = ""
    emulated: bool = False
    truth: Truth | None = None
    time_scale: float | None = None
    compute: str = "true"

    def __post_init__(self) -> None:
        if not self.devices:
            raise PlatformError(f"platform {self.name!r} has no device; add one under `devices`")
        for what, things in (
            ("host", self.hosts),
            ("process", self.processes),
            ("memory", self.memories),
            ("device", self.devices),
            ("link", self.links),
        ):
            _require_unique(self.name, what, [thing.name for thing in things])
        _require_unique(self.name, "route", [f"{route.source} -> {route.target}" for route in self.routes])
        hosts, processes = {host.name for host in self.hosts}, {process.name for process in self.processes}
        memories, links = {memory.name for memory in self.memories}, {link.name for link in self.links}
        for process in self.processes:
            _require(process.host in hosts, f"process {process.name!r} is on host {process.host!r}", hosts)
        for memory in self.memories:
            _require(
                memory.process in processes, f"memory {memory.name!r} is owned by process {memory.process!r}", processes
            )
            _require_number(f"memory {memory.name!r}", "capacity_bytes", memory.capacity_bytes, may_be_infinite=True)
        for device in self.devices:
            _require(
                device.memory in memories, f"device {device.name!r} is attached to memory {device.memory!r}", memories
            )
            _check_rates(device)
        for link in self.links:
            _require_number(f"link {link.name!r}", "latency_seconds", link.latency_seconds)
            _require_number(
                f"link {link.name!r}",
                "bytes_per_second",
                link.bytes_per_second,
                may_be_zero=False,
                may_be_infinite=True,
            )
        for route in self.routes:
            place = f"route {route.source!r} -> {route.target!r}"
            _require(route.source in memories, f"{place} starts at memory {route.source!r}", memories)
            _require(route.target in memories, f"{place} ends at memory {route.target!r}", memories)
            for name in route.links:
                _require(name in links, f"{place} goes over link {name!r}", links)
        if not self.home:
            object.__setattr__(self, "home", self._default_home())
        _require(self.home in memories, f"home is memory {self.home!r}", memories)
        if self.compute not in ("true", "skip"):
            raise PlatformError(f"platform {self.name!r}: compute is {self.compute!r}; it must be 'true' or 'skip'")
        if self.time_scale is not None:
            _require_number(f"platform {self.name!r}", "time_scale", self.time_scale, may_be_zero=False)

    def _default_home(self) -> str:
        hosted = [device.memory for device in self.devices if device.kind == HOST_KIND]
        return hosted[0] if hosted else self.memories[0].name

    @classmethod
    def discover(cls) -> Platform:
        """Describe this host: its cores, memory, GPUs and the links between them.

        Raises:
            PlatformError: the host cannot be described.
        """
        from hetsched.platform.discover import discover_host

        return discover_host()

    @classmethod
    def load(cls, path: str | Path) -> Platform:
        """Read a platform from a YAML file (see ``configs/platforms``).

        Raises:
            PlatformError: the file cannot be read, or a field is wrong; names file, line and field.
        """
        from hetsched.platform.files import load_platform

        return load_platform(Path(path))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Device kinds present, in order of first appearance."""
        return tuple(dict.fromkeys(device.kind for device in self.devices))

    def device(self, name: str) -> Device:
        """The device of that name.

        Raises:
            PlatformError: there is none; lists those there are.
        """
        for device in self.devices:
            if device.name == name:
                return device
        raise PlatformError(
            f"platform {self.name!r} has no device {name!r}; it has {', '.join(d.name for d in self.devices)}"
        )

    def host_of(self, memory: str) -> Host:
        """The host that the memory is on."""
        process = next(m.process for m in self.memories if m.name == memory)
        host = next(p.host for p in self.processes if p.name == process)
        return next(h for h in self.hosts if h.name == host)

    def matches(self, device: Device, selector: str) -> bool:
        """Whether ``selector`` (a device name, kind or memory, a host name or a host label) means this device."""
        host = self.host_of(device.memory)
        return selector in (device.name, device.kind, device.memory, host.name, *host.labels, *host.labels.values())

    def with_devices(self, devices: tuple[Device, ...]) -> Platform:
        """The same platform with other devices (a subset, other rates)."""
        return replace(self, devices=devices)


def _require_unique(platform: str, what: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise PlatformError(f"platform {platform!r} has two of {what} {name!r}; rename one")
        seen.add(name)


def _require(holds: bool, claim: str, known: set[str]) -> None:
    if not holds:
        raise PlatformError(f"{claim}, which does not exist; known are: {', '.join(sorted(known)) or 'none'}")


def _require_number(
    place: str, name: str, number: float, *, may_be_zero: bool = True, may_be_infinite: bool = False
) -> None:
    too_small = number < 0 if may_be_zero else number <= 0
    if math.isnan(number) or too_small or (math.isinf(number) and not may_be_infinite):
        least = "zero or more" if may_be_zero else "more than zero"
        raise PlatformError(f"{place}: {name} is {number}; it must be a finite number, {least}")


def _check_rates(device: Device) -> None:
    place = f"device {device.name!r}"
    for name in ("idle_watts", "busy_watts", "price_per_hour"):
        _require_number(place, name, getattr(device, name))
    if device.rates is None:
        return
    if "float32" not in device.rates.flops_per_second:
        raise PlatformError(f"{place}: flops_per_second has no float32; give it, other dtypes fall back to it")
    for dtype, flops in device.rates.flops_per_second.items():
        _require_number(place, f"flops_per_second[{dtype}]", flops, may_be_zero=False)
    _require_number(place, "bytes_per_second", device.rates.bytes_per_second, may_be_zero=False)
    _require_number(place, "overhead_seconds", device.rates.overhead_seconds)
