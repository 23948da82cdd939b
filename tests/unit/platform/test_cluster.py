"""Clusters as platforms: from facts about nodes, and with the driver."""

from dataclasses import replace

import pytest

from hetsched.errors import PlatformError
from hetsched.platform import cluster, discover
from hetsched.platform.cluster import (
    NODE_ID,
    GpuFacts,
    HostFacts,
    Node,
    NodeFacts,
    describe_cluster,
    discover_cluster,
    with_driver,
)
from hetsched.platform.files import parse_platform
from hetsched.platform.nominal import NOMINAL_MAIL
from hetsched.platform.platform import Device, Host, Memory, Platform, Process, Rates

GIB = 2.0**30
CPU_RATES, GPU_RATES = Rates({"float32": 1e11}, 1e10, 1e-6), Rates({"float32": 1e13}, 1e12, 1e-5)
BIG = NodeFacts(
    node_id="aa",
    name="big",
    labels={NODE_ID: "aa", "site": "hospital"},
    n_cores=2,
    memory_bytes=64 * GIB,
    cpu_model="Xeon",
    cpu_rates={1: CPU_RATES},
    gpus=(GpuFacts(0, "cuda", "A100", 80 * GIB, GPU_RATES), GpuFacts(1, "cuda", "T4", 8 * GIB)),
)
SMALL = NodeFacts("bb", "small", {NODE_ID: "bb"}, 1, 8 * GIB, "i5")
LEADER = Node("h", "10.0.0.1", "lead", "10.0.0.1", 0, 0, is_driver_node=True)
NODES = (
    LEADER,
    Node("aa", "big", "host-a", "10.0.0.2", 2, 1, {"site": "hospital"}, {"camera": 2.0}),
    Node("bb", "10.0.0.3", "host-b", "10.0.0.3", 4, 0),
)


class FakeCluster:
    """Answers for its nodes; keeps the questions."""

    def __init__(self, nodes=NODES, models=None):
        self.nodes, self.models, self.asked = nodes, models or {}, []

    def ask(self, function, questions):
        self.asked += [(function.__name__, node.node_id, argument) for node, argument in questions]
        if function is cluster.probe_host:
            gpu = GpuFacts(0, "cuda", "A100", 80 * GIB)
            return [
                HostFacts(16 * GIB, self.models.get(node.node_id, "Xeon"), (gpu,) * n_gpus)
                for node, n_gpus in questions
            ]
        return [function(argument) for _, argument in questions]


def routes_of(platform: Platform) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(route.source, route.target): route.links for route in platform.routes}


def test_each_gpu_has_a_process_with_staging_memory_of_its_own() -> None:
    platform = describe_cluster([BIG, SMALL])
    assert platform.processes == (
        Process("big", "big"),
        Process("big/gpu:0", "big"),
        Process("big/gpu:1", "big"),
        Process("small", "small"),
    )
    assert platform.memories == (
        Memory("big/ram", "big", 64 * GIB - 16 * GIB - 8 * GIB),
        Memory("big/stage:0", "big/gpu:0", 16 * GIB),  # half the RAM is for staging at most
        Memory("big/vram:0", "big/gpu:0", 80 * GIB),
        Memory("big/stage:1", "big/gpu:1", 8 * GIB),  # no more than the GPU holds
        Memory("big/vram:1", "big/gpu:1", 8 * GIB),
        Memory("small/ram", "small", 8 * GIB),
    )
    assert platform.devices == (
        Device("big/cpu:0", "cpu", "big/ram", "Xeon", rates=CPU_RATES),
        Device("big/cpu:1", "cpu", "big/ram", "Xeon", rates=CPU_RATES),
        Device("big/gpu:0", "cuda", "big/vram:0", "A100", rates=GPU_RATES),
        Device("big/gpu:1", "cuda", "big/vram:1", "T4"),
        Device("small/cpu:0", "cpu", "small/ram", "i5"),
    )
    assert platform.home == "big/ram"
    assert platform.hosts == (Host("big", 2, BIG.labels), Host("small", 1, SMALL.labels))


def test_routes_lead_from_gpu_over_staging_memory_to_other_nodes() -> None:
    routes = routes_of(describe_cluster([BIG, SMALL]))
    assert routes["big/vram:1", "big/stage:1"] == ("big/pcie1.up",)
    assert routes["big/stage:1", "big/ram"] == ("big/shm1.up",)
    assert routes["big/ram", "small/ram"] == ("big/nic.out", "small/nic.in")
    assert routes["small/ram", "big/ram"] == ("small/nic.out", "big/nic.in")
    assert routes["big/ram", "big/stage:0"] == ("big/shm0.down",)
    assert routes["big/stage:0", "big/vram:0"] == ("big/pcie0.down",)
    assert len(routes) == 2 * 4 + 2


def test_only_a_single_node_has_layouts() -> None:
    assert [str(layout) for layout in describe_cluster([BIG]).layouts] == ["big:2x1", "big:1x2"]
    assert describe_cluster([BIG, SMALL]).layouts == ()
    assert describe_cluster([replace(BIG, n_cores=0)]).layouts == ()


def test_hosts_take_the_names_that_nodes_were_given_and_labels_of_what_they_have() -> None:
    platform = discover_cluster(FakeCluster())
    assert [host.name for host in platform.hosts] == ["big", "node1"]
    assert platform.hosts[0].labels == {"site": "hospital", "hostname": "host-a", "resource:camera": "2", NODE_ID: "aa"}
    assert [device.name for device in platform.devices if platform.matches(device, "resource:camera")] == [
        "big/cpu:0",
        "big/cpu:1",
        "big/gpu:0",
    ]


def test_two_nodes_of_one_name_are_numbered() -> None:
    twins = tuple(replace(node, name="twin") for node in NODES)
    assert [host.name for host in discover_cluster(FakeCluster(twins)).hosts] == ["node0", "node1"]


def test_each_model_is_measured_once_and_this_hosts_cpu_is_measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "cpu_model", lambda: "Xeon")

    def measure(device):
        return CPU_RATES if device.kind == "cpu" else GPU_RATES

    alike = FakeCluster()
    platform = discover_cluster(alike, measure)
    assert [device.rates for device in platform.devices] == [CPU_RATES] * 2 + [GPU_RATES] + [CPU_RATES] * 4
    assert [(name, node) for name, node, _ in alike.asked] == [
        ("probe_host", "aa"),
        ("probe_host", "bb"),
        ("measure", "aa"),
    ]
    assert alike.asked[-1][2].name == "gpu:0"
    unlike = FakeCluster(models={"bb": "Ryzen"})
    discover_cluster(unlike, measure)
    assert [node for name, node, _ in unlike.asked if name == "measure"] == ["aa", "bb"]


def test_rates_stay_unknown_where_nobody_measures() -> None:
    assert {device.rates for device in discover_cluster(FakeCluster()).devices} == {None}


def test_a_cluster_without_anything_to_compute_on() -> None:
    with pytest.raises(PlatformError, match=r"no node .* has a CPU or a GPU.*10\.0\.0\.1 .*0 CPUs, 0 GPUs"):
        discover_cluster(FakeCluster((LEADER,)))


def test_the_driver_is_home_and_one_hop_from_every_hosts_ram() -> None:
    platform = with_driver(describe_cluster([BIG, SMALL]), {"site": "office"})
    assert platform.home == "driver/ram"
    assert platform.hosts[-1] == Host("driver", 1, {"site": "office"})
    routes = routes_of(platform)
    for host in ("big", "small"):
        assert routes["driver/ram", f"{host}/ram"] == (f"driver.down:{host}",)
        assert routes[f"{host}/ram", "driver/ram"] == (f"driver.up:{host}",)
    assert sum("driver/ram" in ends for ends in routes) == 4
    down = next(link for link in platform.links if link.name == "driver.down:big")
    assert (down.latency_seconds, down.bytes_per_second) == (1e-3, 1.3e9)


def test_the_drivers_cpu_is_like_the_first_one_and_works_on_demand_only() -> None:
    driver = with_driver(describe_cluster([BIG])).devices[-1]
    assert driver == Device("driver/cpu:0", "cpu", "driver/ram", "Xeon", rates=CPU_RATES, on_demand=True)


EMULATED = """
name: odd
emulated: true
hosts: {left: 4, right: 2}
memories: {left/ram: 8GiB, left/vram: 2GiB, right/vram: 4GiB, right/stage: 4GiB}
devices:
  left/gpu: {kind: cuda, memory: left/vram, rates: {flops: {float32: 1e12}, bandwidth: 1e11, overhead: 1e-5}}
  left/cpu:
    {kind: cpu, memory: left/ram, threads: 4, rates: {flops: {float32: 1e10}, bandwidth: 1e9, overhead: 1e-6}}
  right/gpu: {kind: cuda, memory: right/vram, rates: {flops: {float32: 1e12}, bandwidth: 1e11, overhead: 1e-5}}
truth: {noise: 0.1}
"""


def test_an_emulated_platform_stays_emulated_and_gets_nominal_links() -> None:
    given = parse_platform(EMULATED)
    platform = with_driver(given)
    assert (platform.emulated, platform.truth, platform.name) == (True, given.truth, "odd")
    routes = routes_of(platform)
    assert ("driver/ram", "left/ram") in routes
    assert ("driver/ram", "right/stage") in routes  # no CPU there, so what belongs to no device
    assert {(link.latency_seconds, link.bytes_per_second) for link in platform.links} == {
        (NOMINAL_MAIL.latency_seconds, NOMINAL_MAIL.bytes_per_second)
    }
    assert platform.devices[-1].rates == given.devices[1].rates
    assert platform.devices[-1].n_threads == platform.hosts[-1].n_cores == 4


def test_a_platform_has_one_driver() -> None:
    with pytest.raises(PlatformError, match="two of host 'driver'"):
        with_driver(with_driver(describe_cluster([SMALL])))


def test_platform_files_may_say_on_demand() -> None:
    text = EMULATED.replace("kind: cpu,", "kind: cpu, on_demand: true,")
    assert [device.on_demand for device in parse_platform(text).devices] == [False, True, False]
