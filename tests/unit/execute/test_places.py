"""Which node each process goes to."""

from dataclasses import replace

import pytest

from hetsched.errors import ExecutionError
from hetsched.execute.ray_cluster.places import ProcessPlace, place_processes, require
from hetsched.platform.cluster import GpuFacts, Node, NodeFacts, describe_cluster, node_labels, with_driver
from hetsched.platform.platform import Device, Host, Memory, Platform, Process

HEAD = Node("head", "10.0.0.1", "lead", "10.0.0.1", 0, 0, is_driver_node=True)
A = Node("aaaaaaaaaa", "10.0.0.2", "host-a", "10.0.0.2", 4, 0, {"site": "hospital"})
B = Node("bbbbbbbbbb", "10.0.0.3", "host-b", "10.0.0.3", 2, 2, {"site": "cloud"}, {"camera": 1.0})
C = Node("cccccccccc", "fast", "host-c", "10.0.0.4", 2, 1, {"site": "cloud"})
NODES = (HEAD, A, B, C)


def facts_of(node: Node) -> NodeFacts:
    gpus = tuple(GpuFacts(index, "cuda", "T4", 1e9) for index in range(node.n_gpus))
    return NodeFacts(node.node_id, node.hostname, node_labels(node), node.n_cpus, 1e9, "Xeon", gpus=gpus)


def platform_of(*hosts: Host, gpus: dict[str, int] | None = None, emulated: bool = False) -> Platform:
    """Each host has as many CPU devices as cores, and maybe GPUs, all in one process."""
    gpus = gpus or {}
    return Platform(
        name="given",
        hosts=hosts,
        processes=tuple(Process(host.name, host.name) for host in hosts),
        memories=tuple(Memory(f"{host.name}/ram", host.name) for host in hosts),
        devices=tuple(
            Device(f"{host.name}/{kind}:{index}", kind, f"{host.name}/ram")
            for host in hosts
            for kind, n in (("cpu", host.n_cores), ("cuda", gpus.get(host.name, 0)))
            for index in range(n)
        ),
        emulated=emulated,
    )


def nodes_of(platform: Platform, nodes=NODES) -> dict[str, str]:
    by_id = {node.node_id: node.hostname for node in nodes}
    return {process: by_id[place.node_id] for process, place in place_processes(platform, nodes).items()}


def test_discovered_processes_go_where_they_were_found() -> None:
    platform = with_driver(describe_cluster([facts_of(C), facts_of(B), facts_of(A)]))
    assert place_processes(platform, NODES) == {
        "host-c": ProcessPlace(C.node_id, 2, 0),
        "host-c/gpu:0": ProcessPlace(C.node_id, 0, 1),
        "host-b": ProcessPlace(B.node_id, 2, 0),
        "host-b/gpu:0": ProcessPlace(B.node_id, 0, 1),
        "host-b/gpu:1": ProcessPlace(B.node_id, 0, 1),
        "host-a": ProcessPlace(A.node_id, 4, 0),
    }


def test_a_node_that_is_gone_is_an_error_at_once() -> None:
    platform = describe_cluster([facts_of(A), facts_of(B)])
    with pytest.raises(ExecutionError, match=r"'host-b' needs 2 CPUs and 2 GPUs.*bbbbbbbb.*there are: .*site=hospital"):
        place_processes(platform, (HEAD, A, C))


def test_a_host_goes_to_the_node_of_its_name_or_labels_first() -> None:
    assert nodes_of(platform_of(Host("x", 1), Host("host-a", 1))) == {"host-a": "host-a", "x": "host-c"}
    assert nodes_of(platform_of(Host("fast", 1))) == {"fast": "host-c"}
    assert nodes_of(platform_of(Host("x", 1, {"resource:camera": "1"}))) == {"x": "host-b"}
    assert nodes_of(platform_of(Host("x", 1, {"site": "cloud", "disk": "slow"}))) == {"x": "host-a"}


def test_otherwise_to_one_that_has_enough_and_different_hosts_to_different_nodes() -> None:
    assert nodes_of(platform_of(Host("x", 1), gpus={"x": 1})) == {"x": "host-c"}
    assert nodes_of(platform_of(Host("x", 1), gpus={"x": 2})) == {"x": "host-b"}
    assert nodes_of(platform_of(Host("x", 2), Host("y", 2), gpus={"y": 1})) == {"x": "host-a", "y": "host-c"}
    assert nodes_of(platform_of(*(Host(name, 1) for name in "vwxy"))) == {
        "v": "host-a",
        "w": "host-c",
        "x": "host-b",
        "y": "host-a",
    }


@pytest.mark.parametrize(
    ("platform", "needs"),
    [
        (platform_of(Host("x", 5)), "'x' needs 5 CPUs and 0 GPUs"),
        (platform_of(Host("x", 1), gpus={"x": 3}), "'x' needs 1 CPUs and 3 GPUs"),
        (platform_of(Host("x", 4), Host("y", 4)), "'y' needs 4 CPUs and 0 GPUs"),
    ],
)
def test_a_host_that_fits_nowhere_is_an_error_that_lists_the_nodes(platform: Platform, needs: str) -> None:
    with pytest.raises(ExecutionError, match=needs) as caught:
        place_processes(platform, NODES)
    assert all(node.address in str(caught.value) for node in NODES)
    assert "1 camera" in str(caught.value)


def test_emulated_hosts_run_anywhere_and_reserve_gpus_only_where_they_are() -> None:
    large = platform_of(Host("x", 64), Host("y", 64), gpus={"x": 2, "y": 8}, emulated=True)
    places = place_processes(large, NODES)
    assert places["x"].num_cpus == places["y"].num_cpus == 0
    assert len({place.node_id for place in places.values()} - {HEAD.node_id}) == 2
    assert place_processes(replace(large, hosts=large.hosts), (HEAD,)) == {
        "x": ProcessPlace("head", 0, 0),
        "y": ProcessPlace("head", 0, 0),
    }
    one = platform_of(Host("x", 64), gpus={"x": 2}, emulated=True)
    assert place_processes(one, NODES) == {"x": ProcessPlace(B.node_id, 0, 2)}


def test_requests_are_summed_by_node() -> None:
    require([ProcessPlace(B.node_id, 2, 0), ProcessPlace(B.node_id, 0, 2)], NODES)
    with pytest.raises(ExecutionError, match=r"3 CPUs and 1 GPUs of node bbbbbbbb .*does not have them; there are"):
        require([ProcessPlace(B.node_id, 2, 0), ProcessPlace(B.node_id, 1, 1)], NODES)
    with pytest.raises(ExecutionError, match="does not run"):
        require([ProcessPlace("gone", 1)], NODES)
