"""Which node each process of a platform goes to, and what it asks of it there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hetsched.errors import ExecutionError
from hetsched.platform.cluster import DRIVER, NODE_ID, Node, node_labels
from hetsched.platform.platform import HOST_KIND, Host, Platform


@dataclass(frozen=True, slots=True)
class ProcessPlace:
    """Where a process goes, and the CPUs and GPUs that are reserved for it."""

    node_id: str
    num_cpus: int = 0
    num_gpus: int = 0

    def __str__(self) -> str:
        return f"{self.num_cpus} CPUs and {self.num_gpus} GPUs of node {self.node_id[:8]}"


def place_processes(platform: Platform, nodes: Sequence[Node]) -> dict[str, ProcessPlace]:
    """A place for every process but the driver's, by name.

    A host goes to the node that its label says, else to one of its name or with its labels, else to one that has
    enough; different hosts to different nodes as long as there are some. Emulated hosts fit everywhere: they reserve no
    CPU, and GPUs only where they are.

    Raises:
        ExecutionError: a host fits on no node; lists what there is.
    """
    wants = _wants(platform)
    room = {node.node_id: [node.n_cpus, node.n_gpus] for node in nodes}
    n_hosts = dict.fromkeys(room, 0)
    places: dict[str, ProcessPlace] = {}
    for host in _choosiest_first(platform, nodes):
        mine = {process: wants[process] for process in _processes_of(platform, host)}
        n_cpus, n_gpus = (sum(want[i] for want in mine.values()) for i in (0, 1))
        pinned = host.labels.get(NODE_ID)
        eager = [
            (_preference(node, host, n_gpus, room[node.node_id], n_hosts[node.node_id]), order, node)
            for order, node in enumerate(nodes)
            if pinned in (None, node.node_id) and (platform.emulated or _has(room[node.node_id], n_cpus, n_gpus))
        ]
        if not eager:
            where = "no node" if pinned is None else f"node {pinned[:8]}, where it was found, no longer"
            raise ExecutionError(
                f"host {host.name!r} needs {n_cpus} CPUs and {n_gpus} GPUs, and {where} has them for it; "
                f"there are: {list_nodes(nodes)}"
            )
        node_id = min(eager)[2].node_id
        if platform.emulated:
            n_cpus, reserve = 0, _has(room[node_id], 0, n_gpus)
            mine = {process: (0, gpus if reserve else 0) for process, (_, gpus) in mine.items()}
            n_gpus = n_gpus if reserve else 0
        room[node_id] = [room[node_id][0] - n_cpus, room[node_id][1] - n_gpus]
        n_hosts[node_id] += 1
        places |= {process: ProcessPlace(node_id, *want) for process, want in mine.items()}
    return places


def require(places: Iterable[ProcessPlace], nodes: Sequence[Node]) -> None:
    """See that the cluster could give all of these at once; left alone, Ray waits for ever.

    Raises:
        ExecutionError: it cannot; lists what there is.
    """
    by_id = {node.node_id: node for node in nodes}
    wanted: dict[str, list[int]] = {}
    for place in places:
        sums = wanted.setdefault(place.node_id, [0, 0])
        sums[0] += place.num_cpus
        sums[1] += place.num_gpus
    for node_id, (n_cpus, n_gpus) in wanted.items():
        node = by_id.get(node_id)
        if node is None or not _has([node.n_cpus, node.n_gpus], n_cpus, n_gpus):
            wish = ProcessPlace(node_id, n_cpus, n_gpus)
            lack = "does not run" if node is None else "does not have them"
            raise ExecutionError(f"{wish} are asked for, which {lack}; there are: {list_nodes(nodes)}")


def list_nodes(nodes: Iterable[Node]) -> str:
    """All nodes in one line."""
    return "; ".join(map(str, nodes)) or "no nodes"


def _wants(platform: Platform) -> dict[str, tuple[int, int]]:
    """CPUs and GPUs that each process's devices stand for."""
    wants = {process.name: (0, 0) for process in platform.processes}
    owner = {memory.name: memory.process for memory in platform.memories}
    for device in platform.devices:
        n_cpus, n_gpus = wants[owner[device.memory]]
        is_cpu = device.kind == HOST_KIND
        wants[owner[device.memory]] = (n_cpus + is_cpu * device.n_threads, n_gpus + (not is_cpu))
    return wants


def _processes_of(platform: Platform, host: Host) -> Iterator[str]:
    return (process.name for process in platform.processes if process.host == host.name)


def _choosiest_first(platform: Platform, nodes: Sequence[Node]) -> list[Host]:
    """Hosts that say where they belong, then those that need most."""
    wants = _wants(platform)

    def rank(host: Host) -> tuple[bool, bool, int, int]:
        n_cpus, n_gpus = (sum(wants[process][i] for process in _processes_of(platform, host)) for i in (0, 1))
        return NODE_ID not in host.labels, not any(_is_meant(node, host) for node in nodes), -n_gpus, -n_cpus

    return sorted((host for host in platform.hosts if host.name != DRIVER), key=rank)


def _preference(node: Node, host: Host, n_gpus: int, room: Sequence[int], n_hosts: int) -> tuple[object, ...]:
    """Small for a good node: the one that is meant, one for work, with enough GPUs, still empty, of the right size."""
    return (
        not _is_meant(node, host),
        not (node.n_cpus or node.n_gpus),
        room[1] < n_gpus,
        n_hosts,
        room[1] - n_gpus,
        -room[0],
    )


def _is_meant(node: Node, host: Host) -> bool:
    """Whether a host has a node's name, or labels that are all the node's."""
    labels = node_labels(node)
    return host.name in (node.name, node.hostname, node.address) or (
        bool(host.labels) and all(labels.get(name) == text for name, text in host.labels.items())
    )


def _has(room: Sequence[int], n_cpus: int, n_gpus: int) -> bool:
    return room[0] >= n_cpus and room[1] >= n_gpus
