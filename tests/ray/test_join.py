"""Joining a cluster: of three unlike nodes, of nobody, with the wrong token."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hetsched.errors import ExecutionError
from hetsched.execute.ray_cluster import join
from hetsched.execute.ray_cluster.cluster import Cluster
from hetsched.execute.ray_cluster.places import ProcessPlace, place_processes, require
from hetsched.platform.cluster import NODE_ID, discover_cluster, with_driver
from hetsched.platform.platform import Device, Host, Memory, Platform, Process, Rates

LIMIT_SECONDS = 30.0
TOO_LARGE = Platform(
    name="too large",
    hosts=(Host("local", 64),),
    processes=(Process("local", "local"),),
    memories=(Memory("ram", "local"),),
    devices=tuple(Device(f"cpu:{n}", "cpu", "ram") for n in range(64)),
)


@pytest.fixture
def cluster(ray_cluster: str) -> Iterator[Cluster]:
    joined = Cluster.join(ray_cluster)
    yield joined
    joined.close()


def refused(address: str, **settings: str) -> str:
    """The one line that joining is refused with."""
    began = time.monotonic()
    with pytest.raises(ExecutionError) as caught:
        Cluster.join(address, **settings)
    assert time.monotonic() - began < LIMIT_SECONDS
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nodes_are_listed_with_what_they_have(cluster: Cluster) -> None:
    head, *others = cluster.nodes
    assert (head.is_driver_node, head.n_cpus, head.n_gpus) == (True, 0, 0)
    assert [(node.n_cpus, node.n_gpus, node.labels, node.resources) for node in others] == [
        (1, 1, {"site": "cloud"}, {"camera": 1.0}),
        (1, 2, {"disk": "fast", "site": "cloud"}, {}),
        (2, 0, {"site": "hospital"}, {}),
    ]
    assert cluster.nodes == cluster.nodes
    assert not any(node.is_driver_node for node in others)


def test_it_is_described_by_probes_and_every_process_has_a_place(cluster: Cluster) -> None:
    platform = with_driver(discover_cluster(cluster, lambda device: Rates({"float32": 1e9}, 1e9, 1e-6)))
    assert [(host.name, host.n_cores) for host in platform.hosts] == [
        ("node0", 1),
        ("node1", 1),
        ("node2", 2),
        ("driver", 1),
    ]
    assert {device.kind for device in platform.devices} == {"cpu"}  # the GPUs are in Ray's books only
    labels = platform.hosts[0].labels
    assert labels["site"] == "cloud"
    assert labels["resource:camera"] == "1"
    assert all(memory.capacity_bytes > 2**28 for memory in platform.memories)
    places = place_processes(platform, cluster.nodes)
    assert places == {
        host.name: ProcessPlace(host.labels[NODE_ID], host.n_cores, 0)
        for host in platform.hosts
        if host.name != "driver"
    }
    require(places.values(), cluster.nodes)


def test_what_it_cannot_satisfy_is_refused_at_once(cluster: Cluster) -> None:
    nodes = cluster.nodes
    with pytest.raises(ExecutionError, match=r"1 CPUs and 9 GPUs of node .* does not have them; there are: .*1 camera"):
        require([ProcessPlace(nodes[1].node_id, 1, 9)], nodes)
    with pytest.raises(ExecutionError, match="does not run; there are"):
        require([ProcessPlace("0" * 56)], nodes)
    with pytest.raises(ExecutionError, match=r"host 'local' needs \d+ CPUs and 0 GPUs, and no node has them"):
        place_processes(TOO_LARGE, nodes)


def test_a_node_that_does_not_answer_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: int) -> None:
        threading.Event().wait(60)

    monkeypatch.setattr("hetsched.execute.ray_cluster.cluster._ANSWER_SECONDS", 0.5)
    with pytest.raises(ExecutionError, match=r"node 127\.0\.0\.1 .*0 CPUs.* did not answer within 0 s"):
        cluster.ask(never, [(cluster.nodes[0], 0)])


def test_a_wrong_token_is_one_clear_line(ray_cluster: str, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("f" * 64, encoding="ascii")
    line = refused(ray_cluster, token_path=str(wrong))
    assert f"the cluster at {ray_cluster} refuses this process" in line
    assert "RAY_AUTH_TOKEN_PATH" in line
    assert "does not exist" in refused(ray_cluster, token_path=str(tmp_path / "none"))
    Cluster.join(ray_cluster).close()  # and the right one is used again


def test_a_missing_token_is_one_clear_line(ray_cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert "a wrong or missing token" in refused(ray_cluster)


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("127.0.0.1:1", "nothing listens at 127.0.0.1:1"),
        ("ray://127.0.0.1:10001", "Ray Client is not supported"),
        ("nonsense", "Invalid address format: nonsense; `ray start --head`"),
        ("local", "it is not host:port, nor auto"),
        ("127.0.0.1:seven", "it is not host:port, nor auto"),
        ("no.such.host.invalid:6379", "nothing listens at no.such.host.invalid:6379"),
    ],
)
def test_a_wrong_address_is_one_clear_line(address: str, line: str) -> None:
    assert line in refused(address)


def test_something_else_that_listens_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setattr(join, "_ANSWER_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert "did not answer as Ray does" in refused(address)
