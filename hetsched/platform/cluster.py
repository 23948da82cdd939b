"""A cluster as a Platform: what its nodes say about themselves, and the driver as one more host.

Every host process is an address space of its own, so values go from one to another by mail. A node's CPU workers share
one; each GPU has its own, with host memory where values wait on their way to and from the GPU.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from hetsched.errors import PlatformError
from hetsched.platform.layout import layouts_of
from hetsched.platform.nominal import NOMINAL_MAIL, NOMINAL_NIC, NOMINAL_PCIE
from hetsched.platform.platform import HOST_KIND, Device, Host, Link, Memory, Platform, Process, Rates, Route

logger = logging.getLogger(__name__)

T = TypeVar("T")
A = TypeVar("A")

DRIVER = "driver"
"""Name of the host and the process that the user's own code runs in."""

NODE_ID = "ray.io/node-id"
"""The host label that says which node of the cluster a host is."""


@dataclass(frozen=True, slots=True)
class Node:
    """A live computer of the cluster, as the cluster knows it; ``resources`` are the custom ones."""

    node_id: str
    name: str
    hostname: str
    address: str
    n_cpus: int
    n_gpus: int
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    is_driver_node: bool = False

    def __str__(self) -> str:
        named = [f"{key}={value}" for key, value in sorted(self.labels.items()) if key != NODE_ID]
        named += [f"{amount:g} {name}" for name, amount in sorted(self.resources.items())]
        return f"{self.name} at {self.address} ({', '.join([f'{self.n_cpus} CPUs, {self.n_gpus} GPUs', *named])})"


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One GPU as a probe on its node saw it."""

    index: int
    kind: str
    model: str
    memory_bytes: float
    rates: Rates | None = None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a probe tells of the computer it runs on."""

    memory_bytes: float
    cpu_model: str
    gpus: tuple[GpuFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """All that is known of a node; ``n_cores`` are those the cluster grants, ``cpu_rates`` go by number of threads."""

    node_id: str
    name: str
    labels: Mapping[str, str]
    n_cores: int
    memory_bytes: float
    cpu_model: str
    cpu_rates: Mapping[int, Rates] = field(default_factory=dict)
    gpus: tuple[GpuFacts, ...] = ()


class Nodes(Protocol):
    """A cluster, as far as discovery needs one."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those alive, in an order that does not change."""

    def ask(self, function: Callable[[A], T], questions: Sequence[tuple[Node, A]]) -> list[T]:
        """Call a function on some nodes, each with its own argument; the answers in the order of the questions."""


def discover_cluster(cluster: Nodes, rates_of: Callable[[Device], Rates | None] | None = None) -> Platform:
    """Describe a cluster by short-lived probes on its nodes.

    Args:
        cluster: that is connected to.
        rates_of: measures a device of the host it is called on; called once for each model, where there is one. Rates
            stay unknown without it.

    Raises:
        PlatformError: no node has anything to compute with.
        ExecutionError: a node does not answer in time.
    """
    nodes = [node for node in cluster.nodes if node.n_cpus or node.n_gpus]
    if not nodes:
        there = "; ".join(map(str, cluster.nodes)) or "none"
        raise PlatformError(f"no node of the cluster has a CPU or a GPU for tasks; nodes: {there}")
    hosts = cluster.ask(probe_host, [(node, node.n_gpus) for node in nodes])
    facts = [_node_facts(node, host, name) for node, host, name in zip(nodes, hosts, _host_names(nodes), strict=True)]
    return describe_cluster(_with_rates(facts, nodes, cluster, rates_of) if rates_of is not None else facts)


def probe_host(n_gpus: int) -> HostFacts:
    """Facts of the host this runs on, with at most so many of its GPUs."""
    from hetsched.platform.discover import discover_host

    platform = discover_host()
    capacity = {memory.name: memory.capacity_bytes for memory in platform.memories}
    cpus = [device for device in platform.devices if device.kind == HOST_KIND]
    gpus = [device for device in platform.devices if device.kind != HOST_KIND][:n_gpus]
    return HostFacts(
        memory_bytes=capacity[platform.home],
        cpu_model=cpus[0].model,
        gpus=tuple(GpuFacts(i, gpu.kind, gpu.model, capacity[gpu.memory]) for i, gpu in enumerate(gpus)),
    )


def node_labels(node: Node) -> dict[str, str]:
    """What ``devices=`` and ``keep_on=`` may call a node by: its labels, host name, custom resources and id."""
    resources = {f"resource:{resource}": f"{amount:g}" for resource, amount in sorted(node.resources.items())}
    return {**node.labels, "hostname": node.hostname, **resources, NODE_ID: node.node_id}


def _host_names(nodes: Sequence[Node]) -> list[str]:
    """The names that nodes were started with; those with none, or one that is taken, are ``node0``, ``node1`` ..."""
    given = Counter(node.name for node in nodes)
    return [
        node.name if given[node.name] == 1 and node.name not in (node.address, DRIVER) else f"node{number}"
        for number, node in enumerate(nodes)
    ]


def _node_facts(node: Node, host: HostFacts, name: str) -> NodeFacts:
    if len(host.gpus) < node.n_gpus:
        logger.info("%s: the cluster counts %d GPUs and torch sees %d", name, node.n_gpus, len(host.gpus))
    return NodeFacts(
        node.node_id, name, node_labels(node), node.n_cpus, host.memory_bytes, host.cpu_model, gpus=host.gpus
    )


def _with_rates(
    facts: Sequence[NodeFacts], nodes: Sequence[Node], cluster: Nodes, rates_of: Callable[[Device], Rates | None]
) -> list[NodeFacts]:
    """One measurement for each model of device, one after another, as nodes may share a computer.

    A CPU like this process's own is measured here.
    """
    from hetsched.platform.discover import cpu_model

    here = cpu_model()
    first: dict[tuple[str, str], tuple[Node, Device]] = {}
    for node, known in zip(nodes, facts, strict=True):
        if known.n_cores:
            cpu = Device("cpu:0", HOST_KIND, "ram", known.cpu_model)
            first.setdefault((cpu.kind, cpu.model), (node, cpu))
        for gpu in known.gpus:
            device = Device(f"gpu:{gpu.index}", gpu.kind, f"vram:{gpu.index}", gpu.model)
            first.setdefault((gpu.kind, gpu.model), (node, device))
    rates = {
        key: rates_of(question[1]) if key == (HOST_KIND, here) else cluster.ask(rates_of, [question])[0]
        for key, question in first.items()
    }
    made = []
    for known in facts:
        of_cpu = rates.get((HOST_KIND, known.cpu_model))
        gpus = tuple(replace(gpu, rates=rates[gpu.kind, gpu.model]) for gpu in known.gpus)
        made.append(replace(known, cpu_rates={} if of_cpu is None else {1: of_cpu}, gpus=gpus))
    return made


def describe_cluster(facts: Sequence[NodeFacts], name: str = "cluster") -> Platform:
    """The Platform of some nodes; a Host for each, in their order.

    Layouts are worth trying on a single node only.
    """
    parts = [_NodeParts(known) for known in facts]
    links = [link for part in parts for link in part.links]
    routes = [route for part in parts for route in part.routes]
    if len(parts) > 1:
        links += [replace(NOMINAL_NIC, name=f"{part.name}/nic.{way}") for part in parts for way in ("out", "in")]
        routes += [
            Route(a.ram, b.ram, (f"{a.name}/nic.out", f"{b.name}/nic.in")) for a in parts for b in parts if a is not b
        ]
    return Platform(
        name=name,
        hosts=tuple(Host(known.name, max(1, known.n_cores), known.labels) for known in facts),
        processes=tuple(process for part in parts for process in part.processes),
        memories=tuple(memory for part in parts for memory in part.memories),
        devices=tuple(device for part in parts for device in part.devices),
        links=tuple(links),
        routes=tuple(routes),
        layouts=layouts_of(facts[0].name, facts[0].n_cores) if len(facts) == 1 and facts[0].n_cores else (),
    )


class _NodeParts:
    """What one node contributes to the platform."""

    def __init__(self, facts: NodeFacts) -> None:
        self.name = facts.name
        self.ram = f"{facts.name}/ram"
        rates = facts.cpu_rates.get(1)
        staging = min((facts.memory_bytes / 2 / len(facts.gpus)) if facts.gpus else 0.0, facts.memory_bytes)
        stages = [min(gpu.memory_bytes, staging) for gpu in facts.gpus]  # at most half the RAM, no more than VRAM
        self.processes = [Process(facts.name, facts.name)]
        self.memories = [Memory(self.ram, facts.name, facts.memory_bytes - sum(stages))]
        self.devices = [
            Device(f"{facts.name}/cpu:{index}", HOST_KIND, self.ram, facts.cpu_model, rates=rates)
            for index in range(facts.n_cores)
        ]
        self.links: list[Link] = []
        self.routes: list[Route] = []
        for gpu, stage_bytes in zip(facts.gpus, stages, strict=True):
            self._add_gpu(gpu, stage_bytes)

    def _add_gpu(self, gpu: GpuFacts, stage_bytes: float) -> None:
        process, stage, vram = (f"{self.name}/{what}:{gpu.index}" for what in ("gpu", "stage", "vram"))
        self.processes.append(Process(process, self.name))
        self.memories += [Memory(stage, process, stage_bytes), Memory(vram, process, gpu.memory_bytes)]
        self.devices.append(Device(process, gpu.kind, vram, gpu.model, rates=gpu.rates))
        for source, target, link in (
            (self.ram, stage, replace(NOMINAL_MAIL, name=f"{self.name}/shm{gpu.index}.down")),
            (stage, self.ram, replace(NOMINAL_MAIL, name=f"{self.name}/shm{gpu.index}.up")),
            (stage, vram, replace(NOMINAL_PCIE, name=f"{self.name}/pcie{gpu.index}.down")),
            (vram, stage, replace(NOMINAL_PCIE, name=f"{self.name}/pcie{gpu.index}.up")),
        ):
            self.links.append(link)
            self.routes.append(Route(source, target, (link.name,)))


def with_driver(platform: Platform, labels: Mapping[str, str] | None = None) -> Platform:
    """The platform with the driver as one more host, whose memory is home.

    The driver computes only what must stay with it, on one CPU device like the platform's first.

    Args:
        platform: of the hosts that the driver sends work to.
        labels: of the driver's host, so that ``keep_on=`` may name it by them.
    """
    ram = f"{DRIVER}/ram"
    first = next((d for d in platform.devices if d.kind == HOST_KIND), Device("", HOST_KIND, ""))
    links, routes = list(platform.links), list(platform.routes)
    for host, memory in _entrances(platform):
        down, up = f"{DRIVER}.down:{host}", f"{DRIVER}.up:{host}"
        links += [replace(NOMINAL_MAIL, name=down), replace(NOMINAL_MAIL, name=up)]
        routes += [Route(ram, memory, (down,)), Route(memory, ram, (up,))]
    return replace(
        platform,
        hosts=(*platform.hosts, Host(DRIVER, first.n_threads, labels or {})),
        processes=(*platform.processes, Process(DRIVER, DRIVER)),
        memories=(*platform.memories, Memory(ram, DRIVER)),
        devices=(*platform.devices, replace(first, name=f"{DRIVER}/cpu:0", memory=ram, on_demand=True)),
        links=tuple(links),
        routes=tuple(routes),
        home=ram,
    )


def _entrances(platform: Platform) -> Iterator[tuple[str, str]]:
    """The memory of each host that values from elsewhere come to: its CPUs' one, else one of no device, else any."""
    host_of = {memory.name: platform.host_of(memory.name).name for memory in platform.memories}
    used_by = {device.memory: device.kind for device in reversed(platform.devices)}

    def rank(memory: str) -> int:
        return 0 if used_by.get(memory) == HOST_KIND else 1 if memory not in used_by else 2

    for host in platform.hosts:
        memories = sorted((memory for memory, owner in host_of.items() if owner == host.name), key=rank)
        if memories:
            yield host.name, memories[0]
